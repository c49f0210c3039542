import { describe, expect, it } from 'vitest'
import {
  connectTerminal,
  createTerminalSession,
  deleteTerminalSession,
  getTerminalSession,
  listTerminalSessions,
} from '../../src/index.ts'
import type { TestFault } from '../../src/testing.ts'
import { operations } from '../support/requests.ts'
import { promptOnly } from '../support/shells.ts'
import { open } from '../support/terminal.ts'
import { runningTimers } from '../support/timers.ts'
import { clientOf, rejection, serve, until, upstreamOf, userOf } from '../support/upstream.ts'

const retry = { delay: 1 }
const UNAVAILABLE = { code: 'ERR_TERMINAL_UNAVAILABLE' }
const RESET = { ...UNAVAILABLE, cause: { code: 'ECONNRESET' } }

describe('createTerminalSession, when the answer to its POST is lost,', () => {
  const LISTING = ['terminals@0.2.2', 'open-terminal@0.14', 'open-terminal@0.14.5'] as const

  it.each(LISTING)('finds the session on %s, and connectTerminal uses it', async (release) => {
    const upstream = await upstreamOf({ release, faults: { create: ['drop'] } })
    const terminal = await connectTerminal({ ...clientOf(upstream), retry })
    expect(upstream.sessions.map(({ id }) => id)).toEqual([terminal.sessionId])
    expect(operations(upstream).filter((name) => name === 'POST')).toHaveLength(1)
    await terminal.close()
    expect(upstream.sessions).toEqual([])
  })

  it.each(['open-terminal@0.11', 'terminals@0.0.3'] as const)('finds the session by its chat on %s', async (name) => {
    const upstream = await upstreamOf({ release: name, inner: undefined, faults: { create: ['drop'] } })
    expect(await createTerminalSession({ ...userOf(upstream), chatId: '7' })).toMatchObject({ id: '7' })
    expect(upstream.sessions).toHaveLength(1)
  })

  // PROTOCOL 2.8
  it('rejects on a server that lists the sessions of every user', async () => {
    const upstream = await upstreamOf({ release: 'open-terminal@0.11', faults: { create: ['drop'] } })
    expect(await rejection(createTerminalSession(userOf(upstream)))).toMatchObject(RESET)
  })

  it('rejects when somebody else has created a session at the same time', async () => {
    const upstream = await upstreamOf({ faults: { create: [undefined, 'drop'] } })
    const headers = { authorization: 'Bearer sk-canary', 'x-user-id': 'ada' }
    await fetch(`${upstream.url}/api/terminals`, { method: 'POST', headers })
    expect(await rejection(createTerminalSession(userOf(upstream)))).toMatchObject(UNAVAILABLE)
  })

  it('does not take the session that was created just before for the lost one', async () => {
    const upstream = await upstreamOf({ faults: { create: [undefined, 'reset'] } })
    const { id } = await createTerminalSession(userOf(upstream))
    expect(await rejection(createTerminalSession(userOf(upstream)))).toMatchObject(UNAVAILABLE)
    expect(upstream.sessions).toMatchObject([{ id }])
  })

  it('finds the lost session beside those that were created just before', async () => {
    const upstream = await upstreamOf({ faults: { create: [undefined, undefined, 'drop'] } })
    const ids: string[] = []
    while (ids.length < 3) ids.push((await createTerminalSession(userOf(upstream))).id)
    expect(upstream.sessions.map(({ id }) => id)).toEqual(ids)
  })

  it.each<[string, TestFault]>([
    ['is reset', 'reset'],
    ['is refused', { refuse: 502 }],
  ])('rejects with the error of the POST when the list of sessions %s', async (_how, list) => {
    const upstream = await upstreamOf({ faults: { create: ['drop'], list } })
    expect(await rejection(createTerminalSession(userOf(upstream)))).toMatchObject(RESET)
  })

  it.each([
    ['the server sends no Date header', false, 0],
    ['the only session is older', true, 3_600_000],
  ])('rejects when %s', async (_what, sendDate, age) => {
    const base = await serve((server) => {
      server.on('request', ({ method, socket }, response) => {
        response.sendDate = sendDate
        if (method === 'POST') socket.destroy()
        else response.end(JSON.stringify([{ id: 's1', created_at: new Date(Date.now() - age).toISOString() }]))
      })
    })
    expect(await rejection(createTerminalSession({ base, userId: 'ada' }))).toMatchObject(UNAVAILABLE)
  })
})

// PROTOCOL 2.9
describe('a kept-alive connection that the server has dropped', () => {
  it('does not fail a GET or a DELETE', async () => {
    const faults = { create: 'expire', get: 'expire', list: 'expire', delete: 'expire' } as const
    const client = userOf(await upstreamOf({ faults }))
    const session = await createTerminalSession(client)
    const one = { ...client, sessionId: session.id }
    expect(await getTerminalSession(one)).toEqual(session)
    expect(await listTerminalSessions(client)).toEqual([session])
    expect(await deleteTerminalSession(one)).toBe(true)
    expect(await getTerminalSession(one)).toBeUndefined()
  })

  it('leaves no session in a thousand terminals', async () => {
    const repeated = (...kinds: Array<TestFault | undefined>): Array<TestFault | undefined> =>
      Array.from({ length: 4_000 }, (_item, index) => kinds[index % kinds.length])
    const create = repeated('drop', 'reset', undefined, 'expire')
    const faults = { create, get: 'expire', list: 'expire', delete: 'expire' } as const
    const upstream = await upstreamOf({ shell: promptOnly, faults })
    for (let opened = 0; opened < 1_000; opened += 1) {
      const terminal = await connectTerminal({ ...clientOf(upstream), retry })
      await terminal.close()
      expect(upstream.sessions).toEqual([])
    }
  }, 120_000)
})

describe('a session that connectTerminal created', () => {
  it.each<[string, TestFault]>([
    ["a reverse proxy's own 404", { refuse: 404, body: '<h1>default backend</h1>' }],
    ['502', { refuse: 502 }],
    ['a reset', 'reset'],
  ])('is deleted although the first DELETEs got %s', async (_what, fault) => {
    const upstream = await upstreamOf({ faults: { delete: [fault, fault] } })
    const terminal = await connectTerminal(clientOf(upstream))
    await terminal.close()
    expect(upstream.sessions).toEqual([])
  })

  it('gets no second DELETE when the server answers that the session does not exist', async () => {
    const upstream = await upstreamOf()
    const terminal = await connectTerminal(clientOf(upstream))
    upstream.sessions[0]?.exit()
    await terminal.close()
    expect(operations(upstream).filter((name) => name === 'DELETE')).toHaveLength(1)
  })

  it('does not keep the process alive when the server never answers the POST', async () => {
    const upstream = await upstreamOf({ faults: { create: 'stall' } })
    const before = runningTimers()
    await rejection(connectTerminal({ ...clientOf(upstream), timeout: 50 }))
    await until(() => runningTimers() <= before)
  })

  // PROTOCOL 2.4
  it.each([
    [404, 'a reverse proxy that has lost its server', '<h1>default backend</h1>'],
    [404, 'an Open WebUI that has removed its server', `{"detail":"Terminal server 'x' not found"}`],
    [502, 'a reverse proxy that cannot reach it', undefined],
  ])('survives look-ups that get the %i of %s', async (refuse, _whose, body) => {
    const { upstream, terminal } = await open({ faults: { get: { refuse, body } as TestFault } })
    const isRefused = (count: number): boolean =>
      upstream.requests.filter(({ status }) => status === refuse).length >= count
    // The first is that of the attach. A terminal that has ended would not make the third.
    await until(() => isRefused(2))
    await terminal.write('alive')
    await until(() => isRefused(3))
  })
})
