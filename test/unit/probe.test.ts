import { describe, expect, it, vi } from 'vitest'
import { probeUpstream, type ProbeFamily, type ProbeOptions } from '../../src/probe.ts'
import type { TestRelease, TestUpstream } from '../../src/testing.ts'
import { prompting } from '../support/attach.ts'
import { gateway, page, refuse, type Habits } from '../support/gateway.ts'
import { like, OLDEST, outcomes, probe, QUICK, serverWith, TERMINALS, who } from '../support/probe.ts'
import { runningTimers } from '../support/timers.ts'
import { nobody, rejection, until, upstreamOf } from '../support/upstream.ts'

vi.setConfig({ testTimeout: 20_000 })

const DONE = { reachable: 'ok', rest: 'ok', session: 'ok', cleanup: 'ok' }
const EVERYWHERE = { ...DONE, 'token+frame': 'attached', 'no-headers': 'attached' }
const UNTRIED = { 'no-user': 'skipped', 'unknown-session': 'skipped', 'unknown-policy': 'skipped', token: 'skipped' }
const REFUSED = { frame: 'refused 403', 'wrong-key': 'refused 403', 'other-user': 'skipped' }
const FIRST = { ...EVERYWHERE, ...UNTRIED, ...REFUSED }
const MODERN = { ...EVERYWHERE, frame: 'attached', 'wrong-key': 'closed 4001', token: 'closed 4001' }
const ORCHESTRATED = { ...MODERN, 'no-user': 'closed 4002', 'unknown-policy': 'closed 4004', 'other-user': 'skipped' }
const ELSEWHERE = { 'unknown-session': 'refused 403', 'unknown-policy': 'refused 403' }
const OWN = { ...MODERN, ...ELSEWHERE, 'no-user': 'attached', 'other-user': 'attached' }
const STRICT = { ...OWN, 'no-headers': 'closed 4004', 'other-user': 'ok' }

const releases: Array<[release: TestRelease, family: ProbeFamily, checks: Record<string, string>]> = [
  [OLDEST, 'terminals@<=0.0.2', FIRST],
  ['terminals@0.0.3', 'terminals@>=0.0.3 <0.2.0', { ...ORCHESTRATED, 'unknown-session': 'closed 1006' }],
  [TERMINALS, 'terminals@>=0.2.0', { ...ORCHESTRATED, 'unknown-session': 'closed 4003' }],
  ['open-terminal@0.8.1', 'open-terminal@<=0.12.3', OWN],
  ['open-terminal@0.11', 'open-terminal@<=0.12.3', OWN],
  ['open-terminal@0.14', 'open-terminal@>=0.12.4', STRICT],
  ['open-terminal@0.14.2', 'open-terminal@>=0.12.4', STRICT],
  ['open-terminal@0.14.5', 'open-terminal@>=0.12.4', STRICT],
]

describe('probeUpstream', () => {
  it.each(releases)('recognizes %s, and which shapes attach', async (release, family, checks) => {
    const upstream = await upstreamOf({ ...QUICK, release, policies: [] })
    const report = await probe(upstream.url)
    expect(outcomes(report)).toEqual(checks)
    const works = release === OLDEST ? 'token+frame' : 'frame'
    expect(report).toMatchObject({ ok: true, upstream: `${upstream.url}/`, works, family })
    expect(upstream.sessions).toEqual([])
  })

  it.each(releases)('recognizes %s when the server accepts every key', async (release, family) => {
    const upstream = await upstreamOf({ ...QUICK, release, key: '' })
    const report = await probe(upstream.url, { key: undefined })
    expect(report).toMatchObject({ ok: true, works: 'frame', family, advice: like(/^Give the server a key/) })
    expect(upstream.sessions).toEqual([])
  })

  it.each([
    ['three sessions', undefined, 3],
    ['one session of a chat', 'c1', 1],
  ])('has at most %s at a time, and leaves no timer behind', async (_what, chatId, allowed) => {
    let most = 0
    const upstream = await upstreamOf({
      ...QUICK,
      inner: 'open-terminal@0.11',
      shell: (io) => {
        most = Math.max(most, upstream.sessions.length + 1)
        return prompting(io)
      },
    })
    const before = runningTimers()
    await probe(upstream.url, { idle: 100, chatId, timeout: 60_000 })
    expect(runningTimers()).toBeLessThanOrEqual(before)
    expect(most).toBeLessThanOrEqual(allowed)
    expect(upstream.requests.filter(({ method }) => method === 'POST')).toHaveLength(8)
    expect(upstream.requests.filter(({ method }) => method === 'DELETE')).toHaveLength(8)
  })
})

describe('probeUpstream', () => {
  it('keeps the key out of every URL with `tokenInUrl` never', async () => {
    const upstream = await upstreamOf({ ...QUICK, release: OLDEST })
    const report = await probe(upstream.url, { tokenInUrl: 'never' })
    expect(report).toMatchObject({ ok: false, family: 'terminals@<=0.0.2', advice: like(/`tokenInUrl` 'always'/) })
    expect(upstream.requests.filter(({ query }) => query['token'] === 'sk-canary')).toEqual([])
  })

  it.each(releases)('puts the key of %s into two URLs, or three if it is read nowhere else', async (release) => {
    const upstream = await upstreamOf({ ...QUICK, release })
    await probe(upstream.url, { idle: 20 })
    const withKey = upstream.requests.filter(({ query }) => query['token'] === 'sk-canary')
    expect(withKey).toHaveLength(release === OLDEST ? 3 : 2)
  })

  it('puts the key into two URLs behind a proxy that does not forward upgrades', async () => {
    const upstream = await upstreamOf({ ...QUICK, release: TERMINALS })
    const urls: string[] = []
    const upgrade: Habits['upgrade'] = ({ url = '' }, socket) => {
      urls.push(url)
      refuse(socket, 200, 'application/json')
    }
    expect(await probe(await gateway(upstream, { upgrade }), { idle: 20 })).toMatchObject({ ok: false })
    expect(urls.length).toBeGreaterThan(6)
    expect(urls.filter((url) => url.includes('canary'))).toHaveLength(2)
  })

  it('checks the silence with the key in the URL if no shape attaches without it', async () => {
    const upstream = await upstreamOf({ ...QUICK, release: OLDEST })
    expect(outcomes(await probe(upstream.url, { idle: 20 }))).toMatchObject({ idle: 'ok', cleanup: 'ok' })
  })

  it('skips the wrong key if no key is sent', async () => {
    const upstream = await upstreamOf({ ...QUICK, key: '' })
    expect(outcomes(await probe(upstream.url, { authType: 'none' }))).toMatchObject({ 'wrong-key': 'skipped' })
  })

  it('uses the policy in every path', async () => {
    const inner = 'open-terminal@0.11'
    const upstream = await upstreamOf({ ...QUICK, release: TERMINALS, inner, policies: ['gold'] })
    const target = { policyId: 'gold', contextId: 'chat:1', chatId: 'c1', idle: 20 }
    const report = await probe(`${upstream.url}/`, target)
    expect(report).toMatchObject({ ok: true, upstream: `${upstream.url}/` })
    expect(upstream.requests.filter(({ path }) => !path.startsWith('/p/')).map(({ path }) => path)).toEqual([])
  })

  it('advises to leave out a chat that Terminals does not forward', async () => {
    const base = await serverWith((socket) => socket.close(1000))
    const answer: Habits['answer'] = ({ headers }, response) => !('x-user-id' in headers) && page(response, 422)
    const upstream = await gateway({ url: base }, { answer })
    expect((await probe(upstream, { chatId: 'c1' })).advice).toContain('Leave `chatId` out')
  })

  const MISUSE = [
    { base: 'ftp://h' },
    { timeout: 0 },
    { idle: -1 },
    { tokenInUrl: 'fallback' },
    { userId: '' },
    { setle: 1 },
  ]

  it.each(MISUSE)('rejects the option %j', async (wrong) => {
    const options = { ...who, base: 'http://127.0.0.1:1', ...wrong } as ProbeOptions
    const { code } = await rejection(probeUpstream(options))
    expect(code).toMatch(/^ERR_(INVALID_ARG_VALUE|OUT_OF_RANGE|TERMINAL_INVALID_URL)$/)
  })
})

describe('probeUpstream whose signal aborts', () => {
  /** Starts a probe, and aborts it when the condition holds. */
  async function abortAt(upstream: TestUpstream, isReached: () => boolean, options: Partial<ProbeOptions> = {}) {
    const controller = new AbortController()
    const probing = probeUpstream({ ...who, base: upstream.url, signal: controller.signal, ...options })
    await until(isReached)
    controller.abort(new Error('enough'))
    await expect(probing).rejects.toThrow('enough')
  }

  it.each([undefined, 6, 7])('deletes its sessions (slow DELETE: %s)', async (slow) => {
    const deletions = Array.from({ length: 9 }, (_, index) => (index === slow ? { delay: 200 } : undefined))
    const upstream = await upstreamOf({ ...QUICK, authTimeout: 60_000, faults: { delete: deletions } })
    const isSilent = (): boolean => upstream.requests.filter(({ kind }) => kind === 'websocket').length >= 9
    await abortAt(upstream, isSilent, { idle: 60_000, timeout: 60_000 })
    expect(upstream.sessions).toEqual([])
  })

  it.each(['create', 'list', 'attach'] as const)('rejects while it waits for %s', async (operation) => {
    const upstream = await upstreamOf({ ...QUICK, faults: { [operation]: 'stall' } })
    await abortAt(upstream, () => upstream.requests.some(({ status }) => status === undefined))
  })

  it('rejects before the first check', async () => {
    const signal = AbortSignal.abort(new Error('enough'))
    await expect(probeUpstream({ ...who, base: await nobody(), signal })).rejects.toThrow('enough')
  })
})

it('probeUpstream skips a shape that gets no session', async () => {
  const full = { refuse: 429, body: '{"error":"Maximum"}' }
  const upstream = await upstreamOf({ ...QUICK, faults: { create: [undefined, undefined, full] } })
  const report = await probe(upstream.url)
  expect(outcomes(report)).toMatchObject({ frame: 'attached', 'token+frame': 'skipped', 'no-headers': 'attached' })
  expect(report).toMatchObject({ ok: false, works: 'frame', advice: like(/^Probe again/) })
})

it.each(['reset', 'drop', 'stall', { refuse: 503 }] as const)('probeUpstream reports the fault %j', async (attach) => {
  const upstream = await upstreamOf({ ...QUICK, faults: { attach } })
  expect(await probe(upstream.url, { timeout: 100 })).toMatchObject({ ok: false })
  expect(upstream.sessions).toEqual([])
})
