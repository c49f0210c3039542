import type { IncomingMessage, RequestListener } from 'node:http'
import type { Duplex } from 'node:stream'
import { describe, expect, it, vi } from 'vitest'
import { WebSocketServer } from 'ws'
import { connectTerminal } from '../../src/index.ts'
import { refuse } from '../support/gateway.ts'
import { afterwards, clientOf, outputWith, rejection, releases, serve, upstreamOf } from '../support/upstream.ts'

interface BareServer {
  readonly base: string
  /** The URLs of the handshakes, oldest first. */
  readonly dialled: string[]
}

/** A WebSocket server that wants `?token=` in the handshake and knows nothing of terminals. */
async function bareServer(turnAway: (socket: Duplex) => void, answer?: RequestListener): Promise<BareServer> {
  const wss = new WebSocketServer({ noServer: true })
  wss.on('connection', (ws) => ws.on('message', (data, isBinary) => isBinary && ws.send(data)))
  const dialled: string[] = []
  const base = await serve((server) => {
    if (answer) server.on('request', answer)
    server.on('upgrade', (request: IncomingMessage, socket, head) => {
      const { url = '' } = request
      dialled.push(url)
      if (url.includes('token=sk-canary')) wss.handleUpgrade(request, socket, head, (ws) => wss.emit('connection', ws))
      else turnAway(socket)
    })
  })
  return { base, dialled }
}

const REFUSALS: ReadonlyArray<[string, (socket: Duplex) => void]> = [
  ['400', (socket) => refuse(socket, 400)],
  ['401', (socket) => refuse(socket, 401)],
  ['403', (socket) => refuse(socket, 403)],
  ['the end of the connection', (socket) => socket.destroy()],
]
const ANSWERS: ReadonlyArray<[string, RequestListener | undefined]> = [
  ['426', (_request, response) => response.writeHead(426).end()],
  ['a page with 404', (_request, response) => response.writeHead(404).end('<h1>Not Found</h1>')],
  ['a page with 200', (_request, response) => response.end('<h1>Hello</h1>')],
]
const BARE = REFUSALS.flatMap(([refusal, turnAway]) =>
  ANSWERS.map(([answers, answer]) => ({ refusal, turnAway, answers, answer })),
)

describe('a bare WebSocket server', () => {
  it.each(BARE)('that refuses with $refusal and answers requests with $answers gets the key', async (kind) => {
    const { base, dialled } = await bareServer(kind.turnAway, kind.answer)
    const terminal = await connectTerminal({ ...clientOf({ url: base }), sessionId: 's1' })
    afterwards(terminal)
    await terminal.write('hello')
    await outputWith(terminal, 'hello')
    expect(dialled).toEqual(['/api/terminals/s1?user_id=ada', '/api/terminals/s1?user_id=ada&token=sk-canary'])
  })

  it('that never answers a request gets the key', async () => {
    const { base, dialled } = await bareServer(
      (socket) => refuse(socket, 403),
      () => {},
    )
    afterwards(await connectTerminal({ ...clientOf({ url: base }), sessionId: 's1' }))
    expect(dialled).toHaveLength(2)
  })

  it('that never answers a request and wants another key is ERR_TERMINAL_UNAUTHORIZED', async () => {
    const { base } = await bareServer(
      (socket) => refuse(socket, 403),
      () => {},
    )
    const options = { ...clientOf({ url: base }), key: 'sk-other-canary', sessionId: 's1' }
    const error = await rejection(connectTerminal(options))
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_UNAUTHORIZED', status: 403 })
    expect(error.message).toContain('HTTP 403 to the handshake, and no answer when it was asked for the session')
  })
})

describe('the key', () => {
  it.each(releases)('is in no URL of %s that can do without it', async (release) => {
    const upstream = await upstreamOf({ release })
    afterwards(await connectTerminal(clientOf(upstream)))
    const urls = upstream.requests.filter(({ kind }) => kind === 'websocket').map(({ query }) => query['token'])
    expect(urls).toEqual(release === 'terminals@0.0.2' ? [undefined, 'sk-canary'] : [undefined])
  })

  it('is in no URL after a handshake that was cut while the server has the session', async () => {
    const upstream = await upstreamOf({ faults: { attach: ['reset', 'reset'] } })
    afterwards(await connectTerminal({ ...clientOf(upstream), retry: { delay: 1 } }))
    const urls = upstream.requests.filter(({ kind }) => kind === 'websocket').map(({ query }) => query['token'])
    expect(urls).toEqual([undefined, undefined, undefined])
  })

  it('is in no URL after a handshake that was cut by a server that is down', async () => {
    const { base, dialled } = await bareServer(
      (socket) => socket.destroy(),
      ({ socket }) => socket.destroy(),
    )
    const error = await rejection(
      connectTerminal({ ...clientOf({ url: base }), sessionId: 's1', retry: { attempts: 2, delay: 1 } }),
    )
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_UNAVAILABLE', cause: { code: 'ECONNRESET' } })
    expect(dialled.filter((url) => url.includes('token'))).toEqual([])
  })

  it.each(['never', 'fallback'] as const)(
    'is in no URL when there is none, with tokenInUrl: %j',
    async (tokenInUrl) => {
      const { base, dialled } = await bareServer((socket) => refuse(socket, 403), ANSWERS[0]?.[1])
      const options = { ...clientOf({ url: base }), key: undefined, sessionId: 's1', tokenInUrl }
      expect(await rejection(connectTerminal(options))).toMatchObject({ code: 'ERR_TERMINAL_PROTOCOL', status: 426 })
      expect(dialled).toHaveLength(1)
    },
  )
})

it.each([
  [{ attempts: 2 }, 2],
  [{ delay: 1 }, 5],
])('retry: %j has the default for the other field', async (retry, tries) => {
  const upstream = await upstreamOf({ faults: { create: { refuse: 502 } } })
  expect(await rejection(connectTerminal({ ...clientOf(upstream), retry }))).toMatchObject({ status: 502 })
  expect(upstream.requests).toHaveLength(tries)
})

it('the delay before a try doubles, and a random half of it is left out', async () => {
  const upstream = await upstreamOf({ faults: { create: { refuse: 502 } } })
  const timers = vi.spyOn(globalThis, 'setTimeout')
  const random = vi.spyOn(Math, 'random').mockReturnValueOnce(0).mockReturnValueOnce(1).mockReturnValue(0)
  afterwards({
    close() {
      timers.mockRestore()
      random.mockRestore()
    },
  })
  await rejection(connectTerminal({ ...clientOf(upstream), retry: { attempts: 4, delay: 10 } }))
  const waits = timers.mock.calls.map(([, ms]) => ms).filter((ms) => ms === 10 || ms === 40)
  // 10, half of 20, 40.
  expect(waits).toEqual([10, 10, 40])
})
