import { describe, expect, it } from 'vitest'
import { createTerminalSession, type ConnectTerminalOptions } from '../../src/index.ts'
import type { ProxySummary } from '../../src/proxy.ts'
import type { TestUpstreamOptions } from '../../src/testing.ts'
import { clientTo, join, startProxy, summaryOf } from '../support/proxy.ts'
import { clientOf, nobody, releases, upstreamOf, userOf } from '../support/upstream.ts'

interface Refused {
  /** The close frame that the client received. */
  readonly told: { code: number; reason: string }
  readonly summary: ProxySummary
}

/** Connects a client to a proxy that cannot open a terminal. */
async function refused(options: ConnectTerminalOptions): Promise<Refused> {
  const proxy = await startProxy(() => options)
  const { closed } = await clientTo(proxy)
  return { told: await closed, summary: await summaryOf(proxy) }
}

const HIDDEN = 'http://10.0.3.7:8000 sk-canary secret.internal'

// PROTOCOL 7.3
describe('proxyTerminal, when the upstream refuses,', () => {
  const quick = { retry: { attempts: 1, delay: 0 } }
  const hiding = (refuse: number, reason = ''): { refuse: number; body: string } => ({
    refuse,
    body: JSON.stringify({ error: reason + HIDDEN }),
  })

  it.each<[string, number, string, string, { server?: TestUpstreamOptions; client?: Partial<ConnectTerminalOptions> }]>(
    [
      [
        'a 401 for a wrong key',
        4001,
        'Not authorized',
        'ERR_TERMINAL_UNAUTHORIZED',
        { client: { key: 'sk-canary-wrong' } },
      ],
      ['401', 4001, 'Not authorized', 'ERR_TERMINAL_UNAUTHORIZED', { server: { faults: { create: hiding(401) } } }],
      ['4001', 4001, 'Not authorized', 'ERR_TERMINAL_UNAUTHORIZED', { server: { faults: { attach: hiding(4001) } } }],
      ['422', 4002, 'Missing user_id', 'ERR_TERMINAL_MISSING_USER', { server: { faults: { create: hiding(422) } } }],
      ['4002', 4002, 'Missing user_id', 'ERR_TERMINAL_MISSING_USER', { server: { faults: { attach: hiding(4002) } } }],
      ['403', 4003, 'Access denied', 'ERR_TERMINAL_FORBIDDEN', { server: { faults: { create: hiding(403) } } }],
      ['4003', 4003, 'Access denied', 'ERR_TERMINAL_FORBIDDEN', { server: { faults: { attach: hiding(4003) } } }],
      ['404', 4004, 'Session not found', 'ERR_TERMINAL_NOT_FOUND', { server: { faults: { create: hiding(404) } } }],
      ['4004', 4004, 'Session not found', 'ERR_TERMINAL_NOT_FOUND', { server: { faults: { attach: hiding(4004) } } }],
      [
        'an unknown policy',
        4004,
        'Session not found',
        'ERR_TERMINAL_NOT_FOUND',
        { server: { policies: ['cpu'] }, client: { policyId: 'gpu' } },
      ],
      [
        '4009',
        4009,
        'Session already connected',
        'ERR_TERMINAL_IN_USE',
        { server: { faults: { attach: hiding(4009) } } },
      ],
      [
        '429',
        4003,
        'Too many terminal sessions',
        'ERR_TERMINAL_LIMIT',
        { server: { faults: { create: hiding(429, 'Maximum number of terminal sessions (16) reached ') } } },
      ],
      [
        '500',
        4003,
        'Terminal instance not reachable',
        'ERR_TERMINAL_UNAVAILABLE',
        { server: { faults: { create: hiding(500) } } },
      ],
      [
        '502',
        4003,
        'Terminal instance not reachable',
        'ERR_TERMINAL_UNAVAILABLE',
        { server: { faults: { attach: hiding(502) } } },
      ],
      [
        '1011',
        4003,
        'Terminal instance not reachable',
        'ERR_TERMINAL_UNAVAILABLE',
        { server: { faults: { attach: hiding(1011) } } },
      ],
      [
        'a reset',
        4003,
        'Terminal instance not reachable',
        'ERR_TERMINAL_UNAVAILABLE',
        { server: { faults: { attach: 'reset' } } },
      ],
      [
        'an HTML page instead of JSON',
        4003,
        'Terminal instance not reachable',
        'ERR_TERMINAL_PROTOCOL',
        { server: { faults: { create: { refuse: 200, body: `<h1>${HIDDEN}</h1>` } } } },
      ],
      [
        'a redirect',
        4003,
        'Terminal instance not reachable',
        'ERR_TERMINAL_PROTOCOL',
        { server: { faults: { create: { refuse: 302, headers: { location: 'http://secret.internal/' } } } } },
      ],
      [
        'no answer',
        4003,
        'Terminal instance not reachable',
        'ERR_TERMINAL_TIMEOUT',
        { server: { faults: { attach: 'stall' } }, client: { timeout: 60 } },
      ],
    ],
  )(
    'with %s, closes the client with %i %j, which names neither the upstream nor its message',
    async (_what, code, reason, error, setting) => {
      const upstream = await upstreamOf(setting.server)
      const { told, summary } = await refused({ ...clientOf(upstream), ...quick, ...setting.client })
      expect(told).toEqual({ code, reason })
      expect(summary).toMatchObject({ endedBy: 'proxy', code, reason, error: { code: error } })
      expect(summary).not.toHaveProperty('sessionId')
      // A session that is in use belongs to another client.
      if (code !== 4009) expect(upstream.sessions).toEqual([])
    },
  )

  it('closes the client with 4003 if no server listens on the port', async () => {
    const { told, summary } = await refused({ base: await nobody(), userId: 'ada', ...quick })
    expect(told).toEqual({ code: 4003, reason: 'Terminal instance not reachable' })
    // The error for the operator names the address.
    expect(summary.error?.message).toContain('127.0.0.1')
  })

  it.each(releases)('closes the client with 4004 if the session does not exist, on %s', async (release) => {
    const upstream = await upstreamOf({ release, redialDelay: 1 })
    const { told } = await refused({ ...clientOf(upstream), ...quick, sessionId: 'nowhere' })
    expect(told).toEqual({ code: 4004, reason: 'Session not found' })
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

  it('does not delete a session that the options name', async () => {
    const upstream = await upstreamOf({ faults: { attach: { refuse: 4003 } } })
    const { id } = await createTerminalSession(userOf(upstream))
    const { told } = await refused({ ...clientOf(upstream), sessionId: id })
    expect(told.code).toBe(4003)
    expect(upstream.sessions).toMatchObject([{ id }])
  })
})
