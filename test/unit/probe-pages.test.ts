import { describe, expect, it, vi } from 'vitest'
import { probeUpstream, type ProbeOptions } from '../../src/probe.ts'
import type { TestUpstreamOptions } from '../../src/testing.ts'
import { prompting } from '../support/attach.ts'
import { gateway, refuse, type Habits } from '../support/gateway.ts'
import { failing, NEWEST, outcomes, probe, QUICK, TERMINALS, who } from '../support/probe.ts'
import { pageOf, startGateway, type ServedGateway } from '../support/terminal-gateway.ts'
import { rejection, until, upstreamOf } from '../support/upstream.ts'

vi.setConfig({ testTimeout: 20_000 })

const UNTESTED = 'Pages were not tested: probe again with the address of one as `origin`.'
const PAGE = { origin: 'https://chat.example' }
const QUICK_SHELL: TestUpstreamOptions = { shell: prompting }

/** Returns options with which the probe asks a gateway as its user. */
function userOf(served: Pick<ServedGateway, 'base'>): Pick<ProbeOptions, 'authType' | 'key'> {
  const { authType, key } = pageOf(served)
  return { authType, key }
}

describe('probeUpstream in front of a gateway', () => {
  // PROTOCOL 8.1 and 8.2
  it.each([TERMINALS, NEWEST, 'open-terminal@0.11'] as const)(
    'recognizes it, with %s behind it, and says that pages were not tested',
    async (release) => {
      const served = await startGateway({ authTimeout: 250 }, { ...QUICK_SHELL, release })
      const report = await probe(served.base, userOf(served))
      expect(report).toMatchObject({ ok: true, works: 'frame', family: 'gateway' })
      expect(report.advice.endsWith(UNTESTED)).toBe(true)
      await until(() => served.upstream.sessions.length === 0)
    },
  )

  it('does not test a second user: `authorize` knows who the user is', async () => {
    const served = await startGateway({ authTimeout: 250 }, QUICK_SHELL)
    const { checks } = await probe(served.base, userOf(served))
    const detail = 'not tested: the gateway itself knows who the user is'
    expect(checks.find(({ name }) => name === 'other-user')).toMatchObject({ outcome: 'skipped', detail })
  })

  it('says that pages were not tested beside a problem, too', async () => {
    const served = await startGateway({ authTimeout: 250 }, QUICK_SHELL)
    const base = await gateway({ url: served.base }, { cutAfter: 1_200 })
    const report = await probe(base, { ...userOf(served), idle: 10_000 })
    expect(report.advice).toMatch(/^Set `keepAlive` .* Pages were not tested/)
  })

  it('finds that it refuses the page', async () => {
    const served = await startGateway({ authTimeout: 250 }, QUICK_SHELL)
    const [last, advice] = await failing(served.base, { ...userOf(served), ...PAGE })
    expect(last).toBe('rest failed 403')
    expect(advice).toMatch(/pass the Host of the page on .* add https:\/\/chat\.example to the `origins`/)
    expect(advice).not.toContain('not tested')
  })

  it('finds that it refuses the page because a proxy changes the host of WebSockets only', async () => {
    const served = await startGateway({ authTimeout: 250 }, QUICK_SHELL)
    const host = new URL(PAGE.origin).host
    const base = await gateway(
      { url: served.base },
      { change: ({ headers }, isUpgrade) => isUpgrade || (headers.host = host) },
    )
    const report = await probe(base, { ...userOf(served), ...PAGE })
    expect(outcomes(report)).toMatchObject({ rest: 'ok', session: 'ok', frame: 'refused 403' })
    expect(report).toMatchObject({
      ok: false,
      advice: expect.stringContaining('pass the Host of the page on') as string,
    })
    await until(() => served.upstream.sessions.length === 0)
  })

  it.each([
    ['of another site', { origins: [PAGE.origin] }, PAGE.origin],
    ['of another site, whatever it is', { origins: 'any' }, PAGE.origin],
    ['of its own site', { origins: 'same' }, undefined],
  ] as const)('finds that it serves a page %s', async (_which, options, origin) => {
    const served = await startGateway({ ...options, authTimeout: 250 }, QUICK_SHELL)
    const report = await probe(served.base, { ...userOf(served), origin: origin ?? `${served.base}/chat?id=1` })
    expect(report).toMatchObject({
      ok: true,
      family: 'gateway',
      advice: expect.stringContaining('also in pages') as string,
    })
    await until(() => served.upstream.sessions.length === 0)
  })
})

describe('probeUpstream for a page', () => {
  it('sends its origin with every request and every handshake', async () => {
    const upstream = await upstreamOf({ ...QUICK, release: TERMINALS })
    const report = await probe(upstream.url, { ...PAGE, idle: 20 })
    expect(report).toMatchObject({
      ok: true,
      advice: 'All is well: connectTerminal attaches, also in pages of https://chat.example.',
    })
    expect(upstream.requests.length).toBeGreaterThan(20)
    expect(upstream.requests.filter(({ headers }) => headers['origin'] !== PAGE.origin)).toEqual([])
  })

  it('sends none without one', async () => {
    const upstream = await upstreamOf({ ...QUICK, release: TERMINALS })
    await probe(upstream.url)
    expect(upstream.requests.filter(({ headers }) => 'origin' in headers)).toEqual([])
  })

  // PROTOCOL 3.2
  it('advises a gateway for a server that requires headers in the handshake', async () => {
    const { url } = await upstreamOf({ ...QUICK, release: NEWEST })
    const report = await probe(url, PAGE)
    expect(report).toMatchObject({
      ok: false,
      advice: expect.stringMatching(/^Put a gateway of this package/) as string,
    })
  })

  it('finds that a proxy requires a header of WebSockets', async () => {
    const upstream = await upstreamOf({ ...QUICK, release: TERMINALS })
    const base = await gateway(upstream, {
      passes: ({ headers }) => 'authorization' in headers,
      upgrade: (_request, socket) => refuse(socket, 401),
    })
    expect((await probe(base, PAGE)).advice).toMatch(
      /^Configure the reverse proxy to accept WebSockets without headers/,
    )
  })

  it.each<[what: string, answer: NonNullable<Habits['answer']>, why: RegExp]>([
    [
      'removes the headers of CORS',
      (_request, response) => {
        response.setHeader = () => response
        return false
      },
      /the answer to a request does not allow it\.$/,
    ],
    [
      'requires a key of the preflight',
      ({ method }, response) => {
        if (method === 'OPTIONS') response.writeHead(401).end()
        return method === 'OPTIONS'
      },
      /the answer to the preflight is HTTP 401/,
    ],
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
