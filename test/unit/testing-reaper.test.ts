import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { TestSession, TestUpstream } from '../../src/testing.ts'
import { startReaper } from '../../src/testing/reaper.ts'
import type { ServerSession } from '../../src/testing/session.ts'
import {
  API,
  ask,
  attach,
  create,
  lenientInside,
  next,
  orchestrators,
  ownServers,
  start,
} from '../support/raw-client.ts'
import { strictInside } from '../support/raw-client.ts'

const LONGEST = 2_147_483_647
const PING = '{"type":"ping"}'

/** Resolves once the sessions that are left are these. */
async function left(upstream: TestUpstream, sessions: TestSession[]): Promise<void> {
  await expect.poll(() => upstream.sessions, { interval: 5 }).toEqual(sessions)
}

describe('idleTimeout', () => {
  it.each(ownServers)('idleTimeout is an error with %s, which has no containers', async (release) => {
    await expect(start({ release, idleTimeout: 1000 })).rejects.toMatchObject({
      name: 'TypeError',
      code: 'ERR_INVALID_ARG_VALUE',
      message: `\`idleTimeout\` must be left out: ${release} has no containers`,
    })
  })

  it.each([0, -1, 1.5, Number.NaN, Infinity, 2 ** 31, '1000', null])(
    'idleTimeout cannot be %j',
    async (idleTimeout) => {
      // @ts-expect-error -- what the types would not let through
      await expect(start({ idleTimeout })).rejects.toMatchObject({ name: 'RangeError', code: 'ERR_OUT_OF_RANGE' })
    },
  )

  it('a container lives on without an idleTimeout', async () => {
    for (const idleTimeout of [undefined, LONGEST]) {
      const upstream = await start({ idleTimeout })
      const session = await create(upstream)
      await sleep(60)
      expect(upstream.sessions).toEqual([session])
    }
  })
})

describe.each(orchestrators)('%s', (release) => {
  it('an idle container loses every session, and REST finds none of them', async () => {
    let killed = 0
    const shell = () => ({ input() {}, kill: () => void (killed += 1) })
    const upstream = await start({ release, shell, idleTimeout: 50 })
    const { id } = await create(upstream)
    await create(upstream)
    await left(upstream, [])
    expect(killed).toBe(2)
    expect(await ask(upstream, 'GET', `${API}/${id}`)).toEqual([404, { error: 'Session not found' }])
    expect((await ask(upstream, 'DELETE', `${API}/${id}`))[0]).toBe(404)
    expect(await ask(upstream, 'GET')).toEqual([200, []])
    await create(upstream)
  })

  it('a container is torn down although a client types', async () => {
    const upstream = await start({ release, idleTimeout: 100 })
    const socket = await attach(upstream)
    const typing = setInterval(() => socket.ws.send(Buffer.from('x')), 5)
    expect(await socket.ended).toBe('open, 1000')
    clearInterval(typing)
    expect(upstream.sessions).toEqual([])
  })

  it('a container is torn down although its shell prints', async () => {
    const upstream = await start({ release, idleTimeout: 100 })
    const session = await create(upstream)
    await attach(upstream, session.id)
    const printing = setInterval(() => void session.output('x'), 5)
    await left(upstream, [])
    clearInterval(printing)
  })
})

describe.each([...lenientInside, ...strictInside])('$inner behind $release', (options) => {
  it('a client of a torn down container is not told, and its connection closes with 1000 at the next message', async () => {
    const upstream = await start({ ...options, idleTimeout: 50 })
    const socket = await attach(upstream)
    await left(upstream, [])
    expect(await next(socket)).toBe('silence')
    socket.ws.send(PING)
    expect(await socket.ended).toBe('open, 1000')
    expect(upstream.requests.at(-1)?.closeCode).toBe(1000)
  })
})

describe('terminals@0.2.2', () => {
  it('a container that is asked for outlives the others', async () => {
    const upstream = await start({ idleTimeout: 1000 })
    const asked = await create(upstream)
    await create(upstream, { 'x-user-id': 'bob' })
    await create(upstream, {}, '/p/gold')
    await create(upstream, { 'x-terminal-context-id': 'chat:1' })
    expect(upstream.sessions.length).toBe(4)
    while (upstream.sessions.length > 1) {
      await ask(upstream, 'GET', `${API}/${asked.id}`)
      await sleep(20)
    }
    expect(upstream.sessions).toEqual([asked])
    await left(upstream, [])
  })

  it.each<[what: string, use: (upstream: TestUpstream) => unknown]>([
    ['a list of its sessions', (upstream) => ask(upstream, 'GET')],
    ['a session that it does not have', (upstream) => ask(upstream, 'DELETE', `${API}/nowhere`)],
    ['a method that is not allowed', (upstream) => ask(upstream, 'PUT')],
    ['an attach', async (upstream) => (await attach(upstream, upstream.sessions[0]?.id)).ws.terminate()],
  ])('a container is kept by %s', async (_what, use) => {
    const upstream = await start({ idleTimeout: 1000 })
    const other = await start({ idleTimeout: 1000 })
    const session = await create(upstream)
    await create(other)
    while (other.sessions.length > 0) {
      await use(upstream)
      await sleep(20)
    }
    expect(upstream.sessions).toEqual([session])
  })

  it.each<[what: string, headers: Record<string, string>]>([
    ['with another key', { authorization: 'Bearer sk-2' }],
    ['of another user', { 'x-user-id': 'bob' }],
    ['in a context that cannot be', { 'x-terminal-context-id': 'x' }],
  ])('a container is not kept by a request %s', async (_what, headers) => {
    const upstream = await start({ idleTimeout: 100 })
    await create(upstream)
    while (upstream.sessions.length > 0) await ask(upstream, 'GET', API, headers)
  })

  it('a shell ends with its container although another session has its chat', async () => {
    const killed: number[] = []
    let shells = 0
    const shell = () => {
      const number = (shells += 1)
      return { input() {}, kill: () => void killed.push(number) }
    }
    const upstream = await start({ inner: 'open-terminal@0.11', shell, idleTimeout: 50 })
    await create(upstream, { 'x-session-id': 'chat-1' })
    await create(upstream, { 'x-session-id': 'chat-1' })
    await left(upstream, [])
    expect(killed).toEqual([1, 2])
  })
})

describe('the reaper', () => {
  it('the reaper tears nothing down once the upstream closes', async () => {
    const closing = new AbortController()
    const owner = { userId: 'ada', chatId: '', policyId: 'default', contextId: 'default' }
    let torn = 0
    const session = { ...owner, tearDown: () => void (torn += 1) } as ServerSession
    const touch = startReaper(20, [session], closing.signal)
    touch(owner)
    await expect.poll(() => torn, { interval: 5 }).toBe(1)
    touch(owner)
    closing.abort()
    await sleep(60)
    expect(torn).toBe(1)
  })
})
