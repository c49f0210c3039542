import { describe, expect, it, vi } from 'vitest'
import { probeUpstream, type ProbeOptions } from '../../src/probe.ts'
import type { TestRelease } from '../../src/testing.ts'
import { prompting } from '../support/attach.ts'
import { gateway, refuse, type Habits } from '../support/gateway.ts'
import { failing, like, NEWEST, outcomes, probe, QUICK, TERMINALS, who } from '../support/probe.ts'
import { pageOf, startGateway, type ServedGateway } from '../support/terminal-gateway.ts'
import { rejection, until, upstreamOf } from '../support/upstream.ts'

vi.setConfig({ testTimeout: 20_000 })

const PAGE = { origin: 'https://chat.example' }
const authTimeout = 250

/** Starts a gateway, and returns the options with which the probe asks it as its user. */
async function serveGateway(
  options: Parameters<typeof startGateway>[0] = {},
  release: TestRelease = NEWEST,
): Promise<{ served: ServedGateway; user: Pick<ProbeOptions, 'authType' | 'key'> }> {
  const served = await startGateway({ authTimeout, ...options }, { shell: prompting, release })
  const { authType, key } = pageOf(served)
  return { served, user: { authType, key } }
}

describe('probeUpstream in front of a gateway', () => {
  // PROTOCOL 8.1 and 8.2
  it.each([TERMINALS, NEWEST, 'open-terminal@0.11'] as const)('recognizes it, with %s behind it', async (release) => {
    const { served, user } = await serveGateway({}, release)
    const report = await probe(served.base, user)
    const untested = / Pages were not tested: probe again with the address of one as `origin`\.$/
    expect(report).toMatchObject({ ok: true, works: 'frame', family: 'gateway', advice: like(untested) })
    // `authorize` knows who the user is.
    const detail = 'not tested: the gateway itself knows who the user is'
    expect(report.checks.find(({ name }) => name === 'other-user')).toMatchObject({ outcome: 'skipped', detail })
    await until(() => served.upstream.sessions.length === 0)
  })

  it('says that pages were not tested beside a problem, too', async () => {
    const { served, user } = await serveGateway()
    const base = await gateway({ url: served.base }, { cutAfter: 1_200 })
    const report = await probe(base, { ...user, idle: 10_000 })
    expect(report.advice).toMatch(/^Set `keepAlive` .* Pages were not tested/)
  })

  it('finds that it refuses the page', async () => {
    const { served, user } = await serveGateway()
    const [last, advice] = await failing(served.base, { ...user, ...PAGE })
    expect(last).toBe('rest failed 403')
    expect(advice).toMatch(/pass the Host of the page on .* add https:\/\/chat\.example to the `origins`/)
    expect(advice).not.toContain('not tested')
  })

  it('finds that it refuses the page because a proxy changes the host of WebSockets only', async () => {
    const { served, user } = await serveGateway()
    const { host } = new URL(PAGE.origin)
    const change: Habits['change'] = ({ headers }, isUpgrade) => isUpgrade || (headers.host = host)
    const report = await probe(await gateway({ url: served.base }, { change }), { ...user, ...PAGE })
    expect(outcomes(report)).toMatchObject({ rest: 'ok', session: 'ok', frame: 'refused 403' })
    expect(report).toMatchObject({ ok: false, advice: like(/pass the Host of the page on/) })
    await until(() => served.upstream.sessions.length === 0)
  })

  it.each([
    ['of another site', { origins: [PAGE.origin] }, PAGE.origin],
    ['of another site, whatever it is', { origins: 'any' }, PAGE.origin],
    ['of its own site', { origins: 'same' }, undefined],
  ] as const)('finds that it serves a page %s', async (_which, options, origin) => {
    const { served, user } = await serveGateway(options)
    const report = await probe(served.base, { ...user, origin: origin ?? `${served.base}/chat?id=1` })
    expect(report).toMatchObject({ ok: true, family: 'gateway', advice: like(/also in pages/) })
    await until(() => served.upstream.sessions.length === 0)
  })
})

describe('probeUpstream for a page', () => {
  it.each([PAGE.origin, undefined])('sends the origin %s with every request and every handshake', async (origin) => {
    const upstream = await upstreamOf({ ...QUICK, release: TERMINALS })
    const report = await probe(upstream.url, { origin, idle: 20 })
    const where = origin === undefined ? 'and the key' : 'also in pages of https://chat.example.'
    expect(report).toMatchObject({ ok: true, advice: like(RegExp(`^All is well: connectTerminal attaches, ${where}`)) })
    expect(upstream.requests.length).toBeGreaterThan(20)
    expect(upstream.requests.filter(({ headers }) => headers['origin'] !== origin)).toEqual([])
  })

  // PROTOCOL 3.2
  it('advises a gateway for a server that requires headers in the handshake', async () => {
    const { url } = await upstreamOf({ ...QUICK, release: NEWEST })
    expect(await probe(url, PAGE)).toMatchObject({ ok: false, advice: like(/^Put a gateway of this package/) })
  })

  it('finds that a proxy wants a header with WebSockets', async () => {
    const upstream = await upstreamOf({ ...QUICK, release: TERMINALS })
    const base = await gateway(upstream, {
      passes: ({ headers }) => 'authorization' in headers,
      upgrade: (_request, socket) => refuse(socket, 401),
    })
    const advice = like(/^Configure the reverse proxy to accept WebSockets without headers/)
    expect(await probe(base, PAGE)).toMatchObject({ ok: false, advice })
    // Without a page, it is no problem.
    const remark = like(/clients that cannot, such as browsers, are refused/)
    expect(await probe(base)).toMatchObject({ ok: true, works: 'frame', advice: remark })
  })

  const removeCors: Habits['answer'] = (_request, response) => {
    response.setHeader = () => response
    return false
  }
  const refusePreflight: Habits['answer'] = ({ method }, response) => {
    if (method === 'OPTIONS') response.writeHead(401, { 'access-control-allow-origin': '*' }).end()
    return method === 'OPTIONS'
  }

  it.each([
    ['removes the headers of CORS', removeCors, /the answer to a request does not allow it\.$/],
    ['requires a key of the preflight', refusePreflight, /the answer to the preflight is HTTP 401/],
  ])('finds that a proxy %s', async (_what, answer, why) => {
    const upstream = await upstreamOf({ ...QUICK, release: TERMINALS })
    const [last, advice] = await failing(await gateway(upstream, { answer }), PAGE)
    expect(last).toBe('rest failed')
    expect(advice).toMatch(/^Let pages of https:\/\/chat\.example read the answers/)
    expect(advice).toMatch(why)
  })

  it.each(['chat.example', 'ftp://chat.example', '', 'file:///x', 'null'])('rejects the address %j', async (origin) => {
    const error = await rejection(probeUpstream({ ...who, base: 'http://127.0.0.1:1', origin }))
    expect(error).toMatchObject({ name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' })
    expect(error.message).toContain('must be the address of a page')
  })
})
