import type { Server } from 'node:http'
import { describe, expect, it, vi } from 'vitest'
import { TerminalError, type TerminalErrorCode } from '../../src/index.ts'
import type { TestFaults } from '../../src/testing.ts'
import { recordEvents, recordRefusals } from '../support/gateway-events.ts'
import { clientTo, neverAuthorize } from '../support/proxy.ts'
import { AUTH, resume } from '../support/resume.ts'
import { as, ask, attachAs, closeOf, createAs, startGateway, type } from '../support/terminal-gateway.ts'
import { clientOf, nobody, serve, until, upstreamOf } from '../support/upstream.ts'

describe('the diagnostics channels of a gateway', () => {
  it('tell who attached, and how the client was served', async () => {
    const events = recordEvents()
    const gateway = await startGateway({ keepFor: 0 })
    const sessionId = await createAs(gateway, as('bea'))
    const client = await attachAs(gateway, sessionId, { token: 'jwt-bea' })
    await type(client, '12345')
    client.ws.close(1000)
    await until(() => events.length === 2)
    const who = { userId: 'bea', sessionId, ms: expect.any(Number) }
    expect(events).toEqual([
      ['attached', who],
      ['closed', { ...who, closeCode: 1000, bytesToClient: expect.any(Number), bytesToUpstream: 5 }],
    ])
    expect(JSON.stringify(events)).not.toContain('jwt-')
  })

  it('hold no header that `authorize` has returned, even if the upstream repeats it', async () => {
    const events = recordEvents()
    const base = await serve((server) => {
      server.on('request', ({ headers }, response) => {
        response.writeHead(403).end(JSON.stringify({ detail: `no: ${String(headers['x-sso'])}` }))
      })
    })
    const options = { base, userId: 'ada', headers: { 'X-Sso': 'canary of the sso' } }
    const gateway = await startGateway({ authorize: () => options })
    await ask(gateway, 'POST')
    await until(() => events.length === 1)
    expect(String(Object(events[0]?.[1]).error)).toContain('"no: [redacted]"')
  })

  it('tell that a client left its session, came back, was replaced by another one, and that the session ended', async () => {
    const events = recordEvents()
    const gateway = await startGateway()
    const sessionId = await createAs(gateway)
    const first = await attachAs(gateway, sessionId)
    await type(first, '12345')
    first.ws.close(1001)
    await until(() => events.length === 2)
    await attachAs(gateway, sessionId)
    await until(() => events.length === 3)
    const third = await attachAs(gateway, sessionId)
    await until(() => events.length === 5)
    third.ws.terminate()
    await until(() => events.length === 6)
    await ask(gateway, 'DELETE', `/${sessionId}`)
    await until(() => events.length === 7)
    const who = { userId: 'ada', sessionId, ms: expect.any(Number) }
    const bytes = { bytesToClient: expect.any(Number), bytesToUpstream: expect.any(Number) }
    expect(events).toEqual([
      ['attached', who],
      ['parked', { ...who, ...bytes, closeCode: 1001, bytesToUpstream: 5 }],
      ['resumed', who],
      ['parked', { ...who, ...bytes, closeCode: 4009 }],
      ['resumed', who],
      ['parked', { ...who, ...bytes, closeCode: 1006 }],
      ['closed', { ...who, closeCode: 1000, wasParked: true }],
    ])
  })

  it('tell why a terminal failed', async () => {
    const events = recordEvents()
    const gateway = await startGateway({}, { release: 'open-terminal@0.14.5' })
    await attachAs(gateway, await createAs(gateway))
    await until(() => events.length === 1)
    gateway.upstream.sessions[0]?.reset()
    await until(() => events.length === 2)
    expect(events[1]).toMatchObject(['closed', { closeCode: 1006, error: { code: 'ERR_TERMINAL_UNAVAILABLE' } }])
  })
})

/** Tries a handshake, and expects that it is refused. */
async function expectNoHandshake(base: string, origin?: string): Promise<void> {
  const url = `${base.replace('http', 'ws')}/api/terminals/s1`
  await expect(clientTo({ url }, origin === undefined ? {} : { origin })).rejects.toThrow()
}

describe('the event of a refusal has as its reason', () => {
  it.each([[undefined], [['https://one.example']]])('`origin`, with what was compared, for %j', async (origins) => {
    const refusals = recordRefusals()
    const { base } = await startGateway({ origins })
    const origin = 'https://chat.example'
    const event = { reason: 'origin', status: 403, origin, host: new URL(base).host, origins: origins ?? 'same' }
    await ask({ base }, 'GET', '', { Origin: origin })
    await expectNoHandshake(base, origin)
    expect(refusals).toEqual([event, event])
  })

  it('`unauthenticated` without a correct auth frame', async () => {
    const refusals = recordRefusals()
    const gateway = await startGateway()
    await closeOf(gateway, 's1', { type: 'hello' })
    await until(() => refusals.length === 1)
    expect(refusals).toMatchObject([{ reason: 'unauthenticated', closeCode: 4001 }])
    expect(refusals[0]).not.toHaveProperty('status')
  })

  it.each<[TerminalErrorCode, string, number, number, string]>([
    ['ERR_TERMINAL_UNAUTHORIZED', 'unauthorized', 401, 4001, 'Not authorized'],
    ['ERR_TERMINAL_FORBIDDEN', 'forbidden', 403, 4003, 'Access denied'],
    ['ERR_TERMINAL_NOT_FOUND', 'not-found', 404, 4004, 'Session not found'],
    ['ERR_TERMINAL_LIMIT', 'limit', 429, 4003, 'Too many terminal sessions'],
    ['ERR_TERMINAL_MISSING_USER', 'bad-request', 422, 4002, 'Missing user_id'],
    ['ERR_TERMINAL_UNAVAILABLE', 'unauthorized', 503, 1013, 'Not authorized, try again later'],
    ['ERR_TERMINAL_PROTOCOL', 'unauthorized', 503, 1013, 'Not authorized, try again later'],
  ])('for %s of `authorize` %j, and the client gets %i or %i %j', async (code, reason, status, closeCode, told) => {
    const refusals = recordRefusals()
    const error = new TerminalError(code, 'user ada of http://10.0.0.1 with sk-secret')
    const gateway = await startGateway({ authorize: () => Promise.reject(error) })
    const answer = await ask(gateway, 'GET')
    expect(answer.status).toBe(status)
    expect(JSON.stringify(answer.body)).not.toMatch(/ada|10\.0|secret/)
    expect(await closeOf(gateway, 's1')).toEqual({ code: closeCode, reason: told })
    await until(() => refusals.length === 2)
    expect(refusals).toEqual([
      { reason, status, error },
      { reason, closeCode, error },
    ])
  })

  it('`not-found` for a session that the user does not have', async () => {
    const refusals = recordRefusals()
    const gateway = await startGateway()
    await ask(gateway, 'GET', '/other')
    await closeOf(gateway, 'other')
    await until(() => refusals.length === 2)
    expect(refusals).toMatchObject([
      { userId: 'ada', reason: 'not-found', status: 404 },
      { userId: 'ada', reason: 'not-found', closeCode: 4004, error: { code: 'ERR_TERMINAL_NOT_FOUND' } },
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
    const gateway = await startGateway({ maxSessionsPerUser: 1 }, { faults })
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
    const authorize = vi.fn(neverAuthorize)
    const gateway = await startGateway({ maxUnauthenticated: 1, authorize })
    const silent = await clientTo({ url: `${gateway.base.replace('http', 'ws')}/api/terminals/s1` })
    await attachAs(gateway, 's2')
    await silent.closed
    await until(() => refusals.length === 1 && authorize.mock.calls.length === 1)
    expect(refusals).toEqual([{ reason: 'busy', closeCode: 1013 }])
    expect((await ask(gateway, 'GET')).status).toBe(503)
    expect(refusals.at(-1)).toEqual({ reason: 'busy', status: 503 })
  })

  it('`closing` for requests, handshakes, clients and openings when the gateway closes, which ends them', async () => {
    const refusals = recordRefusals()
    const upstream = await upstreamOf({ faults: { create: { delay: 1_000 } } })
    const gateway = await startGateway({
      authorize: ({ token }) => (token === 'jwt-bob' ? new Promise(() => {}) : clientOf(upstream)),
    })
    const waiting = await attachAs(gateway, 's1', { token: 'jwt-bob' })
    const opening = ask(gateway, 'POST')
    await until(() => upstream.requests.length > 0)
    const closed = gateway.gateway.close()
    expect(await waiting.closed).toEqual({ code: 1012, reason: 'Service restart' })
    expect((await opening).status).toBe(503)
    await closed
    await until(() => upstream.sessions.length === 0)
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
    const gateway = await startGateway({ authorize: neverAuthorize })
    await ask(gateway, 'PUT')
    const body = 'x'.repeat(100 * 1024)
    // The gateway may end the connection before all of the body has left.
    await fetch(`${gateway.base}/api/terminals`, { method: 'POST', body }).catch(() => {})
    const { ws, closed } = await clientTo({ url: `${gateway.base.replace('http', 'ws')}/api/terminals/s1` })
    ws.send(Buffer.alloc(200 * 1024))
    expect(await closed).toEqual({ code: 1009, reason: 'Too much input before the terminal was open' })
    await until(() => refusals.length === 3)
    expect(refusals).toEqual([
      { reason: 'bad-request', status: 405 },
      { reason: 'bad-request', status: 413 },
      { reason: 'bad-request', closeCode: 1009 },
    ])
  })

  // PROTOCOL 8.8
  it.each([
    ...[302, 401, 403, 404, 422].map((status) => [status, 500]),
    ...[429, 500, 502, undefined].map((status) => [status, 503]),
  ])('`upstream` for one that answers %s, and the client gets %i and no address', async (status, answered) => {
    const refusals = recordRefusals()
    const body = '{"detail":"http://10.0.0.1 sk-canary"}'
    const answers = (server: Server): unknown =>
      server.on('request', (_, response) => response.writeHead(Number(status)).end(body))
    const base = status === undefined ? await nobody() : await serve(answers)
    const authorize = () => ({ base, key: 'sk-canary', userId: 'ada' })
    const gateway = await startGateway({ retry: { attempts: 1 }, authorize })
    const answer = await ask(gateway, 'POST')
    const error = answered === 503 ? 'Terminal instance not reachable' : 'Not accepted by the terminal server'
    expect(answer).toMatchObject({ status: answered, body: { error } })
    expect(gateway.gateway.sessions).toEqual([])
    expect(refusals).toMatchObject([
      { reason: 'upstream', status: answered, userId: 'ada', error: status ? { status } : {} },
    ])
  })
})
