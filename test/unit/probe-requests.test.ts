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

describe('what is wrong on the way to the server', () => {
  it('is that nothing listens', async () => {
    expect(await failing(await nobody())).toEqual(['reachable failed', expect.stringMatching(/nothing listens/)])
  })

  it('is that the host does not resolve', async () => {
    const outcome = await failing('http://nowhere.invalid')
    expect(outcome).toEqual(['reachable failed', expect.stringMatching(/nowhere\.invalid does not resolve/)])
  })

  it('is a certificate that nobody vouches for', async () => {
    expect(await failing(await tlsServer())).toEqual(['tls failed', expect.stringMatching(/NODE_EXTRA_CA_CERTS/)])
  })

  it('is a certificate for another host', async () => {
    vi.stubEnv('NODE_EXTRA_CA_CERTS', '')
    const base = (await tlsServer()).replace('127.0.0.1', 'localhost')
    expect((await failing(base))[0]).toBe('tls failed')
    vi.unstubAllEnvs()
  })

  it('is http:// where it wants TLS', async () => {
    const base = (await tlsServer()).replace('https:', 'http:')
    expect(await failing(base)).toEqual(['rest failed', expect.stringMatching(/whether it wants https/)])
  })

  it('is https:// where it does not speak TLS', async () => {
    const base = (await nobodyElse()).replace('http:', 'https:')
    expect(await failing(base)).toEqual(['tls failed', expect.stringMatching(/Use http:\/\/ for/)])
    expect((await probe(base)).checks.at(-1)?.detail).toBe('wrong version number')
  })

  it('is nothing with TLS where the certificate is trusted', async () => {
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

  it('is a server that takes connections and does not answer', async () => {
    const base = await rawServer(() => {})
    const outcome = await failing(base, { timeout: 500 })
    expect(outcome).toEqual(['rest failed', expect.stringMatching(/hangs/)])
  })

  function nobodyElse(): Promise<string> {
    return answering(200, '[]')
  }
})

const answers: Array<[what: string, status: number, body: string, headers: Record<string, string>, advice: RegExp]> = [
  ['a page', 200, '<html>', { 'content-type': 'text/html' }, /a site or a login/],
  ['a login', 403, '<html>', { 'content-type': 'text/html' }, /a site or a login/],
  ['a page about TLS', 400, '<html>', { 'content-type': 'text/html' }, /Use https:/],
  ['a redirect to a login', 302, '', { location: 'https://sso.example/login?next=canary' }, /a site or a login/],
  ['a redirect to nowhere', 302, '', { location: 'http://[' }, /a site or a login/],
  ['a redirect', 307, '', { location: 'https://h/base/api/terminals?token=canary' }, /^Use https:\/\/h\/base instead/],
  ['another key', 401, '{"detail":"Invalid API key"}', {}, /Check `key` and `authType`/],
  ['no Authorization', 401, '{"detail":"Missing Authorization header"}', {}, /Authorization header on/],
  ['a user that may not', 403, '{"error":"Access denied"}', {}, /who may use it/],
  ['another path', 404, '{"detail":"Not Found"}', {}, /path of the URL/],
  ['no terminals', 404, '{"features":{"terminal":false}}', {}, /OPEN_TERMINAL_ENABLE_TERMINAL/],
  ['another id', 404, `{"error":"Terminal server 'x' not found"}`, {}, /last part of the URL/],
  ['no user', 422, '{"detail":[]}', {}, /X-User-Id header on/],
  ['a request that it cannot read', 400, '{}', {}, /no release answers like this/],
  ['too many sessions', 429, '{"error":"Maximum number of terminal sessions (16) reached"}', {}, /Delete sessions/],
  ['too many requests', 429, '<html>', { 'content-type': 'text/html' }, /limit on how many requests/],
  ['a gateway', 502, '<html>', { 'content-type': 'text/html' }, /server behind what answers/],
  ['no list', 200, '{}', {}, /no release answers like this/],
]

describe('what is wrong with the answers', () => {
  it.each(answers)('is told of %s (HTTP %i)', async (_what, status, body, headers, advice) => {
    const base = await answering(status, body, headers)
    expect(await failing(`${base}/base`)).toEqual([`rest failed ${status}`, expect.stringMatching(advice)])
  })

  it('is told what the server says, without what it repeats of the key', async () => {
    const base = await answering(401, '{"detail":"sk-canary is wrong"}', { server: 'gate sk-canary' })
    expect((await probe(base)).checks.at(-1)?.detail).toBe('[redacted] is wrong')
    const list = await answering(200, '[]', { server: 'gate sk-canary' })
    expect((await probe(list)).checks.find(({ name }) => name === 'rest')?.detail).toContain('through gate [redacted]')
  })

  it('is told of a key that is missing', async () => {
    const { url } = await upstreamOf(QUICK)
    expect((await failing(url, { key: undefined }))[1]).toBe('Give a `key`: this server wants one.')
    expect((await failing(url, { authType: 'none' }))[1]).toContain('so `authType` cannot be none')
  })

  it('is told of a policy that is not there', async () => {
    const { url } = await upstreamOf({ ...QUICK, policies: [] })
    expect((await failing(url, { policyId: 'gold' }))[1]).toContain('Check `policyId`')
  })

  it('is told of sessions that cannot be created', async () => {
    const full = { refuse: 429, body: '{"error":"Maximum number of terminal sessions (16) reached"}' }
    const { url } = await upstreamOf({ ...QUICK, faults: { create: full } })
    expect(await failing(url)).toEqual(['session failed', expect.stringMatching(/Delete sessions/)])
  })

  it('is told of a method that is not let through', async () => {
    const { url } = await upstreamOf({ ...QUICK, faults: { create: { refuse: 405 } } })
    expect(await failing(url)).toEqual(['session failed', expect.stringMatching(/^Have POST requests/)])
  })

  it('is told of a redirect of a policy', async () => {
    const base = await answering(308, '', { location: 'https://h/x/p/gold/api/terminals/' })
    expect((await failing(base, { policyId: 'gold' }))[1]).toMatch(/^Use https:\/\/h\/x instead/)
  })

  it('does not care for what is beside the sessions', async () => {
    const upstream = await upstreamOf({ ...QUICK, release: NEWEST })
    const answer: Habits['answer'] = ({ url, headers, socket }) => {
      const isBeside = url !== '/api/terminals' && !url?.startsWith('/api/terminals/')
      if (isBeside || !('x-user-id' in headers)) socket.destroy()
      return socket.destroyed
    }
    const report = await probe(await gateway(upstream, { answer }))
    expect(report).toMatchObject({ ok: true, family: 'open-terminal@>=0.12.4' })
  })

  it.each(['[null]', '[{}]', '[1]'])('takes the list %s for one', async (list) => {
    const report = await probe(await answering(200, list))
    expect(outcomes(report)).toMatchObject({ rest: 'ok', session: 'failed' })
  })

  it('is told of sessions that take too long', async () => {
    const { url } = await upstreamOf({ ...QUICK, faults: { create: 'stall' } })
    expect(await failing(url, { timeout: 500 })).toEqual(['session failed', expect.stringMatching(/longer `timeout`/)])
  })

  it('is told of sessions that cannot be deleted, and then no more are created', async () => {
    const upstream = await upstreamOf({ ...QUICK, faults: { delete: { refuse: 405 } } })
    expect(await failing(upstream.url)).toEqual(['cleanup failed', expect.stringMatching(/DELETE/)])
    expect(upstream.sessions).toHaveLength(1)
  })

  it.each([
    ['the server says', '{"error":"Session not found"}'],
    ['something else says', '{}'],
  ])('is told of sessions that are not found when they are to be deleted, as %s', async (_who, body) => {
    const { url } = await upstreamOf({ ...QUICK, faults: { delete: { refuse: 404, body } } })
    expect(await failing(url)).toEqual(['cleanup failed', expect.stringMatching(/\(1 of 1 session .* not found\)/)])
  })

  it('deletes a session at the second try, if it can', async () => {
    const upstream = await upstreamOf({ ...QUICK, faults: { delete: [undefined, { refuse: 503 }, { refuse: 503 }] } })
    expect(await probe(upstream.url)).toMatchObject({ ok: true })
    expect(upstream.sessions).toEqual([])
  })

  it('creates no more sessions once they cannot be deleted any more', async () => {
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

  it('is told of a chat that has a terminal where the chat is the id', async () => {
    const upstream = await upstreamOf({ ...QUICK, release: 'open-terminal@0.11' })
    const owner = { method: 'POST', headers: { authorization: 'Bearer sk-canary', 'x-session-id': 'c1' } }
    await fetch(`${upstream.url}/api/terminals`, owner)
    expect(await failing(upstream.url, { chatId: 'c1' })).toEqual([
      'session skipped',
      expect.stringMatching(/Close the/),
    ])
    expect(upstream.sessions).toHaveLength(1)
  })
})
