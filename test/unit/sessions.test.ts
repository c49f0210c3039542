import { createServer } from 'node:net'
import { describe, expect, it } from 'vitest'
import {
  createTerminalSession,
  deleteTerminalSession,
  getTerminalSession,
  listTerminalSessions,
  type UpstreamOptions,
} from '../../src/index.ts'
import { afterwards, clientOf, listen, nobody, rejection, releases, serve, upstreamOf } from '../support/upstream.ts'

describe.each(releases)('sessions of %s', (release) => {
  it('are created, found, listed and deleted', async () => {
    const client = clientOf(await upstreamOf({ release }))
    const session = await createTerminalSession(client)
    expect(session).toEqual({
      id: expect.stringMatching(/^[\da-f]{8}$/),
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      pid: expect.any(Number),
    })
    const one = { ...client, sessionId: session.id }
    expect(await getTerminalSession(one)).toEqual(session)
    expect(await listTerminalSessions(client)).toEqual([session])
    expect(await deleteTerminalSession(one)).toBe(true)
    expect(await deleteTerminalSession(one)).toBe(false)
    expect(await getTerminalSession(one)).toBeUndefined()
    expect(await listTerminalSessions(client)).toEqual([])
  })

  it('reject with ERR_TERMINAL_UNAUTHORIZED when the key is wrong', async () => {
    const client = { ...clientOf(await upstreamOf({ release })), key: 'wrong' }
    expect(await rejection(createTerminalSession(client))).toMatchObject({
      code: 'ERR_TERMINAL_UNAUTHORIZED',
      status: 401,
      message: expect.stringContaining('"Invalid API key"'),
    })
  })

  it('reject with ERR_TERMINAL_LIMIT when there are 16', async () => {
    const client = clientOf(await upstreamOf({ release }))
    await Promise.all(Array.from({ length: 16 }, () => createTerminalSession(client)))
    expect(await rejection(createTerminalSession(client))).toMatchObject({ code: 'ERR_TERMINAL_LIMIT', status: 429 })
  })
})

it.each([undefined, ' Bearer '])(
  'an error says that no key was sent when the key was %j and the server wants one',
  async (key) => {
    const client = { ...clientOf(await upstreamOf()), key }
    const { message } = await rejection(listTerminalSessions(client))
    expect(message).toContain('HTTP 401, "Missing Authorization header". No key was sent: check `key` and `authType`.')
  },
)

it('sends every piece of identity where the server looks for it', async () => {
  const upstream = await upstreamOf()
  await createTerminalSession({
    ...clientOf({ url: `${upstream.url}/?token=stale&user_id=stale&trace=1` }),
    authType: 'session',
    policyId: 'gpu',
    contextId: 'chat:7',
    chatId: '7',
    cookie: 'theme=dark',
  })
  expect(upstream.requests).toMatchObject([
    {
      method: 'POST',
      path: '/p/gpu/api/terminals',
      query: { trace: '1' },
      headers: {
        authorization: 'Bearer sk-canary',
        'x-user-id': 'ada',
        'x-session-id': '7',
        'x-terminal-context-id': 'chat:7',
        cookie: 'theme=dark',
      },
    },
  ])
  expect(upstream.requests[0]?.query).toEqual({ trace: '1' })
})

it('speaks HTTP to a base that is a WebSocket URL', async () => {
  const { url } = await upstreamOf()
  expect(await listTerminalSessions(clientOf({ url: url.replace('http', 'ws') }))).toEqual([])
})

it('asks a key function before every request, and waits for it', async () => {
  const client = clientOf(await upstreamOf())
  const keys = ['sk-canary', 'expired']
  const key = (): Promise<string | undefined> => Promise.resolve(keys.shift())
  expect(await listTerminalSessions({ ...client, key })).toEqual([])
  expect(await rejection(listTerminalSessions({ ...client, key }))).toMatchObject({ code: 'ERR_TERMINAL_UNAUTHORIZED' })
})

it.each<[string, () => never | Promise<never>]>([
  [
    'throws',
    () => {
      throw new RangeError('vault is sealed')
    },
  ],
  ['rejects', () => Promise.reject(new RangeError('vault is sealed'))],
])('rejects with the error of a key function that %s', async (_how, key) => {
  const client = clientOf(await upstreamOf())
  expect(await rejection(listTerminalSessions({ ...client, key }))).toEqual(new RangeError('vault is sealed'))
})

describe('what a server answers', () => {
  const html = { 'content-type': 'text/html' }

  it.each<[string, string, object]>([
    ['HTML instead of JSON', 'ERR_TERMINAL_PROTOCOL', { refuse: 200, body: '<html>Welcome</html>', headers: html }],
    ['no id', 'ERR_TERMINAL_PROTOCOL', { refuse: 200, body: '{"pid":1}' }],
    ['an id that is no string', 'ERR_TERMINAL_PROTOCOL', { refuse: 200, body: '{"id":7}' }],
    ['an id that climbs', 'ERR_TERMINAL_PROTOCOL', { refuse: 200, body: '{"id":".."}' }],
    ['null', 'ERR_TERMINAL_PROTOCOL', { refuse: 200, body: 'null' }],
    [
      'a redirect',
      'ERR_TERMINAL_PROTOCOL',
      { refuse: 302, headers: { location: 'https://sso.example/?next=sk-canary' } },
    ],
    ['a redirect to nowhere', 'ERR_TERMINAL_PROTOCOL', { refuse: 307 }],
    ['400', 'ERR_TERMINAL_PROTOCOL', { refuse: 400, body: '{"detail":"context_id is too long"}' }],
    ['403', 'ERR_TERMINAL_FORBIDDEN', { refuse: 403, body: '{"detail":"X-User-Id does not match"}' }],
    ['404 in HTML', 'ERR_TERMINAL_NOT_FOUND', { refuse: 404, body: '<html>nginx</html>', headers: html }],
    ['422', 'ERR_TERMINAL_MISSING_USER', { refuse: 422, body: '{"detail":[{"msg":"Field required"}]}' }],
    ['500', 'ERR_TERMINAL_UNAVAILABLE', { refuse: 500, body: 'Internal Server Error' }],
    ['502', 'ERR_TERMINAL_UNAVAILABLE', { refuse: 502, body: '{"error":"Terminal instance not reachable"}' }],
    ['503', 'ERR_TERMINAL_UNAVAILABLE', { refuse: 503, body: '{"error":7}' }],
  ])('%s becomes %s', async (_what, code, create) => {
    const client = clientOf(await upstreamOf({ faults: { create: create as { refuse: number } } }))
    const error = await rejection(createTerminalSession(client))
    expect(error).toMatchObject({ code, status: (create as { refuse: number }).refuse })
    expect(error.message).toMatch(
      new RegExp(`^Cannot create a terminal session at ${client.base}/api/terminals: .+\\. .+`),
    )
  })

  it('tells where a redirect leads, without its query, and does not go there', async () => {
    const target = await upstreamOf()
    const faults = { list: { refuse: 302, headers: { location: `${target.url}/?token=sk-canary` } } }
    const client = clientOf(await upstreamOf({ faults }))
    const { message } = await rejection(listTerminalSessions(client))
    expect(message).toContain(`redirected to ${target.url}/?[redacted]. Check that \`base\` leads to`)
    expect(target.requests).toEqual([])
  })

  it('takes a session without date and pid, so as not to leave it behind', async () => {
    const client = clientOf(await upstreamOf({ faults: { create: { refuse: 200, body: '{"id":"s1"}' } } }))
    expect(await createTerminalSession(client)).toEqual({ id: 's1', createdAt: '', pid: 0 })
  })

  it('rejects with ERR_TERMINAL_PROTOCOL when HTML says that a session was deleted', async () => {
    const client = clientOf(await upstreamOf({ faults: { delete: { refuse: 200, body: '<html>OK</html>' } } }))
    const error = await rejection(deleteTerminalSession({ ...client, sessionId: 's1' }))
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_PROTOCOL', status: 200 })
  })

  it('rejects and says so when the server does not speak HTTP', async () => {
    const server = createServer((socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n'))
    afterwards(server)
    const base = await listen(server)
    const error = await rejection(listTerminalSessions({ base, userId: 'ada' }))
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_PROTOCOL', message: expect.stringContaining('Parse Error') })
  })

  it('rejects with ERR_TERMINAL_PROTOCOL when a list is none', async () => {
    const client = clientOf(await upstreamOf({ faults: { list: { refuse: 200, body: '{}' } } }))
    expect(await rejection(listTerminalSessions(client))).toMatchObject({ code: 'ERR_TERMINAL_PROTOCOL' })
  })

  it.each<[string, (options: UpstreamOptions & { sessionId: string }) => Promise<unknown>, 'get' | 'delete' | 'list']>([
    ['getTerminalSession', getTerminalSession, 'get'],
    ['deleteTerminalSession', deleteTerminalSession, 'delete'],
    ['listTerminalSessions', listTerminalSessions, 'list'],
  ])('%s rejects with ERR_TERMINAL_UNAVAILABLE when the answer is 502', async (_name, call, operation) => {
    const client = clientOf(await upstreamOf({ faults: { [operation]: { refuse: 502 } } }))
    expect(await rejection(call({ ...client, sessionId: 's1' }))).toMatchObject({ code: 'ERR_TERMINAL_UNAVAILABLE' })
  })

  it('reads no more than it needs of an answer that does not end', async () => {
    const flood = Buffer.alloc(64 * 1024, 'x')
    const base = await serve((server) => {
      server.on('request', (_request, response) => {
        const pour = (): void => {
          while (!response.destroyed && response.write(flood));
        }
        response.on('drain', pour)
        pour()
      })
    })
    expect(await rejection(listTerminalSessions({ base, userId: 'ada' }))).toMatchObject({
      code: 'ERR_TERMINAL_PROTOCOL',
    })
  })

  it('rejects with ERR_TERMINAL_PROTOCOL when there is no answer in the answer', async () => {
    const base = await serve((server) => server.on('request', (_request, response) => response.writeHead(204).end()))
    for (const call of [deleteTerminalSession, listTerminalSessions]) {
      const error = await rejection(call({ base, userId: 'ada', sessionId: 's1' }))
      expect(error).toMatchObject({ code: 'ERR_TERMINAL_PROTOCOL', status: 204 })
    }
  })
})

describe('what the network does', () => {
  it('rejects with ERR_TERMINAL_UNAVAILABLE and the reason when nobody listens', async () => {
    const error = await rejection(listTerminalSessions({ base: await nobody(), userId: 'ada' }))
    expect(error).toMatchObject({
      code: 'ERR_TERMINAL_UNAVAILABLE',
      message: expect.stringMatching(/^Cannot list the terminal sessions at http.+: connect ECONNREFUSED .+\. Check /),
      cause: { code: 'ECONNREFUSED' },
    })
  })

  it.each(['reset', 'drop'] as const)('rejects with ERR_TERMINAL_UNAVAILABLE on a %s', async (list) => {
    const client = clientOf(await upstreamOf({ faults: { list } }))
    expect(await rejection(listTerminalSessions(client))).toMatchObject({ code: 'ERR_TERMINAL_UNAVAILABLE' })
  })

  it.each<[string, unknown]>([
    ['an error', new Error('enough')],
    ['undefined', undefined],
    ['a string', 'enough'],
  ])('rejects with the reason of the signal itself when that is %s', async (_what, reason) => {
    const client = clientOf(await upstreamOf({ faults: { list: 'stall' } }))
    const controller = new AbortController()
    const listing = rejection(listTerminalSessions({ ...client, signal: controller.signal }))
    controller.abort(reason)
    expect(await listing).toBe(controller.signal.reason)
  })

  it('does not ask at all when the signal has aborted before', async () => {
    const upstream = await upstreamOf()
    const signal = AbortSignal.abort(new Error('enough'))
    for (const key of ['sk-canary', () => 'sk-canary']) {
      expect(await rejection(listTerminalSessions({ ...clientOf(upstream), key, signal }))).toBe(signal.reason)
    }
    expect(upstream.requests).toEqual([])
  })

  it('stops waiting for a key function when the signal aborts', async () => {
    const client = clientOf(await upstreamOf())
    const controller = new AbortController()
    const key = (): Promise<string> => new Promise(() => {})
    const listing = rejection(listTerminalSessions({ ...client, key, signal: controller.signal }))
    controller.abort(new Error('enough'))
    expect(await listing).toBe(controller.signal.reason)
  })
})

describe('what a caller gets wrong', () => {
  it.each<[string, object, string]>([
    ['ERR_TERMINAL_INVALID_URL', { base: undefined }, 'TerminalError'],
    ['ERR_INVALID_ARG_TYPE', { userId: undefined }, 'TypeError'],
    ['ERR_INVALID_ARG_VALUE', { authType: 'basic' }, 'TypeError'],
    ['ERR_INVALID_ARG_TYPE', { signal: 'soon' }, 'TypeError'],
    ['ERR_INVALID_ARG_TYPE', { signal: null }, 'TypeError'],
    ['ERR_INVALID_ARG_TYPE', { sessionId: undefined }, 'TypeError'],
    ['ERR_INVALID_ARG_VALUE', { sessionId: '..' }, 'TypeError'],
  ])('rejects with %s when it passes %o', async (code, wrong, name) => {
    const options = { base: 'http://127.0.0.1:1', userId: 'ada', sessionId: 's1', ...wrong } as never
    expect(await rejection(deleteTerminalSession(options))).toMatchObject({ name, code })
  })

  it.each([createTerminalSession, listTerminalSessions, getTerminalSession, deleteTerminalSession])(
    '%o rejects with ERR_INVALID_ARG_TYPE without options',
    async (call) => {
      expect(await rejection((call as () => Promise<unknown>)())).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
    },
  )
})
