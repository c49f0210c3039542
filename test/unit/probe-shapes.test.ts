import { describe, expect, it, vi } from 'vitest'
import type { TestFaults, TestRelease } from '../../src/testing.ts'
import { gateway, refuse, type Habits } from '../support/gateway.ts'
import { like, NEWEST, OLDEST, outcomes, probe, QUICK, serverWith, TERMINALS } from '../support/probe.ts'
import { upstreamOf } from '../support/upstream.ts'

vi.setConfig({ testTimeout: 20_000 })

function withoutQuery(request: { url?: string | undefined }): void {
  request.url = request.url?.replace(/\?.*/, '')
}

function tokenIn(url = ''): string | null {
  return new URL(url, 'http://h').searchParams.get('token')
}

const refuses =
  (...answer: [status: number, type?: string, body?: string]): NonNullable<Habits['upgrade']> =>
  (_request, socket) =>
    refuse(socket, ...answer)
const withoutUser: Habits['change'] = ({ headers }, isUpgrade) => isUpgrade && delete headers['x-user-id']

const habits: Array<[what: string, release: TestRelease, habits: Habits, frame: string, advice: RegExp]> = [
  ['forwards no upgrades', NEWEST, { upgrade: refuses(200) }, 'refused 200', /forward WebSocket upgrades \(nginx/],
  ['hangs up on upgrades', NEWEST, { upgrade: (_, socket) => socket.destroy() }, 'failed', /they get no answer/],
  ['forbids them', NEWEST, { upgrade: refuses(403, 'text/html', '<p>No') }, 'refused 403', /it refuses them/],
  ['forbids them', 'terminals@0.0.3', { upgrade: refuses(403, 'text/plain', 'No') }, 'refused 403', /it refuses them/],
  ['limits WebSockets', NEWEST, { upgrade: refuses(429) }, 'refused 429', /limit on WebSockets/],
  ['wants a login for WebSockets', NEWEST, { upgrade: refuses(401) }, 'refused 401', /it refuses them/],
  ['cannot pass them on', NEWEST, { upgrade: refuses(502) }, 'refused 502', /reach the server with WebSockets/],
  ['removes the query', TERMINALS, { change: withoutQuery }, 'closed 4002', /does not get user_id/],
  ['removes the query', OLDEST, { change: withoutQuery }, 'refused 403', /does not see the key/],
  ['removes the user from WebSockets', NEWEST, { change: withoutUser }, 'closed 4004', /forward X-User-Id and X-S/],
  ['sends WebSockets to another server', NEWEST, { upgrade: refuses(403) }, 'refused 403', /same server/],
]

describe('probeUpstream', () => {
  // PROTOCOL 3.13
  it.each(habits)('reports a proxy that %s in front of %s', async (_what, release, habit, frame, advice) => {
    const upstream = await upstreamOf({ ...QUICK, release })
    const report = await probe(await gateway(upstream, habit))
    expect(outcomes(report)).toMatchObject({ frame, 'token+frame': frame })
    expect(report).toMatchObject({ ok: false, advice: like(advice) })
    expect(upstream.sessions).toEqual([])
  })

  it('reports a proxy that refuses a key in the URL', async () => {
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

  it.each([
    [OLDEST, 'terminals@<=0.0.2'],
    ['terminals@0.0.3', 'terminals@>=0.0.3 <0.2.0'],
    [TERMINALS, 'terminals@>=0.2.0'],
  ] as const)('recognizes %s although the proxy adds a user to every request', async (release, family) => {
    const upstream = await upstreamOf({ ...QUICK, release })
    const base = await gateway(upstream, { change: ({ headers }) => (headers['x-user-id'] ??= 'ada') })
    expect(await probe(base)).toMatchObject({ family })
  })

  it('reports a proxy that cuts silent connections, and after how long', async () => {
    const upstream = await upstreamOf(QUICK)
    const report = await probe(await gateway(upstream, { cutAfter: 1_200 }), { idle: 10_000 })
    expect(outcomes(report)).toMatchObject({ frame: 'attached', idle: 'failed 1006', cleanup: 'ok' })
    expect(report).toMatchObject({ ok: false, works: 'frame' })
    expect(report.advice).toMatch(/`keepAlive` to less than the [12] s/)
  })

  it('shows the name of a proxy that sends a Server header', async () => {
    const upstream = await upstreamOf(QUICK)
    const answer: Habits['answer'] = (_request, response) => !response.setHeader('server', 'gate/1.0')
    const report = await probe(await gateway(upstream, { answer }), { idle: 50 })
    expect(outcomes(report)).toMatchObject({ idle: 'ok' })
    expect(report.checks.find(({ name }) => name === 'rest')?.detail).toBe('accepted, 0 sessions, through gate/1.0')
    expect(report.ok).toBe(true)
  })
})

// PROTOCOL 2.19 and 2.22
const closes: Array<[code: number, reason: string, advice: RegExp]> = [
  [4001, '', /accepts this key \(bearer\) for WebSockets/],
  [4001, 'Invalid token', /^Check on the orchestrator that it reaches Open WebUI/],
  [4003, '', /cannot start or reach the container/],
  [4003, 'Access denied', /says "Access denied"/],
  [4003, 'A saved chat is required', /^Give the `chatId` of a chat that is saved/],
  // What the server says stays within its quotation marks.
  [4003, 'No". Use http:// instead. "', /the server says "No'\. Use http:\/\/ instead\. '"\.$/],
  [1011, '', /logs of the server/],
]

describe('probeUpstream', () => {
  it.each(closes)('advises on a server that closes every WebSocket with %i, %j', async (code, reason, advice) => {
    const report = await probe(await serverWith((socket) => socket.close(code, reason)))
    expect(outcomes(report)).toMatchObject({ frame: `closed ${code}` })
    expect(report).toMatchObject({ ok: false, advice: like(advice) })
    expect(report.family).toBeUndefined()
  })

  it('advises on a server that sends no message', async () => {
    const report = await probe(await serverWith(() => {}), { timeout: 300 })
    expect(outcomes(report)).toMatchObject({ frame: 'silence' })
    expect(report).toMatchObject({ ok: false, advice: like(/no message comes/) })
    expect(report.family).toBeUndefined()
  })

  it('shows none of the keys of a `key` function that the server repeats', async () => {
    let asked = 0
    const answers = { version: 'sk-canary' }
    const base = await serverWith((socket, { url }) => socket.close(4003, String(tokenIn(url))), answers)
    const report = await probe(base, { key: () => `canary-${String((asked += 1)).repeat(20)}` })
    expect(asked).toBeGreaterThan(5)
    expect(report).not.toHaveProperty('version')
  })

  it('advises a key for a server that requires one for WebSockets only', async () => {
    const base = await serverWith((socket) => socket.close(4001))
    const { advice } = await probe(base, { key: undefined })
    expect(advice).toContain('requires one for WebSockets')
  })

  it('advises on the load balancer when a session is lost at once', async () => {
    const base = await serverWith((socket) => socket.close(4004), { found: '' })
    expect((await probe(base)).advice).toContain('load balancer')
  })

  // PROTOCOL 2.14
  it.each([
    ['0.9.1', 'open-terminal@<=0.12.3'],
    ['0.12.3', 'open-terminal@<=0.12.3'],
    ['0.12.4', 'open-terminal@>=0.12.4'],
    ['0.12.10', 'open-terminal@>=0.12.4'],
    ['0.13.0', 'open-terminal@>=0.12.4'],
    ['1.0.0', 'open-terminal@>=0.12.4'],
  ] as const)('recognizes a server that says it is Open Terminal %s as %s', async (version, family) => {
    const base = await serverWith((socket) => socket.send('$ '), { version })
    expect(await probe(base)).toMatchObject({ version, family })
  })

  it('advises a key in the URL and in the auth frame for a server that requires both', async () => {
    const base = await serverWith((socket, { url }) => (tokenIn(url) ? socket.send('$ ') : socket.close(4001)))
    const report = await probe(base)
    expect(report).toMatchObject({ ok: true, works: 'token+frame' })
    expect(report.advice).toContain('as well as in the auth frame')
  })

  it('advises on a refused handshake when the server does not say whether the session exists', async () => {
    const unknown = { refuse: 503 }
    const faults: TestFaults = { attach: { refuse: 403 }, get: [undefined, unknown, unknown] }
    const { url } = await upstreamOf({ ...QUICK, release: NEWEST, faults })
    expect((await probe(url)).advice).toContain('to the same server')
  })

  it('reports a server that no longer answers after the silence', async () => {
    const base = await serverWith((socket) => {
      socket.send('$ ')
      socket.once('message', () => socket.once('message', () => socket.terminate()))
    })
    const report = await probe(base, { timeout: 500, idle: 50 })
    const idle = report.checks.find(({ name }) => name === 'idle')
    expect(idle).toMatchObject({ outcome: 'failed', detail: 'no answer afterwards' })
  })

  it('skips the silence when its own attach fails', async () => {
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
