import { describe, expect, it } from 'vitest'
import type { Facts, ProbeCheck, ProbeCheckName, ProbeOutcome } from '../../src/probe/facts.ts'
import { endpointOf } from '../../src/probe/network.ts'
import { conclude } from '../../src/probe/verdict.ts'

/** Returns the facts of a probe with a bearer key, whose checks had these outcomes. */
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

describe('conclude', () => {
  it.each([
    ['ENOTFOUND', "Check the host name, and this machine's DNS: it does not resolve."],
    ['EAI_AGAIN', "Check the host name, and this machine's DNS: it does not resolve."],
    ['ECONNREFUSED', 'Start the server, or correct the port: nothing listens there.'],
    ['ETIMEDOUT', 'Check the address, and the firewalls on the way: there is no answer.'],
    ['EHOSTUNREACH', 'Check the address, and the firewalls on the way: there is no answer.'],
    ['EACCES', 'Check what listens at h:8000: the connection fails.'],
    [undefined, 'Check what listens at h:8000: the connection fails.'],
  ])('advises on a connection that fails with %s', (code, advice) => {
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
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', /whole certificate chain/],
    ['ERR_SSL_WRONG_VERSION_NUMBER', /^Use http:\/\/ instead/],
    ['ECONNRESET', /^Check which TLS versions/],
    ['ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL', /offers HTTP\/1\.1/],
    ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', /client certificates/],
    ['ETIMEDOUT', /^Check which TLS versions/],
  ])('advises on a TLS handshake that fails with %s', (code, advice) => {
    const facts = factsOf({ reachable: { outcome: 'ok' }, tls: {} }, { code })
    expect(conclude(facts).advice).toMatch(advice)
  })

  it('tells no family of an orchestrator that does not close a WebSocket without an auth frame', () => {
    const attached = { outcome: 'attached' } as const
    const facts = factsOf({ frame: attached, 'no-headers': attached, token: { outcome: 'silence' } })
    const orchestrated = conclude({ ...facts, orchestrator: true })
    expect(orchestrated.works).toBe('frame')
    expect(orchestrated.family).toBeUndefined()
    expect(conclude({ ...facts, orchestrator: false }).family).toBe('open-terminal@<=0.12.3')
  })

  it('advises bearer for an orchestrator that reads the key from the URL only', () => {
    const refused = { outcome: 'refused', status: 403 } as const
    const facts = factsOf({ frame: refused, 'token+frame': { outcome: 'skipped' } }, { orchestrator: true })
    expect(conclude({ ...facts, authType: 'session' })).toEqual({
      ok: false,
      works: undefined,
      family: 'terminals@<=0.0.2',
      advice:
        "Use `authType` bearer and `tokenInUrl` 'always', or upgrade Terminals to 0.0.3: this orchestrator reads the key from the URL only.",
    })
  })

  it('advises on a session that is gone before a client attaches to it', () => {
    const refused = { outcome: 'refused', status: 403 } as const
    expect(conclude(factsOf({ frame: refused }, { sessionFound: false })).advice).toContain('ends as soon as it starts')
  })

  it('gives its advice on one line', () => {
    for (const closeCode of [1000, 1006, 4001, 4002, 4003, 4004, 4009]) {
      const { advice } = conclude(factsOf({ frame: { outcome: 'closed', closeCode } }))
      expect(advice).toMatch(/^[A-Z][^\n]*\.$/)
    }
  })

  it('advises on a context that the server refuses', () => {
    const rejected = {
      status: 400,
      html: false,
      reason: 'context_id is too long',
      evidence: { status: 400, contextId: 'x' },
    }
    expect(conclude(factsOf({ rest: {} }, { rejected, contextId: 'x' })).advice).toContain('Check `contextId`')
  })

  it('advises on a server that requires a client certificate', () => {
    const rejected = {
      status: 400,
      html: true,
      reason: '',
      evidence: { status: 400, type: 'text/html', step: 'GET' } as const,
    }
    expect(conclude(factsOf({ rest: {} }, { rejected })).advice).toContain('such as a certificate')
  })
})

describe('endpointOf', () => {
  it.each([
    ['http://h', 'h', 80],
    ['https://h', 'h', 443],
    ['http://h:8000/x', 'h', 8000],
    ['https://[::1]', '::1', 443],
    ['http://127.0.0.1:1', '127.0.0.1', 1],
  ])('reads from %s the host %s and the port %i', (url, host, port) => {
    expect(endpointOf(new URL(url))).toEqual({ host, port })
  })
})
