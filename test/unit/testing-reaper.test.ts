import { describe, expect, it, onTestFinished } from 'vitest'
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
  strictInside,
} from '../support/raw-client.ts'

const LONGEST = 2_147_483_647
const PING = '{"type":"ping"}'

/** Resolves once the upstream has exactly these sessions. */
async function untilSessions(upstream: TestUpstream, sessions: TestSession[]): Promise<void> {
  await expect.poll(() => upstream.sessions, { interval: 5 }).toEqual(sessions)
}

describe('idleTimeout', () => {
  it.each(ownServers)('cannot be set for %s, which has no containers', async (release) => {
    await expect(start({ release, idleTimeout: 1000 })).rejects.toMatchObject({
      name: 'TypeError',
      code: 'ERR_INVALID_ARG_VALUE',
      message: `\`idleTimeout\` must be left out: ${release} has no containers`,
    })
  })

  it.each([0, -1, 1.5, Number.NaN, Infinity, 2 ** 31, '1000', null])('cannot be %j', async (idleTimeout) => {
    // @ts-expect-error -- not allowed by the types
    await expect(start({ idleTimeout })).rejects.toMatchObject({ name: 'RangeError', code: 'ERR_OUT_OF_RANGE' })
  })

  it.each([undefined, LONGEST])('keeps an idle container if it is %s', async (idleTimeout) => {
    const upstream = await start({ idleTimeout })
    const session = await create(upstream)
    const other = await start({ idleTimeout: 50 })
    await create(other)
    await untilSessions(other, [])
    expect(upstream.sessions).toEqual([session])
  })
})

describe.each(orchestrators)('%s', (release) => {
  it('tears down an idle container with all its sessions, and REST finds none of them', async () => {
    let killed = 0
    const shell = () => ({ input() {}, kill: () => void (killed += 1) })
    const upstream = await start({ release, shell, idleTimeout: 50 })
    const { id } = await create(upstream)
    await create(upstream)
    await untilSessions(upstream, [])
    expect(killed).toBe(2)
    expect(await ask(upstream, 'GET', `${API}/${id}`)).toEqual([404, { error: 'Session not found' }])
    expect((await ask(upstream, 'DELETE', `${API}/${id}`))[0]).toBe(404)
    expect(await ask(upstream, 'GET')).toEqual([200, []])
    await create(upstream)
  })

  // PROTOCOL 2.12
  it('tears down a container although a client types', async () => {
    const upstream = await start({ release, idleTimeout: 100 })
    const socket = await attach(upstream)
    const typing = setInterval(() => socket.ws.send(Buffer.from('x')), 5)
    expect(await socket.ended).toBe('open, 1000')
    clearInterval(typing)
    expect(upstream.sessions).toEqual([])
  })

  it('tears down a container although its shell prints', async () => {
    const upstream = await start({ release, idleTimeout: 100 })
    const session = await create(upstream)
    await attach(upstream, session.id)
    const printing = setInterval(() => void session.output('x'), 5)
    await untilSessions(upstream, [])
    clearInterval(printing)
  })
})

// PROTOCOL 6.2
describe.each([...lenientInside, ...strictInside])('$inner behind $release', (options) => {
  it('closes a client of a torn down container with 1000 at its next message, and not earlier', async () => {
    const upstream = await start({ ...options, idleTimeout: 50 })
    const socket = await attach(upstream)
    await untilSessions(upstream, [])
    expect(await next(socket)).toBe('silence')
    socket.ws.send(PING)
    expect(await socket.ended).toBe('open, 1000')
    expect(upstream.requests.at(-1)?.closeCode).toBe(1000)
  })
})

describe('terminals@0.2.2', () => {
  it('keeps a container that gets requests longer than the others', async () => {
    const upstream = await start({ idleTimeout: 1000 })
    const used = await create(upstream)
    await create(upstream, { 'x-user-id': 'bob' })
    await create(upstream, {}, '/p/gold')
    await create(upstream, { 'x-terminal-context-id': 'chat:1' })
    expect(upstream.sessions.length).toBe(4)
    const useUntilOthersEnd = async (): Promise<TestSession[]> => {
      await ask(upstream, 'GET', `${API}/${used.id}`)
      return [...upstream.sessions]
    }
    await expect.poll(useUntilOthersEnd, { interval: 20 }).toEqual([used])
    await untilSessions(upstream, [])
  })

  it.each<[what: string, use: (upstream: TestUpstream) => unknown]>([
    ['a request for its sessions', (upstream) => ask(upstream, 'GET')],
    ['a request for an unknown session', (upstream) => ask(upstream, 'DELETE', `${API}/nowhere`)],
    ['a request with a method that is not allowed', (upstream) => ask(upstream, 'PUT')],
    ['an attach', async (upstream) => (await attach(upstream, upstream.sessions[0]?.id)).ws.terminate()],
  ])('keeps a container after %s', async (_what, use) => {
    const upstream = await start({ idleTimeout: 1000 })
    const other = await start({ idleTimeout: 1000 })
    const session = await create(upstream)
    await create(other)
    const useUntilOtherEnds = async (): Promise<readonly TestSession[]> => {
      await use(upstream)
      return other.sessions
    }
    await expect.poll(useUntilOtherEnds, { interval: 20 }).toEqual([])
    expect(upstream.sessions).toEqual([session])
  })

  it.each<[what: string, headers: Record<string, string>]>([
    ['with another key', { authorization: 'Bearer sk-2' }],
    ['of another user', { 'x-user-id': 'bob' }],
    ['in an invalid context', { 'x-terminal-context-id': 'x' }],
  ])('does not keep a container after a request %s', async (_what, headers) => {
    const upstream = await start({ idleTimeout: 100 })
    await create(upstream)
    while (upstream.sessions.length > 0) await ask(upstream, 'GET', API, headers)
  })

  it('ends both shells of a chat with their container, although requests find only one', async () => {
    const killed: number[] = []
    let shells = 0
    const shell = () => {
      const number = (shells += 1)
      return { input() {}, kill: () => void killed.push(number) }
    }
    const upstream = await start({ inner: 'open-terminal@0.11', shell, idleTimeout: 50 })
    await create(upstream, { 'x-session-id': 'chat-1' })
    await create(upstream, { 'x-session-id': 'chat-1' })
    await untilSessions(upstream, [])
    expect(killed).toEqual([1, 2])
  })
})

describe('the reaper', () => {
  it('tears nothing down once the upstream closes', async () => {
    const closing = new AbortController()
    const owner = { userId: 'ada', chatId: '', policyId: 'default', contextId: 'default' }
    const stillOpen = new AbortController()
    onTestFinished(() => stillOpen.abort())
    const tornDown: string[] = []
    const sessionOf = (name: string) => ({ ...owner, tearDown: () => void tornDown.push(name) }) as ServerSession
    const touch = startReaper(20, [sessionOf('closing')], closing.signal)
    touch(owner)
    await expect.poll(() => tornDown, { interval: 5 }).toEqual(['closing'])
    touch(owner)
    closing.abort()
    const touchOther = startReaper(20, [sessionOf('open')], stillOpen.signal)
    touchOther(owner)
    await expect.poll(() => tornDown, { interval: 5 }).toContain('open')
    expect(tornDown).toEqual(['closing', 'open'])
  })
})
