import { createServer as createTlsServer } from 'node:https'
import { createServer, type Server, type Socket } from 'node:net'
import { describe, expect, it, vi } from 'vitest'
import { WebSocketServer } from 'ws'
import { probeUpstream, type ProbeCheck, type ProbeOptions, type ProbeReport } from '../../src/probe.ts'
import type { TestFaults, TestRelease, TestShell, TestUpstreamOptions } from '../../src/testing.ts'
import { certificate, privateKey } from './support/certificate.ts'
import { gateway, page, refuse, type Habits } from './support/gateway.ts'
import { afterwards, listen, nobody, rejection, serve, upstreamOf, withoutCanary } from './support/upstream.ts'

vi.setConfig({ testTimeout: 20_000 })

/** Prompts, and then prints what is typed. */
const prompting: TestShell = ({ output }) => {
  void output('$ ')
  return { input: (data) => void output(data) }
}

const QUICK: TestUpstreamOptions = { shell: prompting, authTimeout: 50, redialDelay: 5 }
const who = { key: 'sk-canary', userId: 'ada', idle: 0, timeout: 2_000 }

const TERMINALS = 'terminals@0.2.2'
const OLDEST = 'terminals@0.0.2'
const NEWEST = 'open-terminal@0.14.5'

async function probe(base: string, options: Partial<ProbeOptions> = {}): Promise<ProbeReport> {
  return withoutCanary(await probeUpstream({ ...who, base, ...options }))
}

/** What came of each check, in short. */
function outcomes({ checks }: ProbeReport): Record<string, string> {
  return Object.fromEntries(checks.map((check) => [check.name, inShort(check)]))
}

function inShort({ outcome, status, closeCode }: ProbeCheck): string {
  return [outcome, status, closeCode].filter(Boolean).join(' ')
}

type Expected = [release: TestRelease, report: Partial<ProbeReport>, checks: Record<string, string>]

const EVERYWHERE = { reachable: 'ok', rest: 'ok', session: 'ok', 'token+frame': 'attached', cleanup: 'ok' }
const MODERN = {
  ...EVERYWHERE,
  frame: 'attached',
  'no-headers': 'attached',
  'wrong-key': 'closed 4001',
  token: 'closed 4001',
}
const ORCHESTRATED = { ...MODERN, 'no-user': 'closed 4002', 'unknown-policy': 'closed 4004' }
const OWN = { ...MODERN, 'no-user': 'attached', 'unknown-session': 'refused 403', 'unknown-policy': 'refused 403' }
const STRICT = { ...OWN, 'no-headers': 'closed 4004' }

const releases: Expected[] = [
  [
    'terminals@0.0.2',
    { works: 'token+frame', family: 'terminals@<=0.0.2' },
    {
      ...EVERYWHERE,
      frame: 'refused 403',
      'no-headers': 'attached',
      'no-user': 'refused 403',
      'wrong-key': 'refused 403',
      'unknown-session': 'closed 1006',
      'unknown-policy': 'refused 403',
      token: 'attached',
    },
  ],
  [
    'terminals@0.0.3',
    { works: 'frame', family: 'terminals@>=0.0.3 <0.2.0' },
    { ...ORCHESTRATED, 'unknown-session': 'closed 1006' },
  ],
  [
    'terminals@0.2.2',
    { works: 'frame', family: 'terminals@>=0.2.0' },
    { ...ORCHESTRATED, 'unknown-session': 'closed 4003' },
  ],
  ['open-terminal@0.8.1', { works: 'frame', family: 'open-terminal@<=0.12.3' }, OWN],
  ['open-terminal@0.11', { works: 'frame', family: 'open-terminal@<=0.12.3' }, OWN],
  ['open-terminal@0.14', { works: 'frame', family: 'open-terminal@>=0.12.4' }, STRICT],
  ['open-terminal@0.14.2', { works: 'frame', family: 'open-terminal@>=0.12.4' }, STRICT],
  ['open-terminal@0.14.5', { works: 'frame', family: 'open-terminal@>=0.12.4' }, STRICT],
]

describe('probeUpstream', () => {
  it.each(releases)('finds out what %s wants', async (release, expected, checks) => {
    const upstream = await upstreamOf({ ...QUICK, release, policies: [] })
    const report = await probe(upstream.url)
    expect(outcomes(report)).toEqual(checks)
    expect(report).toMatchObject({ ok: true, upstream: `${upstream.url}/`, ...expected })
    expect(upstream.sessions).toEqual([])
  })

  it.each(releases)('finds out what %s wants when it lets everybody in', async (release, { family }) => {
    const upstream = await upstreamOf({ ...QUICK, release, key: '' })
    const report = await probe(upstream.url, { key: undefined })
    expect(report).toMatchObject({ ok: true, works: 'frame', family })
    expect(report.advice).toContain('Give the server a key')
    expect(upstream.sessions).toEqual([])
  })

  it.each([
    ['three sessions', undefined, 3],
    ['one session of a chat', 'c1', 1],
  ])('has no more than %s at a time, and no timer left', async (_what, chatId, allowed) => {
    let most = 0
    const upstream = await upstreamOf({
      ...QUICK,
      shell: (io) => {
        most = Math.max(most, upstream.sessions.length + 1)
        return prompting(io)
      },
    })
    const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
    const before = timers()
    await probe(upstream.url, { idle: 100, chatId, timeout: 60_000 })
    expect(timers()).toBeLessThanOrEqual(before)
    expect(most).toBeLessThanOrEqual(allowed)
    expect(upstream.requests.filter(({ method }) => method === 'POST')).toHaveLength(8)
    expect(upstream.requests.filter(({ method }) => method === 'DELETE')).toHaveLength(8)
  })
})

/** How a probe ends that does not get to dialling, and what it advises. */
async function failing(base: string, options: Partial<ProbeOptions> = {}): Promise<[last: string, advice: string]> {
  const report = await probe(base, options)
  expect(report.ok).toBe(false)
  expect(report.works).toBeUndefined()
  const last = report.checks.at(-1)
  return [`${last?.name} ${last && inShort(last)}`, report.advice]
}

function answering(status: number, body: string, headers: Record<string, string> = {}): Promise<string> {
  return serve((server) => {
    server.on('request', (_request, response) => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body)
    })
  })
}

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
    const report = await probe(await tlsServer(), { timeout: 500 })
    vi.unstubAllEnvs()
    const tls = report.checks.find(({ name }) => name === 'tls')
    expect(tls).toMatchObject({
      outcome: 'ok',
      detail: expect.stringMatching(/^TLSv1\.3, .* \d{5} more days$/) as string,
    })
  })

  it('is a server that takes connections and does not answer', async () => {
    const base = await rawServer(() => {})
    const outcome = await failing(base, { timeout: 100 })
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
    expect(await failing(url, { timeout: 100 })).toEqual(['session failed', expect.stringMatching(/longer `timeout`/)])
  })

  it('is told of sessions that cannot be deleted, and then no more are created', async () => {
    const upstream = await upstreamOf({ ...QUICK, faults: { delete: { refuse: 405 } } })
    expect(await failing(upstream.url)).toEqual(['cleanup failed', expect.stringMatching(/DELETE/)])
    expect(upstream.sessions).toHaveLength(1)
  })

  it('is told of sessions that are not found when they are to be deleted', async () => {
    const { url } = await upstreamOf({ ...QUICK, faults: { delete: { refuse: 404, body: '{}' } } })
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

function withoutQuery(request: { url?: string | undefined }): void {
  request.url = request.url?.replace(/\?.*/, '')
}

const habits: Array<[what: string, release: TestRelease, habits: Habits, frame: string, advice: RegExp]> = [
  [
    'does not pass upgrades on',
    NEWEST,
    { upgrade: (_request, socket) => refuse(socket, 200, 'application/json') },
    'refused 200',
    /upgrades on \(nginx/,
  ],
  ['hangs up on upgrades', NEWEST, { upgrade: (_request, socket) => socket.destroy() }, 'failed', /no answer to them/],
  [
    'lets no WebSockets through',
    NEWEST,
    { upgrade: (_request, socket) => refuse(socket, 403, 'text/html', '<p>No') },
    'refused 403',
    /refuses them by itself/,
  ],
  [
    'has rules of its own',
    'terminals@0.0.3',
    { upgrade: (_request, socket) => refuse(socket, 403, 'text/plain', 'RBAC: access denied') },
    'refused 403',
    /refuses them by itself/,
  ],
  [
    'counts WebSockets',
    NEWEST,
    { upgrade: (_request, socket) => refuse(socket, 429) },
    'refused 429',
    /limit on how many WebSockets/,
  ],
  [
    'wants a login for WebSockets',
    NEWEST,
    { upgrade: (_request, socket) => refuse(socket, 401) },
    'refused 401',
    /refuses them by itself/,
  ],
  [
    'cannot reach the server with WebSockets',
    NEWEST,
    { upgrade: (_request, socket) => refuse(socket, 502, 'text/html') },
    'refused 502',
    /reach the server with WebSockets/,
  ],
  ['swallows the query', TERMINALS, { change: withoutQuery }, 'closed 4002', /user_id does not arrive/],
  ['swallows the query', OLDEST, { change: withoutQuery }, 'refused 403', /does not see the key/],
  [
    'takes the user out of WebSockets',
    NEWEST,
    { change: ({ headers }, isUpgrade) => isUpgrade && delete headers['x-user-id'] },
    'closed 4004',
    /X-User-Id and X-Session-Id on with WebSockets/,
  ],
  [
    'takes WebSockets to another server',
    NEWEST,
    { upgrade: (_request, socket) => refuse(socket, 403) },
    'refused 403',
    /same server/,
  ],
]

describe('a reverse proxy', () => {
  it.each(habits)('that %s in front of %s is told of', async (_what, release, habit, frame, advice) => {
    const upstream = await upstreamOf({ ...QUICK, release })
    const report = await probe(await gateway(upstream, habit), { timeout: 500 })
    expect(outcomes(report)).toMatchObject({ frame, 'token+frame': frame })
    expect(report).toMatchObject({ ok: false, advice: expect.stringMatching(advice) as string })
    expect(upstream.sessions).toEqual([])
  })

  it('that does not let a key in the URL through is told of', async () => {
    const upstream = await upstreamOf({ ...QUICK, release: TERMINALS })
    const base = await gateway(upstream, {
      passes: ({ url = '' }) => !url.includes('token='),
      upgrade: (_request, socket) => refuse(socket, 403),
    })
    const report = await probe(base)
    expect(report).toMatchObject({ ok: false, works: 'frame', family: 'terminals@>=0.2.0' })
    expect(report.advice).toMatch(/^Use `tokenInUrl` 'never'/)
    expect(await probe(base, { tokenInUrl: 'never' })).toMatchObject({ ok: true, works: 'frame' })
  })

  it('that wants a header of WebSockets is told of', async () => {
    const upstream = await upstreamOf({ ...QUICK, release: TERMINALS })
    const base = await gateway(upstream, {
      passes: ({ headers }) => 'authorization' in headers,
      upgrade: (_request, socket) => refuse(socket, 401),
    })
    const report = await probe(base)
    expect(report).toMatchObject({ ok: true, works: 'frame' })
    expect(report.advice).toContain('those that cannot, such as browsers, are refused')
  })

  it.each([
    [OLDEST, 'terminals@<=0.0.2'],
    ['terminals@0.0.3', 'terminals@>=0.0.3 <0.2.0'],
    [TERMINALS, 'terminals@>=0.2.0'],
  ] as const)('that names a user of its own does not hide that it is in front of %s', async (release, family) => {
    const upstream = await upstreamOf({ ...QUICK, release })
    const base = await gateway(upstream, { change: ({ headers }) => (headers['x-user-id'] ??= 'ada') })
    expect(await probe(base)).toMatchObject({ family })
  })

  it('that answers with a page is told of', async () => {
    const upstream = await upstreamOf(QUICK)
    const base = await gateway(upstream, { answer: (_request, response) => page(response, 200) })
    expect((await failing(base))[1]).toContain('a site or a login')
  })

  it('that cuts silent connections is told of, and after how long', async () => {
    const upstream = await upstreamOf(QUICK)
    const report = await probe(await gateway(upstream, { cutAfter: 1_200 }), { idle: 10_000 })
    expect(outcomes(report)).toMatchObject({ frame: 'attached', idle: 'failed 1006', cleanup: 'ok' })
    expect(report).toMatchObject({ ok: false, works: 'frame' })
    expect(report.advice).toMatch(/`keepAlive` to less than the [12] s/)
  })

  it('that lets all pass is named, if it names itself', async () => {
    const upstream = await upstreamOf(QUICK)
    const answer: Habits['answer'] = (_request, response) => !response.setHeader('server', 'gate/1.0')
    const report = await probe(await gateway(upstream, { answer }), { idle: 50 })
    expect(outcomes(report)).toMatchObject({ idle: 'ok' })
    expect(report.checks.find(({ name }) => name === 'rest')?.detail).toBe('accepted, 0 sessions, through gate/1.0')
    expect(report.ok).toBe(true)
  })
})

/** A server of whose sessions nothing is known but what becomes of their sockets. */
async function serverWith(
  onConnection: Parameters<WebSocketServer['on']>[1],
  { version, created = '{"id":"s1"}', found = created }: { version?: string; created?: string; found?: string } = {},
): Promise<string> {
  return serve((server) => {
    server.on('request', ({ method, url = '' }, response) => {
      response.setHeader('content-type', 'application/json')
      if (url.endsWith('/openapi.json')) response.end(JSON.stringify({ info: { title: 'Open Terminal', version } }))
      else if (method === 'POST') response.end(created)
      else if (url.endsWith('/s1')) response.writeHead(found === '' ? 404 : 200).end(found)
      else response.end('[]')
    })
    new WebSocketServer({ server }).on('connection', onConnection)
  })
}

const closes: Array<[code: number | undefined, advice: RegExp]> = [
  [4001, /takes this key \(bearer\) for WebSockets/],
  [4003, /cannot start or reach the container/],
  [1011, /log of the server/],
  [undefined, /nothing comes/],
]

describe('a server', () => {
  it.each(closes)('that creates sessions, and closes every socket with %s, is told of', async (code, advice) => {
    const base = await serverWith((socket) => code && socket.close(code))
    const report = await probe(base, { timeout: 40 })
    const { frame } = outcomes(report)
    expect(frame).toBe(code === undefined ? 'silence' : `closed ${code}`)
    expect(report).toMatchObject({ ok: false, advice: expect.stringMatching(advice) as string })
    expect(report.family).toBeUndefined()
  })

  it('that closes every socket with a reason of its own is quoted', async () => {
    const base = await serverWith((socket) => socket.close(4003, 'A saved chat is required'))
    expect((await probe(base, { timeout: 40 })).advice).toContain('says "A saved chat is required"')
  })

  it('that repeats a key that is another each time gets none into the report', async () => {
    let asked = 0
    const base = await serverWith((socket, { url }) => socket.close(4003, String(tokenIn(url))), {
      version: 'sk-canary',
    })
    const report = await probe(base, { key: () => `canary-${String((asked += 1)).repeat(20)}`, timeout: 40 })
    expect(asked).toBeGreaterThan(5)
    expect(report).not.toHaveProperty('version')
  })

  function tokenIn(url = ''): string | null {
    return new URL(url, 'http://h').searchParams.get('token')
  }

  it('that wants a key for WebSockets only is told of', async () => {
    const base = await serverWith((socket) => socket.close(4001))
    const { advice } = await probe(base, { key: undefined, timeout: 40 })
    expect(advice).toContain('wants one for WebSockets')
  })

  it('that loses its sessions at once is told of', async () => {
    const base = await serverWith((socket) => socket.close(4004), { found: '' })
    expect((await probe(base, { timeout: 40 })).advice).toContain('load balancer')
  })

  it.each([
    ['0.9.1', 'open-terminal@<=0.12.3'],
    ['0.12.3', 'open-terminal@<=0.12.3'],
    ['0.12.4', 'open-terminal@>=0.12.4'],
    ['0.12.10', 'open-terminal@>=0.12.4'],
    ['0.13.0', 'open-terminal@>=0.12.4'],
    ['1.0.0', 'open-terminal@>=0.12.4'],
  ] as const)('that says it is Open Terminal %s is of %s', async (version, family) => {
    const base = await serverWith((socket) => socket.send('$ '), { version })
    expect(await probe(base, { timeout: 40 })).toMatchObject({ version, family })
  })

  it('that takes the key nowhere but in the URL and the frame is one to use connectTerminal with', async () => {
    const base = await serverWith((socket, { url = '' }) =>
      /token=/.test(url) ? socket.send('$ ') : socket.close(4001),
    )
    const report = await probe(base, { timeout: 40 })
    expect(report).toMatchObject({ ok: true, works: 'token+frame' })
    expect(report.advice).toContain('as well as in the auth frame')
  })

  it('that refuses to say what became of a session is told of by how it refuses to attach', async () => {
    const unknown = { refuse: 503 }
    const faults: TestFaults = { attach: { refuse: 403 }, get: [undefined, unknown, unknown] }
    const { url } = await upstreamOf({ ...QUICK, release: NEWEST, faults })
    expect((await probe(url)).advice).toContain('to the same server')
  })

  it('that dies in silence is told of', async () => {
    const base = await serverWith((socket) => {
      socket.send('$ ')
      socket.once('message', () => socket.once('message', () => socket.terminate()))
    })
    const report = await probe(base, { timeout: 200, idle: 50 })
    expect(report.checks.find(({ name }) => name === 'idle')).toMatchObject({
      outcome: 'failed',
      detail: 'dead, although nobody said so',
    })
  })

  it('that attaches once and no more has no silence to be tried', async () => {
    let attached = 0
    const base = await serverWith((socket) => {
      attached += 1
      if (attached <= 2) socket.send('$ ')
      else socket.close(1011)
    })
    const report = await probe(base, { timeout: 40, idle: 50 })
    expect(outcomes(report)).toMatchObject({ frame: 'attached', idle: 'skipped' })
  })
})

describe('Open WebUI', () => {
  const path = '/api/v1/terminals/main'
  const session = { authType: 'session', timeout: 40 } as const

  it('that does not pass the user on to an Open Terminal that wants to see it is told of', async () => {
    const base = await serverWith((socket) => socket.close(1000), { version: '0.14.5' })
    const report = await probe(base + path, session)
    expect(report).toMatchObject({ ok: false, family: 'open-webui', version: '0.14.5' })
    expect(report.advice).toContain('Upgrade Open WebUI')
  })

  it('that does not authenticate its socket is told of', async () => {
    const base = await serverWith((socket) => socket.close(1000), { version: '0.11.34' })
    expect((await probe(base + path, session)).advice).toContain('of auth type bearer')
  })

  it('that does is fine', async () => {
    const base = await serverWith((socket) => socket.send('$ '), { version: '0.11.34' })
    const report = await probe(base + path, session)
    expect(report).toMatchObject({ ok: true, works: 'frame', family: 'open-webui' })
    expect(outcomes(report)).toMatchObject({ 'token+frame': 'skipped' })
  })
})

describe('the options', () => {
  it('keep the key out of every URL', async () => {
    const upstream = await upstreamOf({ ...QUICK, release: OLDEST })
    const report = await probe(upstream.url, { tokenInUrl: 'never' })
    expect(report).toMatchObject({ ok: false, family: 'terminals@<=0.0.2' })
    expect(report.advice).toContain("`tokenInUrl` 'always'")
    expect(upstream.requests.filter(({ query }) => query['token'] === 'sk-canary')).toEqual([])
  })

  it('put the key into no more URLs than there have to be', async () => {
    const upstream = await upstreamOf({ ...QUICK, release: TERMINALS })
    await probe(upstream.url)
    expect(upstream.requests.filter(({ query }) => query['token'] === 'sk-canary')).toHaveLength(2)
  })

  it('have the silence tried with the key in the URL where it has to be', async () => {
    const upstream = await upstreamOf({ ...QUICK, release: OLDEST })
    expect(outcomes(await probe(upstream.url, { idle: 20 }))).toMatchObject({ idle: 'ok', cleanup: 'ok' })
  })

  it('leave the wrong key out where none is sent', async () => {
    const upstream = await upstreamOf({ ...QUICK, key: '' })
    expect(outcomes(await probe(upstream.url, { authType: 'none' }))).toMatchObject({ 'wrong-key': 'skipped' })
  })

  it('name a policy, a context and a chat', async () => {
    const upstream = await upstreamOf({ ...QUICK, release: TERMINALS, policies: ['gold'] })
    const target = { policyId: 'gold', contextId: 'chat:1', chatId: 'c1', idle: 20 }
    const report = await probe(`${upstream.url}/`, target)
    expect(report).toMatchObject({ ok: true, upstream: `${upstream.url}/` })
    expect(upstream.requests.filter(({ path }) => !path.startsWith('/p/')).map(({ path }) => path)).toEqual([])
  })

  it('make up for a chat that a server has no use for', async () => {
    const base = await serverWith((socket) => socket.close(1000))
    const upstream = await gateway({ url: base }, { answer: wantsUser })
    expect((await probe(upstream, { chatId: 'c1', timeout: 40 })).advice).toContain('Leave `chatId` out')

    function wantsUser({ headers }: { headers: object }, response: Parameters<typeof page>[0]): boolean {
      if ('x-user-id' in headers) return false
      response.writeHead(422).end()
      return true
    }
  })

  it('are refused when they are of no use', async () => {
    const base = 'http://127.0.0.1:1'
    for (const wrong of [
      { base: 'ftp://h' },
      { timeout: 0 },
      { idle: -1 },
      { tokenInUrl: 'fallback' },
      { userId: '' },
    ]) {
      const error = await rejection(probeUpstream({ ...who, base, ...wrong } as ProbeOptions))
      expect(error.code).toMatch(/^ERR_(INVALID_ARG_VALUE|OUT_OF_RANGE|TERMINAL_INVALID_URL)$/)
    }
  })
})

describe('an abort', () => {
  it('ends a probe with its reason, and deletes the sessions that there are', async () => {
    const controller = new AbortController()
    const upstream = await upstreamOf({ ...QUICK, authTimeout: 60_000 })
    const probing = probeUpstream({
      ...who,
      base: upstream.url,
      idle: 60_000,
      timeout: 60_000,
      signal: controller.signal,
    })
    await vi.waitUntil(() => upstream.requests.filter(({ kind }) => kind === 'websocket').length >= 9)
    controller.abort(new Error('enough'))
    await expect(probing).rejects.toThrow('enough')
    expect(upstream.sessions).toEqual([])
  })

  it.each([6, 7])('ends one that is silent, whichever session goes first', async (slow) => {
    const controller = new AbortController()
    const deletions = Array.from({ length: 9 }, (_, index) => (index === slow ? { delay: 200 } : undefined))
    const upstream = await upstreamOf({ ...QUICK, authTimeout: 60_000, faults: { delete: deletions } })
    const options = { ...who, base: upstream.url, idle: 60_000, timeout: 60_000, signal: controller.signal }
    const probing = probeUpstream(options)
    await vi.waitUntil(() => upstream.requests.filter(({ kind }) => kind === 'websocket').length >= 9)
    controller.abort(new Error('enough'))
    await expect(probing).rejects.toThrow('enough')
    expect(upstream.sessions).toEqual([])
  })

  it.each(['create', 'list', 'attach'] as const)('ends one that waits for %s', async (operation) => {
    const controller = new AbortController()
    const upstream = await upstreamOf({ ...QUICK, faults: { [operation]: 'stall' } })
    const probing = probeUpstream({ ...who, base: upstream.url, signal: controller.signal })
    await vi.waitUntil(() => upstream.requests.some(({ status }) => status === undefined))
    controller.abort(new Error('enough'))
    await expect(probing).rejects.toThrow('enough')
  })

  it('keeps one from beginning', async () => {
    const signal = AbortSignal.abort(new Error('enough'))
    await expect(probeUpstream({ ...who, base: await nobody(), signal })).rejects.toThrow('enough')
  })
})

it('goes on without a shape that gets no session', async () => {
  const full = { refuse: 429, body: '{"error":"Maximum"}' }
  const upstream = await upstreamOf({ ...QUICK, faults: { create: [undefined, undefined, full] } })
  const report = await probe(upstream.url)
  expect(outcomes(report)).toMatchObject({ frame: 'attached', 'token+frame': 'skipped', 'no-headers': 'attached' })
  expect(report).toMatchObject({ ok: false, works: 'frame', advice: expect.stringMatching(/^Probe again/) as string })
})

it.each(['reset', 'drop', 'stall', { refuse: 503 }] as const)('survives an attach that meets %j', async (fault) => {
  const upstream = await upstreamOf({ ...QUICK, faults: { attach: fault } })
  expect(await probe(upstream.url, { timeout: 100 })).toMatchObject({ ok: false })
  expect(upstream.sessions).toEqual([])
})
