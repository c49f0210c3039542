import { describe, expect, it, vi } from 'vitest'
import type { TestFaults, TestRelease } from '../../src/testing.ts'
import { gateway, page, refuse, type Habits } from '../support/gateway.ts'
import { failing, NEWEST, OLDEST, outcomes, probe, QUICK, serverWith, TERMINALS } from '../support/probe.ts'
import { upstreamOf } from '../support/upstream.ts'

vi.setConfig({ testTimeout: 20_000 })

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
    const report = await probe(await gateway(upstream, habit))
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

const closes: Array<[code: number, advice: RegExp]> = [
  [4001, /takes this key \(bearer\) for WebSockets/],
  [4003, /cannot start or reach the container/],
  [1011, /log of the server/],
]

describe('a server', () => {
  it.each(closes)('that creates sessions, and closes every socket with %s, is told of', async (code, advice) => {
    const base = await serverWith((socket) => socket.close(code))
    const report = await probe(base)
    expect(outcomes(report)).toMatchObject({ frame: `closed ${code}` })
    expect(report).toMatchObject({ ok: false, advice: expect.stringMatching(advice) as string })
    expect(report.family).toBeUndefined()
  })

  it('that creates sessions, and says nothing to any socket, is told of', async () => {
    const report = await probe(await serverWith(() => {}), { timeout: 300 })
    expect(outcomes(report)).toMatchObject({ frame: 'silence' })
    expect(report).toMatchObject({ ok: false, advice: expect.stringContaining('nothing comes') as string })
    expect(report.family).toBeUndefined()
  })

  it('that closes every socket with a reason of its own is quoted', async () => {
    const base = await serverWith((socket) => socket.close(4003, 'A saved chat is required'))
    expect((await probe(base)).advice).toContain('says "A saved chat is required"')
  })

  it('that repeats a key that is another each time gets none into the report', async () => {
    let asked = 0
    const base = await serverWith((socket, { url }) => socket.close(4003, String(tokenIn(url))), {
      version: 'sk-canary',
    })
    const report = await probe(base, { key: () => `canary-${String((asked += 1)).repeat(20)}` })
    expect(asked).toBeGreaterThan(5)
    expect(report).not.toHaveProperty('version')
  })

  function tokenIn(url = ''): string | null {
    return new URL(url, 'http://h').searchParams.get('token')
  }

  it('that wants a key for WebSockets only is told of', async () => {
    const base = await serverWith((socket) => socket.close(4001))
    const { advice } = await probe(base, { key: undefined })
    expect(advice).toContain('wants one for WebSockets')
  })

  it('that loses its sessions at once is told of', async () => {
    const base = await serverWith((socket) => socket.close(4004), { found: '' })
    expect((await probe(base)).advice).toContain('load balancer')
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
    expect(await probe(base)).toMatchObject({ version, family })
  })

  it('that takes the key nowhere but in the URL and the frame is one to use connectTerminal with', async () => {
    const base = await serverWith((socket, { url = '' }) =>
      /token=/.test(url) ? socket.send('$ ') : socket.close(4001),
    )
    const report = await probe(base)
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
    const report = await probe(base, { timeout: 500, idle: 50 })
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
    const report = await probe(base, { idle: 50 })
    expect(outcomes(report)).toMatchObject({ frame: 'attached', idle: 'skipped' })
  })
})

describe('Open WebUI', () => {
  const path = '/api/v1/terminals/main'
  const session = { authType: 'session' } as const

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
