import { describe, expect, it } from 'vitest'
import { connectTerminal } from '../../src/index.ts'
import { removeSession } from '../../src/terminal/removal.ts'
import type { TestFault } from '../../src/testing.ts'
import { open } from '../support/terminal.ts'
import { nothingHappens, runningTimers } from '../support/timers.ts'
import { clientOf, rejection, serve, until, upstreamOf } from '../support/upstream.ts'

const release = 'terminals@0.2.2'

describe('a DELETE that is refused for a while', () => {
  it.each<[string, TestFault]>([
    ['408', { refuse: 408 }],
    ['429', { refuse: 429, body: '<h1>Too many requests</h1>' }],
    ['500', { refuse: 500 }],
    ['a reset', 'reset'],
  ])('with %s is repeated by close()', async (_what, fault) => {
    const { terminal, session, upstream } = await open({ release, faults: { delete: [fault, fault] } })
    // Otherwise the shell would be ended over the connection first.
    session.stall()
    await terminal.close()
    await until(() => upstream.sessions.length === 0)
  })

  it('with 401 is repeated once', async () => {
    const { terminal, session, upstream } = await open({
      release,
      faults: { delete: [{ refuse: 401, body: '{"detail":"Invalid API key"}' }] },
    })
    session.stall()
    await terminal.close()
    await until(() => upstream.sessions.length === 0)
  })

  it('with 401 of the server twice is not repeated again', async () => {
    const refusal = { refuse: 401, body: '{"detail":"Invalid API key"}' }
    const { terminal, session, upstream } = await open({ release, faults: { delete: refusal } })
    session.stall()
    await terminal.close()
    expect(upstream.requests.filter(({ method }) => method === 'DELETE')).toHaveLength(2)
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
    const fault = { refuse: 429, headers: { 'retry-after': '4' } }
    const upstream = await upstreamOf({
      release: 'open-terminal@0.11',
      faults: { attach: { refuse: 404 }, delete: [fault] },
    })
    const options = { ...clientOf(upstream), chatId: 'c1', retry: { attempts: 1 } }
    expect(await rejection(connectTerminal(options))).toMatchObject({ status: 404 })
    await nothingHappens(1_500)
    expect(upstream.sessions.map(({ id }) => id)).toEqual(['c1'])
  }, 12_000)

  it('is repeated for a session whose attach was refused', async () => {
    const faults = { attach: { refuse: 500 }, delete: [{ refuse: 429 }] }
    const upstream = await upstreamOf({ faults })
    expect(await rejection(connectTerminal(clientOf(upstream)))).toMatchObject({ status: 500 })
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
