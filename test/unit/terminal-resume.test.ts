import type { Socket } from 'node:net'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { connectTerminal, type TerminalConnection } from '../../src/index.ts'
import { browserSocket } from '../support/browser-socket.ts'
import { relayTo, type Cut } from '../support/cuttable-relay.ts'
import { cut, openOnServer, openResumable } from '../support/resumable.ts'
import { pageOf, startGateway } from '../support/terminal-gateway.ts'
import { nothingHappens } from '../support/timers.ts'
import { afterwards, clientOf, outputWith, rejection, releases, until, upstreamOf } from '../support/upstream.ts'

// Bytes that do not leave before the connection is cut.
const LARGE = 32_000_000

// PROTOCOL 8.4 and 8.5
describe('a terminal behind a gateway whose connection drops', () => {
  it.each<[Cut, number]>([
    ['close', 30_000],
    ['reset', 30_000],
    ['freeze', 100],
  ])('by %s goes on with the output where it stopped', async (how, keepAlive) => {
    const opened = await openResumable({ keepAlive })
    const { terminal, print, text } = opened
    await terminal.write('before ')
    await until(() => text().includes('before'))
    await cut(opened, how)
    await print('meanwhile ')
    await until(() => terminal.status === 'open')
    await terminal.write('after')
    await until(() => text().includes('after'))
    expect(text()).toContain('before meanwhile after')
  })

  it('notices it 16 s after typing, also where pings cannot be sent', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    onTestFinished(() => void vi.useRealTimers())
    const opened = await openResumable({ WebSocket: browserSocket, keepAlive: 0 })
    await opened.terminal.write('before ')
    await until(() => opened.text().includes('before'))
    opened.relay.cut('freeze')
    const statuses: string[] = []
    opened.terminal.onStatus((status) => statuses.push(status))
    opened.terminal.write('lost').catch(() => {})
    for (const ms of [1_100, 3_000, 12_000]) {
      expect(statuses).toEqual([])
      // The clock ticks every 100 ms.
      await nothingHappens(250)
      vi.advanceTimersByTime(ms)
    }
    await until(() => statuses.length === 2)
    expect(statuses).toEqual(['reconnecting', 'open'])
    await opened.terminal.write('after')
    await until(() => opened.text().includes('before after'))
  })

  it('is found out in silence by heartbeats that are not answered, also where pings cannot be sent', async () => {
    const opened = await openResumable({ WebSocket: browserSocket, keepAlive: 200 })
    const statuses: string[] = []
    opened.terminal.onStatus((status) => statuses.push(status))
    // While the gateway answers, nothing happens.
    await new Promise((resolve) => setTimeout(resolve, 2_000))
    expect(statuses).toEqual([])
    opened.relay.cut('freeze')
    await expect.poll(() => statuses, { timeout: 5_000 }).toEqual(['reconnecting', 'open'])
  })

  it('tells its listeners, also after one has thrown, and not those that were removed', async () => {
    const thrown: unknown[] = []
    const record = (error: unknown): void => void thrown.push(error)
    process.on('uncaughtException', record)
    afterwards({ close: () => process.off('uncaughtException', record) })
    const opened = await openResumable()
    const misuse = expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' })
    expect(() => opened.terminal.onStatus('x' as never)).toThrow(misuse)
    const [seen, unseen]: [string[], string[]] = [[], []]
    opened.terminal.onStatus((status) => {
      throw new Error(status)
    })
    opened.terminal.onStatus((status) => seen.push(status))
    opened.terminal.onStatus((status) => unseen.push(status))()
    await cut(opened)
    await until(() => opened.terminal.status === 'open')
    await opened.terminal.close()
    expect(seen).toEqual(['reconnecting', 'open', 'closed'])
    expect(unseen).toEqual([])
    expect(thrown).toMatchObject(seen.map((message) => ({ message })))
  })

  it('refuses what is typed meanwhile, and never sends it later', async () => {
    const opened = await openResumable()
    const { terminal, text } = opened
    const stop = opened.relay.refuse()
    await cut(opened)
    expect(await rejection(terminal.write('lost'))).toMatchObject({ code: 'ERR_TERMINAL_RECONNECTING' })
    stop()
    await until(() => terminal.status === 'open')
    await terminal.write('typed')
    await until(() => text().includes('typed'))
    expect(text()).not.toContain('lost')
  })

  it('rejects a paste that is cut off, and does not type the rest of it', async () => {
    const opened = await openResumable()
    const paste = opened.terminal.write('p'.repeat(LARGE))
    await until(() => opened.text().includes('p'))
    await cut(opened)
    expect(await rejection(paste)).toMatchObject({ code: 'ERR_TERMINAL_RECONNECTING' })
    await until(() => opened.terminal.status === 'open')
    await opened.terminal.write('end')
    await until(() => opened.text().includes('end'))
    expect(opened.text().match(/p/g)?.length).toBeLessThan(LARGE)
  })

  it('tells the shell the size that the window has then', async () => {
    const opened = await openResumable({ size: { cols: 100, rows: 30 } })
    const size = (): object | undefined => opened.gateway.upstream.sessions[0]?.size
    await until(() => JSON.stringify(size()) === '{"cols":100,"rows":30}')
    const stop = opened.relay.refuse()
    await cut(opened)
    opened.terminal.resize(120, 40)
    expect(() => opened.terminal.resize(0, 1)).toThrow(RangeError)
    stop()
    await until(() => JSON.stringify(size()) === '{"cols":120,"rows":40}')
  })

  it('is resumed again and again, and each byte comes once', async () => {
    const opened = await openResumable()
    const expected: string[] = []
    for (let round = 0; round < 20; round += 1) {
      expected.push(`round ${round} `)
      await opened.print(`round ${round} `)
      await cut(opened, round % 2 ? 'close' : 'reset')
      await until(() => opened.terminal.status === 'open')
    }
    await until(() => opened.text().endsWith('round 19 '))
    expect(opened.text()).toContain(expected.join(''))
  })

  it('keeps its upstream waiting for a slow reader after the cut, too', async () => {
    const gateway = await startGateway()
    const relay = await relayTo(gateway)
    const terminal = await connectTerminal({ ...pageOf(relay), reconnect: { delay: 10 }, maxBuffered: 10_000 })
    afterwards(terminal)
    await gateway.upstream.sessions[0]?.output('x'.repeat(100_000))
    relay.cut('reset')
    await until(() => terminal.status === 'reconnecting')
    await until(() => terminal.status === 'open')
    await gateway.upstream.sessions[0]?.output(`${'y'.repeat(100_000)}the end`)
    const output = await outputWith(terminal, 'the end')
    expect(output.replace(/^[^x]*/, '')).toBe(`${'x'.repeat(100_000)}${'y'.repeat(100_000)}the end`)
  })

  it('goes on with a tail if the gateway has not kept all output', async () => {
    const opened = await openResumable({}, { replayBytes: 100 })
    const gaps: unknown[] = []
    opened.terminal.onGap((bytes) => gaps.push(bytes, opened.text().length))
    const before = opened.text().length
    const stop = opened.relay.refuse()
    await cut(opened)
    await opened.print('a line\n'.repeat(1_000))
    stop()
    await until(() => opened.terminal.status === 'open')
    await opened.print('live')
    await until(() => opened.text().endsWith('live'))
    expect(opened.text().endsWith(`\x18\x1bc\x1b[?25h${'a line\n'.repeat(14)}live`)).toBe(true)
    // 100 of 7 000 bytes are kept.
    expect(gaps).toEqual([6_900, before])
  })
})

describe('a gap in the output', () => {
  /** Returns what a terminal does whose connection is cut once: it is then told of a gap and sent a tail at once. */
  async function eventsWith(
    missing: unknown,
    listen: (terminal: TerminalConnection, events: unknown[]) => void,
  ): Promise<unknown[]> {
    const events: unknown[] = []
    let cutOff = (): void => {}
    const terminal = await openOnServer((ws, _auth, count) => {
      const frame = { type: 'attached', offset: count === 1 ? 0 : 90, replay: 0, missing, keepFor: 1_000 }
      const tcp = Reflect.get(ws, '_socket') as Socket
      // In one packet: the client gets both messages in one turn of its event loop.
      tcp.cork()
      ws.send(JSON.stringify(frame))
      ws.send(Buffer.from(count === 1 ? 'before' : 'tail'))
      tcp.uncork()
      cutOff = () => ws.close(1001)
    })
    listen(terminal, events)
    const output = outputWith(terminal, 'tail')
    cutOff()
    await output
    return events
  }

  const text = (chunk: Uint8Array): string => Buffer.from(chunk).toString()

  it('is told before any reader gets what follows, once, and to all that listen', async () => {
    const thrown: unknown[] = []
    const record = (error: unknown): void => void thrown.push(error)
    process.on('uncaughtException', record)
    afterwards({ close: () => process.off('uncaughtException', record) })
    const events = await eventsWith(7, (terminal, seen) => {
      terminal.onData((chunk) => seen.push(text(chunk)))
      terminal.onGap((bytes) => {
        throw new Error(`${bytes}`)
      })
      terminal.onGap((bytes) => seen.push(bytes))
      terminal.onGap(() => seen.push('removed'))()
      expect(() => terminal.onGap('x' as never)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
    })
    expect(events).toEqual(['before', 7, 'tail'])
    expect(thrown).toMatchObject([{ message: '7' }])
  })

  it.each([0, -7, 1.5, '7', null, undefined])('of %s bytes is none', async (missing) => {
    const events = await eventsWith(missing, (terminal, seen) => terminal.onGap((bytes) => seen.push(bytes)))
    expect(events).toEqual([])
  })
})

// PROTOCOL 8.4
it.each([{}, { sessionId: 's1', watch: true }])(
  'waits for a gateway that answers a heartbeat, and then says where it goes on, at first and after a cut (%j)',
  async (options) => {
    const gaps: number[] = []
    const terminal = await openOnServer((ws, _auth, count) => {
      const goOn = (): void => {
        ws.send(JSON.stringify({ type: 'attached', offset: count === 1 ? 0 : 90, missing: count, keepFor: 1_000 }))
        ws.send(Buffer.from(count === 1 ? 'before' : 'after'))
        if (count === 1) ws.close(1001)
      }
      ws.once('message', (heartbeat) => {
        expect(String(heartbeat)).toBe('{"type":"ping"}')
        ws.send('{"type":"pong"}', () => setImmediate(goOn))
      })
    }, options)
    terminal.onGap((bytes) => gaps.push(bytes))
    expect(await outputWith(terminal, 'after')).toBe('beforeafter')
    expect(gaps).toEqual([2])
  },
)

describe('a server that is no gateway', () => {
  it.each(releases)('%s gets `offset` in the auth frame, and a cut ends the terminal', async (release) => {
    const upstream = await upstreamOf({ release })
    const relay = await relayTo({ base: upstream.url })
    const terminal = await connectTerminal({ ...clientOf(upstream), base: relay.base })
    const auth = upstream.requests.flatMap(({ frames }) => frames).find((frame) => String(frame).includes('auth'))
    expect(JSON.parse(String(auth))).toEqual({ type: 'auth', token: 'sk-canary', offset: null })
    relay.cut('reset')
    expect(await terminal.closed).toMatchObject({ code: 1006, cause: 'lost' })
  })

  const FRAMES = ['{"type":"attached"}', '{"type":"attached","offset":"1"}', '{"type":"other","offset":1}', 'text']

  it('has its text in its output, but not one that keeps no shell and answers heartbeats', async () => {
    const terminal = await openOnServer((ws) => {
      for (const frame of ['{"type":"attached","offset":0,"keepFor":0}', '{"type":"pong"}']) ws.send(frame)
      ws.send(Buffer.from('out'))
    })
    expect(await outputWith(terminal, 'out')).toBe('out')
  })

  it.each(FRAMES)('whose first text frame is %s has it in its output, as before', async (text) => {
    const terminal = await openOnServer((ws) => ws.send(text))
    expect(await outputWith(terminal, text)).toBe(text)
  })
})

it('asks for a tail again if the connection drops before it has come', async () => {
  const offsets: unknown[] = []
  const terminal = await openOnServer((ws, auth, count) => {
    const { offset } = JSON.parse(auth) as { offset: unknown }
    offsets.push(offset)
    const first = count === 1 ? 0 : 100
    ws.send(JSON.stringify({ type: 'attached', offset: first, replay: 0, keepFor: 1_000 }))
    if (count === 1) ws.send(Buffer.from('first'))
    if (count < 3) ws.close(1001)
    else ws.send(Buffer.from('tail'))
  })
  expect(await outputWith(terminal, 'tail')).toBe('firsttail')
  expect(offsets).toEqual([null, 5, null])
})
