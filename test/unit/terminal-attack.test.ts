import type { Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { WebSocketServer, type WebSocket } from 'ws'
import { connectTerminal, deleteTerminalSession, type TerminalConnection } from '../../src/index.ts'
import { afterwards, rejection, serve } from '../support/upstream.ts'

const GONE = '{"error":"Session not found"}'

interface Scene {
  readonly terminal: TerminalConnection
  /** The server's side of the terminal. */
  readonly ws: WebSocket
  readonly tcp: Socket
}

/** Opens a terminal on a server that says of every session that it is gone. */
async function openOnLiar(): Promise<Scene> {
  let ws: WebSocket | undefined
  const base = await serve((server) => {
    server.on('request', (_request, response) => {
      response.writeHead(404, { 'content-type': 'application/json' }).end(GONE)
    })
    new WebSocketServer({ server }).on('connection', (socket) => {
      ws = socket
      socket.on('error', () => {})
      // The answer to the auth frame.
      socket.once('message', () => socket.send(Buffer.from('$ ')))
    })
  })
  const terminal = await connectTerminal({ base, userId: 'ada', sessionId: 's1' })
  afterwards(terminal)
  if (!ws) return expect.unreachable('there should be a connection')
  return { terminal, ws, tcp: Reflect.get(ws, '_socket') }
}

describe('a terminal that fails while its connection stays open', () => {
  it.each<[string, (scene: Scene) => void, object]>([
    [
      'with a frame that breaks the protocol',
      ({ tcp }) => tcp.write(Buffer.from([0xff, 0xff, 0xff, 0xff])),
      { code: 1006, cause: 'lost', error: { cause: { code: expect.stringMatching(/^WS_ERR_/) } } },
    ],
    [
      'with a message of 17 MiB',
      ({ ws }) => ws.send(Buffer.alloc(17 * 1024 * 1024)),
      { code: 1006, cause: 'lost', error: { cause: { code: 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' } } },
    ],
    [
      'with a close frame of 1011',
      ({ tcp }) => tcp.write(Buffer.from([0x88, 2, 0x03, 0xf3])),
      { code: 1011, cause: 'remote', error: { code: 'ERR_TERMINAL_UNAVAILABLE', closeCode: 1011 } },
    ],
  ])('%s is not taken for one whose shell has ended', async (_how, fail, close) => {
    const scene = await openOnLiar()
    fail(scene)
    // The server neither reads the answer nor ends the connection.
    scene.ws.pause()
    expect(await scene.terminal.closed).toMatchObject(close)
  })
})

it('a server that floods a terminal which is closing does not fill the memory', async () => {
  const { terminal, tcp } = await openOnLiar()
  // A message of 64 KiB.
  const message = Buffer.concat([Buffer.from([0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]), Buffer.alloc(64 * 1024)])
  const pour = (): void => {
    while (!tcp.destroyed && tcp.write(message));
  }
  // The server does not answer the close frame, which is the first thing that it is sent, but begins to print.
  tcp.removeAllListeners('data')
  tcp.on('drain', pour)
  tcp.once('data', pour)
  expect(await terminal.closed).toMatchObject({ cause: 'exited' })
  let held = 0
  for await (const { length } of terminal) held += length
  expect(held).toBeGreaterThan(1024 * 1024)
  expect(held).toBeLessThan(4 * 1024 * 1024)
})

describe('an answer whose body is broken', () => {
  /** Answers each request with a body that is no gzip, and ends the connection. */
  function brokenGzip(): Promise<string> {
    return serve((server) => {
      server.on('request', ({ socket }) => {
        socket.end('HTTP/1.1 500 X\r\nContent-Encoding: gzip\r\n\r\nno gzip at all')
      })
      new WebSocketServer({ server }).on('connection', (ws) => ws.send(Buffer.from('$ ')))
    })
  }

  it('keeps neither a request nor connectTerminal nor close() waiting', async () => {
    const base = await brokenGzip()
    const client = { base, userId: 'ada' }
    expect(await rejection(deleteTerminalSession({ ...client, sessionId: 's1' }))).toMatchObject({ status: 500 })
    expect(await rejection(connectTerminal({ ...client, timeout: 1_000 }))).toMatchObject({ status: 500 })
    const terminal = await connectTerminal({ ...client, sessionId: 's1' })
    expect(await terminal.close()).toMatchObject({ cause: 'local' })
  })
})

it('the base is read once: a URL that the caller changes later does not lead elsewhere', async () => {
  const other: string[] = []
  const evil = await serve((server) => {
    server.on('request', ({ url = '' }, response) => {
      other.push(url)
      response.end()
    })
    server.on('upgrade', ({ url = '' }, socket) => {
      other.push(url)
      socket.destroy()
    })
  })
  const asked: string[] = []
  const good = await serve((server) => {
    server.on('request', ({ url = '' }, response) => {
      asked.push(url)
      response.end('{"id":"s1"}')
    })
    new WebSocketServer({ server }).on('connection', (ws) => ws.send(Buffer.from('$ ')))
  })
  const base = new URL(good)
  // Changed while the key is asked for, and again by everything later.
  const key = async (): Promise<string> => {
    await new Promise((resolve) => setTimeout(resolve, 1))
    base.port = new URL(evil).port
    return 'sk-canary'
  }
  const terminal = await connectTerminal({ base, userId: 'ada', key })
  await terminal.close()
  await deleteTerminalSession({ base: new URL(good), userId: 'ada', key, sessionId: 's1' })
  expect(other).toEqual([])
  expect(asked).toHaveLength(3)
})
