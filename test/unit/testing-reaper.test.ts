import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { TestSession, TestUpstream } from '../../src/testing.ts'
import {
  API,
  ask,
  attach,
  create,
  lenientInside,
  next,
  orchestrators,
  start,
  strictInside,
} from '../support/raw-client.ts'

const PING = '{"type":"ping"}'

/** Resolves once the upstream has exactly these sessions. */
async function untilSessions(upstream: TestUpstream, sessions: TestSession[]): Promise<void> {
  await expect.poll(() => upstream.sessions, { interval: 5 }).toEqual(sessions)
}

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

  it('tears down a container although a client types and its shell prints (PROTOCOL 2.12)', async () => {
    const upstream = await start({ release, idleTimeout: 100 })
    const session = await create(upstream)
    const socket = await attach(upstream, session.id)
    const busy = setInterval(() => {
      socket.ws.send(Buffer.from('x'))
      void session.output('x')
    }, 5)
    expect(await socket.ended).toBe('open, 1000')
    clearInterval(busy)
    expect(upstream.sessions).toEqual([])
  })
})

// An orchestrator tells nobody (PROTOCOL 6.2).
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
  it.each<[what: string, use: (upstream: TestUpstream) => unknown]>([
    ['a request for its sessions', (upstream) => ask(upstream, 'GET')],
    ['a request for an unknown session', (upstream) => ask(upstream, 'DELETE', `${API}/nowhere`)],
    ['a request with a method that is not allowed', (upstream) => ask(upstream, 'PUT')],
    ['an attach', async (upstream) => (await attach(upstream, upstream.sessions[0]?.id)).ws.terminate()],
  ])('keeps a container longer than the others after %s', async (_what, use) => {
    const upstream = await start({ idleTimeout: 1000 })
    const used = await create(upstream)
    await create(upstream, { 'x-user-id': 'bob' })
    await create(upstream, {}, '/p/gold')
    await create(upstream, { 'x-terminal-context-id': 'chat:1' })
    const useUntilOthersEnd = async (): Promise<TestSession[]> => {
      await use(upstream)
      return [...upstream.sessions]
    }
    await expect.poll(useUntilOthersEnd, { interval: 20 }).toEqual([used])
    await untilSessions(upstream, [])
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

it('stops its clock when the upstream closes', async () => {
  // As long as a timer can be.
  const upstream = await start({ idleTimeout: 2 ** 31 - 1 })
  const clear = vi.spyOn(globalThis, 'clearInterval')
  onTestFinished(() => clear.mockRestore())
  await upstream.close()
  expect(clear).toHaveBeenCalledOnce()
})
