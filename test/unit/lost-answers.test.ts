import { describe, expect, it } from 'vitest'
import {
  connectTerminal,
  createTerminalSession,
  deleteTerminalSession,
  getTerminalSession,
  listTerminalSessions,
} from '../../src/index.ts'
import type { TestFault, TestUpstream } from '../../src/testing.ts'
import { afterwards, clientOf, rejection, serve, until, upstreamOf } from '../support/upstream.ts'

const retry = { delay: 1 }

function operations({ requests }: TestUpstream): string[] {
  return requests.map(({ kind, method, status }) => `${kind === 'http' ? method : 'attach'} ${status}`)
}

describe('an answer to POST that is lost', () => {
  it.each(['terminals@0.2.2', 'open-terminal@0.14', 'open-terminal@0.14.5'] as const)(
    'is made up for on %s: the session is found and used',
    async (release) => {
      const upstream = await upstreamOf({ release, faults: { create: ['drop'] } })
      const terminal = await connectTerminal({ ...clientOf(upstream), retry })
      expect(upstream.sessions.map(({ id }) => id)).toEqual([terminal.sessionId])
      expect(operations(upstream).filter((name) => name.startsWith('POST'))).toHaveLength(1)
      await terminal.close()
      expect(upstream.sessions).toEqual([])
    },
  )

  it.each(['open-terminal@0.11', 'terminals@0.0.3'] as const)(
    'is made up for on %s where the chat is the id',
    async (release) => {
      const upstream = await upstreamOf({ release, inner: undefined, faults: { create: ['drop'] } })
      expect(await createTerminalSession({ ...clientOf(upstream), chatId: '7' })).toMatchObject({ id: '7' })
      expect(upstream.sessions).toHaveLength(1)
    },
  )

  it('takes no session on a server that shows the sessions of every user', async () => {
    const upstream = await upstreamOf({ release: 'open-terminal@0.11', faults: { create: ['drop'] } })
    const error = await rejection(createTerminalSession(clientOf(upstream)))
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_UNAVAILABLE', cause: { code: 'ECONNRESET' } })
  })

  it('takes none of two sessions that were created at the same time', async () => {
    const upstream = await upstreamOf({ faults: { create: [undefined, 'drop'] } })
    await createTerminalSession(clientOf(upstream))
    expect(await rejection(createTerminalSession(clientOf(upstream)))).toMatchObject({
      code: 'ERR_TERMINAL_UNAVAILABLE',
    })
  })

  it.each<[string, TestFault]>([
    ['is reset', 'reset'],
    ['is refused', { refuse: 502 }],
  ])('is reported as it was when the list %s', async (_how, list) => {
    const upstream = await upstreamOf({ faults: { create: ['drop'], list } })
    expect(await rejection(createTerminalSession(clientOf(upstream)))).toMatchObject({
      code: 'ERR_TERMINAL_UNAVAILABLE',
      cause: { code: 'ECONNRESET' },
    })
  })

  it('takes no session without the clock of the server', async () => {
    const base = await serve((server) => {
      server.on('request', ({ method, socket }, response) => {
        response.sendDate = false
        if (method === 'POST') socket.destroy()
        else response.end(JSON.stringify([{ id: 's1', created_at: new Date().toISOString() }]))
      })
    })
    expect(await rejection(createTerminalSession({ base, userId: 'ada' }))).toMatchObject({
      code: 'ERR_TERMINAL_UNAVAILABLE',
    })
  })
})

describe('a kept-alive connection that the server has forgotten', () => {
  it('costs GET and DELETE nothing', async () => {
    const faults = { create: 'expire', get: 'expire', list: 'expire', delete: 'expire' } as const
    const client = clientOf(await upstreamOf({ faults }))
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
    const upstream = await upstreamOf({
      shell({ output }) {
        void output('$ ')
        return { input: () => {} }
      },
      faults: {
        create: repeated('drop', 'reset', undefined, 'expire'),
        get: 'expire',
        list: 'expire',
        delete: 'expire',
      },
    })
    for (let opened = 0; opened < 1_000; opened += 1) {
      const terminal = await connectTerminal({ ...clientOf(upstream), retry })
      await terminal.close()
      expect(upstream.sessions).toEqual([])
    }
  }, 60_000)
})

describe('a session that was created for a terminal', () => {
  it.each<[string, TestFault]>([
    ["a reverse proxy's own 404", { refuse: 404, body: '<h1>default backend</h1>' }],
    ['502', { refuse: 502 }],
    ['a reset', 'reset'],
  ])('is deleted although the first answers to that were %s', async (_what, fault) => {
    const upstream = await upstreamOf({ faults: { delete: [fault, fault] } })
    const terminal = await connectTerminal(clientOf(upstream))
    await terminal.close()
    expect(upstream.sessions).toEqual([])
  })

  it('is not asked for again once the server has said itself that it is gone', async () => {
    const upstream = await upstreamOf()
    const terminal = await connectTerminal(clientOf(upstream))
    upstream.sessions[0]?.exit()
    await terminal.close()
    expect(operations(upstream).filter((name) => name.startsWith('DELETE'))).toHaveLength(1)
  })

  it('does not keep the process alive when the server is silent', async () => {
    const upstream = await upstreamOf({ faults: { create: 'stall' } })
    const refs = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
    const before = refs()
    await rejection(connectTerminal({ ...clientOf(upstream), timeout: 50 }))
    await until(() => refs() <= before)
  })

  it('is not ended by the 404 of a reverse proxy that has lost its server', async () => {
    const upstream = await upstreamOf({ faults: { get: { refuse: 404, body: '<h1>default backend</h1>' } } })
    const terminal = await connectTerminal(clientOf(upstream))
    afterwards(terminal)
    await until(() => upstream.requests.filter(({ status }) => status === 404).length >= 2)
    expect(await Promise.race([terminal.closed, Promise.resolve('open')])).toBe('open')
  })
})
