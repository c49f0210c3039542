import { afterEach, describe, expect, it, vi } from 'vitest'
import { connectTerminal } from '../../src/index.ts'
import { lookUps } from '../support/requests.ts'
import { open } from '../support/terminal.ts'
import { afterwards, clientOf, upstreamOf } from '../support/upstream.ts'

afterEach(() => void vi.useRealTimers())

const MINUTE = 60_000

/** Advances the timers of the terminal. Its sockets are not faked. */
function pass(ms: number): void {
  vi.advanceTimersByTime(ms)
}

/** Lets the sockets deliver what was sent. */
async function settle(): Promise<void> {
  for (let turns = 0; turns < 20; turns += 1) await new Promise((resolve) => setImmediate(resolve))
}

/** Fakes the timers, and waits until `opening` resolves. */
async function withFakeTimers<T>(opening: () => Promise<T>): Promise<T> {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] })
  const opened = vi.fn()
  const result = opening()
  void result.then(opened)
  for (; opened.mock.calls.length === 0; pass(1)) await settle()
  return result
}

// PROTOCOL 2.12
describe('a terminal with traffic', () => {
  it.each(['output', 'input'])('looks its session up at least once a minute while there is %s', async (kind) => {
    const { terminal, session, upstream } = await withFakeTimers(() => open({}, { settle: 0 }))
    await terminal.write('begin')
    await settle()
    const before = lookUps(upstream).length
    for (let passed = 0; passed < 10 * MINUTE; passed += 500) {
      if (kind === 'output') await session.output('line\n')
      else await terminal.write('x')
      await settle()
      pass(500)
    }
    const requests = lookUps(upstream).length - before
    expect(requests).toBeGreaterThanOrEqual(10)
    expect(requests).toBeLessThanOrEqual(20)
  })

  it('makes only one look-up of its session at a time', async () => {
    const opening = (): ReturnType<typeof open> => open({ faults: { get: 'stall' } }, { keepAlive: 0, settle: 0 })
    const { terminal, upstream } = await withFakeTimers(opening)
    const before = lookUps(upstream).length
    // The look-up that is due after 45 s of traffic, and the one that is due after 1 s of silence, come together.
    for (let passed = 0; passed < 47_000; passed += 500) {
      if (passed < 44_500) await terminal.write('x')
      await settle()
      pass(500)
    }
    expect(lookUps(upstream).length).toBe(before + 1)
  })

  it('stops looking its session up when it falls silent', async () => {
    const { terminal, upstream } = await withFakeTimers(() => open({}, { keepAlive: 0, settle: 0 }))
    await terminal.write('x')
    await settle()
    for (let passed = 0; passed < 2 * MINUTE; passed += 1_000) {
      pass(1_000)
      await settle()
    }
    const before = lookUps(upstream).length
    for (let passed = 0; passed < 10 * MINUTE; passed += 10_000) {
      pass(10_000)
      await settle()
    }
    expect(lookUps(upstream).length).toBe(before)
    expect(vi.getTimerCount()).toBe(0)
  })
})

it('a busy terminal keeps its container, and an idle terminal loses it', async () => {
  const upstream = await withFakeTimers(async () => {
    const server = await upstreamOf({ idleTimeout: MINUTE })
    const opening = ['busy', 'idle'].map((userId) => connectTerminal({ ...clientOf(server), userId, settle: 0 }))
    for (const terminal of await Promise.all(opening)) afterwards(terminal)
    return server
  })
  for (let passed = 0; passed < 5 * MINUTE; passed += 300) {
    await upstream.sessions.find(({ userId }) => userId === 'busy')?.output('line\n')
    await settle()
    pass(300)
  }
  expect(upstream.sessions.map(({ userId }) => userId)).toEqual(['busy'])
})

it('a terminal that is reset during a look-up of its session leaves no timer', async () => {
  const { terminal, session } = await withFakeTimers(() => open({}, { settle: 0 }))
  await terminal.write('x')
  await settle()
  session.reset()
  await terminal.closed
  expect(vi.getTimerCount()).toBe(0)
})
