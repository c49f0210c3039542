import { describe, expect, it, vi } from 'vitest'
import type { ProbeReport } from '../../src/probe.ts'
import type { TestRelease, TestUpstream } from '../../src/testing.ts'
import { gateway, page, refuse, type Habits } from '../support/gateway.ts'
import { like, NEWEST, OLDEST, outcomes, probe, QUICK, TERMINALS } from '../support/probe.ts'
import { until, upstreamOf } from '../support/upstream.ts'

vi.setConfig({ testTimeout: 20_000 })

const SHARED = like(/^Configure the reverse proxy to pass X-User-Id on with requests and WebSockets/)

function otherUserOf({ checks }: ProbeReport): unknown {
  return checks.find(({ name }) => name === 'other-user')
}

/** The requests of the second user. */
function requestsOfOther({ requests }: TestUpstream): string[] {
  const isOther = ({ headers, query }: TestUpstream['requests'][number]): boolean =>
    headers['x-user-id'] === 'ada-probe' || query['user_id'] === 'ada-probe'
  return requests.filter(isOther).map(({ kind, method }) => (kind === 'http' ? method : kind))
}

const modern: TestRelease[] = ['open-terminal@0.14', 'open-terminal@0.14.2', NEWEST]
const dropUser: NonNullable<Habits['change']> = ({ headers }) => delete headers['x-user-id']

// PROTOCOL 2.8
describe('a second user of the probe', () => {
  it.each(modern)('finds no session of the first on %s, and creates nothing', async (release) => {
    const upstream = await upstreamOf({ ...QUICK, release })
    const report = await probe(upstream.url)
    expect(otherUserOf(report)).toMatchObject({ outcome: 'ok', detail: 'neither finds nor attaches to it' })
    expect(report.ok).toBe(true)
    expect(requestsOfOther(upstream)).toEqual(['GET', 'websocket'])
  })

  it.each<[what: string, release: TestRelease, change: typeof dropUser]>([
    ['removes the user', 'open-terminal@0.14', dropUser],
    ['removes the user', NEWEST, dropUser],
    ['puts one user in the place of all', NEWEST, ({ headers }) => void (headers['x-user-id'] = 'proxy')],
  ])('tells that a proxy %s in front of %s', async (_what, release, change) => {
    const upstream = await upstreamOf({ ...QUICK, release })
    const report = await probe(await gateway(upstream, { change }))
    expect(otherUserOf(report)).toMatchObject({ outcome: 'failed', detail: 'finds and attaches to it' })
    expect(report).toMatchObject({ ok: false, works: 'frame', family: 'open-terminal@>=0.12.4', advice: SHARED })
    await until(() => upstream.sessions.length === 0)
  })

  it('tells that a proxy removes the user, by the version alone', async () => {
    const upstream = await upstreamOf({ ...QUICK, release: NEWEST })
    const answer: Habits['answer'] = ({ url = '' }, response) => {
      const version = { info: { title: 'Open Terminal', version: '0.14.5' } }
      if (!/openapi|user\/output/.test(url)) return false
      response.writeHead(url.endsWith('output') ? 404 : 200).end(JSON.stringify(version))
      return true
    }
    const report = await probe(await gateway(upstream, { change: dropUser, answer }))
    expect(report).toMatchObject({ ok: false, version: '0.14.5', advice: SHARED })
  })

  it.each(['open-terminal@0.8.1', 'open-terminal@0.11'] as const)('reaches every session of %s', async (release) => {
    const upstream = await upstreamOf({ ...QUICK, release })
    const report = await probe(upstream.url, { chatId: 'c1' })
    const detail = '(finds and attaches to it, as on every Open Terminal up to 0.12.3)'
    expect(otherUserOf(report)).toMatchObject({ outcome: 'attached', detail })
    const advice = like(/^Upgrade Open Terminal to 0\.12\.4.* everybody with the key can use every shell\.$/)
    expect(report).toMatchObject({ ok: true, advice })
    expect(requestsOfOther(upstream)).toEqual(['GET', 'websocket'])
  })

  const orchestrators: Array<[release: TestRelease, change: Habits['change']]> = [
    [OLDEST, undefined],
    ['terminals@0.0.3', undefined],
    [TERMINALS, undefined],
    // A proxy that adds a user hides the orchestrator from requests.
    [OLDEST, ({ headers }) => void (headers['x-user-id'] ??= 'ada')],
    ['terminals@0.0.3', ({ headers }) => void (headers['x-user-id'] ??= 'ada')],
  ]

  it.each(orchestrators)('is not tested on %s, where it would start a container', async (release, change) => {
    const upstream = await upstreamOf({ ...QUICK, release })
    const report = await probe(change ? await gateway(upstream, { change }) : upstream.url)
    expect(otherUserOf(report)).toMatchObject({ outcome: 'skipped', detail: like(/^not tested: the orch/) })
    expect(requestsOfOther(upstream)).toEqual([])
    expect(report.ok).toBe(true)
  })

  it('is not tested where a limit on requests hides whether the server is an orchestrator', async () => {
    const upstream = await upstreamOf({ ...QUICK, release: 'terminals@0.0.3' })
    const hidden: Habits['answer'] = ({ headers }, response) => !headers['x-user-id'] && page(response, 429)
    const base = await gateway(upstream, {
      answer: hidden,
      upgrade: (_request, socket) => refuse(socket, 429),
      passes: ({ url = '' }) => url.includes('user_id'),
    })
    const report = await probe(base)
    const detail = 'not tested: the server may be an orchestrator, and start a container'
    expect(otherUserOf(report)).toMatchObject({ outcome: 'skipped', detail })
    expect(requestsOfOther(upstream)).toEqual([])
    expect(upstream.requests.filter(({ path }) => path.endsWith('/openapi.json'))).toEqual([])
  })

  it('is not tested where no shape attaches', async () => {
    const upstream = await upstreamOf({ ...QUICK, release: NEWEST })
    const change: Habits['change'] = (request, isUpgrade) => isUpgrade && dropUser(request, isUpgrade)
    const base = await gateway(upstream, { change })
    expect(outcomes(await probe(base))).toMatchObject({ frame: 'closed 4004', 'other-user': 'skipped' })
    expect(requestsOfOther(upstream)).toEqual([])
  })
})
