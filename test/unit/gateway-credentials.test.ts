import { afterEach, describe, expect, it, vi } from 'vitest'
import { connectTerminal } from '../../src/index.ts'
import type { TestFaults, TestRelease } from '../../src/testing.ts'
import { recordRefusals } from '../support/gateway-events.ts'
import { gateway as proxyTo } from '../support/gateway.ts'
import { inputFrames, randomText } from '../support/terminal.ts'
import {
  ask,
  attachAs,
  closeOf,
  createAs,
  pageOf,
  startGateway,
  type ServedGateway,
} from '../support/terminal-gateway.ts'
import { until, upstreamOf } from '../support/upstream.ts'

afterEach(() => void vi.useRealTimers())

interface Refusals {
  /** The tokens that the upstream accepts. */
  readonly valid: Set<string>
  /** The requests that the upstream has got: method, token and cookie. */
  readonly asked: string[]
  /** What the upstream waits for before it refuses a token. */
  before: () => Promise<unknown>
}

type Renewing = ServedGateway & Refusals

/** Starts a gateway that passes the tokens of its clients on to an upstream that accepts only some. */
async function start(release: TestRelease = 'terminals@0.2.2', faults: TestFaults = {}): Promise<Renewing> {
  const upstream = await upstreamOf({ release, key: '', faults })
  const refusals: Refusals = { valid: new Set(['one']), asked: [], before: () => Promise.resolve() }
  const base = await proxyTo(upstream, {
    answer({ method, headers }, response) {
      const token = String(headers.authorization).slice('Bearer '.length)
      refusals.asked.push(`${method} ${token} ${headers.cookie}`)
      if (refusals.valid.has(token)) return false
      void refusals.before().then(() => response.writeHead(401).end('{"detail":"Invalid token"}'))
      return true
    },
  })
  const served = await startGateway({
    authorize: ({ token, policyId }) => ({
      base,
      authType: 'session',
      key: token,
      cookie: `c=${token}`,
      userId: token === 'of bea' ? 'bea' : 'ada',
      policyId,
    }),
  })
  return Object.assign(refusals, served, { upstream })
}

/** Starts a gateway that passes its clients' tokens on in a header, to a reverse proxy that accepts one. */
async function startBehindFront() {
  const upstream = await upstreamOf({ release: 'open-terminal@0.14.5' })
  const front = { valid: 'one' }
  const base = await proxyTo(upstream, {
    answer({ headers }, response) {
      const isValid = headers['x-front'] === front.valid
      if (!isValid) response.writeHead(401).end()
      return !isValid
    },
  })
  const gateway = await startGateway({
    authorize: ({ token }) => ({ base, key: 'sk-canary', userId: 'ada', headers: { 'X-Front': token } }),
  })
  return { gateway, upstream, front }
}

const as = (token: string): Record<string, string> => ({ Authorization: `Bearer ${token}` })

/** Attaches a client with a token, and resolves when it is joined. */
async function join(gateway: Renewing, id: string, token: string): Promise<void> {
  const { ws, printed } = await attachAs(gateway, id, { token })
  ws.send(Buffer.from(`I am ${token}`))
  await printed(`I am ${token}`)
}

describe('a client of the owner that `authorize` lets in', () => {
  it.each([
    ['with a WebSocket', (gateway: Renewing, id: string) => join(gateway, id, 'two')],
    ['with a request', async (gateway: Renewing) => void (await ask(gateway, 'GET', '', as('two')))],
  ])('%s renews the credentials with which its session is deleted', async (_, come) => {
    const gateway = await start()
    const id = await createAs(gateway, as('one'))
    gateway.valid.delete('one')
    gateway.valid.add('two')
    await come(gateway, id)
    gateway.asked.length = 0
    expect((await ask(gateway, 'DELETE', `/${id}`, as('two'))).status).toBe(200)
    expect(gateway.upstream.sessions).toEqual([])
    expect(new Set(gateway.asked)).toEqual(new Set(['DELETE two c=two', 'GET two c=two']))
  })

  it('renews those with which the upstream is asked to keep the container', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const gateway = await start()
    const id = await createAs(gateway, as('one'))
    gateway.valid.add('two')
    await join(gateway, id, 'two')
    gateway.asked.length = 0
    vi.advanceTimersByTime(50_000)
    await until(() => gateway.asked.includes('GET two c=two'))
    expect(gateway.asked).not.toContain('GET one c=one')
  })

  // PROTOCOL 2.17
  it('renews those with which the upstream is asked whether it takes all input', async () => {
    const gateway = await start()
    const id = await createAs(gateway, as('one'))
    gateway.valid.delete('one')
    gateway.valid.add('two')
    const { ws } = await attachAs(gateway, id, { token: 'two' })
    ws.send(Buffer.from(randomText(50_000)))
    await until(() => gateway.upstream.requests.some(({ path }) => path.includes('/user/output')))
    expect(gateway.asked).toContain('GET two c=two')
    await until(() => inputFrames(gateway.upstream).reduce((sum, { length }) => sum + length, 0) === 50_000)
  })

  it('renews the headers for what stands in front of the upstream, too', async () => {
    const { gateway, upstream, front } = await startBehindFront()
    const id = await createAs(gateway, as('one'))
    front.valid = 'two'
    // A client that cannot pass the front renews nothing that counts.
    for (const token of ['two', 'bad']) await ask(gateway, 'GET', '', as(token))
    expect((await ask(gateway, 'DELETE', `/${id}`, as('bad'))).status).toBe(200)
    expect(upstream.sessions).toEqual([])
  })

  it('that comes with the same headers does not push out those before', async () => {
    const { gateway, upstream } = await startBehindFront()
    const id = await createAs(gateway, as('one'))
    for (let time = 0; time < 6; time += 1) await ask(gateway, 'GET', '', as('bad'))
    expect((await ask(gateway, 'DELETE', `/${id}`, as('bad'))).status).toBe(200)
    expect(upstream.sessions).toEqual([])
  })

  it('with a token that the upstream refuses costs nothing: those before are tried', async () => {
    const gateway = await start()
    const id = await createAs(gateway, as('one'))
    for (const token of ['bad', 'worse']) await ask(gateway, 'GET', '', as(token))
    gateway.asked.length = 0
    expect((await ask(gateway, 'DELETE', `/${id}`, as('worse'))).status).toBe(200)
    expect(gateway.asked.filter((request) => request.startsWith('DELETE'))).toEqual([
      'DELETE worse c=worse',
      'DELETE bad c=bad',
      'DELETE one c=one',
    ])
    expect(gateway.upstream.sessions).toEqual([])
  })

  it('renews those of a session that nobody could attach to, and that is deleted in the background', async () => {
    const faults: TestFaults = { attach: { refuse: 4003 }, delete: { refuse: 503 } }
    const gateway = await start('terminals@0.2.2', faults)
    expect((await ask(gateway, 'POST', '', as('one'))).status).toBeGreaterThan(400)
    expect(gateway.upstream.sessions.length).toBe(1)
    gateway.valid.add('two')
    await ask(gateway, 'GET', '', as('two'))
    gateway.valid.delete('one')
    // Only now: a DELETE goes on in the background all the time.
    faults.delete = undefined
    await until(() => gateway.upstream.sessions.length === 0)
    expect(gateway.asked.at(-1)).toBe('DELETE two c=two')
  })

  it('while the upstream is asked with those before costs nothing: the new ones are tried, too', async () => {
    const gateway = await start('open-terminal@0.14.5')
    const id = await createAs(gateway, as('one'))
    gateway.valid.delete('one')
    gateway.valid.add('two')
    gateway.before = () => ask(gateway, 'GET', '', as('two'))
    gateway.asked.length = 0
    gateway.upstream.sessions[0]?.exit()
    await until(() => gateway.gateway.sessions.length === 0)
    expect(await closeOf(gateway, id, { token: 'two' })).toEqual({ code: 1000, reason: 'exited' })
    await until(() => gateway.asked.length >= 3)
    expect(gateway.asked).toEqual(['GET one c=one', 'GET two c=two', 'DELETE two c=two'])
  })

  it('does not move the session to another policy', async () => {
    const gateway = await start()
    const id = await createAs(gateway, as('one'))
    const answer = await fetch(`${gateway.base}/p/other/api/terminals`, { headers: as('one') })
    expect(answer.status).toBe(200)
    expect((await ask(gateway, 'DELETE', `/${id}`, as('one'))).status).toBe(200)
    expect(gateway.upstream.sessions).toEqual([])
  })
})

describe('a DELETE that the upstream refuses', () => {
  it('is answered with 503 until the upstream says that the session is gone, and with 404 to anybody else', async () => {
    const gateway = await start()
    const id = await createAs(gateway, as('one'))
    gateway.valid.clear()
    for (let count = 0; count < 3; count += 1) {
      const answer = { status: 503, body: { error: 'Terminal instance not reachable' } }
      expect(await ask(gateway, 'DELETE', `/${id}`, as('one'))).toMatchObject(answer)
    }
    expect((await ask(gateway, 'DELETE', `/${id}`, as('of bea'))).status).toBe(404)
    gateway.valid.add('one')
    await until(() => gateway.upstream.sessions.length === 0)
    expect((await ask(gateway, 'DELETE', `/${id}`, as('one'))).status).toBe(200)
    expect((await ask(gateway, 'DELETE', `/${id}`, as('one'))).status).toBe(404)
  })

  it('is sent again when the owner asks again, with the credentials that the owner has by then', async () => {
    const gateway = await start()
    const id = await createAs(gateway, as('one'))
    // Otherwise the shell would be ended over the connection.
    gateway.upstream.sessions[0]?.stall()
    gateway.valid.clear()
    expect((await ask(gateway, 'DELETE', `/${id}`, as('one'))).status).toBe(503)
    expect(gateway.upstream.sessions).toHaveLength(1)
    gateway.valid.add('two')
    expect((await ask(gateway, 'DELETE', `/${id}`, as('two'))).status).toBe(200)
    expect(gateway.upstream.sessions).toEqual([])
  })

  // PROTOCOL 2.7
  it('is not sent again where that could end the next session of the chat', async () => {
    const faults: TestFaults = { delete: { refuse: 500 }, get: { refuse: 500 } }
    const gateway = await startGateway({}, { release: 'terminals@0.0.3', inner: 'open-terminal@0.11', faults })
    const headers = { ...as('jwt-ada'), 'X-Session-Id': 'c1' }
    const id = await createAs(gateway, headers)
    expect((await ask(gateway, 'DELETE', `/${id}`, headers)).status).toBe(503)
    delete faults.delete
    delete faults.get
    await createAs(gateway, headers)
    expect((await ask(gateway, 'DELETE', `/${id}`, headers)).status).toBe(404)
    expect(gateway.upstream.sessions.map((session) => session.id)).toEqual(['c1'])
  })

  it('is answered with 404 when the gateway has stopped trying', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const gateway = await start()
    const id = await createAs(gateway, as('one'))
    gateway.valid.clear()
    expect((await ask(gateway, 'DELETE', `/${id}`, as('one'))).status).toBe(503)
    vi.advanceTimersByTime(61_000)
    expect((await ask(gateway, 'DELETE', `/${id}`, as('one'))).status).toBe(404)
  })

  it('is repeated by the client until it is done', async () => {
    const gateway = await start()
    const terminal = await connectTerminal({ ...pageOf(gateway), key: 'one' })
    const refused = recordRefusals()
    gateway.valid.clear()
    const closed = terminal.close()
    await until(() => refused.length > 1)
    gateway.valid.add('one')
    expect(await closed).toMatchObject({ cause: 'local' })
    expect(new Set(refused.map(({ status }) => status))).toEqual(new Set([503]))
  })

  it('is reported as done if the session has ended all the same', async () => {
    const gateway = await startGateway({}, { release: 'open-terminal@0.14.5', faults: { delete: { refuse: 500 } } })
    const id = await createAs(gateway)
    expect((await ask(gateway, 'DELETE', `/${id}`)).status).toBe(200)
    expect(gateway.upstream.sessions).toEqual([])
  })
})
