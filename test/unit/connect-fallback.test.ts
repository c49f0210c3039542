import type { IncomingMessage, RequestListener } from 'node:http'
import type { Duplex } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import { refuse } from '../support/gateway.ts'
import { handshakes } from '../support/requests.ts'
import { connectTo, open, refusalOf } from '../support/terminal.ts'
import { outputWith, serve } from '../support/upstream.ts'

interface BareServer {
  readonly base: string
  /** The URLs of the handshakes, oldest first. */
  readonly dialled: string[]
}

/** Starts a WebSocket server that wants `?token=` in the handshake and has no REST. */
async function bareServer(refuseUpgrade: (socket: Duplex) => void, answer?: RequestListener): Promise<BareServer> {
  const wss = new WebSocketServer({ noServer: true })
  wss.on('connection', (ws) => ws.on('message', (data, isBinary) => isBinary && ws.send(data)))
  const dialled: string[] = []
  const base = await serve((server) => {
    if (answer) server.on('request', answer)
    server.on('upgrade', (request: IncomingMessage, socket, head) => {
      const { url = '' } = request
      dialled.push(url)
      if (url.includes('token=sk-canary')) wss.handleUpgrade(request, socket, head, (ws) => wss.emit('connection', ws))
      else refuseUpgrade(socket)
    })
  })
  return { base, dialled }
}

const REFUSALS: ReadonlyArray<[string, (socket: Duplex) => void]> = [
  ['400', (socket) => refuse(socket, 400)],
  ['401', (socket) => refuse(socket, 401)],
  ['403', (socket) => refuse(socket, 403)],
  ['a cut connection', (socket) => socket.destroy()],
]
const ANSWERS: ReadonlyArray<[string, RequestListener | undefined]> = [
  ['426', (_request, response) => response.writeHead(426).end()],
  ['a page with 404', (_request, response) => response.writeHead(404).end('<h1>Not Found</h1>')],
  ['a page with 200', (_request, response) => response.end('<h1>Hello</h1>')],
]
const BARE = REFUSALS.flatMap(([refusal, refuseUpgrade]) =>
  ANSWERS.map(([answers, answer]) => ({ refusal, refuseUpgrade, answers, answer })),
)

describe('connectTerminal to a bare WebSocket server', () => {
  it.each(BARE)('adds the key to the URL after the refusal $refusal and the answer $answers', async (kind) => {
    const { base, dialled } = await bareServer(kind.refuseUpgrade, kind.answer)
    const terminal = await connectTo({ url: base }, { sessionId: 's1' })
    await terminal.write('hello')
    await outputWith(terminal, 'hello')
    expect(dialled).toEqual(['/api/terminals/s1?user_id=ada', '/api/terminals/s1?user_id=ada&token=sk-canary'])
  })

  it('adds the key to the URL also when the server never answers a request, and says if that does not help', async () => {
    const { base, dialled } = await bareServer(
      (socket) => refuse(socket, 403),
      () => {},
    )
    await connectTo({ url: base }, { sessionId: 's1' })
    expect(dialled).toHaveLength(2)
    const error = await refusalOf({ url: base }, { key: 'sk-other-canary', sessionId: 's1' })
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_UNAUTHORIZED', status: 403 })
    expect(error.message).toContain('HTTP 403 to the handshake, and no answer about the session')
  })
})

describe('connectTerminal', () => {
  it('keeps the key out of the URL when the server cut the handshake but has the session', async () => {
    const { upstream } = await open({ faults: { attach: ['reset', 'reset'] } }, { retry: { delay: 1 } })
    const urls = handshakes(upstream).map(({ query }) => query['token'])
    expect(urls).toEqual([undefined, undefined, undefined])
  })

  it('keeps the key out of the URL when the server cuts handshakes and requests', async () => {
    const { base, dialled } = await bareServer(
      (socket) => socket.destroy(),
      ({ socket }) => socket.destroy(),
    )
    const error = await refusalOf({ url: base }, { sessionId: 's1', retry: { attempts: 2, delay: 1 } })
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_UNAVAILABLE', cause: { code: 'ECONNRESET' } })
    expect(dialled.filter((url) => url.includes('token'))).toEqual([])
  })

  it.each(['never', 'fallback'] as const)('dials once with tokenInUrl: %j when there is no key', async (tokenInUrl) => {
    const { base, dialled } = await bareServer((socket) => refuse(socket, 403), ANSWERS[0]?.[1])
    const error = await refusalOf({ url: base }, { key: undefined, sessionId: 's1', tokenInUrl })
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_PROTOCOL', status: 426 })
    expect(dialled).toHaveLength(1)
  })
})
