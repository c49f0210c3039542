import { describe, expect, it } from 'vitest'
import { WebSocketServer, type WebSocket } from 'ws'
import type { ConnectTerminalOptions, TerminalConnection } from '../../src/index.ts'
import { connectTerminal, createTerminalSession } from '../../src/index.ts'
import { nothingHappens } from '../support/timers.ts'
import {
  afterwards,
  clientOf,
  outputWith,
  rejection,
  releases,
  serve,
  until,
  upstreamOf,
  userOf,
} from '../support/upstream.ts'

interface Gateway {
  readonly base: string
  /** The text frames of the client but for heartbeats, over all connections. */
  readonly frames: Array<Record<string, unknown>>
  /** The method and path of each request. */
  readonly requests: string[]
}

/** Starts a server that answers the auth frame of each dial as a gateway would, with what `answer` does. */
async function gatewayThat(answer: (ws: WebSocket, dial: number) => void, get?: () => Promise<void>): Promise<Gateway> {
  const frames: Array<Record<string, unknown>> = []
  const requests: string[] = []
  let dials = 0
  const base = await serve((server) => {
    server.on('request', ({ method, url }, response) => {
      requests.push(`${method} ${url}`)
      // Whoever looks on does not own the session.
      void get?.().then(() => response.writeHead(404).end('{"error":"Session not found"}'))
      if (!get) response.writeHead(404).end('{"error":"Session not found"}')
    })
    new WebSocketServer({ server }).on('connection', (ws) => {
      dials += 1
      const dial = dials
      ws.once('message', () => answer(ws, dial))
      ws.on('message', (data) => {
        const frame = JSON.parse(String(data)) as Record<string, unknown>
        if (frame['type'] !== 'ping') frames.push(frame)
      })
    })
  })
  return { base, frames, requests }
}

const SESSION = { sessionId: 's1', watch: true } as const

async function watch({ base }: Gateway, options: Partial<ConnectTerminalOptions> = {}): Promise<TerminalConnection> {
  const given = { base, userId: 'help', settle: 60_000, reconnect: { delay: 1 }, retry: { delay: 1 }, ...SESSION }
  const terminal = await connectTerminal({ ...given, ...options })
  afterwards(terminal)
  return terminal
}

function attached(ws: WebSocket, more: object = {}): void {
  ws.send(JSON.stringify({ type: 'attached', offset: 0, replay: 0, keepFor: 60_000, generation: 'g', ...more }))
}

function resize(ws: WebSocket, cols: unknown, rows: unknown): void {
  ws.send(JSON.stringify({ type: 'resize', cols, rows }))
}

// PROTOCOL 8.13
describe('a client that looks on', () => {
  it('says so, and sends no size, no input and no DELETE', async () => {
    const gateway = await gatewayThat((ws) => attached(ws))
    const terminal = await watch(gateway, { size: { cols: 100, rows: 30 } })
    terminal.resize(120, 40)
    expect(() => terminal.resize(0, 1)).toThrow(RangeError)
    const error = await rejection(terminal.write('x'))
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_FORBIDDEN', why: 'it only looks on' })
    expect(error.message).toMatch(/^Cannot type into the terminal at ws:.*: it only looks on\. Connect without `watch`/)
    await terminal.close()
    expect(gateway.frames).toEqual([{ type: 'auth', token: '', offset: null, watch: true }])
    expect(gateway.requests.filter((request) => request.startsWith('DELETE'))).toEqual([])
    expect(() => terminal.resize(80, 24)).toThrow(expect.objectContaining({ code: 'ERR_TERMINAL_CLOSED' }))
  })

  it('is told the size of the window, and each listener of the last one', async () => {
    let server: WebSocket | undefined
    const gateway = await gatewayThat((ws) => {
      server = ws
      attached(ws)
      resize(ws, 132, 50)
    })
    const terminal = await watch(gateway)
    const seen: object[] = []
    const stop = terminal.onResize((size) => seen.push(size))
    expect(seen).toEqual([])
    await until(() => seen.length === 1)
    const wrong = [0, 65_536, 1.5, -1, null, '80']
    for (const cells of wrong) if (server) resize(server, cells, 24)
    for (const cells of wrong) if (server) resize(server, 80, cells)
    const output = outputWith(terminal, 'end')
    if (server) resize(server, 80, 24)
    server?.send(Buffer.from('the end'))
    // No text frame is output.
    expect(await output).toBe('the end')
    stop()
    const late: object[] = []
    terminal.onResize((size) => late.push(size))
    const unseen: object[] = []
    terminal.onResize((size) => unseen.push(size))()
    await until(() => late.length > 0)
    expect(seen).toEqual([
      { cols: 132, rows: 50 },
      { cols: 80, rows: 24 },
    ])
    expect([late, unseen]).toEqual([[{ cols: 80, rows: 24 }], []])
    const misuse = expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' })
    expect(() => terminal.onResize('x' as never)).toThrow(misuse)
  })

  it('that was left behind hears of what is missing before the tail, and goes on from there after a cut', async () => {
    const connections: WebSocket[] = []
    const gateway = await gatewayThat((ws, dial) => {
      connections.push(ws)
      attached(ws, { offset: dial === 1 ? 0 : 104 })
      if (dial > 1) ws.send(Buffer.from('more'))
    })
    const terminal = await watch(gateway)
    const events: unknown[] = []
    terminal.onGap((bytes) => events.push(bytes))
    terminal.onData((chunk) => events.push(Buffer.from(chunk).toString()))
    for (const ws of connections) {
      ws.send(Buffer.from('start'))
      attached(ws, { offset: 100, missing: 95 })
      ws.send(Buffer.from('tail'))
    }
    await until(() => events.includes('tail'))
    connections[0]?.close(1013)
    await until(() => events.includes('more'))
    expect(events).toEqual(['start', 95, 'tail', 'more'])
    // It hands no generation back: it has none.
    expect(gateway.frames.at(-1)).toEqual({ type: 'auth', token: '', offset: 104, watch: true })
  })

  it('ends with the session', async () => {
    const gateway = await gatewayThat((ws) => {
      attached(ws)
      ws.send(Buffer.from('last'))
      ws.close(1000, 'exited')
    })
    const terminal = await watch(gateway)
    expect(await terminal.closed).toEqual({ code: 1000, reason: 'exited', cause: 'exited' })
  })

  it('comes back also if a shell without its client is not kept, but not with `reconnect: false`', async () => {
    const cuts = (ws: WebSocket, dial: number): void => {
      attached(ws, { keepFor: 0 })
      if (dial === 1) ws.close(1001)
      else ws.send(Buffer.from('back'))
    }
    expect(await outputWith(await watch(await gatewayThat(cuts)), 'back')).toBe('back')
    const ended = await watch(await gatewayThat(cuts), { reconnect: false })
    expect(await ended.closed).toMatchObject({ cause: 'remote', code: 1001 })
  })

  it('tries again if there are too many', async () => {
    const gateway = await gatewayThat((ws, dial) => (dial < 3 ? ws.close(1013) : attached(ws)))
    await watch(gateway)
    expect(gateway.frames).toHaveLength(3)
  })

  it.each([
    ['4003 Access denied', 'ERR_TERMINAL_FORBIDDEN'],
    ['1000', 'ERR_TERMINAL_UNAVAILABLE'],
  ])('that gets %s at first is refused with %s, whatever a look-up would say', async (close, code) => {
    const gateway = await gatewayThat((ws) => ws.close(Number(close.slice(0, 4)), close.slice(5)))
    expect(await rejection(watch(gateway))).toMatchObject({ code })
  })

  it('waits for a gateway that asks for long who it is, and not for its own session', async () => {
    let answer = (): void => {}
    const asked = new Promise<void>((resolve) => (answer = resolve))
    const gateway = await gatewayThat(
      (ws) => void asked.then(() => attached(ws)),
      () => asked,
    )
    const watching = watch(gateway, { settle: 300 })
    await until(() => gateway.requests.length > 0)
    // Longer than the look-up of a client that types.
    await nothingHappens(1_000)
    answer()
    expect((await watching).status).toBe('open')
  })
})

describe('a server without watchers', () => {
  const REFUSED = {
    code: 'ERR_TERMINAL_PROTOCOL',
    message: expect.stringContaining('Only a gateway of terminal-upstream lets a client look on: leave `watch` out.'),
  }

  it.each([
    ['output', Buffer.from('$ ')],
    ['text', '{"type":"hello"}'],
  ])('that answers with %s is left', async (_what, answer) => {
    const left: unknown[] = []
    const gateway = await gatewayThat((ws) => {
      ws.on('close', () => left.push(ws))
      ws.send(answer)
    })
    expect(await rejection(watch(gateway))).toMatchObject(REFUSED)
    await until(() => left.length === 1)
    expect(gateway.frames).toHaveLength(1)
  })

  it.each(releases)('of the release %s is left, also if it is silent, and nothing is deleted', async (release) => {
    const upstream = await upstreamOf({ release })
    const { id: sessionId } = await createTerminalSession(userOf(upstream))
    const refused = connectTerminal({ ...clientOf(upstream), ...SESSION, sessionId, tokenInUrl: 'always' })
    expect(await rejection(refused)).toMatchObject(REFUSED)
    expect(upstream.requests.filter(({ method }) => method === 'DELETE')).toEqual([])
  })
})

describe('the option `watch`', () => {
  const nobody = { base: 'http://127.0.0.1:1', userId: 'ada' }
  const NEEDED = '`watch` needs a `sessionId`, and neither `createIfGone` nor `deleteOnClose`'

  it.each<[options: object, message: string]>([
    [{ watch: 'yes' }, '`watch` must be a boolean, got string'],
    [{ watch: true }, NEEDED],
    [{ ...SESSION, sessionId: null }, NEEDED],
    [{ ...SESSION, createIfGone: true }, NEEDED],
    [{ ...SESSION, deleteOnClose: true }, NEEDED],
    [{ ...SESSION, size: { cols: 0, rows: 1 } }, '`cols` must be a whole number from 1 to 65535, got 0'],
  ])('rejects %j', async (options, message) => {
    const error = await rejection(connectTerminal({ ...nobody, ...options }))
    expect(error).toMatchObject({ code: expect.stringMatching(/^ERR_(?:INVALID_ARG|OUT_OF_RANGE)/), message })
  })
})
