import { describe, expect, it } from 'vitest'
import type { Facts, ProbeCheck, ProbeCheckName, ProbeOutcome } from '../../src/probe/facts.ts'
import { endpointOf } from '../../src/probe/probe-upstream.ts'
import { conclude } from '../../src/probe/verdict.ts'
import type { Evidence } from '../../src/upstream/advice.ts'

/** Returns the facts of a probe with a bearer key, whose checks had these outcomes. */
function factsOf(outcomes: { [name in ProbeCheckName]?: Partial<ProbeOutcome> }, more: Partial<Facts> = {}): Facts {
  const named = (name: string): ProbeCheck => ({ name: name as ProbeCheckName, outcome: 'failed', detail: '', ms: 1 })
  const checks = Object.fromEntries(
    Object.entries(outcomes).map(([name, outcome]) => [name, { ...named(name), ...outcome }]),
  )
  return { url: new URL('https://h:8000/'), authType: 'bearer', hasKey: true, checks, ...more }
}

const refused = { outcome: 'refused', status: 403 } as const
const skipped = { outcome: 'skipped' } as const

describe('conclude', () => {
  it.each([
    ['ENOTFOUND', "Check the host name, and this machine's DNS: it does not resolve."],
    ['ETIMEDOUT', 'Check the address, and the firewalls on the way: there is no answer.'],
    ['EACCES', 'Check what listens at h:8000: the connection fails.'],
    [undefined, 'Check what listens at h:8000: the connection fails.'],
  ])('advises on a connection that fails with %s', (code, advice) => {
    const report = conclude(factsOf({ reachable: {} }, { code }))
    expect(report).toMatchObject({ ok: false, advice })
    expect(Object.keys(report)).toEqual(['upstream', 'ok', 'advice', 'checks'])
  })

  it.each([
    ['ERR_TLS_CERT_ALTNAME_INVALID', /host name that the certificate is for/],
    ['ECONNRESET', /^Check which TLS versions/],
    ['ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL', /offers HTTP\/1\.1/],
    ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', /client certificates/],
    ['ETIMEDOUT', /^Check which TLS versions/],
  ])('advises on a TLS handshake that fails with %s', (code, advice) => {
    expect(conclude(factsOf({ reachable: { outcome: 'ok' }, tls: {} }, { code })).advice).toMatch(advice)
  })

  it('tells no family of an orchestrator that does not close a WebSocket without an auth frame', () => {
    const attached = { outcome: 'attached' } as const
    const facts = factsOf({ frame: attached, 'no-headers': attached, token: { outcome: 'silence' } })
    const orchestrated = conclude({ ...facts, orchestrator: true })
    expect(orchestrated.works).toBe('frame')
    expect(orchestrated.family).toBeUndefined()
    expect(conclude({ ...facts, orchestrator: false }).family).toBe('open-terminal@<=0.12.3')
  })

  const inUrl = factsOf({ frame: refused, 'token+frame': skipped }, { orchestrator: true, authType: 'session' })
  const gone = factsOf({ frame: refused }, { sessionFound: false })
  const rejectedBy = (evidence: Evidence): Facts => factsOf({ rest: {} }, { rejected: { reason: '', evidence } })
  const page = { type: 'text/html', step: 'GET' } as const

  it.each<[what: string, facts: Facts, advice: RegExp]>([
    [
      'the key in the URL only',
      inUrl,
      /^Use `authType` bearer and `tokenInUrl` 'always', or upgrade Terminals to 0\.0\.3/,
    ],
    ['a session that is gone before a client attaches to it', gone, /ends as soon as it starts/],
    ['a context that the server refuses', rejectedBy({ status: 400, contextId: 'x' }), /Check `contextId`/],
    ['a server with client certificates', rejectedBy({ status: 400, ...page }), /such as a certificate/],
  ])('advises on %s', (_what, facts, advice) => {
    expect(conclude(facts)).toMatchObject({ ok: false, advice: expect.stringMatching(advice) as string })
  })

  it.each([1000, 1006, 4001, 4002, 4003, 4004, 4009])('gives advice on a close with %i on one line', (closeCode) => {
    const { advice } = conclude(factsOf({ frame: { outcome: 'closed', closeCode } }))
    expect(advice).toMatch(/^[A-Z][^\n]*\.$/)
  })

  it('reports the checks in their order, whenever they end', () => {
    const { checks } = conclude(factsOf({ cleanup: {}, idle: {}, reachable: {}, token: {} }))
    expect(checks.map(({ name }) => name)).toEqual(['reachable', 'token', 'idle', 'cleanup'])
  })
})

describe('endpointOf', () => {
  it.each([
    ['http://h', 'h', 80],
    ['https://h', 'h', 443],
    ['http://h:8000/x', 'h', 8000],
    ['https://[::1]', '::1', 443],
  ])('reads from %s the host %s and the port %i', (url, host, port) => {
    expect(endpointOf(new URL(url))).toEqual({ host, port })
  })
})
