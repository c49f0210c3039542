import { describe, expect, it } from 'vitest'
import type { Facts, ProbeCheck, ProbeCheckName, ProbeOutcome } from '../../src/probe/facts.ts'
import { endpointOf } from '../../src/probe/network.ts'
import { conclude } from '../../src/probe/verdict.ts'

/** Facts of a bearer with a key, and of checks that came to this. */
function factsOf(outcomes: Partial<Record<ProbeCheckName, Partial<ProbeOutcome>>>, more: Partial<Facts> = {}): Facts {
  const checks = Object.entries(outcomes).map(([name, outcome]): [ProbeCheckName, ProbeCheck] => [
    name as ProbeCheckName,
    { name: name as ProbeCheckName, outcome: 'failed', detail: '', ms: 1, ...outcome },
  ])
  return {
    url: new URL('https://h:8000/'),
    authType: 'bearer',
    hasKey: true,
    chatId: undefined,
    policyId: undefined,
    contextId: undefined,
    checks: new Map(checks),
    ...more,
  }
}

describe('what to do', () => {
  it.each([
    ['ENOTFOUND', "Check the host name, and this machine's DNS: h:8000 does not resolve."],
    ['EAI_AGAIN', "Check the host name, and this machine's DNS: h:8000 does not resolve."],
    ['ECONNREFUSED', 'Start the server, or correct the port: nothing listens at h:8000.'],
    ['ETIMEDOUT', 'Check the address, and the firewalls on the way: h:8000 does not answer.'],
    ['EHOSTUNREACH', 'Check the address, and the firewalls on the way: h:8000 does not answer.'],
    ['EACCES', 'See what listens at h:8000: it cannot be connected to.'],
    [undefined, 'See what listens at h:8000: it cannot be connected to.'],
  ])('about a connection that fails with %s', (code, advice) => {
    expect(conclude(factsOf({ reachable: {} }, { code }))).toEqual({
      ok: false,
      works: undefined,
      family: undefined,
      advice,
    })
  })

  it.each([
    ['CERT_HAS_EXPIRED', /Renew the certificate/],
    ['ERR_TLS_CERT_ALTNAME_INVALID', /host name that the certificate is for/],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', /NODE_EXTRA_CA_CERTS/],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', /all of its chain/],
    ['ERR_SSL_WRONG_VERSION_NUMBER', /^Use http:\/\/ for h:8000/],
    ['ECONNRESET', /^See which TLS versions/],
    ['ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL', /offers HTTP\/1\.1/],
    ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', /client certificates/],
    ['ETIMEDOUT', /^See which TLS versions/],
  ])('about TLS that fails with %s', (code, advice) => {
    const facts = factsOf({ reachable: { outcome: 'ok' }, tls: {} }, { code })
    expect(conclude(facts).advice).toMatch(advice)
  })

  it('about an orchestrator of which no more can be told', () => {
    const attached = { outcome: 'attached' } as const
    const facts = factsOf({ frame: attached, 'no-headers': attached, token: { outcome: 'silence' } })
    expect(conclude({ ...facts, orchestrator: true })).toMatchObject({ works: 'frame', family: undefined })
    expect(conclude({ ...facts, orchestrator: false }).family).toBe('open-terminal@<=0.12.3')
  })

  it('about an early orchestrator that none but bearer can attach to', () => {
    const refused = { outcome: 'refused', status: 403 } as const
    const facts = factsOf({ frame: refused, 'token+frame': { outcome: 'skipped' } }, { orchestrator: true })
    expect(conclude({ ...facts, authType: 'session' })).toEqual({
      ok: false,
      works: undefined,
      family: 'terminals@<=0.0.2',
      advice:
        "Use `authType` bearer and `tokenInUrl` 'always', or upgrade Terminals to 0.0.3: this orchestrator wants the key in the URL, and nowhere else.",
    })
  })

  it('about a session that is gone when it is attached to', () => {
    const refused = { outcome: 'refused', status: 403 } as const
    expect(conclude(factsOf({ frame: refused }, { alive: false })).advice).toContain('ends as soon as it starts')
  })

  it('is one sentence', () => {
    for (const closeCode of [1000, 1006, 4001, 4002, 4003, 4004, 4009]) {
      const { advice } = conclude(factsOf({ frame: { outcome: 'closed', closeCode } }))
      expect(advice).toMatch(/^[A-Z][^\n]*\.$/)
    }
  })

  it('about a context that is refused', () => {
    const answer = { status: 400, html: false, said: 'context_id is too long' }
    expect(conclude(factsOf({ rest: {} }, { answer, contextId: 'x' })).advice).toContain('Check `contextId`')
  })

  it('about a server that wants a certificate', () => {
    const answer = { status: 400, html: true, said: '' }
    expect(conclude(factsOf({ rest: {} }, { answer })).advice).toContain('such as a certificate')
  })
})

describe('where a URL leads', () => {
  it.each([
    ['http://h', 'h', 80],
    ['https://h', 'h', 443],
    ['http://h:8000/x', 'h', 8000],
    ['https://[::1]', '::1', 443],
    ['http://127.0.0.1:1', '127.0.0.1', 1],
  ])('of %s is %s, port %i', (url, host, port) => {
    expect(endpointOf(new URL(url))).toEqual({ host, port })
  })
})
