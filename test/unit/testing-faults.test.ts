import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import type { TestFault, TestFaults, TestOperation, TestUpstream, TestUpstreamOptions } from '../../src/testing.ts'
import { API, ask, create, dial, next, roundTrip, start, withDefaults, type RawSocket } from '../support/raw-client.ts'

type RestAnswer = Awaited<ReturnType<typeof ask>>

/** Resolves with the code of the error that `fetch` rejects with. */
async function failure(request: Promise<unknown>): Promise<unknown> {
  try {
    return await request
  } catch (error) {
    return error instanceof Error && error.cause instanceof Error && 'code' in error.cause ? error.cause.code : error
  }
}

interface Setup {
  upstream: TestUpstream
  faults: TestFaults
  id: string
}

/** Starts an upstream with one session. Tests add the faults. */
async function started(): Promise<Setup> {
  const faults: TestFaults = {}
  const upstream = await start({ faults })
  const { id } = await create(upstream)
  return { upstream, faults, id }
}

interface Call {
  operation: Exclude<TestOperation, 'attach'>
  send: (setup: Setup) => Promise<RestAnswer>
  /** How many sessions the upstream has after the call. */
  sessions: number
}

const calls: Call[] = [
  { operation: 'create', send: ({ upstream }) => ask(upstream, 'POST'), sessions: 2 },
  { operation: 'list', send: ({ upstream }) => ask(upstream, 'GET'), sessions: 1 },
  { operation: 'get', send: ({ upstream, id }) => ask(upstream, 'GET', `${API}/${id}`), sessions: 1 },
  { operation: 'delete', send: ({ upstream, id }) => ask(upstream, 'DELETE', `${API}/${id}`), sessions: 0 },
]

describe.each(calls)('$operation', ({ operation, send, sessions }) => {
  it('is answered later after a delay', async () => {
    const setup = await started()
    setup.faults[operation] = { delay: 60 }
    const other = calls.find((call) => call.operation !== operation && call.sessions === 1)
    const order: string[] = []
    await Promise.all([
      send(setup).then(([status]) => order.push(`delayed ${status}`)),
      other?.send(setup).then(([status]) => order.push(`other ${status}`)),
    ])
    expect(order).toEqual(['other 200', 'delayed 200'])
    expect(setup.upstream.sessions.length).toBe(sessions)
  })

  it('has no effect when it is refused', async () => {
    const setup = await started()
    setup.faults[operation] = { refuse: 502, body: '<h1>Bad Gateway</h1>', headers: { 'content-type': 'text/html' } }
    expect(await send(setup)).toEqual([502, '<h1>Bad Gateway</h1>'])
    expect(setup.upstream.sessions.length).toBe(1)
    expect(setup.upstream.requests.map(({ status }) => status)).toEqual([200, 502])
  })

  it('takes effect when the connection drops before the answer, but not when it is reset', async () => {
    const setup = await started()
    setup.faults[operation] = 'reset'
    expect(await failure(send(setup))).toBe('ECONNRESET')
    expect(setup.upstream.sessions.length).toBe(1)
    setup.faults[operation] = 'drop'
    expect(await failure(send(setup))).toBe('UND_ERR_SOCKET')
    expect(setup.upstream.sessions.length).toBe(sessions)
    expect(setup.upstream.requests.at(-1)?.status).toBeUndefined()
  })

  it.each<TestFault>(['stall', { delay: 60_000 }])('waits until the upstream closes: %j', async (fault) => {
    const setup = await started()
    setup.faults[operation] = fault
    const request = failure(send(setup))
    await expect.poll(() => setup.upstream.requests.length, { interval: 5 }).toBe(2)
    await ask(setup.upstream, 'GET', '/nowhere')
    expect(setup.upstream.sessions.length).toBe(1)
    await setup.upstream.close()
    expect(await request).toBe('UND_ERR_SOCKET')
    expect(setup.upstream.requests[1]?.status).toBeUndefined()
    expect(setup.upstream.sessions).toEqual([])
  })
})

/** Dials the session of an upstream whose attaches have the fault. */
async function dialed(
  fault: TestFault | Array<TestFault | undefined>,
  options: TestUpstreamOptions = {},
): Promise<Setup & { socket: RawSocket }> {
  const faults: TestFaults = { attach: fault }
  const upstream = await start({ ...options, faults })
  const { id } = await create(upstream)
  return { upstream, faults, id, socket: dial(upstream, id) }
}

describe('attach', () => {
  it('opens later after a delay', async () => {
    const { upstream, id, socket } = await dialed([{ delay: 60 }], { inner: 'open-terminal@0.11' })
    const order: string[] = []
    socket.ws.once('open', () => order.push('delayed'))
    const undelayed = dial(upstream, id)
    undelayed.ws.once('open', () => order.push('undelayed'))
    await Promise.all([once(socket.ws, 'open'), once(undelayed.ws, 'open')])
    expect(order).toEqual(['undelayed', 'delayed'])
    await roundTrip(socket)
    expect(upstream.sessions).toMatchObject([{ attached: 2 }])
  })

  it('is refused with an HTTP status, headers and a body', async () => {
    const headers = { 'retry-after': '1', 'content-type': 'text/plain' }
    const { upstream, socket } = await dialed({ refuse: 503, body: 'überlastet', headers })
    const [, response] = await once(socket.ws, 'unexpected-response')
    expect(response.statusCode).toBe(503)
    expect(response.headers).toMatchObject(headers)
    expect(Buffer.concat(await response.toArray()).toString()).toBe('überlastet')
    expect(upstream.requests.at(-1)).toMatchObject({ status: 503, closeCode: undefined })
    expect(upstream.sessions).toMatchObject([{ attached: 0 }])
  })

  it.each<[TestFault, string, number]>([
    [{ refuse: 4003, body: 'access denied' }, 'open, 4003 access denied', 4003],
    [{ refuse: 1013 }, 'open, 1013', 1013],
    [{ refuse: 1006 }, 'open, 1006', 1006],
    ['drop', 'open, 1006', 1006],
  ])('ends right after the handshake: %j → %s', async (fault, expected, closeCode) => {
    const { upstream, socket } = await dialed(fault)
    expect(await socket.ended).toBe(expected)
    expect(upstream.requests.at(-1)).toMatchObject({ status: 101, closeCode })
    expect(upstream.sessions).toMatchObject([{ attached: 0 }])
  })

  it('is refused by the release before the fault, or reset instead of answered', async () => {
    const { upstream, faults, id } = await dialed('drop', { release: 'terminals@0.0.2' })
    expect(await dial(upstream, id, { query: {} }).ended).toBe('HTTP 403')
    faults.attach = 'reset'
    expect(await dial(upstream, id).ended).toMatch(/ECONNRESET|socket hang up/)
    expect(upstream.requests.at(-1)?.status).toBeUndefined()
  })

  it.each<TestFault>(['stall', { delay: 60_000 }])('waits until the upstream closes: %j', async (fault) => {
    const { upstream, socket } = await dialed(fault)
    expect(await next(socket)).toBe('silence')
    expect(socket.ws.readyState).toBe(socket.ws.CONNECTING)
    expect(upstream.requests.at(-1)).toMatchObject({ kind: 'websocket', status: undefined })
    await upstream.close()
    expect(await socket.ended).toBe('socket hang up')
  })
})

describe('a list of faults', () => {
  it('applies to the requests for its operation in order, and then ends', async () => {
    const upstream = await start({ faults: { list: [{ refuse: 500 }, undefined, 'reset', { refuse: 503 }] } })
    const results = []
    while (results.length < 6) {
      results.push(await failure(ask(upstream, 'GET').then(([status]) => status)))
      await create(upstream)
      await ask(upstream, 'GET', '/nowhere')
    }
    expect(results).toEqual([500, 200, 'ECONNRESET', 503, 200, 200])
  })
})

describe('the two senders of 429 (PROTOCOL 2.3)', () => {
  it('are the server, which is full, and a proxy, which limits the rate of requests', async () => {
    const upstream = await start({ faults: { create: ['full', 'rate-limit'] } })
    const send = (): Promise<Response> => fetch(upstream.url + API, { method: 'POST', headers: withDefaults({}) })
    const full = await send()
    expect([full.status, full.headers.get('content-type')]).toEqual([429, 'application/json'])
    expect(await full.json()).toEqual({ error: 'Maximum number of terminal sessions (16) reached' })
    const limited = await send()
    expect([limited.status, limited.headers.get('content-type')]).toEqual([429, 'text/html'])
    expect(await limited.text()).toContain('429 Too Many Requests')
    expect(upstream.sessions).toEqual([])
    expect((await send()).status).toBe(200)
    const { upstream: other, id } = await dialed([undefined, 'rate-limit'])
    expect(await dial(other, id).ended).toBe('HTTP 429')
  })
})
