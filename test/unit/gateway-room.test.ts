import { afterEach, describe, expect, it, vi } from 'vitest'
import type { TerminalGatewayOptions } from '../../src/gateway.ts'
import type { TestFaults, TestUpstreamOptions } from '../../src/testing.ts'
import { idsOf, park, sessionOf } from '../support/parking.ts'
import { as, ask, attachAs, createAs, startGateway, type ServedGateway } from '../support/terminal-gateway.ts'
import { until } from '../support/upstream.ts'

afterEach(() => void vi.useRealTimers())

describe('maxSessionsPerUser', () => {
  it('ends the session that the user left first, and no session with a client or of another user', async () => {
    const gateway = await startGateway({ maxSessionsPerUser: 3 })
    const others = await park(gateway, 'eve')
    const attached = await createAs(gateway)
    await attachAs(gateway, attached)
    await until(() => sessionOf(gateway, attached)?.attachedSince !== undefined)
    const [first, second] = [await park(gateway), await park(gateway)]
    const third = await createAs(gateway)
    await until(() => !idsOf(gateway).includes(first))
    expect(idsOf(gateway)).toEqual(expect.arrayContaining([others, attached, second, third]))
    await until(() => gateway.upstream.sessions.length === 4)
  })

  it('ends it only when the new one is there', async () => {
    const faults: TestFaults = {}
    const gateway = await startGateway({ maxSessionsPerUser: 1 }, { faults })
    const first = await park(gateway)
    faults.create = { delay: 1_000 }
    const posts = gateway.upstream.requests.length
    const created = createAs(gateway)
    await until(() => gateway.upstream.requests.length > posts)
    expect(idsOf(gateway)).toEqual([first])
    const second = await created
    await until(() => !idsOf(gateway).includes(first))
    expect(idsOf(gateway)).toEqual([second])
  })

  it.each([503, 401, 422, 429])('ends nothing if the upstream refuses the new one with %i', async (refuse) => {
    const faults: TestFaults = {}
    const gateway = await startGateway({ maxSessionsPerUser: 2, retry: { attempts: 1 } }, { faults })
    const parked = [await park(gateway), await park(gateway)]
    faults.create = { refuse }
    expect((await ask(gateway, 'POST')).status).toBeGreaterThanOrEqual(500)
    expect(idsOf(gateway)).toEqual(parked)
    expect(gateway.upstream.sessions).toHaveLength(2)
  })

  it('answers 429 when clients are joined to all sessions, or have not come yet', async () => {
    const gateway = await startGateway({ maxSessionsPerUser: 2 })
    await createAs(gateway)
    await park(gateway)
    const answers = await Promise.all([1, 2, 3].map(() => ask(gateway, 'POST')))
    expect(answers.map(({ status }) => status).sort((one, other) => one - other)).toEqual([200, 429, 429])
  })

  it('answers 429 when clients come back, meanwhile, to all sessions that would have gone', async () => {
    const faults: TestFaults = {}
    const gateway = await startGateway({ maxSessionsPerUser: 1 }, { faults })
    const id = await park(gateway)
    faults.create = { delay: 1_000 }
    const posts = gateway.upstream.requests.length
    const answer = ask(gateway, 'POST')
    await until(() => gateway.upstream.requests.length > posts)
    const { ws, printed } = await attachAs(gateway, id)
    expect((await answer).status).toBe(429)
    ws.send(Buffer.from('still here'))
    await printed('still here')
    expect(idsOf(gateway)).toEqual([id])
    expect(gateway.upstream.sessions).toHaveLength(1)
  })
})

describe('an upstream that has no place left', () => {
  const PLACES = 16
  const limited = (server?: TestUpstreamOptions, options?: Partial<TerminalGatewayOptions>): Promise<ServedGateway> =>
    startGateway({ maxSessionsPerUser: 20, ...options }, { release: 'open-terminal@0.14', ...server })
  /** Fills an upstream with sessions that users have left. Returns their ids, the first that was left first. */
  async function fill(gateway: ServedGateway, ...users: string[]): Promise<string[]> {
    const ids: string[] = []
    while (gateway.upstream.sessions.length < PLACES) ids.push(await park(gateway, users[ids.length % users.length]))
    return ids
  }

  it('gets one by ending the session that the user left first', async () => {
    const gateway = await limited()
    const [eve, first, ...others] = await fill(gateway, 'eve', 'ada')
    expect((await ask(gateway, 'POST')).status).toBe(200)
    expect(idsOf(gateway)).not.toContain(first)
    expect(idsOf(gateway)).toEqual(expect.arrayContaining([eve, ...others]))
    expect(gateway.upstream.sessions).toHaveLength(PLACES)
  })

  it('gets one from the user with the most sessions, if the one who comes has left none', async () => {
    const gateway = await limited()
    await park(gateway, 'bob')
    const [first, ...others] = await fill(gateway, 'eve')
    expect((await ask(gateway, 'POST')).status).toBe(200)
    expect(idsOf(gateway)).not.toContain(first)
    expect(idsOf(gateway)).toEqual(expect.arrayContaining(others))
  })

  it('gets none from a user who has no more than the one who comes would have', async () => {
    const gateway = await limited()
    const others = [await park(gateway, 'eve'), await park(gateway, 'bob')]
    while (gateway.upstream.sessions.length < PLACES) await createAs(gateway)
    expect((await ask(gateway, 'POST')).status).toBe(429)
    expect((await ask(gateway, 'POST', '', as('zoe'))).status).toBe(429)
    expect(idsOf(gateway)).toEqual(expect.arrayContaining(others))
  })

  it('answers 429 if no session was left', async () => {
    const gateway = await limited()
    for (let count = 0; count < PLACES; count += 1) await createAs(gateway)
    expect((await ask(gateway, 'POST')).status).toBe(429)
    expect(gateway.upstream.sessions).toHaveLength(PLACES)
  })

  it('gives one to each of six users who come at once, and to the one who comes after them', async () => {
    const gateway = await limited()
    const parked = await fill(gateway, 'eve', 'eva')
    const users = ['one', 'two', 'three', 'four', 'five', 'six']
    const answers = await Promise.all(users.map((user) => ask(gateway, 'POST', '', as(user))))
    expect(answers.map(({ status }) => status)).toEqual(users.map(() => 200))
    expect((await ask(gateway, 'POST', '', as('seven'))).status).toBe(200)
    expect(parked.filter((id) => !idsOf(gateway).includes(id))).toHaveLength(7)
  })

  it.each([
    ['a page', { refuse: 429, body: '<html>429 Too Many Requests</html>', headers: { 'content-type': 'text/html' } }],
    ['JSON', { refuse: 429, body: '{"error":"Too many requests"}' }],
  ])("is not assumed from a proxy's 429 with %s: no session ends", async (_, create) => {
    const faults: TestFaults = {}
    const gateway = await limited({ faults }, { retry: { attempts: 1 } })
    const parked = [await park(gateway), await park(gateway), await park(gateway, 'eve')]
    faults.create = create
    expect(await ask(gateway, 'POST')).toMatchObject({
      status: 503,
      body: { error: 'Terminal instance not reachable' },
    })
    expect(idsOf(gateway)).toEqual(parked)
  })

  it('costs nobody more than one session, and others none for 5 minutes, if that does not help', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const faults: TestFaults = {}
    const gateway = await limited({ faults })
    const [ada, eve] = [[await park(gateway), await park(gateway)], [await park(gateway, 'eve')]]
    for (let count = 0; count < 3; count += 1) eve.push(await park(gateway, 'eve'))
    const left = (ids: string[]): number => ids.filter((id) => idsOf(gateway).includes(id)).length
    faults.create = { refuse: 429, body: '{"error":"Maximum number of terminal sessions (16) reached"}' }
    for (let count = 0; count < 3; count += 1) {
      expect((await ask(gateway, 'POST')).status).toBe(429)
      expect((await ask(gateway, 'POST', '', as('bob'))).status).toBe(429)
      expect([left(ada), left(eve)]).toEqual([1, 3])
    }
    vi.advanceTimersByTime(299_000)
    expect((await ask(gateway, 'POST', '', as('bob'))).status).toBe(429)
    expect(left(eve)).toBe(3)
  })

  it('is asked again after 5 minutes whether the end of a session helps', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const faults: TestFaults = {}
    const gateway = await limited({ faults }, { keepFor: 3_600_000 })
    const ids = [await park(gateway, 'eve'), await park(gateway, 'eve'), await park(gateway, 'eve')]
    faults.create = { refuse: 429, body: '{"error":"Maximum number of terminal sessions (16) reached"}' }
    expect((await ask(gateway, 'POST')).status).toBe(429)
    vi.advanceTimersByTime(301_000)
    expect((await ask(gateway, 'POST')).status).toBe(429)
    expect(ids.filter((id) => idsOf(gateway).includes(id))).toHaveLength(1)
  })

  it('for this user only, as an orchestrator, costs no other user a session', async () => {
    const gateway = await limited({ release: 'terminals@0.2.2' })
    for (let count = 0; count < PLACES; count += 1) await createAs(gateway)
    for (let count = 0; count < PLACES; count += 1) await park(gateway, 'eve')
    expect((await ask(gateway, 'POST')).status).toBe(429)
    expect(idsOf(gateway)).toHaveLength(2 * PLACES)
  })
})
