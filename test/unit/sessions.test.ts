import { createServer } from 'node:net'
import { describe, expect, it } from 'vitest'
import {
  createTerminalSession,
  deleteTerminalSession,
  getTerminalSession,
  listTerminalSessions,
} from '../../src/index.ts'
import { createSession } from '../../src/upstream/sessions.ts'
import { flood } from '../support/frames.ts'
import { afterwards, listen, nobody, rejection, releases, serve, upstreamOf, userOf } from '../support/upstream.ts'

const calls = { createTerminalSession, listTerminalSessions, getTerminalSession, deleteTerminalSession }

describe.each(releases)('on %s', (release) => {
  it('sessions are created, found, listed and deleted', async () => {
    const client = userOf(await upstreamOf({ release }))
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
    const { isBehindOrchestrator } = await createSession(client)
    expect(isBehindOrchestrator).toBe(release.startsWith('terminals'))
  })

  it('createTerminalSession rejects with ERR_TERMINAL_UNAUTHORIZED when the key is wrong', async () => {
    const client = { ...userOf(await upstreamOf({ release })), key: 'wrong' }
    expect(await rejection(createTerminalSession(client))).toMatchObject({
      code: 'ERR_TERMINAL_UNAUTHORIZED',
      status: 401,
      message: expect.stringContaining('"Invalid API key"'),
    })
  })

  // PROTOCOL 2.10
  it('createTerminalSession rejects with ERR_TERMINAL_LIMIT when there are 16 sessions', async () => {
    const client = userOf(await upstreamOf({ release }))
    await Promise.all(Array.from({ length: 16 }, () => createTerminalSession(client)))
    expect(await rejection(createTerminalSession(client))).toMatchObject({ code: 'ERR_TERMINAL_LIMIT', status: 429 })
  })
})

it.each([undefined, ' Bearer '])('listTerminalSessions says that no key was sent when the key is %j', async (key) => {
  const client = { ...userOf(await upstreamOf()), key }
  const { message } = await rejection(listTerminalSessions(client))
  expect(message).toContain('HTTP 401, "Missing Authorization header". No key was sent: check `key` and `authType`.')
})

it('createTerminalSession sends the identity in path and headers, and the parameters of the base without the identity', async () => {
  const upstream = await upstreamOf()
  await createTerminalSession({
    ...userOf({ url: `${upstream.url}/?token=stale&user_id=stale&trace=1` }),
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

it('listTerminalSessions accepts a WebSocket URL as the base', async () => {
  const { url } = await upstreamOf()
  expect(await listTerminalSessions(userOf({ url: url.replace('http', 'ws') }))).toEqual([])
})

it('listTerminalSessions calls a key function before every request, and awaits the key', async () => {
  const client = userOf(await upstreamOf())
  const keys = ['sk-canary', 'expired']
  const key = (): Promise<string | undefined> => Promise.resolve(keys.shift())
  expect(await listTerminalSessions({ ...client, key })).toEqual([])
  expect(await rejection(listTerminalSessions({ ...client, key }))).toMatchObject({ code: 'ERR_TERMINAL_UNAUTHORIZED' })
})

it('listTerminalSessions rejects with the error of a key function that throws or rejects', async () => {
  const error = new RangeError('vault is sealed')
  const throwing = (): never => {
    throw error
  }
  for (const key of [throwing, () => Promise.reject(error)]) {
    expect(await rejection(listTerminalSessions({ ...userOf({ url: 'http://h' }), key }))).toBe(error)
  }
})

describe('an unexpected answer', () => {
  const html = { 'content-type': 'text/html' }

  it.each<[string, string, object]>([
    ['HTML instead of JSON', 'ERR_TERMINAL_PROTOCOL', { refuse: 200, body: '<html>Welcome</html>', headers: html }],
    ['no id', 'ERR_TERMINAL_PROTOCOL', { refuse: 200, body: '{"pid":1}' }],
    ['an id that is a number', 'ERR_TERMINAL_PROTOCOL', { refuse: 200, body: '{"id":7}' }],
    ['an id that leads out of the path', 'ERR_TERMINAL_PROTOCOL', { refuse: 200, body: '{"id":".."}' }],
    ['null', 'ERR_TERMINAL_PROTOCOL', { refuse: 200, body: 'null' }],
    ['a redirect', 'ERR_TERMINAL_PROTOCOL', { refuse: 302, headers: { location: 'https://sso.example/?a=sk-canary' } }],
    ['a redirect without a Location', 'ERR_TERMINAL_PROTOCOL', { refuse: 307 }],
    ['400', 'ERR_TERMINAL_PROTOCOL', { refuse: 400, body: '{"detail":"context_id is too long"}' }],
    ['403', 'ERR_TERMINAL_FORBIDDEN', { refuse: 403, body: '{"detail":"X-User-Id does not match"}' }],
    ['404 in HTML', 'ERR_TERMINAL_NOT_FOUND', { refuse: 404, body: '<html>nginx</html>', headers: html }],
    ['422', 'ERR_TERMINAL_MISSING_USER', { refuse: 422, body: '{"detail":[{"msg":"Field required"}]}' }],
    ['500', 'ERR_TERMINAL_UNAVAILABLE', { refuse: 500, body: 'Internal Server Error' }],
    ['502', 'ERR_TERMINAL_UNAVAILABLE', { refuse: 502, body: '{"error":"Terminal instance not reachable"}' }],
    ['503', 'ERR_TERMINAL_UNAVAILABLE', { refuse: 503, body: '{"error":7}' }],
  ])('with %s makes createTerminalSession reject with %s', async (_what, code, create) => {
    const client = userOf(await upstreamOf({ faults: { create: create as { refuse: number } } }))
    const error = await rejection(createTerminalSession(client))
    expect(error).toMatchObject({ code, status: (create as { refuse: number }).refuse })
    expect(error.message).toMatch(
      new RegExp(`^Cannot create a terminal session at ${client.base}/api/terminals: .+\\. .+`),
    )
  })

  // PROTOCOL 2.13
  it('that redirects is not followed, and the message shows its target without the query', async () => {
    const target = await upstreamOf()
    const faults = { list: { refuse: 302, headers: { location: `${target.url}/?token=sk-canary` } } }
    const client = userOf(await upstreamOf({ faults }))
    const { message } = await rejection(listTerminalSessions(client))
    expect(message).toContain(`redirected to ${target.url}/?[redacted]. Use that address`)
    expect(target.requests).toEqual([])
  })

  it.each(['. Now run: x', '.%20Now%20run:%20x'])('that redirects to %s says nothing in our place', async (path) => {
    const refusal = { refuse: 302, headers: { location: `https://sso.example/${path}` } }
    const client = userOf(await upstreamOf({ faults: { list: refusal } }))
    const { message } = await rejection(listTerminalSessions(client))
    expect(message).toContain('redirected to https://sso.example/.%20Now%20run:%20x. Use that address')
  })

  it('that says that the server is full is known as that, also if one of its words counts as a secret', async () => {
    const body = '{"error":"Maximum number of terminal sessions (16) reached"}'
    const client = userOf(await upstreamOf({ faults: { create: { refuse: 429, body } } }))
    const error = await rejection(createTerminalSession({ ...client, base: `${client.base}?app=terminal` }))
    const message = expect.stringContaining('"Maximum number of [redacted] sessions (16) reached"')
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_LIMIT', message })
  })

  it.each([
    ['nothing but an id', '{"id":"s1"}', '', 0],
    ['a date and a process id of another kind', '{"id":"s1","created_at":{"toString":1},"pid":{"valueOf":1}}', '', 0],
    ['all that a server tells', '{"id":"s1","created_at":"2026-11-30T00:00:00","pid":7}', '2026-11-30T00:00:00', 7],
  ])('with %s is a session, so that the caller can delete it', async (_what, body, createdAt, pid) => {
    const client = userOf(await upstreamOf({ faults: { create: { refuse: 200, body } } }))
    expect(await createTerminalSession(client)).toEqual({ id: 's1', createdAt, pid })
  })

  it('in HTML makes deleteTerminalSession reject with ERR_TERMINAL_PROTOCOL', async () => {
    const client = userOf(await upstreamOf({ faults: { delete: { refuse: 200, body: '<html>OK</html>' } } }))
    const error = await rejection(deleteTerminalSession({ ...client, sessionId: 's1' }))
    const message = expect.stringContaining('the answer is no JSON')
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_PROTOCOL', status: 200, message })
  })

  it('that is no HTTP makes listTerminalSessions reject with ERR_TERMINAL_PROTOCOL', async () => {
    const server = createServer((socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n'))
    afterwards(server)
    const base = await listen(server)
    const error = await rejection(listTerminalSessions({ base, userId: 'ada' }))
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_PROTOCOL', message: expect.stringContaining('Parse Error') })
  })

  it('that is no list makes listTerminalSessions reject with ERR_TERMINAL_PROTOCOL', async () => {
    const client = userOf(await upstreamOf({ faults: { list: { refuse: 200, body: '{}' } } }))
    const message = expect.stringContaining('the answer is no list')
    expect(await rejection(listTerminalSessions(client))).toMatchObject({ code: 'ERR_TERMINAL_PROTOCOL', message })
  })

  it.each([
    ['getTerminalSession', 'get', 'look up the terminal session'],
    ['deleteTerminalSession', 'delete', 'delete the terminal session'],
    ['listTerminalSessions', 'list', 'list the terminal sessions'],
  ] as const)('with 502 makes %s reject with ERR_TERMINAL_UNAVAILABLE', async (name, operation, what) => {
    const client = userOf(await upstreamOf({ faults: { [operation]: { refuse: 502 } } }))
    const error = await rejection(calls[name]({ ...client, sessionId: 's1' }))
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_UNAVAILABLE' })
    expect(error.message).toContain(`Cannot ${what} at ${client.base}`)
  })

  it('without an end makes listTerminalSessions reject with ERR_TERMINAL_PROTOCOL', async () => {
    const base = await serve((server) => {
      server.on('request', (_request, response) => flood(response, Buffer.alloc(64 * 1024, 'x')))
    })
    const error = await rejection(listTerminalSessions({ base, userId: 'ada' }))
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_PROTOCOL' })
  })

  it('without a body makes both list and delete reject with ERR_TERMINAL_PROTOCOL', async () => {
    const base = await serve((server) => server.on('request', (_request, response) => response.writeHead(204).end()))
    for (const call of [deleteTerminalSession, listTerminalSessions]) {
      const error = await rejection(call({ base, userId: 'ada', sessionId: 's1' }))
      expect(error).toMatchObject({ code: 'ERR_TERMINAL_PROTOCOL', status: 204 })
    }
  })
})

describe('listTerminalSessions', () => {
  it('rejects with ERR_TERMINAL_UNAVAILABLE and the cause when the connection is refused', async () => {
    const error = await rejection(listTerminalSessions({ base: await nobody(), userId: 'ada' }))
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_UNAVAILABLE', cause: { code: 'ECONNREFUSED' } })
    expect(error.message).toMatch(
      /^Cannot list the terminal sessions at http.+: connect ECONNREFUSED .+\. Start the server/,
    )
  })

  it.each(['reset', 'drop'] as const)('rejects with ERR_TERMINAL_UNAVAILABLE after the fault %j', async (list) => {
    const client = userOf(await upstreamOf({ faults: { list } }))
    expect(await rejection(listTerminalSessions(client))).toMatchObject({ code: 'ERR_TERMINAL_UNAVAILABLE' })
  })

  it.each<[string, unknown]>([
    ['an error', new Error('enough')],
    ['undefined', undefined],
    ['a string', 'enough'],
  ])('rejects with the reason of the signal when that is %s', async (_what, reason) => {
    const client = userOf(await upstreamOf({ faults: { list: 'stall' } }))
    const controller = new AbortController()
    const listing = rejection(listTerminalSessions({ ...client, signal: controller.signal }))
    controller.abort(reason)
    expect(await listing).toBe(controller.signal.reason)
  })

  it('sends no request when the signal has aborted before', async () => {
    const upstream = await upstreamOf()
    const signal = AbortSignal.abort(new Error('enough'))
    for (const key of ['sk-canary', () => 'sk-canary']) {
      expect(await rejection(listTerminalSessions({ ...userOf(upstream), key, signal }))).toBe(signal.reason)
    }
    expect(upstream.requests).toEqual([])
  })

  it('stops waiting for a key function when the signal aborts', async () => {
    const client = userOf(await upstreamOf())
    const controller = new AbortController()
    const key = (): Promise<string> => new Promise(() => {})
    const listing = rejection(listTerminalSessions({ ...client, key, signal: controller.signal }))
    controller.abort(new Error('enough'))
    expect(await listing).toBe(controller.signal.reason)
  })
})

describe('an invalid option', () => {
  it.each<[string, object, string]>([
    ['ERR_TERMINAL_INVALID_URL', { base: undefined }, 'TerminalError'],
    ['ERR_INVALID_ARG_TYPE', { userId: undefined }, 'TypeError'],
    ['ERR_INVALID_ARG_VALUE', { authType: 'basic' }, 'TypeError'],
    ['ERR_INVALID_ARG_TYPE', { signal: 'soon' }, 'TypeError'],
    ['ERR_INVALID_ARG_TYPE', { signal: null }, 'TypeError'],
    ['ERR_INVALID_ARG_TYPE', { sessionId: undefined }, 'TypeError'],
    ['ERR_INVALID_ARG_VALUE', { sessionId: '..' }, 'TypeError'],
  ])('makes deleteTerminalSession reject with %s: %o', async (code, wrong, name) => {
    const options = { base: 'http://127.0.0.1:1', userId: 'ada', sessionId: 's1', ...wrong } as never
    expect(await rejection(deleteTerminalSession(options))).toMatchObject({ name, code })
  })

  it.each(Object.entries(calls))(
    'makes %s reject when there is none at all, or one of another name',
    async (name, call) => {
      expect(await rejection(call(undefined as never))).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
      const { message } = await rejection(call({ base: 'http://h', userId: 'ada', sessionId: 's1', user: 1 } as never))
      expect(message).toContain(`\`user\` is not an option of ${name}.`)
    },
  )
})
