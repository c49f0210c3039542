import { createServer as createTlsServer } from 'node:https'
import { createServer, type Socket } from 'node:net'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { TestFaults, TestShell, TestUpstreamOptions } from '../../src/testing.ts'
import { prompting } from '../support/attach.ts'
import { certificate, privateKey } from '../support/certificate.ts'
import { gateway, type Habits } from '../support/gateway.ts'
import { answering, failing, NEWEST, outcomes, probe, QUICK, TERMINALS } from '../support/probe.ts'
import { afterwards, listen, nobody, upstreamOf } from '../support/upstream.ts'

vi.setConfig({ testTimeout: 20_000 })

async function tlsServer(scheme = 'https:'): Promise<string> {
  const server = createTlsServer({ key: privateKey, cert: certificate }, (_request, response) => response.end('[]'))
  afterwards({ close: () => new Promise((resolve) => server.close(resolve)) })
  return (await listen(server)).replace('http:', scheme)
}

/** Starts a server that accepts connections and says nothing. */
async function silentServer(): Promise<string> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => void sockets.add(socket.on('error', () => {})))
  afterwards({
    close() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  })
  return listen(server)
}

describe('probeUpstream', () => {
  it.each<[what: string, start: () => Promise<string>, last: string, advice: RegExp]>([
    ['that nothing listens', nobody, 'reachable failed', /nothing listens/],
    ['a host name that does not resolve', async () => 'http://nowhere.invalid', 'reachable failed', /does not resolve/],
    ['a certificate of an unknown authority', tlsServer, 'tls failed', /NODE_EXTRA_CA_CERTS/],
    ['http:// in the URL of a server with TLS', () => tlsServer('http:'), 'rest failed', /whether it requires https/],
    ['a server that does not answer', silentServer, 'rest failed', /hangs/],
  ])('reports %s', async (_what, start, last, advice) => {
    expect(await failing(await start(), { timeout: 500 })).toEqual([last, expect.stringMatching(advice)])
  })

  it('reports a certificate for another host', async () => {
    vi.stubEnv('NODE_EXTRA_CA_CERTS', '')
    onTestFinished(() => void vi.unstubAllEnvs())
    expect((await failing((await tlsServer()).replace('127.0.0.1', 'localhost')))[0]).toBe('tls failed')
  })

  it('reports https:// in the URL of a server without TLS', async () => {
    const report = await probe((await answering(200, '[]')).replace('http:', 'https:'))
    expect(report.advice).toMatch(/^Use http:\/\/ instead/)
    expect(report.checks.at(-1)).toMatchObject({ name: 'tls', outcome: 'failed', detail: 'wrong version number' })
  })

  it('describes TLS when the certificate is trusted', async () => {
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
    onTestFinished(() => void vi.unstubAllEnvs())
    vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    const { checks } = await probe(await tlsServer())
    const detail = expect.stringMatching(/^TLSv1\.3, .* \d{5} more days$/) as string
    expect(checks.find(({ name }) => name === 'tls')).toMatchObject({ outcome: 'ok', detail })
  })
})

const HTML = { 'content-type': 'text/html' }
const TEXT = { 'content-type': 'text/plain' }

/** Returns the headers of a redirect. */
const to = (location: string): Record<string, string> => ({ location })
/** Returns the headers of a proxy that wants a login. */
const login = (challenge: string): Record<string, string> => ({ ...HTML, 'www-authenticate': challenge })

// What a request with this answer shows of the server, by itself or from the table of causes.
const answers: Array<[status: number, body: string, headers: Record<string, string>, advice: RegExp]> = [
  [200, '{}', {}, /no release answers like this/],
  [200, '<html>', HTML, /a web site or a login/],
  [302, '', to('https://sso.example/login?next=canary'), /with `headers`: a web site or a login/],
  [302, '', to('http://['), /a web site or a login/],
  [307, '', to('https://h/.%20Run:%20x/api/terminals'), /^Use https:\/\/h\/\.%20Run:%20x instead/],
  [307, '', to('https://h/base/api/terminals?token=canary'), /^Use https:\/\/h\/base instead/],
  [400, '{}', {}, /no release answers like this/],
  [400, '<html>', HTML, /Use https:/],
  [401, '{"detail":"Invalid API key"}', {}, /Check `key` and `authType`/],
  [401, '{"detail":"Missing Authorization header"}', {}, /forward the Authorization header/],
  [401, '<html>', login('Basic realm="x"'), /HTTP basic auth off this path, or the key/],
  [401, '', login('Negotiate'), /the Negotiate login/],
  [403, '<html>', HTML, /wants in `headers`/],
  [403, '{"error":"Access denied"}', {}, /who may use it/],
  [404, '{"detail":"Not Found"}', {}, /path of the URL/],
  [404, '{"features":{"terminal":false}}', {}, /OPEN_TERMINAL_ENABLE_TERMINAL/],
  [404, `{"error":"Terminal server 'x' not found"}`, {}, /last part of the URL/],
  [422, '{"detail":[]}', {}, /forward the X-User-Id header/],
  [429, '{"error":"Maximum number of terminal sessions (16) reached"}', {}, /Delete sessions/],
  [429, '<html>', HTML, /limit on requests/],
  [500, 'Internal Server Error', TEXT, /^Read the server's log .* it fails itself/],
  [500, '<html>', HTML, /its reverse proxy can reach it/],
  [502, '<html>', HTML, /its reverse proxy can reach it/],
]

// PROTOCOL 2.18 and 2.20
const creations: Array<[create: TestFaults['create'], advice: RegExp]> = [
  ['full', /^Delete sessions/],
  ['rate-limit', /^Wait, or raise the limit on requests/],
  [{ refuse: 400, body: '{"detail":"X-User-Id is required in multi-user mode"}' }, /forward the X-User-Id header/],
  [{ refuse: 405 }, /allow POST requests/],
  [{ refuse: 500, body: 'Internal Server Error', headers: TEXT }, /^Read the server's log/],
  ['stall', /longer `timeout`/],
]

/** Starts an upstream, and probes it. */
async function probeOf(options: TestUpstreamOptions) {
  const upstream = await upstreamOf({ ...QUICK, ...options })
  const report = await probe(upstream.url)
  return { upstream, report }
}

describe('probeUpstream', () => {
  it.each(answers)('reports an answer with HTTP %i, %j and %j', async (status, body, headers, advice) => {
    const base = await answering(status, body, headers)
    expect(await failing(`${base}/base`)).toEqual([`rest failed ${status}`, expect.stringMatching(advice)])
  })

  it.each(creations)('reports a server that answers a POST with %j', async (create, advice) => {
    const { url } = await upstreamOf({ ...QUICK, faults: { create } })
    expect(await failing(url, { timeout: 500 })).toEqual(['session failed', expect.stringMatching(advice)])
  })

  // PROTOCOL 2.6
  it('quotes the server without the key', async () => {
    const base = await answering(401, '{"detail":"sk-canary is wrong"}', { server: 'gate sk-canary' })
    expect((await probe(base)).checks.at(-1)?.detail).toBe('[redacted] is wrong')
    const list = await answering(200, '[]', { server: 'gate sk-canary' })
    expect((await probe(list)).checks.find(({ name }) => name === 'rest')?.detail).toContain('through gate [redacted]')
  })

  it('reports a missing key', async () => {
    const { url } = await upstreamOf(QUICK)
    expect((await failing(url, { key: undefined }))[1]).toBe('Set `key`: this server requires one.')
    expect((await failing(url, { authType: 'none' }))[1]).toContain('so `authType` cannot be none')
  })

  it('advises a header for a basic login where no key needs the same one', async () => {
    const [, advice] = await failing(await answering(401, '', login('Basic realm="x"')), { authType: 'none' })
    expect(advice).toMatch(/^Send the name and password of HTTP basic auth in `headers`/)
  })

  it('reports an unknown policy', async () => {
    const { url } = await upstreamOf({ ...QUICK, policies: [] })
    expect((await failing(url, { policyId: 'gold' }))[1]).toContain('Check `policyId`')
  })

  // PROTOCOL 2.18
  it('reports a proxy that removes the user in front of a server in multi-user mode', async () => {
    const upstream = await upstreamOf({ ...QUICK, release: NEWEST, multiUser: true })
    const base = await gateway(upstream, { change: ({ headers }) => delete headers['x-user-id'] })
    expect(await failing(base)).toEqual(['session failed', expect.stringMatching(/forward the X-User-Id header/)])
    expect(await probe(upstream.url)).toMatchObject({ ok: true, family: 'open-terminal@>=0.12.4' })
  })

  it('quotes the whole reason of a server that cannot create a session', async () => {
    const { report } = await probeOf({ faults: { create: { refuse: 500, body: '{"error":"Failed. Ask the admin"}' } } })
    expect(report.checks.at(-1)).toMatchObject({ name: 'session', detail: 'HTTP 500, "Failed. Ask the admin"' })
  })

  it('advises the base that a redirect for a policy leads to', async () => {
    const base = await answering(308, '', to('https://h/x/p/gold/api/terminals/'))
    expect((await failing(base, { policyId: 'gold' }))[1]).toMatch(/^Use https:\/\/h\/x instead/)
  })

  it('works without the paths beside the sessions', async () => {
    const upstream = await upstreamOf({ ...QUICK, release: NEWEST })
    const answer: Habits['answer'] = ({ url, headers, socket }) => {
      const isBeside = !/^\/api\/terminals(?:[/?]|$)/.test(String(url))
      if (isBeside || !('x-user-id' in headers)) socket.destroy()
      return socket.destroyed
    }
    const report = await probe(await gateway(upstream, { answer }))
    expect(report).toMatchObject({ ok: true, family: 'open-terminal@>=0.12.4' })
  })

  it.each(['[null]', '[{}]', '[1]'])('accepts the list %s', async (list) => {
    const report = await probe(await answering(200, list))
    expect(outcomes(report)).toMatchObject({ rest: 'ok', session: 'failed' })
  })

  it.each([
    [405, 'allow DELETE requests'],
    [429, 'raise the limit on requests'],
  ])('creates no second session when it cannot delete the first because of %i', async (refuse, advice) => {
    const { upstream, report } = await probeOf({ faults: { delete: { refuse } } })
    expect(report.advice).toContain(advice)
    expect(report.checks.at(-1)).toMatchObject({ name: 'cleanup', outcome: 'failed' })
    expect(upstream.sessions).toHaveLength(1)
  })

  it.each(['{"error":"Session not found"}', '{}'])('reports a 404 with %s for the deletion', async (body) => {
    const { report } = await probeOf({ faults: { delete: { refuse: 404, body } } })
    expect(report.advice).toMatch(/\(1 of 1 session .* not found\)/)
  })

  // PROTOCOL 2.9
  it.each<[what: string, deletions: NonNullable<TestFaults['delete']>]>([
    ['whose answer was cut', ['drop']],
    ['whose answer was cut twice', ['drop', 'drop']],
    ['that was cut, and then refused', ['drop', { refuse: 503 }]],
    ['on a connection that was forgotten', ['drop', 'reset']],
    ['at the second try', [undefined, { refuse: 503 }, { refuse: 503 }]],
  ])('counts a session as deleted after a DELETE %s', async (_what, deletions) => {
    const { upstream, report } = await probeOf({ release: TERMINALS, faults: { delete: deletions } })
    expect(report).toMatchObject({ ok: true, family: 'terminals@>=0.2.0' })
    expect(outcomes(report)).toMatchObject({ cleanup: 'ok' })
    expect(upstream.sessions).toEqual([])
  })

  it.each([
    ['a limit on requests', '<h1>429</h1>', /^Wait, or raise the limit on requests/],
    ['a full server', '{"error":"Maximum number of terminal sessions (2) reached"}', /^Probe again when the server/],
  ])('knows why it cannot create a second session: %s', async (_why, body, advice) => {
    const { report } = await probeOf({ faults: { create: [undefined, { refuse: 429, body }] } })
    expect(report).toMatchObject({ ok: false, advice: expect.stringMatching(advice) as string })
  })

  it('stops creating sessions when it can no longer delete them', async () => {
    const faults: TestFaults = {}
    let created = 0
    const shell: TestShell = (io) => {
      created += 1
      if (created === 2) faults.delete = { refuse: 503 }
      return prompting(io)
    }
    const { upstream, report } = await probeOf({ release: TERMINALS, shell, faults })
    expect(outcomes(report)).toMatchObject({ frame: 'attached', 'token+frame': 'skipped', cleanup: 'failed' })
    expect(upstream.sessions).toHaveLength(1)
  })

  it('does not replace the open terminal of a chat whose id is the id of the session', async () => {
    const upstream = await upstreamOf({ ...QUICK, release: 'open-terminal@0.11' })
    const headers = { authorization: 'Bearer sk-canary', 'x-session-id': 'c1' }
    await fetch(`${upstream.url}/api/terminals`, { method: 'POST', headers })
    const outcome = await failing(upstream.url, { chatId: 'c1' })
    expect(outcome).toEqual(['session skipped', expect.stringMatching(/Close the/)])
    expect(upstream.sessions).toHaveLength(1)
  })

  it('takes a version that is no text for none', async () => {
    const answer: Habits['answer'] = ({ url = '' }, response) => {
      if (!url.endsWith('openapi.json')) return false
      response.end('{"info":{"title":"Open Terminal","version":{"toString":1}}}')
      return true
    }
    const report = await probe(await gateway(await upstreamOf({ ...QUICK, release: NEWEST }), { answer }))
    expect(report).toMatchObject({ ok: true, family: 'open-terminal@>=0.12.4' })
    expect(report.version).toBeUndefined()
  })
})
