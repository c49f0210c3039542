import { afterEach, describe, expect, it, vi } from 'vitest'
import { connectTerminal } from '../../src/index.ts'
import type { TestUpstream } from '../../src/testing.ts'
import { open } from '../support/terminal.ts'
import { afterwards, clientOf, upstreamOf } from '../support/upstream.ts'

afterEach(() => void vi.useRealTimers())

const MINUTE = 60_000

function asked({ requests }: TestUpstream): number {
  return requests.filter(({ kind, method }) => kind === 'http' && method === 'GET').length
}

/** Lets so many ms pass for the terminal, but not for its sockets. */
function pass(ms: number): void {
  vi.advanceTimersByTime(ms)
}

/** Lets the sockets move what they have. */
async function settle(): Promise<void> {
  for (let turns = 0; turns < 20; turns += 1) await new Promise((resolve) => setImmediate(resolve))
}

describe('a terminal with traffic', () => {
  it.each(['output', 'input'])('asks for its session more often than once a minute while there is %s', async (kind) => {
    const { terminal, session, upstream } = await open()
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    await terminal.write('begin')
    await settle()
    const before = asked(upstream)
    for (let passed = 0; passed < 10 * MINUTE; passed += 500) {
      if (kind === 'output') await session.output('line\n')
      else await terminal.write('x')
      await settle()
      pass(500)
    }
    const requests = asked(upstream) - before
    expect(requests).toBeGreaterThanOrEqual(10)
    expect(requests).toBeLessThanOrEqual(20)
  })

  it('stops asking when it falls silent', async () => {
    const { terminal, upstream } = await open({}, { keepAlive: 0 })
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    await terminal.write('x')
    await settle()
    for (let passed = 0; passed < 2 * MINUTE; passed += 1_000) {
      pass(1_000)
      await settle()
    }
    const before = asked(upstream)
    for (let passed = 0; passed < 10 * MINUTE; passed += 10_000) {
      pass(10_000)
      await settle()
    }
    expect(asked(upstream)).toBe(before)
    expect(vi.getTimerCount()).toBe(0)
  })
})

it('a busy terminal keeps its container, and an idle one loses it', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] })
  const upstream = await upstreamOf({ idleTimeout: MINUTE })
  const opening = ['busy', 'idle'].map(async (userId) => {
    const terminal = await connectTerminal({ ...clientOf(upstream), userId, settle: 0 })
    afterwards(terminal)
  })
  const opened = vi.fn()
  void Promise.all(opening).then(opened)
  for (; opened.mock.calls.length === 0; pass(1)) await settle()
  for (let passed = 0; passed < 5 * MINUTE; passed += 300) {
    await upstream.sessions.find(({ userId }) => userId === 'busy')?.output('line\n')
    await settle()
    pass(300)
  }
  expect(upstream.sessions.map(({ userId }) => userId)).toEqual(['busy'])
})

it('a terminal that fails while its session is asked for leaves no timer', async () => {
  const { terminal, session } = await open()
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  await terminal.write('x')
  await settle()
  session.reset()
  await terminal.closed
  expect(vi.getTimerCount()).toBe(0)
})
