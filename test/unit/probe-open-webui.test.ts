import { describe, expect, it, vi } from 'vitest'
import type { TestRelease } from '../../src/testing.ts'
import { openWebUi, type OpenWebUiOptions } from '../support/open-webui.ts'
import { gateway, type Habits } from '../support/gateway.ts'
import { like, NEWEST, OLDEST, outcomes, probe, QUICK, serverWith, TERMINALS } from '../support/probe.ts'
import { upstreamOf } from '../support/upstream.ts'

vi.setConfig({ testTimeout: 20_000 })

const NEW: OpenWebUiOptions = { version: '0.12.4', sendsUser: true, authType: 'bearer' }
const OLD: OpenWebUiOptions = { version: '0.11.3', sendsUser: false, authType: 'bearer' }
const JWT = { authType: 'session', key: 'sk-canary-jwt' } as const

const UPGRADE_TERMINALS = /^Upgrade Terminals to 0\.0\.3 or later, or put a gateway of this package between/
const UPGRADE_OPEN_WEBUI = /^Upgrade Open WebUI: up to 0\.11\.3/
const SET_BEARER = /^Set the auth type of this terminal server to bearer/

const broken: Array<[server: OpenWebUiOptions, release: TestRelease, advice: RegExp]> = [
  [NEW, OLDEST, UPGRADE_TERMINALS],
  [OLD, OLDEST, UPGRADE_TERMINALS],
  [OLD, NEWEST, UPGRADE_OPEN_WEBUI],
  [{ ...OLD, version: undefined }, NEWEST, UPGRADE_OPEN_WEBUI],
  [{ ...NEW, authType: 'session' }, NEWEST, SET_BEARER],
  [{ ...NEW, authType: 'session' }, 'open-terminal@0.11', SET_BEARER],
  [{ ...OLD, authType: 'session' }, 'open-terminal@0.11', SET_BEARER],
]

// PROTOCOL 7.4 to 7.6
describe('probeUpstream behind Open WebUI', () => {
  it.each(broken)('finds why %j does not attach to %s', async (server, release, advice) => {
    const upstream = await upstreamOf({ ...QUICK, release })
    const report = await probe(await openWebUi(upstream, server), JWT)
    expect(outcomes(report)).toMatchObject({ frame: 'closed 1000', 'other-user': 'skipped' })
    expect(report).toMatchObject({ ok: false, family: 'open-webui', advice: like(advice) })
    expect(upstream.sessions).toEqual([])
  })

  it.each<[server: OpenWebUiOptions, release: TestRelease]>([
    [NEW, NEWEST],
    [NEW, TERMINALS],
    [OLD, TERMINALS],
    [OLD, 'open-terminal@0.11'],
  ])('reports that %j attaches to %s, and tests no second user', async (server, release) => {
    const upstream = await upstreamOf({ ...QUICK, release })
    const report = await probe(await openWebUi(upstream, server), JWT)
    expect(report).toMatchObject({ ok: true, works: 'frame', family: 'open-webui' })
    expect(outcomes(report)).toMatchObject({ 'token+frame': 'skipped', 'other-user': 'skipped' })
    const { detail = '' } = report.checks.find(({ name }) => name === 'rest') ?? {}
    expect(detail).toBe(`accepted, 0 sessions, through Open WebUI ${server.version}`)
  })

  it.each([
    ['with a chat in its path', '/api/v1/terminals/main/chats/c1', 'open-webui', /Open WebUI itself knows/],
    ['whose path a proxy has changed', '/shell', 'open-terminal@>=0.12.4', /the token itself says/],
  ])('%s raises no alarm about other users', async (_what, path, family, detail) => {
    const upstream = await upstreamOf({ ...QUICK, release: NEWEST })
    const { origin, pathname } = new URL(await openWebUi(upstream, NEW))
    const change: Habits['change'] = (request) => {
      request.url = request.url?.replace(path, pathname)
    }
    const report = await probe((await gateway({ url: origin }, { change })) + path, JWT)
    expect(report).toMatchObject({ ok: true, family })
    const other = report.checks.find(({ name }) => name === 'other-user')
    expect(other).toMatchObject({ outcome: 'skipped', detail: like(detail) })
  })

  it('advises to leave out a chat that the Terminals behind it does not forward', async () => {
    const upstream = await upstreamOf({ ...QUICK, release: TERMINALS })
    const report = await probe(await openWebUi(upstream, NEW), { ...JWT, chatId: 'c1' })
    expect(report.advice).toContain('Leave `chatId` out')
  })

  it('shows the version of the Open Terminal behind it', async () => {
    const base = await serverWith((socket) => socket.send('$ '), { version: '0.11.34' })
    const report = await probe(`${base}/api/v1/terminals/main`, JWT)
    expect(report).toMatchObject({ ok: true, works: 'frame', family: 'open-webui', version: '0.11.34' })
  })
})
