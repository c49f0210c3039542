import { afterEach, describe, expect, it, vi } from 'vitest'
import type { UpstreamOptions } from '../../src/index.ts'
import { Deferred } from '../../src/lib/deferred.ts'
import type { TestFaults } from '../../src/testing.ts'
import { recordRefusals } from '../support/gateway-events.ts'
import { park, sessionOf } from '../support/parking.ts'
import { ask, attachAs, createAs, startGateway, type, type ServedGateway } from '../support/terminal-gateway.ts'
import { until } from '../support/upstream.ts'

afterEach(() => void vi.useRealTimers())

/** Drains a gateway. Returns the promise, and whether it has been resolved. */
function drain({ gateway }: ServedGateway): { promise: Promise<void>; isDone: () => boolean } {
  let done = false
  const promise = gateway.drain()
  void promise.then(() => (done = true))
  return { promise, isDone: () => done }
}

describe('name', () => {
  it('begins the ids of the sessions, which are found by them', async () => {
    const gateway = await startGateway({ name: 'blue-2' })
    const id = await createAs(gateway)
    expect(id).toMatch(/^blue-2\.[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/)
    expect((await ask(gateway, 'GET', `/${id}`)).status).toBe(200)
    await type(await attachAs(gateway, id), 'hello')
  })
})

describe('drain (PROTOCOL 8.11)', () => {
  it('refuses new sessions, serves those that are open, and resolves when none is left', async () => {
    const refusals = recordRefusals()
    const gateway = await startGateway({ resumeOnCreate: true })
    const [attached, parked] = [await createAs(gateway), await park(gateway)]
    const { ws } = await attachAs(gateway, attached)
    await until(() => sessionOf(gateway, attached)?.attachedSince !== undefined)
    const { promise, isDone } = drain(gateway)
    expect(gateway.gateway.drain()).toBe(promise)
    const refused = await ask(gateway, 'POST')
    expect(refused).toMatchObject({ status: 503, body: { error: 'Service restart' } })
    expect(refused.headers.get('connection')).toBe('close')
    expect(refusals).toEqual([{ reason: 'closing', status: 503, userId: 'ada' }])

    expect((await ask(gateway, 'GET')).body).toHaveLength(2)
    ws.close()
    await until(() => sessionOf(gateway, attached)?.parkedSince !== undefined)
    for (const id of [attached, parked]) {
      const client = await attachAs(gateway, id)
      await type(client, `still ${id}`)
      expect(isDone()).toBe(false)
      expect((await ask(gateway, 'DELETE', `/${id}`)).status).toBe(200)
      expect(await client.closed).toMatchObject({ code: 1000 })
    }
    await promise
    expect((await ask(gateway, 'GET')).body).toEqual([])
  })

  it('resolves at once if there is none, and when `close` ends them', async () => {
    const empty = await startGateway()
    await empty.gateway.drain()
    const gateway = await startGateway()
    await park(gateway)
    const { promise } = drain(gateway)
    await gateway.gateway.close({ timeout: 0 })
    await promise
    await gateway.gateway.drain()
  })

  it('waits for a session that is being opened, which ends no other one', async () => {
    const faults: TestFaults = {}
    const gateway = await startGateway({ maxSessionsPerUser: 1 }, { faults })
    const parked = await park(gateway)
    faults.create = { delay: 200 }
    const posts = gateway.upstream.requests.length
    const created = createAs(gateway)
    await until(() => gateway.upstream.requests.length > posts)
    await ask(gateway, 'DELETE', `/${parked}`)
    const { promise, isDone } = drain(gateway)
    const id = await created
    expect(isDone()).toBe(false)
    await ask(gateway, 'DELETE', `/${id}`)
    await promise
  })

  it.each<[string, TestFaults, number]>([
    ['its user, who has one more', {}, 200],
    ['an upstream that is full', { create: [undefined, 'full'] }, 429],
  ])('ends no session to make room for %s', async (_, faults, status) => {
    const [asked, given] = [new Deferred(), new Deferred<string>()]
    let key = (): string | Promise<string> => 'sk-canary'
    const authorize = (): UpstreamOptions => ({ base: gateway.upstream.url, key: () => key(), userId: 'ada' })
    const gateway = await startGateway({ maxSessionsPerUser: 1, authorize }, { faults })
    const id = await park(gateway)
    key = () => {
      asked.resolve()
      return given.promise
    }
    const answer = ask(gateway, 'POST')
    await asked.promise
    void gateway.gateway.drain()
    given.resolve('sk-canary')
    expect((await answer).status).toBe(status)
    expect(sessionOf(gateway, id)).toBeDefined()
  })

  it('waits for the last output of a shell that has ended, as long as its client may come back for it', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const gateway = await startGateway({ keepFor: 60_000 })
    const id = await park(gateway)
    gateway.upstream.sessions[0]?.exit()
    await until(() => sessionOf(gateway, id) === undefined)
    const { promise, isDone } = drain(gateway)
    expect((await ask(gateway, 'GET')).body).toEqual([])
    expect(isDone()).toBe(false)
    vi.advanceTimersByTime(61_000)
    await promise
  })
})
