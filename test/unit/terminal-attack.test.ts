import type { Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { WebSocketServer, type WebSocket } from 'ws'
import { connectTerminal, deleteTerminalSession, type TerminalConnection } from '../../src/index.ts'
import { closeFrame, flood, INVALID_FRAME, tcpOf } from '../support/frames.ts'
import { connectTo } from '../support/terminal.ts'
import { rejection, serve } from '../support/upstream.ts'

const NOT_FOUND = '{"error":"Session not found"}'

interface Scene {
  readonly terminal: TerminalConnection
  /** The server's side of the terminal. */
  readonly ws: WebSocket
  readonly tcp: Socket
}

/** Opens a terminal on a server that answers every look-up as if the session had ended. */
async function openOnLiar(): Promise<Scene> {
  let ws: WebSocket | undefined
  const base = await serve((server) => {
    server.on('request', (_request, response) => {
      response.writeHead(404, { 'content-type': 'application/json' }).end(NOT_FOUND)
    })
    new WebSocketServer({ server }).on('connection', (socket) => {
      ws = socket
      socket.on('error', () => {})
      // The prompt, after the auth frame.
      socket.once('message', () => socket.send(Buffer.from('$ ')))
    })
  })
  const terminal = await connectTo({ url: base }, { sessionId: 's1' })
  if (!ws) return expect.unreachable('the terminal should have a connection')
  return { terminal, ws, tcp: tcpOf(ws) }
}

describe('a terminal whose connection stays open', () => {
  const lostBy = (code: RegExp): object => {
    return { code: 1006, cause: 'lost', error: { cause: { code: expect.stringMatching(code) } } }
  }
  it.each<[string, (scene: Scene) => void, object]>([
    ['a frame that breaks the protocol', ({ tcp }) => tcp.write(INVALID_FRAME), lostBy(/^WS_ERR_/)],
    ['a message of 17 MiB', ({ ws }) => ws.send(Buffer.alloc(17 * 1024 * 1024)), lostBy(/UNSUPPORTED_MESSAGE_LENGTH$/)],
    ['a close frame with 1011', ({ tcp }) => tcp.write(closeFrame(1011)), { code: 1011, cause: 'remote' }],
  ])('does not end as `exited` after %s', async (_how, fail, close) => {
    const scene = await openOnLiar()
    fail(scene)
    // The server neither reads the answer nor ends the connection.
    scene.ws.pause()
    expect(await scene.terminal.closed).toMatchObject(close)
  })
})

it('a terminal that is closing drops a flood of output before it fills the memory', async () => {
  const { terminal, tcp } = await openOnLiar()
  // A message of 64 KiB.
  const message = Buffer.concat([Buffer.from([0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]), Buffer.alloc(64 * 1024)])
  // The server receives the close frame next. It does not answer, but floods the terminal.
  tcp.removeAllListeners('data')
  tcp.once('data', () => flood(tcp, message))
  expect(await terminal.closed).toMatchObject({ cause: 'exited' })
  let held = 0
  for await (const { length } of terminal) held += length
  expect(held).toBeGreaterThan(1024 * 1024)
  expect(held).toBeLessThan(4 * 1024 * 1024)
})

it('an answer whose body is no gzip, although its header says so, delays no call', async () => {
  const base = await serve((server) => {
    server.on('request', ({ socket }) => {
      socket.end('HTTP/1.1 500 X\r\nContent-Encoding: gzip\r\n\r\nno gzip at all')
    })
    new WebSocketServer({ server }).on('connection', (ws) => ws.send(Buffer.from('$ ')))
  })
  const client = { base, userId: 'ada' }
  expect(await rejection(deleteTerminalSession({ ...client, sessionId: 's1' }))).toMatchObject({ status: 500 })
  expect(await rejection(connectTerminal({ ...client, timeout: 1_000 }))).toMatchObject({ status: 500 })
  const terminal = await connectTerminal({ ...client, sessionId: 's1' })
  expect(await terminal.close()).toMatchObject({ cause: 'local' })
})

it('connectTerminal and deleteTerminalSession ignore later changes of the URL that is their base', async () => {
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
  // Changes the base whenever the key is needed.
  const key = async (): Promise<string> => {
    await new Promise((resolve) => setImmediate(resolve))
    base.port = new URL(evil).port
    return 'sk-canary'
  }
  const terminal = await connectTerminal({ base, userId: 'ada', key })
  await terminal.close()
  await deleteTerminalSession({ base: new URL(good), userId: 'ada', key, sessionId: 's1' })
  expect(other).toEqual([])
  expect(asked).toHaveLength(3)
})
