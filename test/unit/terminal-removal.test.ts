import { describe, expect, it } from 'vitest'
import { removeSession } from '../../src/terminal/removal.ts'
import type { TestFault } from '../../src/testing.ts'
import { open, refusalOf } from '../support/terminal.ts'
import { nothingHappens, runningTimers } from '../support/timers.ts'
import { serve, until, upstreamOf } from '../support/upstream.ts'

const release = 'terminals@0.2.2'
const WRONG_KEY = { refuse: 401, body: '{"detail":"Invalid API key"}' }

describe('a DELETE that is refused for a while', () => {
  it.each<[string, TestFault[], number]>([
    ['408', [{ refuse: 408 }, { refuse: 408 }], 3],
    ['429', [{ refuse: 429, body: '<h1>Too many requests</h1>' }, { refuse: 429 }], 3],
    ['500', [{ refuse: 500 }, { refuse: 500 }], 3],
    ['a reset', ['reset', 'reset'], 3],
    ['401 of the server once', [WRONG_KEY], 2],
    ['401 of the server twice', [WRONG_KEY, WRONG_KEY], 2],
  ])('with %s is repeated by close(), but not after a second 401', async (_what, faults, most) => {
    const { terminal, session, upstream } = await open({ release, faults: { delete: faults } })
    // Otherwise the shell would be ended over the connection first.
    session.stall()
    await terminal.close()
    const isLeft = faults.length === most
    await until(() => upstream.sessions.length === Number(isLeft))
    expect(upstream.requests.filter(({ method }) => method === 'DELETE')).toHaveLength(most)
  })

  it('because `key` cannot be asked for is sent when it can', async () => {
    let failures = 0
    const key = (): string => {
      if (failures-- > 0) throw new TypeError('fetch failed')
      return 'sk-canary'
    }
    const { terminal, session, upstream } = await open({ release }, { key })
    session.stall()
    failures = 2
    await terminal.close()
    await until(() => upstream.sessions.length === 0)
  })

  it('goes on in the background after close(), as Retry-After says, and does not keep the process alive', async () => {
    const fault = { refuse: 429, headers: { 'retry-after': '4' } }
    const { terminal, session, upstream } = await open({ release, faults: { delete: [fault] } })
    session.stall()
    const before = runningTimers()
    await terminal.close()
    expect(upstream.sessions).toHaveLength(1)
    expect(runningTimers()).toBeLessThanOrEqual(before)
    await expect.poll(() => upstream.sessions, { timeout: 5_000 }).toEqual([])
  }, 12_000)

  // PROTOCOL 2.7
  it('does not go on in the background where it could end the next session of the chat', async () => {
    const faults = { attach: { refuse: 404 }, delete: [{ refuse: 429, headers: { 'retry-after': '4' } }] }
    const upstream = await upstreamOf({ release: 'open-terminal@0.11', faults })
    expect(await refusalOf(upstream, { chatId: 'c1', retry: { attempts: 1 } })).toMatchObject({ status: 404 })
    await nothingHappens(1_500)
    expect(upstream.sessions.map(({ id }) => id)).toEqual(['c1'])
  }, 12_000)

  it('is repeated for a session whose attach was refused', async () => {
    const faults = { attach: { refuse: 500 }, delete: [{ refuse: 429 }] }
    const upstream = await upstreamOf({ faults })
    expect(await refusalOf(upstream)).toMatchObject({ status: 500 })
    await until(() => upstream.sessions.length === 0)
  })
})

it.each([
  [false, 2],
  [true, 1],
])('a 404 to a DELETE, of a session that was opened before: %j, leads to %i DELETEs', async (wasOpened, most) => {
  const asked: string[] = []
  const base = await serve((server) => {
    server.on('request', ({ method, url }, response) => {
      asked.push(`${method} ${url}`)
      if (asked.length === 1) response.writeHead(404).end('{"error":"Session not found"}')
      else response.end('{"status":"deleted"}')
    })
  })
  await removeSession({ base, userId: 'ada', sessionId: 's1' }, { wasOpened, generation: 'g 1' })
  await until(() => asked.length === most)
  // PROTOCOL 8.6
  expect(new Set(asked)).toEqual(new Set(['DELETE /api/terminals/s1?generation=g%201']))
})
