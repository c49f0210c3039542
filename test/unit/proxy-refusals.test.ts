import { describe, expect, it } from 'vitest'
import type { ConnectTerminalOptions } from '../../src/index.ts'
import type { ProxySummary } from '../../src/proxy.ts'
import type { TestUpstreamOptions } from '../../src/testing.ts'
import { connectToProxy, join, summaryOf } from '../support/proxy.ts'
import { clientOf, nobody, upstreamOf } from '../support/upstream.ts'

interface Refused {
  /** The close frame that the client received. */
  readonly told: { code: number; reason: string }
  readonly summary: ProxySummary
}

/** Connects a client to a proxy that cannot open a terminal. */
async function refused(options: ConnectTerminalOptions): Promise<Refused> {
  const { closed, proxy } = await connectToProxy(options)
  return { told: await closed, summary: await summaryOf(proxy) }
}

const HIDDEN = 'http://10.0.3.7:8000 sk-canary secret.internal'

// PROTOCOL 7.3
describe('proxyTerminal, when the upstream refuses,', () => {
  const quick = { retry: { attempts: 1, delay: 0 } }
  const hiding = (refuse: number, says: string): object => ({ refuse, body: JSON.stringify({ error: says + HIDDEN }) })
  const create = (refuse: number, says = ''): TestUpstreamOptions => ({
    faults: { create: hiding(refuse, says) as never },
  })
  const attach = (refuse: number): TestUpstreamOptions => ({ faults: { attach: hiding(refuse, '') as never } })
  const page = { refuse: 200, body: `<h1>${HIDDEN}</h1>` }
  const redirect = { refuse: 302, headers: { location: 'http://secret.internal/' } }
  const full = create(429, 'Maximum number of terminal sessions (16) reached ')
  const GONE = 'Terminal instance not reachable'

  it.each<[string, number, string, string, TestUpstreamOptions, Partial<ConnectTerminalOptions>?]>([
    ['a 401 for a wrong key', 4001, 'Not authorized', 'UNAUTHORIZED', {}, { key: 'sk-canary-wrong' }],
    ['401', 4001, 'Not authorized', 'UNAUTHORIZED', create(401)],
    ['4001', 4001, 'Not authorized', 'UNAUTHORIZED', attach(4001)],
    ['422', 4002, 'Missing user_id', 'MISSING_USER', create(422)],
    ['4002', 4002, 'Missing user_id', 'MISSING_USER', attach(4002)],
    ['403', 4003, 'Access denied', 'FORBIDDEN', create(403)],
    ['4003', 4003, 'Access denied', 'FORBIDDEN', attach(4003)],
    ['404', 4004, 'Session not found', 'NOT_FOUND', create(404)],
    ['a session that does not exist', 4004, 'Session not found', 'NOT_FOUND', {}, { sessionId: 'nowhere' }],
    ['4004', 4004, 'Session not found', 'NOT_FOUND', attach(4004)],
    ['an unknown policy', 4004, 'Session not found', 'NOT_FOUND', { policies: ['cpu'] }, { policyId: 'gpu' }],
    ['4009', 4009, 'Session already connected', 'IN_USE', attach(4009)],
    ['429', 4003, 'Too many terminal sessions', 'LIMIT', full],
    ['500', 4003, GONE, 'UNAVAILABLE', create(500)],
    ['502', 4003, GONE, 'UNAVAILABLE', attach(502)],
    ['1011', 4003, GONE, 'UNAVAILABLE', attach(1011)],
    ['a reset', 4003, GONE, 'UNAVAILABLE', { faults: { attach: 'reset' } }],
    ['an HTML page instead of JSON', 4003, GONE, 'PROTOCOL', { faults: { create: page } }],
    ['a redirect', 4003, GONE, 'PROTOCOL', { faults: { create: redirect } }],
    ['no answer', 4003, GONE, 'TIMEOUT', { faults: { attach: 'stall' } }, { timeout: 60 }],
  ])('with %s, closes the client with %i %j and no word of it', async (_what, code, reason, error, server, client) => {
    const upstream = await upstreamOf(server)
    const { told, summary } = await refused({ ...clientOf(upstream), ...quick, ...client })
    expect(told).toEqual({ code, reason })
    expect(summary).toMatchObject({ endedBy: 'proxy', code, reason, error: { code: `ERR_TERMINAL_${error}` } })
    expect(summary).not.toHaveProperty('sessionId')
    // A session that is in use belongs to another client.
    if (code !== 4009) expect(upstream.sessions).toEqual([])
  })

  it('closes the client with 4003 if no server listens on the port', async () => {
    const { told, summary } = await refused({ base: await nobody(), userId: 'ada', ...quick })
    expect(told).toEqual({ code: 4003, reason: GONE })
    // The error for the operator names the address.
    expect(summary.error?.message).toContain('127.0.0.1')
  })

  it('closes the client with 4009 if another client has the session, and leaves the other client alone', async () => {
    const { upstream, session, ws, printed } = await join({ release: 'open-terminal@0.14' })
    const { told } = await refused({ ...clientOf(upstream), ...quick, sessionId: session.id })
    expect(told).toEqual({ code: 4009, reason: 'Session already connected' })
    ws.send(Buffer.from('still here'))
    await printed('still here')
  })

  it('tries again if the refusal is transient', async () => {
    const { ws, printed } = await join(
      { faults: { create: ['reset', { refuse: 503 }], attach: ['reset', { refuse: 1013 }] } },
      { retry: { attempts: 5, delay: 1 } },
    )
    ws.send(Buffer.from('at last'))
    await printed('at last')
  })
})
