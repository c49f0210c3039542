import { describe, expect, it } from 'vitest'
import { TerminalError, type TerminalErrorCode } from '../../src/index.ts'
import type { TestFaults } from '../../src/testing.ts'
import { recordRefusals } from '../support/gateway-events.ts'
import { clientTo } from '../support/proxy.ts'
import { AUTH, resume } from '../support/resume.ts'
import { as, ask, attachAs, createAs, startGateway } from '../support/terminal-gateway.ts'
import { clientOf, serve, until, upstreamOf } from '../support/upstream.ts'

/** Tries a handshake, and expects that it is refused. */
async function expectNoHandshake(base: string, origin?: string): Promise<void> {
  const url = `${base.replace('http', 'ws')}/api/terminals/s1`
  await expect(clientTo({ url }, origin === undefined ? {} : { origin })).rejects.toThrow()
}

describe('the event of a refusal has as its reason', () => {
  it('`origin`, with what was compared', async () => {
    const refusals = recordRefusals()
    const { base } = await startGateway()
    const origin = 'https://chat.example'
    const event = { reason: 'origin', status: 403, origin, host: new URL(base).host, origins: 'same' }
    await ask({ base }, 'GET', '', { Origin: origin })
    await expectNoHandshake(base, origin)
    expect(refusals).toEqual([event, event])
  })

  it('`unauthenticated` without a correct auth frame', async () => {
    const refusals = recordRefusals()
    const gateway = await startGateway()
    await (
      await attachAs(gateway, 's1', { type: 'hello' })
    ).closed
    await until(() => refusals.length === 1)
    expect(refusals).toMatchObject([{ reason: 'unauthenticated', closeCode: 4001 }])
    expect(refusals[0]).not.toHaveProperty('status')
  })

  it.each<[TerminalErrorCode, string, number, number]>([
    ['ERR_TERMINAL_UNAUTHORIZED', 'unauthorized', 401, 4001],
    ['ERR_TERMINAL_FORBIDDEN', 'forbidden', 403, 4003],
    ['ERR_TERMINAL_NOT_FOUND', 'not-found', 404, 4004],
    ['ERR_TERMINAL_LIMIT', 'limit', 429, 4003],
    ['ERR_TERMINAL_MISSING_USER', 'bad-request', 422, 4002],
    ['ERR_TERMINAL_UNAVAILABLE', 'unauthorized', 503, 1013],
  ])('for %s of `authorize` %j', async (code, reason, status, closeCode) => {
    const refusals = recordRefusals()
    const error = new TerminalError(code, 'no')
    const gateway = await startGateway({ authorize: () => Promise.reject(error) })
    await ask(gateway, 'GET')
    await (
      await attachAs(gateway, 's1')
    ).closed
    await until(() => refusals.length === 2)
    expect(refusals).toEqual([
      { reason, status, error },
      { reason, closeCode, error },
    ])
  })

  it('`forbidden` for a client whose user has gone on with another one', async () => {
    const refusals = recordRefusals()
    const gateway = await startGateway()
    const id = await createAs(gateway)
    const first = await resume(gateway, id, null)
    await resume(gateway, id, null)
    const { generation } = first.attached
    const woken = await attachAs(gateway, id, { ...AUTH, offset: 0, generation })
    await woken.closed
    await ask(gateway, 'DELETE', `/${id}?generation=${generation}`)
    await until(() => refusals.length === 2)
    expect(refusals).toMatchObject([
      { reason: 'forbidden', closeCode: 4009, userId: 'ada' },
      { reason: 'forbidden', status: 409, userId: 'ada' },
    ])
  })

  it('`full` when the upstream has no place, and `limit` when the user may have no more', async () => {
    const faults: TestFaults = {}
    const refusals = recordRefusals()
    const gateway = await startGateway({ sessionsPerUser: 1 }, { faults })
    await createAs(gateway)
    faults.create = { refuse: 429, body: '{"error":"Maximum number of terminal sessions (16) reached"}' }
    await ask(gateway, 'POST')
    await ask(gateway, 'POST', '', as('bob'))
    expect(refusals).toMatchObject([
      { reason: 'limit', status: 429, userId: 'ada' },
      { reason: 'full', status: 429, userId: 'bob', error: { code: 'ERR_TERMINAL_LIMIT' } },
    ])
  })

  it('`busy` when too many clients wait', async () => {
    const refusals = recordRefusals()
    let asked = 0
    const authorize = (): Promise<never> => {
      asked += 1
      return new Promise(() => {})
    }
    const gateway = await startGateway({ unauthenticated: 1, authorize })
    const silent = await clientTo({ url: `${gateway.base.replace('http', 'ws')}/api/terminals/s1` })
    await attachAs(gateway, 's2')
    await silent.closed
    await until(() => refusals.length === 1 && asked === 1)
    expect(refusals).toEqual([{ reason: 'busy', closeCode: 1013 }])
    expect((await ask(gateway, 'GET')).status).toBe(503)
    expect(refusals.at(-1)).toEqual({ reason: 'busy', status: 503 })
  })

  it('`closing` for requests, handshakes, clients and sessions that are being opened when the gateway closes', async () => {
    const refusals = recordRefusals()
    const upstream = await upstreamOf({ faults: { create: { delay: 1_000 } } })
    const gateway = await startGateway({
      authorize: ({ token }) => (token === 'jwt-bob' ? new Promise(() => {}) : clientOf(upstream)),
    })
    const waiting = await attachAs(gateway, 's1', { token: 'jwt-bob' })
    const opening = ask(gateway, 'POST')
    await until(() => upstream.requests.length > 0)
    const closed = gateway.gateway.close({ drain: 0 })
    await waiting.closed
    expect((await opening).status).toBe(503)
    await closed
    await ask(gateway, 'GET')
    await expectNoHandshake(gateway.base)
    await until(() => refusals.length >= 4)
    expect(refusals).toHaveLength(4)
    expect(refusals.map(({ reason }) => reason)).toEqual(['closing', 'closing', 'closing', 'closing'])
    expect(refusals.filter(({ status }) => status === 503)).toHaveLength(3)
    expect(refusals.filter(({ closeCode }) => closeCode === 1012)).toHaveLength(1)
  })

  it('`bad-request` for a wrong method, a body that is too large, and a client that sends too much', async () => {
    const refusals = recordRefusals()
    const gateway = await startGateway({ authorize: () => new Promise(() => {}) })
    await ask(gateway, 'PUT')
    const body = 'x'.repeat(100 * 1024)
    // The gateway may end the connection before all of the body has left.
    await fetch(`${gateway.base}/api/terminals`, { method: 'POST', body }).catch(() => {})
    const { ws, closed } = await clientTo({ url: `${gateway.base.replace('http', 'ws')}/api/terminals/s1` })
    ws.send(Buffer.alloc(200 * 1024))
    await closed
    await until(() => refusals.length === 3)
    expect(refusals).toEqual([
      { reason: 'bad-request', status: 405 },
      { reason: 'bad-request', status: 413 },
      { reason: 'bad-request', closeCode: 1009 },
    ])
  })

  it.each([
    [404, 'upstream', 500],
    [500, 'upstream', 503],
  ])('for a %i of the upstream %j', async (refused, reason, status) => {
    const refusals = recordRefusals()
    const base = await serve((server) => server.on('request', (_, response) => response.writeHead(refused).end()))
    const authorize = () => ({ base, userId: 'ada' })
    await ask(await startGateway({ retry: { attempts: 1 }, authorize }), 'POST')
    expect(refusals).toMatchObject([{ reason, status, userId: 'ada', error: { status: refused } }])
  })
})
