import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { WebSocketServer, type WebSocket } from 'ws'
import type { ConnectTerminalOptions, TerminalConnection } from '../../src/index.ts'
import { watchWakes } from '../../src/terminal/resuming.ts'
import { connectTo } from '../support/terminal.ts'
import { afterwards, outputWith, serve, until } from '../support/upstream.ts'

interface Scripted {
  readonly terminal: TerminalConnection
  /** The auth frames of all connections, oldest first. */
  readonly auths: Array<Record<string, unknown>>
  readonly dials: () => number
  /** The DELETEs, with their query. */
  readonly deletes: string[]
  /** Resets the connection. */
  readonly drop: () => void
}

type Answer = number | string | ((ws: WebSocket) => void)

const ATTACHED = { type: 'attached', offset: 0, replay: 0, keepFor: 60_000, generation: 'g1' }

function attached(ws: WebSocket, more: object = {}): void {
  ws.send(JSON.stringify({ ...ATTACHED, ...more }))
}

/**
 * Opens a terminal on a server that answers each later dial with the next of `answers`, the last one again and again: a
 * status to the handshake, a close code with its reason, or what a function does.
 */
async function openScripted(answers: Answer[], options: Partial<ConnectTerminalOptions> = {}): Promise<Scripted> {
  let dials = 0
  let last: WebSocket | undefined
  const auths: Array<Record<string, unknown>> = []
  const deletes: string[] = []
  const base = await serve((server) => {
    server.on('request', ({ method, url }, response) => {
      if (method === 'DELETE') deletes.push(String(url))
      response.end('{"id":"s1"}')
    })
    const wss = new WebSocketServer({ noServer: true })
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      const answer = dials === 0 ? attached : (answers[dials - 1] ?? answers.at(-1))
      dials += 1
      if (typeof answer === 'number') {
        socket.end(`HTTP/1.1 ${answer} No\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nno`)
        return
      }
      wss.handleUpgrade(request, socket, head, (ws) => {
        last = ws
        ws.once('message', (auth) => {
          auths.push(JSON.parse(String(auth)) as Record<string, unknown>)
          if (typeof answer === 'function') answer(ws)
          else ws.close(Number(answer?.slice(0, 4)), answer?.slice(5))
        })
      })
    })
  })
  const terminal = await connectTo({ url: base }, { reconnect: { delay: 1 }, ...options })
  return { terminal, auths, dials: () => dials, deletes, drop: () => last?.terminate() }
}

/** Drops the connection, and resolves when the terminal is open again. */
async function resumed(terminal: TerminalConnection, drop: () => void): Promise<void> {
  const isOpen = new Promise<void>((resolve) => {
    const stop = terminal.onStatus((status) => {
      if (status !== 'open') return
      stop()
      resolve()
    })
  })
  drop()
  await isOpen
}

describe('a try to resume', () => {
  const PASSING = [404, 413, 429, 502, 503, 504, '1013', '4003 Terminal instance not reachable']

  it.each<Answer>(PASSING)('that gets %s of something in between is repeated', async (answer) => {
    const { terminal, drop, deletes } = await openScripted([answer, attached])
    await resumed(terminal, drop)
    expect(deletes).toEqual([])
  })

  it('with a key that was refused is repeated once with a fresh key', async () => {
    const keys = ['k', 'k', 'stale']
    const key = (): string => keys.shift() ?? 'fresh'
    const { terminal, drop, auths } = await openScripted(['4001 Invalid token', attached], { key })
    keys.splice(0, Infinity, 'stale')
    await resumed(terminal, drop)
    expect(auths.slice(1).map(({ token }) => token)).toEqual(['stale', 'fresh'])
  })

  it.each<[string, number, string]>([
    ['4001 Invalid token', 3, 'ERR_TERMINAL_UNAUTHORIZED'],
    ['4003 Access denied', 2, 'ERR_TERMINAL_FORBIDDEN'],
    ['4004 Session not found', 2, 'ERR_TERMINAL_NOT_FOUND'],
    ['4009 Taken over', 2, 'ERR_TERMINAL_IN_USE'],
  ])('that gets %s ends the terminal after %i dials, and deletes nothing', async (answer, count, code) => {
    const { terminal, drop, dials, deletes } = await openScripted([answer])
    drop()
    expect(await terminal.closed).toMatchObject({ cause: 'lost', error: { code } })
    expect(dials()).toBe(count)
    expect(deletes).toEqual([])
  })

  it('goes on until the time is over, and deletes nothing then', async () => {
    useClock()
    const { terminal, drop, dials, deletes } = await openScripted([502], { reconnect: { delay: 1, timeout: 30_000 } })
    drop()
    await until(() => dials() > 2)
    vi.advanceTimersByTime(31_000)
    expect(await terminal.closed).toMatchObject({ cause: 'lost', error: { code: 'ERR_TERMINAL_UNAVAILABLE' } })
    expect(deletes).toEqual([])
  })

  it('takes the time that the gateway has announced', async () => {
    const short = (ws: WebSocket): void => {
      attached(ws, { keepFor: 1 })
      ws.send(Buffer.from('new'))
    }
    const { terminal, drop, dials } = await openScripted([short, 502], { reconnect: { delay: 1 } })
    const output = outputWith(terminal, 'new')
    drop()
    await output
    drop()
    expect(await terminal.closed).toMatchObject({ cause: 'lost' })
    expect(dials()).toBeLessThanOrEqual(4)
  })

  it('that is accepted and dropped at once does not begin the tries anew', async () => {
    const drops = (ws: WebSocket): void => {
      attached(ws, { keepFor: 1_000 })
      ws.close(1001)
    }
    const { terminal, drop, dials } = await openScripted([drops], { reconnect: { delay: 0, timeout: 1_000 } })
    drop()
    expect(await terminal.closed).toMatchObject({ cause: 'lost' })
    expect(dials()).toBeLessThan(15)
  })

  it('counts only when `attached` has come', async () => {
    const plain = (ws: WebSocket): void => {
      ws.send(Buffer.from('not of this session'))
      ws.send('neither')
      setTimeout(() => ws.close(1001), 200)
    }
    const goesOn = (ws: WebSocket): void => {
      attached(ws)
      ws.send(Buffer.from('mine'))
    }
    const { terminal, drop } = await openScripted([plain, goesOn])
    const statuses: string[] = []
    terminal.onStatus((status) => statuses.push(status))
    const output = outputWith(terminal, 'mine')
    drop()
    expect(await output).toBe('mine')
    await until(() => statuses.length === 2)
    expect(statuses).toEqual(['reconnecting', 'open'])
  })

  // PROTOCOL 8.1 and 8.6
  it('hands the last generation back, and so does the DELETE', async () => {
    const next = (ws: WebSocket): void => attached(ws, { generation: 'g 2' })
    const { terminal, drop, auths, deletes } = await openScripted([next, next])
    for (let round = 0; round < 2; round += 1) await resumed(terminal, drop)
    expect(auths.map(({ generation }) => generation)).toEqual([undefined, 'g1', 'g 2'])
    await terminal.close()
    expect(deletes).toEqual(['/api/terminals/s1?generation=g%202'])
  })
})

/** Lets the time of `performance.now()` go on only as the test says. Timers run as always, so one may fire late. */
function useClock(): void {
  vi.useFakeTimers({ toFake: ['performance'] })
  onTestFinished(() => void vi.useRealTimers())
}

/** Puts what a page has into place, and counts the listeners for each event. */
function fakePage(): { readonly page: EventTarget; readonly counts: Map<string, number> } {
  const page = Object.assign(new EventTarget(), { visibilityState: 'visible' })
  const counts = new Map<string, number>()
  const count = (name: string, by: number): void => void counts.set(name, (counts.get(name) ?? 0) + by)
  const fake = {
    document: page,
    addEventListener: (name: string, listener: () => void): void => {
      count(name, 1)
      page.addEventListener(name, listener)
    },
    removeEventListener: (name: string, listener: () => void): void => {
      count(name, -1)
      page.removeEventListener(name, listener)
    },
  }
  Object.assign(globalThis, fake)
  afterwards({ close: () => Object.keys(fake).forEach((name) => Reflect.deleteProperty(globalThis, name)) })
  return { page, counts }
}

describe('a page that wakes', () => {
  it.each(['online', 'pageshow', 'visibilitychange'])('tries at once (%s), and keeps no listener', async (type) => {
    const { page, counts } = fakePage()
    const { terminal, drop } = await openScripted([attached], { reconnect: { delay: 60_000 } })
    drop()
    await until(() => terminal.status === 'reconnecting')
    await until(() => counts.get('online') === 1)
    page.dispatchEvent(new Event(type))
    await until(() => terminal.status === 'open')
    expect([...counts.values()]).toEqual([0, 0])
  })

  it('does not wake when it is hidden', () => {
    const { page } = fakePage()
    let wakes = 0
    const stop = watchWakes(() => (wakes += 1))
    for (const visibilityState of ['hidden', 'visible', 'hidden']) {
      Object.assign(page, { visibilityState })
      page.dispatchEvent(new Event('visibilitychange'))
    }
    stop()
    expect(wakes).toBe(1)
  })
})

describe('after `reconnect.timeout`, one more try', () => {
  const HOUR = 3_600_000
  const reconnect = { delay: 200, timeout: 30_000 }

  it('is made when the timer for it fires late, after a sleep', async () => {
    useClock()
    const { terminal, drop, dials } = await openScripted([attached], { reconnect })
    drop()
    await until(() => terminal.status === 'reconnecting')
    vi.advanceTimersByTime(HOUR)
    await until(() => terminal.status === 'open')
    expect(dials()).toBe(2)
  })

  it.each<[string, number, boolean, string]>([
    ['is made when a try was under way during a sleep', HOUR, false, 'open'],
    ['is made when the page has woken during a try', 31_000, true, 'open'],
    ['is not made when nothing tells of a sleep', 31_000, false, 'closed'],
  ])('%s', async (_, ms, wakes, status) => {
    const { page } = fakePage()
    useClock()
    let held: WebSocket | undefined
    const hold = (ws: WebSocket): void => void (held = ws)
    const { terminal, drop, dials } = await openScripted([hold, attached], { reconnect })
    drop()
    await until(() => held !== undefined)
    vi.advanceTimersByTime(ms)
    if (wakes) page.dispatchEvent(new Event('online'))
    held?.terminate()
    await until(() => terminal.status === status)
    expect(dials()).toBe(status === 'open' ? 3 : 2)
  })

  it('is the last one if it fails, too', async () => {
    useClock()
    const { terminal, drop, dials } = await openScripted([502], { reconnect: { ...reconnect, delay: 2_000 } })
    drop()
    await until(() => terminal.status === 'reconnecting')
    vi.advanceTimersByTime(HOUR)
    expect(await terminal.closed).toMatchObject({ cause: 'lost', error: { status: 502 } })
    expect(dials()).toBe(2)
  })
})
