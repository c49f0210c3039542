import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { connectTerminal } from '../../src/index.ts'
import type { TestRelease, TestShell, TestUpstream } from '../../src/testing.ts'
import { browserSocket } from '../support/browser-socket.ts'
import { recordEvents } from '../support/gateway-events.ts'
import { lookUps } from '../support/requests.ts'
import { join } from '../support/proxy.ts'
import { resume } from '../support/resume.ts'
import { connectTo, inputFrames, open, randomText } from '../support/terminal.ts'
import { ask, attachAs, createAs, pageOf, startGateway } from '../support/terminal-gateway.ts'
import { afterwards, clientOf, rejection, until, upstreamOf } from '../support/upstream.ts'

const LIMIT = 16_384

/** Does not read its input, and says each 4 KB that it is there. */
const busy: TestShell = ({ output }) => {
  void output('$ ')
  return { input: () => new Promise(() => {}) }
}

const OLD = 'open-terminal@0.11'

/** Lets the 30 s pass in which input waits for a proof. */
function useClock(): void {
  vi.useFakeTimers({
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'],
    shouldAdvanceTime: true,
  })
  onTestFinished(() => void vi.useRealTimers())
}

/** The bytes of input that an upstream has got. */
function inputBytes(upstream: TestUpstream): number {
  return inputFrames(upstream).reduce((sum, { length }) => sum + length, 0)
}

/** The questions whether a server takes all input. */
function questions(upstream: TestUpstream): string[] {
  return lookUps(upstream)
    .map(({ path, status }) => `${path} ${status}`)
    .filter((request) => request.includes('/user/output'))
}

// PROTOCOL 5.9
describe('a paste into a program that does not read', () => {
  const OLDER: TestRelease[] = ['open-terminal@0.8.1', OLD, 'terminals@0.0.2', 'terminals@0.0.3']

  it.each(OLDER)('stalls on %s, and the shell lives', async (release) => {
    useClock()
    const { terminal, upstream, session } = await open({ release, shell: busy })
    const refused = rejection(terminal.write(randomText(50_000)))
    await until(() => inputBytes(upstream) === LIMIT)
    await vi.advanceTimersByTimeAsync(31_000)
    const error = await refused
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_INPUT_STALLED' })
    expect(error.message).toMatch(/33616 of 50000 bytes were not sent: .* run 0\.12\.4 or later, or press Ctrl-C\.$/)
    expect([terminal.status, session.attached, inputBytes(upstream)]).toEqual(['open', 1, LIMIT])
  })

  // PROTOCOL 2.17
  const NEWER: TestRelease[] = ['open-terminal@0.14', 'open-terminal@0.14.5', 'terminals@0.2.2']

  it.each(NEWER)('waits at %s, which keeps it', async (release) => {
    const { terminal, upstream } = await open({ release, shell: busy })
    await terminal.write(randomText(50_000))
    await until(() => inputBytes(upstream) === 50_000)
    expect(questions(upstream)).toEqual(['/api/terminals/user/output 200'])
  })
})

describe('the question whether a server takes all input', () => {
  it('is asked once for each server and user', async () => {
    const upstream = await upstreamOf({ release: 'open-terminal@0.14.5' })
    for (const userId of ['ada', 'ada', 'bea']) {
      const terminal = await connectTo(upstream, { userId })
      await terminal.write(randomText(50_000))
    }
    expect(questions(upstream)).toHaveLength(2)
  })

  it('is asked once by terminals that ask at the same time', async () => {
    const upstream = await upstreamOf({ release: 'open-terminal@0.14.5', faults: { output: { delay: 100 } } })
    const terminals = await Promise.all([1, 2, 3].map(async () => connectTerminal(clientOf(upstream))))
    for (const terminal of terminals) afterwards(terminal)
    await Promise.all(terminals.map(async (terminal) => terminal.write(randomText(50_000))))
    expect(questions(upstream)).toHaveLength(1)
  })

  it.each([
    ['HTML', { refuse: 200, body: '<title>Log in</title>' }],
    ['a 404 of a proxy', { refuse: 404, body: 'nothing here' }],
    ['a 403', { refuse: 403, body: '{"detail":"Access denied"}' }],
    ['a 502', { refuse: 502 }],
    ['a 429', { refuse: 429, body: '{"error":"slow down"}' }],
    ['nothing', 'reset' as const],
  ])('counts %s as the answer of an old server', async (_what, fault) => {
    const faults = { output: fault }
    const { terminal, upstream } = await open({ release: 'open-terminal@0.14.5', shell: busy, faults })
    void terminal.write(randomText(50_000))
    await until(() => inputBytes(upstream) === LIMIT)
    const refused = rejection(terminal.write('x'))
    await terminal.write('\u0003')
    await terminal.close()
    expect(await refused).toMatchObject({ code: 'ERR_TERMINAL_INPUT_STALLED' })
  })

  it.each([
    [502, 'could not answer'],
    [401, 'did not accept the key'],
  ])('is asked again after %i: the server %s', async (refuse) => {
    const faults = { output: [{ refuse }] }
    const { terminal, upstream } = await open({ release: 'open-terminal@0.14.5', shell: busy, faults })
    void terminal.write(randomText(50_000))
    await until(() => questions(upstream).length === 1)
    const other = await connectTo(upstream)
    await other.write(randomText(50_000))
    expect(questions(upstream)).toEqual([`/api/terminals/user/output ${refuse}`, '/api/terminals/user/output 200'])
  })

  it('ends with the terminal', async () => {
    const { terminal, upstream } = await open({ release: OLD, faults: { output: 'stall' } })
    const refused = rejection(terminal.write(randomText(50_000)))
    await until(() => questions(upstream).length === 1)
    await terminal.close()
    expect(await refused).toMatchObject({ code: 'ERR_TERMINAL_CLOSED' })
  })
})

describe('a client of a proxy whose input stalls', () => {
  it('is told nothing, and the summary says how much was dropped', async () => {
    useClock()
    const { ws, upstream, served } = await join({ release: OLD, shell: busy })
    ws.send(Buffer.from(randomText(50_000)))
    await until(() => inputBytes(upstream) === LIMIT)
    await vi.advanceTimersByTimeAsync(31_000)
    expect(ws.readyState).toBe(ws.OPEN)
    ws.close(1000)
    expect(await served.summary).toMatchObject({ endedBy: 'client', bytesToUpstream: LIMIT, inputDropped: 33_616 })
  })

  it('has to wait', async () => {
    const { ws, upstream, served } = await join({ release: OLD, shell: busy }, { maxBuffered: 100_000 })
    for (let count = 0; count < 100; count += 1) ws.send(Buffer.from(randomText(10_000)))
    await until(() => served.socket.isPaused)
    expect(inputBytes(upstream)).toBeLessThanOrEqual(LIMIT)
  })
})

describe('a gateway in front of an old server', () => {
  it('paces the input, tells its clients so, and reports what was dropped', async () => {
    const events = recordEvents()
    useClock()
    const gateway = await startGateway({}, { release: OLD, shell: busy })
    const terminal = await connectTerminal({ ...pageOf(gateway), deleteOnClose: false })
    await terminal.write(randomText(50_000))
    await until(() => inputBytes(gateway.upstream) === LIMIT)
    await vi.advanceTimersByTimeAsync(31_000)
    await terminal.close()
    await until(() => events.some(([name]) => name === 'parked'))
    expect(events.at(-1)).toMatchObject(['parked', { inputDropped: 33_616 }])
    expect(gateway.upstream.sessions).toHaveLength(1)
  })

  // PROTOCOL 8.4
  it('tells a client that it does not read that it lives, unasked, and a plain client nothing', async () => {
    const gateway = await startGateway({ maxBuffered: 100_000 }, { release: OLD, shell: busy })
    const { ws, messages } = await resume(gateway, await createAs(gateway), null)
    const plain = await attachAs(gateway, await createAs(gateway))
    for (const each of [ws, plain.ws]) each.send(Buffer.from(randomText(200_000)))
    await until(() => messages.filter(({ data }) => String(data) === '{"type":"pong"}').length > 1)
    expect(plain.messages.filter(({ isBinary }) => !isBinary)).toEqual([])
  })

  it('keeps a page that it does not read, and whose heartbeats it cannot answer', async () => {
    useClock()
    const gateway = await startGateway({ maxBuffered: 100_000 }, { release: OLD, shell: busy })
    const terminal = await connectTerminal({ ...pageOf(gateway), keepAlive: 1_500, WebSocket: browserSocket })
    afterwards(terminal)
    const statuses: string[] = []
    terminal.onStatus((status) => statuses.push(status))
    void terminal.write(randomText(200_000))
    await until(() => inputBytes(gateway.upstream) === LIMIT)
    for (let second = 0; second < 20; second += 1) {
      await vi.advanceTimersByTimeAsync(1_000)
      // What has left by now has arrived after it.
      await ask(gateway, 'GET')
    }
    expect(statuses).toEqual([])
  })

  it('passes on Ctrl-C of a plain client whose paste waits', async () => {
    const gateway = await startGateway({}, { release: OLD, shell: busy })
    const id = await createAs(gateway)
    const { ws } = await attachAs(gateway, id)
    ws.send(Buffer.from(randomText(50_000)))
    await until(() => inputBytes(gateway.upstream) === LIMIT)
    ws.send(Buffer.from('\u0003'))
    await until(() => inputBytes(gateway.upstream) === LIMIT + 1)
    expect(gateway.gateway.sessions[0]?.bytesToUpstream).toBe(LIMIT + 1)
  })
})
