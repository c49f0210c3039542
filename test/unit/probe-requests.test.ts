import { createServer as createTlsServer } from 'node:https'
import { createServer, type Server, type Socket } from 'node:net'
import { describe, expect, it, vi } from 'vitest'
import type { TestFaults, TestShell } from '../../src/testing.ts'
import { certificate, privateKey } from '../support/certificate.ts'
import { prompting } from '../support/attach.ts'
import { gateway, type Habits } from '../support/gateway.ts'
import { answering, failing, NEWEST, outcomes, probe, QUICK, TERMINALS } from '../support/probe.ts'
import { afterwards, listen, nobody, upstreamOf } from '../support/upstream.ts'

vi.setConfig({ testTimeout: 20_000 })

async function tlsServer(): Promise<string> {
  const server = createTlsServer({ key: privateKey, cert: certificate }, (_request, response) => response.end('[]'))
  afterwards({ close: () => new Promise((resolve) => server.close(resolve)) })
  return (await listen(server)).replace('http:', 'https:')
}

async function rawServer(onConnection: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    onConnection(socket)
  })
  afterwards({
    close() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  })
  return listen(server)
}

describe('probeUpstream', () => {
  it('reports that nothing listens', async () => {
    expect(await failing(await nobody())).toEqual(['reachable failed', expect.stringMatching(/nothing listens/)])
  })

  it('reports a host name that does not resolve', async () => {
    const outcome = await failing('http://nowhere.invalid')
    expect(outcome).toEqual(['reachable failed', expect.stringMatching(/it does not resolve/)])
  })

  it('reports a certificate of an unknown authority', async () => {
    expect(await failing(await tlsServer())).toEqual(['tls failed', expect.stringMatching(/NODE_EXTRA_CA_CERTS/)])
  })

  it('reports a certificate for another host', async () => {
    vi.stubEnv('NODE_EXTRA_CA_CERTS', '')
    const base = (await tlsServer()).replace('127.0.0.1', 'localhost')
    expect((await failing(base))[0]).toBe('tls failed')
    vi.unstubAllEnvs()
  })

  it('reports http:// in the URL of a server that requires TLS', async () => {
    const base = (await tlsServer()).replace('https:', 'http:')
    expect(await failing(base)).toEqual(['rest failed', expect.stringMatching(/whether it requires https/)])
  })

  it('reports https:// in the URL of a server without TLS', async () => {
    const base = (await answering(200, '[]')).replace('http:', 'https:')
    expect(await failing(base)).toEqual(['tls failed', expect.stringMatching(/^Use http:\/\/ instead/)])
    expect((await probe(base)).checks.at(-1)?.detail).toBe('wrong version number')
  })

  it('describes TLS when the certificate is trusted', async () => {
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
    vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    const report = await probe(await tlsServer())
    vi.unstubAllEnvs()
    const tls = report.checks.find(({ name }) => name === 'tls')
    expect(tls).toMatchObject({
      outcome: 'ok',
      detail: expect.stringMatching(/^TLSv1\.3, .* \d{5} more days$/) as string,
    })
  })

  it('reports a server that accepts connections and does not answer', async () => {
    const base = await rawServer(() => {})
    const outcome = await failing(base, { timeout: 500 })
    expect(outcome).toEqual(['rest failed', expect.stringMatching(/hangs/)])
  })
})

const answers: Array<[what: string, status: number, body: string, headers: Record<string, string>, advice: RegExp]> = [
  ['a web page', 200, '<html>', { 'content-type': 'text/html' }, /a web site or a login/],
  ['a refusal of an access proxy', 403, '<html>', { 'content-type': 'text/html' }, /wants in `headers`/],
  ['a web page about TLS', 400, '<html>', { 'content-type': 'text/html' }, /Use https:/],
  [
    'a redirect to a login',
    302,
    '',
    { location: 'https://sso.example/login?next=canary' },
    /with `headers`: a web site or a login/,
  ],
  ['a redirect to a URL that cannot be parsed', 302, '', { location: 'http://[' }, /a web site or a login/],
  [
    'a redirect with words',
    307,
    '',
    { location: 'https://h/.%20Run:%20x/api/terminals' },
    /^Use https:\/\/h\/\.%20Run:%20x instead/,
  ],
  ['a redirect', 307, '', { location: 'https://h/base/api/terminals?token=canary' }, /^Use https:\/\/h\/base instead/],
  ['a wrong key', 401, '{"detail":"Invalid API key"}', {}, /Check `key` and `authType`/],
  [
    'a missing Authorization header',
    401,
    '{"detail":"Missing Authorization header"}',
    {},
    /forward the Authorization header/,
  ],
  ['a server that fails itself', 500, 'Internal Server Error', { 'content-type': 'text/plain' }, /it fails itself/],
  ['a user without access', 403, '{"error":"Access denied"}', {}, /who may use it/],
  ['a wrong path', 404, '{"detail":"Not Found"}', {}, /path of the URL/],
  ['terminals that are turned off', 404, '{"features":{"terminal":false}}', {}, /OPEN_TERMINAL_ENABLE_TERMINAL/],
  [
    'an unknown terminal server of Open WebUI',
    404,
    `{"error":"Terminal server 'x' not found"}`,
    {},
    /last part of the URL/,
  ],
  ['a missing user', 422, '{"detail":[]}', {}, /forward the X-User-Id header/],
  ['an unknown error', 400, '{}', {}, /no release answers like this/],
  [
    'a basic login',
    401,
    '<html>',
    { 'www-authenticate': 'Basic realm="x"', 'content-type': 'text/html' },
    /HTTP basic auth off this path, or the key/,
  ],
  ['a login with Kerberos', 401, '', { 'www-authenticate': 'Negotiate' }, /the Negotiate login/],
  ['an error of the server', 500, 'Internal Server Error', { 'content-type': 'text/plain' }, /^Read the server's log/],
  ['an error of a proxy', 500, '<html>', { 'content-type': 'text/html' }, /its reverse proxy can reach it/],
  ['too many sessions', 429, '{"error":"Maximum number of terminal sessions (16) reached"}', {}, /Delete sessions/],
  ['too many requests', 429, '<html>', { 'content-type': 'text/html' }, /limit on requests/],
  ['a gateway error', 502, '<html>', { 'content-type': 'text/html' }, /its reverse proxy can reach it/],
  ['JSON that is no list', 200, '{}', {}, /no release answers like this/],
]

describe('probeUpstream', () => {
  it.each(answers)('reports %s (HTTP %i)', async (_what, status, body, headers, advice) => {
    const base = await answering(status, body, headers)
    expect(await failing(`${base}/base`)).toEqual([`rest failed ${status}`, expect.stringMatching(advice)])
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
    const challenge = { 'www-authenticate': 'Basic realm="x"' }
    const [, advice] = await failing(await answering(401, '', challenge), { authType: 'none' })
    expect(advice).toMatch(/^Send the name and password of HTTP basic auth in `headers`/)
  })

  it('reports an unknown policy', async () => {
    const { url } = await upstreamOf({ ...QUICK, policies: [] })
    expect((await failing(url, { policyId: 'gold' }))[1]).toContain('Check `policyId`')
  })

  it('reports a server that runs as many sessions as it allows', async () => {
    const { url } = await upstreamOf({ ...QUICK, faults: { create: 'full' } })
    expect(await failing(url)).toEqual(['session failed', expect.stringMatching(/Delete sessions/)])
  })

  // PROTOCOL 2.18
  it('reports a proxy that removes the user in front of a server in multi-user mode', async () => {
    const upstream = await upstreamOf({ ...QUICK, release: NEWEST, multiUser: true })
    const base = await gateway(upstream, { change: ({ headers }) => delete headers['x-user-id'] })
    expect(await failing(base)).toEqual(['session failed', expect.stringMatching(/forward the X-User-Id header/)])
    expect(await probe(upstream.url)).toMatchObject({ ok: true, family: 'open-terminal@>=0.12.4' })
  })

  it('tells the limit of a proxy from a server that is full', async () => {
    const { url } = await upstreamOf({ ...QUICK, faults: { create: ['full', 'rate-limit'] } })
    expect((await failing(url))[1]).toMatch(/^Delete sessions/)
    expect((await failing(url))[1]).toMatch(/^Wait, or raise the limit on requests/)
  })

  it('advises to read the log of a server that fails at a POST', async () => {
    const broken = { refuse: 500, body: 'Internal Server Error', headers: { 'content-type': 'text/plain' } }
    const { url } = await upstreamOf({ ...QUICK, faults: { create: broken } })
    expect(await failing(url)).toEqual(['session failed', expect.stringMatching(/^Read the server's log/)])
  })

  it('quotes the whole reason of a server that cannot create a session', async () => {
    const broken = { refuse: 500, body: '{"error":"Failed. Ask the admin"}' }
    const { url } = await upstreamOf({ ...QUICK, faults: { create: broken } })
    expect((await probe(url)).checks.at(-1)).toMatchObject({
      name: 'session',
      outcome: 'failed',
      detail: 'HTTP 500, "Failed. Ask the admin"',
    })
  })

  // PROTOCOL 2.18 and 2.20
  it.each<[refuse: number, body: string, type: string, advice: RegExp]>([
    [400, '{"detail":"X-User-Id is required in multi-user mode"}', 'application/json', /forward the X-User-Id header/],
    [500, 'Internal Server Error', 'text/plain', /it fails itself/],
  ])('reports a server that answers a POST with %i', async (status, body, type, advice) => {
    const create = { refuse: status, body, headers: { 'content-type': type } }
    const { url } = await upstreamOf({ ...QUICK, faults: { create } })
    expect(await failing(url)).toEqual(['session failed', expect.stringMatching(advice)])
  })

  it('reports a proxy that does not allow POST', async () => {
    const { url } = await upstreamOf({ ...QUICK, faults: { create: { refuse: 405 } } })
    expect(await failing(url)).toEqual(['session failed', expect.stringMatching(/allow POST requests/)])
  })

  it('advises the base that a redirect for a policy leads to', async () => {
    const base = await answering(308, '', { location: 'https://h/x/p/gold/api/terminals/' })
    expect((await failing(base, { policyId: 'gold' }))[1]).toMatch(/^Use https:\/\/h\/x instead/)
  })

  it('works without the paths beside the sessions', async () => {
    const upstream = await upstreamOf({ ...QUICK, release: NEWEST })
    const answer: Habits['answer'] = ({ url, headers, socket }) => {
      const isBeside = url !== '/api/terminals' && !url?.startsWith('/api/terminals/')
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

  it('reports a session that takes longer than the timeout', async () => {
    const { url } = await upstreamOf({ ...QUICK, faults: { create: 'stall' } })
    expect(await failing(url, { timeout: 500 })).toEqual(['session failed', expect.stringMatching(/longer `timeout`/)])
  })

  it('creates no second session when it cannot delete the first', async () => {
    const upstream = await upstreamOf({ ...QUICK, faults: { delete: { refuse: 405 } } })
    expect(await failing(upstream.url)).toEqual(['cleanup failed', expect.stringMatching(/DELETE/)])
    expect(upstream.sessions).toHaveLength(1)
  })

  it.each([
    ['the terminal server', '{"error":"Session not found"}'],
    ['a proxy', '{}'],
  ])('reports a session that %s does not find for the deletion', async (_who, body) => {
    const { url } = await upstreamOf({ ...QUICK, faults: { delete: { refuse: 404, body } } })
    expect(await failing(url)).toEqual(['cleanup failed', expect.stringMatching(/\(1 of 1 session .* not found\)/)])
  })

  // PROTOCOL 2.9
  it.each<[what: string, deletions: NonNullable<TestFaults['delete']>]>([
    ['whose answer was cut', ['drop']],
    ['whose answer was cut twice', ['drop', 'drop']],
    ['that was cut, and then refused', ['drop', { refuse: 503 }]],
    ['on a connection that was forgotten', ['drop', 'reset']],
  ])('counts a session as deleted after a DELETE %s', async (_what, deletions) => {
    const upstream = await upstreamOf({ ...QUICK, release: TERMINALS, faults: { delete: deletions } })
    const report = await probe(upstream.url)
    expect(report).toMatchObject({ ok: true, family: 'terminals@>=0.2.0' })
    expect(outcomes(report)).toMatchObject({ cleanup: 'ok' })
    expect(upstream.sessions).toEqual([])
  })

  it('deletes a session at the second try', async () => {
    const upstream = await upstreamOf({ ...QUICK, faults: { delete: [undefined, { refuse: 503 }, { refuse: 503 }] } })
    expect(await probe(upstream.url)).toMatchObject({ ok: true })
    expect(upstream.sessions).toEqual([])
  })

  it('stops creating sessions when it can no longer delete them', async () => {
    const faults: TestFaults = {}
    let created = 0
    const shell: TestShell = (io) => {
      created += 1
      if (created === 2) faults.delete = { refuse: 503 }
      return prompting(io)
    }
    const upstream = await upstreamOf({ ...QUICK, release: TERMINALS, shell, faults })
    const report = await probe(upstream.url)
    expect(outcomes(report)).toMatchObject({ frame: 'attached', 'token+frame': 'skipped', cleanup: 'failed' })
    expect(upstream.sessions).toHaveLength(1)
  })

  it('does not replace the open terminal of a chat whose id is the id of the session', async () => {
    const upstream = await upstreamOf({ ...QUICK, release: 'open-terminal@0.11' })
    const owner = { method: 'POST', headers: { authorization: 'Bearer sk-canary', 'x-session-id': 'c1' } }
    await fetch(`${upstream.url}/api/terminals`, owner)
    expect(await failing(upstream.url, { chatId: 'c1' })).toEqual([
      'session skipped',
      expect.stringMatching(/Close the/),
    ])
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
