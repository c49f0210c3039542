import { getEventListeners } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import {
  connectTerminal,
  createTerminalSession,
  listTerminalSessions,
  type ConnectTerminalOptions,
} from '../../src/index.ts'
import type { TestFault, TestShell, TestUpstream } from '../../src/testing.ts'
import { browserSocket } from '../support/browser-socket.ts'
import {
  afterwards,
  clientOf,
  nobody,
  outputWith,
  rejection,
  releases,
  serve,
  until,
  upstreamOf,
} from '../support/upstream.ts'

type Upgrade = [request: IncomingMessage, socket: Duplex, head: Buffer]

const prompting: TestShell = ({ output }) => {
  void output('$ ')
  return { input: () => {} }
}

const quickRetry = { attempts: 5, delay: 1 }

function handshakes({ requests }: TestUpstream): TestUpstream['requests'] {
  return requests.filter(({ kind }) => kind === 'websocket')
}

function operations({ requests }: TestUpstream): string[] {
  return requests.map(({ kind, method }) => (kind === 'http' ? method : 'attach'))
}

/** Checks that a failed attempt has left nothing; but a request for a session is seen through, so as to delete it. */
function expectNothingLeft(upstream: TestUpstream): void {
  const timers = process.getActiveResourcesInfo().filter((name) => name === 'Timeout')
  const ownTimer = 1
  const seenThrough = operations(upstream).at(-1) === 'POST' ? 1 : 0
  expect(upstream.sessions).toEqual([])
  expect(timers.length).toBeLessThanOrEqual(ownTimer + seenThrough)
}

describe.each(releases)('connectTerminal to %s', (release) => {
  it('attaches with its defaults, says who it is everywhere, and then the size, and then the user speaks', async () => {
    const upstream = await upstreamOf({ release })
    const terminal = await connectTerminal({ ...clientOf(upstream), size: { cols: 132, rows: 50 } })
    afterwards(terminal)
    await terminal.write('hello')
    expect(await outputWith(terminal, 'hello')).toBe('hello')
    expect(upstream.sessions).toMatchObject([{ id: terminal.sessionId, attached: 1, size: { cols: 132, rows: 50 } }])
    expect(handshakes(upstream).slice(release === 'terminals@0.0.2' ? 1 : 0)).toMatchObject([
      {
        path: `/api/terminals/${terminal.sessionId}`,
        query: { user_id: 'ada' },
        headers: { authorization: 'Bearer sk-canary', 'x-user-id': 'ada' },
        status: 101,
        frames: [
          '{"type":"auth","token":"sk-canary"}',
          '{"type":"resize","cols":132,"rows":50}',
          '{"type":"ping"}',
          new TextEncoder().encode('hello'),
        ],
      },
    ])
    expect(handshakes(upstream)[0]?.headers).not.toHaveProperty('sec-websocket-extensions')
  })

  it('attaches with the first output, without waiting for silence', async () => {
    const upstream = await upstreamOf({ release, shell: prompting })
    const terminal = await connectTerminal({ ...clientOf(upstream), settle: 60_000 })
    afterwards(terminal)
    expect(await outputWith(terminal, '$ ')).toBe('$ ')
  })

  it('attaches to a server that wants no key', async () => {
    const upstream = await upstreamOf({ release, key: undefined })
    const terminal = await connectTerminal({ ...clientOf(upstream), key: undefined })
    afterwards(terminal)
    await terminal.write('x')
    await outputWith(terminal, 'x')
    expect(handshakes(upstream)[0]).toMatchObject({
      query: { user_id: 'ada' },
      frames: ['{"type":"auth","token":""}', '{"type":"ping"}', expect.anything()],
    })
  })

  it("keeps the key out of the URL with tokenInUrl: 'never', where the release lets it", async () => {
    const upstream = await upstreamOf({ release })
    const connecting = connectTerminal({ ...clientOf(upstream), tokenInUrl: 'never' })
    if (release === 'terminals@0.0.2') {
      expect(await rejection(connecting)).toMatchObject({ code: 'ERR_TERMINAL_UNAUTHORIZED', status: 403 })
      expect(upstream.sessions).toEqual([])
    } else afterwards(await connecting)
    expect(handshakes(upstream).map(({ query }) => query)).toEqual([{ user_id: 'ada' }])
  })

  it.each([
    ['ws', undefined],
    ["a browser's socket", browserSocket],
  ])("puts the key into the URL only where it must with tokenInUrl: 'fallback' and %s", async (_which, Socket) => {
    const upstream = await upstreamOf({ release, shell: prompting })
    // A browser cannot say on the socket whose session it is.
    const identity =
      Socket && release.startsWith('open-terminal@0.14') ? { sessionId: await sessionOfNobody(upstream.url) } : {}
    const terminal = await connectTerminal({
      ...clientOf(upstream),
      ...identity,
      tokenInUrl: 'fallback',
      WebSocket: Socket,
    })
    afterwards(terminal)
    expect(handshakes(upstream).map(({ query }) => 'token' in query)).toEqual(
      release === 'terminals@0.0.2' ? [false, true] : [false],
    )
  })

  it('deletes the session that it created when the terminal ends, and only that', async () => {
    const upstream = await upstreamOf({ release })
    const client = clientOf(upstream)
    const mine = await createTerminalSession(client)
    const [named, leased] = await Promise.all([
      connectTerminal({ ...client, sessionId: mine.id }),
      connectTerminal(client),
    ])
    await Promise.all([named.close(), leased.close()])
    const deleted = upstream.requests.filter(({ method }) => method === 'DELETE').map(({ path }) => path)
    expect(deleted).toEqual([`/api/terminals/${leased.sessionId}`])
    expect((await listTerminalSessions(client)).map(({ id }) => id)).toEqual(
      release.startsWith('terminals') ? [mine.id] : [],
    )
  })

  it('rejects with ERR_TERMINAL_UNAUTHORIZED when the key is wrong', async () => {
    const upstream = await upstreamOf({ release })
    const { id } = await createTerminalSession(clientOf(upstream))
    const wrong = { ...clientOf(upstream), key: 'sk-wrong' }
    expect(await rejection(connectTerminal(wrong))).toMatchObject({ code: 'ERR_TERMINAL_UNAUTHORIZED', status: 401 })
    const error = await rejection(connectTerminal({ ...wrong, sessionId: id }))
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_UNAUTHORIZED' })
    expect(error.message).toContain(`${upstream.url.replace('http', 'ws')}/api/terminals/${id}`.replace(/^wss?/, ''))
  })

  it('rejects with ERR_TERMINAL_NOT_FOUND when the session is not there', async () => {
    const upstream = await upstreamOf({ release, redialDelay: 5 })
    const error = await rejection(connectTerminal({ ...clientOf(upstream), sessionId: 'gone', settle: 2_000 }))
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_NOT_FOUND' })
    expect(operations(upstream)).toEqual(['attach', 'GET'])
  })

  it('never sends the key of another auth type in the URL', async () => {
    const upstream = await upstreamOf({ release, key: release === 'terminals@0.0.2' ? undefined : 'jwt' })
    const options = { ...clientOf(upstream), authType: 'session', key: 'jwt', cookie: 'sid=1' } as const
    const terminal = await connectTerminal(options)
    afterwards(terminal)
    expect(handshakes(upstream)).toMatchObject([{ headers: { authorization: 'Bearer jwt', cookie: 'sid=1' } }])
    expect(handshakes(upstream)[0]?.query).toEqual({ user_id: 'ada' })
  })
})

/** A session that a client without headers may attach to. */
async function sessionOfNobody(url: string): Promise<string> {
  const response = await fetch(`${url}/api/terminals`, {
    method: 'POST',
    headers: { authorization: 'Bearer sk-canary' },
  })
  return ((await response.json()) as { id: string }).id
}

describe('policies and contexts', () => {
  it('lead to the place where the session was created', async () => {
    const upstream = await upstreamOf({ policies: ['gpu'] })
    const place = { policyId: 'gpu', contextId: 'chat:7' }
    const terminal = await connectTerminal({ ...clientOf(upstream), ...place })
    afterwards(terminal)
    expect(upstream.sessions).toMatchObject([place])
    expect(handshakes(upstream)).toMatchObject([
      { path: `/p/gpu/api/terminals/${terminal.sessionId}`, query: { context_id: 'chat:7' } },
    ])
  })

  it('reject with ERR_TERMINAL_NOT_FOUND when the policy is unknown', async () => {
    const upstream = await upstreamOf({ policies: [] })
    const lost = { ...clientOf(upstream), policyId: 'gpu' }
    expect(await rejection(connectTerminal(lost))).toMatchObject({ code: 'ERR_TERMINAL_NOT_FOUND', status: 404 })
    expect(await rejection(connectTerminal({ ...lost, sessionId: 's1' }))).toMatchObject({ closeCode: 4004 })
  })
})

describe('a refused attach', () => {
  it.each<[TestFault, string, object]>([
    [{ refuse: 404 }, 'ERR_TERMINAL_NOT_FOUND', { status: 404 }],
    [{ refuse: 429 }, 'ERR_TERMINAL_LIMIT', { status: 429 }],
    [{ refuse: 500 }, 'ERR_TERMINAL_UNAVAILABLE', { status: 500 }],
    [{ refuse: 200, body: '{"id":"s1"}' }, 'ERR_TERMINAL_PROTOCOL', { status: 200 }],
    [{ refuse: 302, headers: { location: 'http://127.0.0.1:1/' } }, 'ERR_TERMINAL_PROTOCOL', { status: 302 }],
    [{ refuse: 1000 }, 'ERR_TERMINAL_UNAVAILABLE', { closeCode: 1000 }],
    [{ refuse: 1008, body: 'policy' }, 'ERR_TERMINAL_PROTOCOL', { closeCode: 1008, closeReason: 'policy' }],
    [{ refuse: 4003, body: 'Access denied' }, 'ERR_TERMINAL_FORBIDDEN', { closeCode: 4003 }],
    [{ refuse: 4004, body: 'Session not found' }, 'ERR_TERMINAL_NOT_FOUND', { closeCode: 4004 }],
  ])('with %j becomes %s, at once, and leaves no session', async (attach, code, fields) => {
    const upstream = await upstreamOf({ faults: { attach } })
    const error = await rejection(connectTerminal({ ...clientOf(upstream), settle: 2_000, retry: quickRetry }))
    expect(error).toMatchObject({ code, ...fields })
    expect(error.message).toMatch(/^Cannot attach at ws:\/\/127\.0\.0\.1:\d+\/api\/terminals\/[\da-f]{8}: .+\. .+/)
    expect(handshakes(upstream)).toHaveLength(1)
    expectNothingLeft(upstream)
  })

  it.each<[string, object, string]>([
    ['the key was in the URL', {}, 'Check `key`, and that what is in between passes WebSockets on, with the key in'],
    ['the key was kept out of it', { tokenInUrl: 'never' }, 'Terminals up to 0.0.2 wants a `bearer` key in the URL'],
    ['the auth type never puts one there', { authType: 'session' }, 'Terminals up to 0.0.2 wants a `bearer` key'],
  ])('by the handshake gets the advice that fits when %s', async (_when, options, advice) => {
    const upstream = await upstreamOf({ faults: { attach: { refuse: 403 } } })
    const { message } = await rejection(connectTerminal({ ...clientOf(upstream), ...options }))
    expect(message).toContain(advice)
  })

  it('says so when it is for want of a header that the socket cannot send', async () => {
    const upstream = await upstreamOf({ release: 'open-terminal@0.14' })
    const options = { ...clientOf(upstream), WebSocket: browserSocket, settle: 2_000 }
    const error = await rejection(connectTerminal(options))
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_NOT_FOUND', closeCode: 4004 })
    expect(error.message).toContain('wants X-User-Id, which cannot be sent by this WebSocket')
    expect(upstream.sessions).toEqual([])
  })

  it('becomes ERR_TERMINAL_IN_USE when somebody else is attached, and leaves that session alone', async () => {
    const upstream = await upstreamOf({ release: 'open-terminal@0.14' })
    const first = await connectTerminal(clientOf(upstream))
    afterwards(first)
    const again = { ...clientOf(upstream), sessionId: first.sessionId }
    expect(await rejection(connectTerminal(again))).toMatchObject({ code: 'ERR_TERMINAL_IN_USE', closeCode: 4009 })
    expect(upstream.sessions).toHaveLength(1)
  })

  it('does not delete a session of its own that turns out to be in use', async () => {
    const upstream = await upstreamOf({ faults: { attach: { refuse: 4009, body: 'Session already connected' } } })
    const error = await rejection(connectTerminal({ ...clientOf(upstream), settle: 2_000 }))
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_IN_USE' })
    expect(operations(upstream)).toEqual(['POST', 'attach'])
  })

  it.each<[TestFault, string]>([
    [{ refuse: 401 }, 'ERR_TERMINAL_UNAUTHORIZED'],
    [{ refuse: 404 }, 'ERR_TERMINAL_NOT_FOUND'],
    [{ refuse: 502 }, 'ERR_TERMINAL_UNAVAILABLE'],
    ['reset', 'ERR_TERMINAL_UNAVAILABLE'],
  ])('that does not say why is explained by the answer %j of the session', async (get, code) => {
    const upstream = await upstreamOf({ faults: { attach: { refuse: 403 }, get } })
    expect(await rejection(connectTerminal({ ...clientOf(upstream), retry: { attempts: 1, delay: 0 } }))).toMatchObject(
      { code },
    )
  })

  it.each<[TestFault, boolean[]]>([
    [{ refuse: 401 }, [false]],
    [{ refuse: 404, body: '{"error":"Session not found"}' }, [false]],
    [{ refuse: 404, body: '<h1>default backend</h1>' }, [false, true]],
    [{ refuse: 426 }, [false, true]],
    [{ refuse: 500 }, [false, true]],
  ])('is not tried again with the key in the URL unless that may help: session answers %j', async (get, tokens) => {
    const upstream = await upstreamOf({ release: 'terminals@0.0.2', faults: { get } })
    const once = { attempts: 1, delay: 0 }
    const connecting = connectTerminal({ ...clientOf(upstream), tokenInUrl: 'fallback', retry: once })
    await connecting.then(afterwards, () => {})
    expect(handshakes(upstream).map(({ query }) => 'token' in query)).toEqual(tokens)
  })

  it("is not tried again with tokenInUrl: 'fallback' when there is no key to add", async () => {
    const upstream = await upstreamOf({ key: undefined, faults: { attach: { refuse: 403 } } })
    await rejection(connectTerminal({ ...clientOf(upstream), key: ' ', tokenInUrl: 'fallback' }))
    expect(handshakes(upstream)).toHaveLength(1)
  })

  it('becomes ERR_TERMINAL_PROTOCOL when the server speaks something else', async () => {
    const base = await serve((server) => {
      server.on('upgrade', (_request: IncomingMessage, socket: Duplex) => socket.end('SSH-2.0-OpenSSH_9.2\r\n'))
    })
    const error = await rejection(connectTerminal({ base, userId: 'ada', sessionId: 's1' }))
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_PROTOCOL', cause: { code: expect.stringMatching(/^HPE_/) } })
  })

  it('becomes ERR_TERMINAL_PROTOCOL when the handshake is not one of WebSocket', async () => {
    const base = await serve((server) => {
      server.on('upgrade', (_request: IncomingMessage, socket: Duplex) => {
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n')
      })
    })
    const error = await rejection(connectTerminal({ base, userId: 'ada', sessionId: 's1' }))
    expect(error).toMatchObject({
      code: 'ERR_TERMINAL_PROTOCOL',
      message: expect.stringContaining('Invalid Upgrade header'),
    })
  })

  it('becomes ERR_TERMINAL_UNAVAILABLE when the socket cannot even be made, and the URL is not quoted', async () => {
    const options = { base: 'http://insecure.example', key: 'sk-canary', userId: 'ada', sessionId: 's1' }
    const error = await rejection(connectTerminal({ ...options, WebSocket: browserSocket }))
    expect(error).toMatchObject({
      code: 'ERR_TERMINAL_UNAVAILABLE',
      message: expect.stringContaining('?[redacted] is insecure'),
    })
  })
})

describe('what may pass', () => {
  it.each<[string, 'create' | 'attach', TestFault]>([
    ['a reset request', 'create', 'reset'],
    ['HTTP 502 to the request', 'create', { refuse: 502 }],
    ['HTTP 503 to the request', 'create', { refuse: 503 }],
    ['HTTP 504 to the handshake', 'attach', { refuse: 504 }],
    ['a reset handshake', 'attach', 'reset'],
    ['a connection that drops right after it', 'attach', 'drop'],
    ['close 1012', 'attach', { refuse: 1012 }],
    ['close 1013', 'attach', { refuse: 1013 }],
    ['close 4003 not reachable', 'attach', { refuse: 4003, body: 'Terminal instance not reachable' }],
  ])('is tried again: %s', async (_what, operation, fault) => {
    const upstream = await upstreamOf({ faults: { [operation]: [fault, fault] } })
    const terminal = await connectTerminal({ ...clientOf(upstream), retry: quickRetry })
    afterwards(terminal)
    expect(upstream.sessions).toHaveLength(1)
    expect(operations(upstream).filter((name) => name === (operation === 'create' ? 'POST' : 'attach'))).toHaveLength(3)
  })

  it.each(['open-terminal@0.11', 'open-terminal@0.14'] as const)(
    'is tried again with a new session when %s has ended the first because the connection dropped',
    async (release) => {
      const upstream = await upstreamOf({ release })
      const connecting = connectTerminal({ ...clientOf(upstream), settle: 200, retry: quickRetry })
      await until(() => upstream.sessions[0]?.attached === 1)
      upstream.sessions[0]?.reset()
      const terminal = await connecting
      afterwards(terminal)
      expect(operations(upstream)).toEqual(['POST', 'attach', 'GET', 'POST', 'attach', 'GET'])
    },
  )

  it('is tried again with a new session when the server has restarted and lost the first', async () => {
    const upstream = await upstreamOf({ release: 'open-terminal@0.11', faults: { attach: [{ refuse: 1012 }] } })
    const connecting = connectTerminal({ ...clientOf(upstream), retry: { attempts: 3, delay: 100 } })
    await until(() => handshakes(upstream).length === 1)
    upstream.sessions[0]?.exit()
    afterwards(await connecting)
    expect(operations(upstream)).toEqual(['POST', 'attach', 'attach', 'GET', 'POST', 'attach', 'GET'])
  })

  it('is tried again until somebody listens', async () => {
    const base = await nobody()
    const port = Number(new URL(base).port)
    const connecting = connectTerminal({
      base,
      userId: 'ada',
      settle: 20,
      sessionId: 's1',
      retry: { attempts: 100, delay: 10 },
    })
    const server = new WebSocketServer({ port, host: '127.0.0.1' })
    afterwards(server)
    const terminal = await connecting
    afterwards(terminal)
    expect(server.clients.size).toBe(1)
  })

  it.each([0, 1])('is not tried again with %i attempts', async (attempts) => {
    const upstream = await upstreamOf({ faults: { create: { refuse: 502 } } })
    const options = { ...clientOf(upstream), retry: { attempts, delay: 1 } }
    expect(await rejection(connectTerminal(options))).toMatchObject({ code: 'ERR_TERMINAL_UNAVAILABLE', status: 502 })
    expect(upstream.requests).toHaveLength(1)
  })

  it('rejects with the last failure once the attempts are used up', async () => {
    const upstream = await upstreamOf({ faults: { attach: [{ refuse: 502 }, { refuse: 503 }] } })
    const options = { ...clientOf(upstream), retry: { attempts: 2, delay: 1 } }
    expect(await rejection(connectTerminal(options))).toMatchObject({ status: 503 })
    expectNothingLeft(upstream)
  })
})

describe('time', () => {
  it.each<[string, object, string]>([
    ['asking for a session', { create: 'stall' }, 'still asking for a session'],
    ['the handshake', { attach: 'stall' }, 'still waiting for the server to accept'],
    ['asking why', { attach: { refuse: 403 }, get: 'stall' }, 'still asking why the server refused'],
    ['trying again', { attach: { refuse: 502 } }, 'still waiting to try again'],
  ])('runs out with ERR_TERMINAL_TIMEOUT while %s', async (_doing, faults, message) => {
    const upstream = await upstreamOf({ faults })
    const options = { ...clientOf(upstream), timeout: 400, retry: { attempts: 5, delay: 60_000 } }
    const error = await rejection(connectTerminal(options))
    expect(error).toMatchObject({
      code: 'ERR_TERMINAL_TIMEOUT',
      message: expect.stringContaining(`${message} after 400 ms`),
    })
    expectNothingLeft(upstream)
  })

  it('tells what failed last when it runs out between two tries', async () => {
    const upstream = await upstreamOf({ faults: { attach: { refuse: 502 } } })
    const options = { ...clientOf(upstream), timeout: 400, retry: { attempts: 5, delay: 60_000 } }
    const error = await rejection(connectTerminal(options))
    expect(error).toMatchObject({ cause: { status: 502 } })
    expect(error.message).toMatch(/ms\. The last try: Cannot attach at .+: HTTP 502\. /)
  })

  it('does not leave a session behind that the server created too late', async () => {
    const upstream = await upstreamOf({ faults: { create: { delay: 800 } } })
    const error = await rejection(connectTerminal({ ...clientOf(upstream), timeout: 400 }))
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_TIMEOUT' })
    await until(() => upstream.requests.some(({ method, status }) => method === 'DELETE' && status === 200))
    expect(upstream.sessions).toEqual([])
  })

  it('does not end the caller in an endless wait when the session cannot be deleted either', async () => {
    const upstream = await upstreamOf({ faults: { attach: { refuse: 500 }, delete: 'stall' } })
    expect(await rejection(connectTerminal(clientOf(upstream)))).toMatchObject({ status: 500 })
  })
})

describe('the signal', () => {
  it.each<[string, object]>([
    ['while the session is created', { create: 'stall' }],
    ['during the handshake', { attach: 'stall' }],
    ['while it is asked why', { attach: { refuse: 403 }, get: 'stall' }],
    ['between two tries', { attach: { refuse: 502 } }],
    ['before the server has accepted', {}],
  ])('rejects with its own reason %s, and nothing is left behind', async (_when, faults) => {
    const upstream = await upstreamOf({ faults })
    const controller = new AbortController()
    const { signal } = controller
    const retry = { attempts: 5, delay: 60_000 }
    const connecting = rejection(connectTerminal({ ...clientOf(upstream), settle: 60_000, retry, signal }))
    const expected = 'create' in faults ? 1 : 'get' in faults ? 3 : 2
    await until(() => upstream.requests.length === expected)
    controller.abort(new Error('tab closed'))
    expect(await connecting).toBe(signal.reason)
    expectNothingLeft(upstream)
  })

  it.each<[string, (wss: WebSocketServer, ...upgrade: Upgrade) => void]>([
    ['is not answered', () => {}],
    ['is answered by nothing but the handshake', (wss, ...upgrade) => wss.handleUpgrade(...upgrade, () => {})],
  ])('closes the connection of an attach that %s', async (_how, answer) => {
    const wss = new WebSocketServer({ noServer: true })
    let socket: Duplex | undefined
    const base = await serve((server) => {
      server.on('upgrade', (...upgrade) => {
        socket = upgrade[1]
        answer(wss, ...upgrade)
      })
    })
    const controller = new AbortController()
    const { signal } = controller
    const connecting = rejection(connectTerminal({ base, userId: 'ada', sessionId: 's1', settle: 60_000, signal }))
    await until(() => socket !== undefined)
    controller.abort(new Error('tab closed'))
    expect(await connecting).toBe(signal.reason)
    await until(() => socket?.destroyed === true || socket?.readableEnded === true)
  })

  it('keeps no listener', async () => {
    const upstream = await upstreamOf()
    const { signal } = new AbortController()
    afterwards(await connectTerminal({ ...clientOf(upstream), key: () => Promise.resolve('sk-canary'), signal }))
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  it('sends nothing at all when it has aborted before', async () => {
    const upstream = await upstreamOf()
    const signal = AbortSignal.abort()
    expect(await rejection(connectTerminal({ ...clientOf(upstream), signal }))).toBe(signal.reason)
    expect(upstream.requests).toEqual([])
  })

  it('has nothing to do with the terminal once that is open', async () => {
    const upstream = await upstreamOf()
    const controller = new AbortController()
    const terminal = await connectTerminal({ ...clientOf(upstream), signal: controller.signal })
    afterwards(terminal)
    controller.abort()
    await terminal.write('still here')
    await outputWith(terminal, 'still here')
  })
})

describe('options', () => {
  it.each<[string, unknown, string]>([
    ['tokenInUrl', 'sometimes', 'ERR_INVALID_ARG_VALUE'],
    ['timeout', 0, 'ERR_OUT_OF_RANGE'],
    ['timeout', Infinity, 'ERR_OUT_OF_RANGE'],
    ['timeout', 2 ** 31, 'ERR_OUT_OF_RANGE'],
    ['timeout', '30', 'ERR_OUT_OF_RANGE'],
    ['settle', -1, 'ERR_OUT_OF_RANGE'],
    ['keepAlive', 1.5, 'ERR_OUT_OF_RANGE'],
    ['maxBuffered', 0, 'ERR_OUT_OF_RANGE'],
    ['retry', 3, 'ERR_INVALID_ARG_TYPE'],
    ['retry', { attempts: -1, delay: 0 }, 'ERR_OUT_OF_RANGE'],
    ['retry', { delay: '1' }, 'ERR_OUT_OF_RANGE'],
    ['size', { cols: 0, rows: 24 }, 'ERR_OUT_OF_RANGE'],
    ['size', '80x24', 'ERR_INVALID_ARG_TYPE'],
    ['WebSocket', {}, 'ERR_INVALID_ARG_TYPE'],
    ['WebSocket', () => {}, 'ERR_INVALID_ARG_TYPE'],
    ['WebSocket', null, 'ERR_INVALID_ARG_TYPE'],
    ['base', 'terminals.example', 'ERR_TERMINAL_INVALID_URL'],
    ['userId', '', 'ERR_INVALID_ARG_VALUE'],
    ['authType', 'basic', 'ERR_INVALID_ARG_VALUE'],
    ['key', 7, 'ERR_INVALID_ARG_TYPE'],
    ['policyId', '..', 'ERR_INVALID_ARG_VALUE'],
    ['sessionId', '', 'ERR_INVALID_ARG_VALUE'],
    ['signal', {}, 'ERR_INVALID_ARG_TYPE'],
  ])('reject %s: %o with %s before anything is sent', async (name, value, code) => {
    const upstream = await upstreamOf()
    const options = { ...clientOf(upstream), [name]: value } as ConnectTerminalOptions
    expect(await rejection(connectTerminal(options))).toMatchObject({ code })
    expect(upstream.requests).toEqual([])
  })

  it('reject with ERR_INVALID_ARG_TYPE when there are none', async () => {
    expect(await rejection((connectTerminal as () => Promise<unknown>)())).toMatchObject({
      code: 'ERR_INVALID_ARG_TYPE',
    })
  })

  it('reject a cookie that the socket could not send, but only where one would be sent', async () => {
    const upstream = await upstreamOf()
    const options = { ...clientOf(upstream), cookie: 'sid=1', WebSocket: browserSocket }
    const error = await rejection(connectTerminal({ ...options, authType: 'session' }))
    expect(error).toMatchObject({ name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' })
    expect(upstream.requests).toEqual([])
    afterwards(await connectTerminal(options))
  })

  it('take a class derived from that of ws', async () => {
    const upstream = await upstreamOf()
    class Tagged extends WebSocket {
      constructor(url: string, protocols: string[], options: { headers: Record<string, string> }) {
        super(url, protocols, { ...options, headers: { ...options.headers, 'x-trace': '1' } })
      }
    }
    afterwards(await connectTerminal({ ...clientOf(upstream), WebSocket: Tagged as never }))
    expect(handshakes(upstream)).toMatchObject([{ headers: { 'x-trace': '1', 'x-user-id': 'ada' } }])
  })

  it('ask a key function for every request and dial', async () => {
    const upstream = await upstreamOf()
    let asked = 0
    const key = (): string => {
      asked += 1
      return 'sk-canary'
    }
    const terminal = await connectTerminal({ ...clientOf(upstream), key })
    // The session, the dial, and the look-up that confirms its silence.
    expect(asked).toBe(3)
    await terminal.close()
    expect(asked).toBe(4)
  })
})

it('keeps what arrives between the handshake and the first listener', async () => {
  const base = await serve((server) => {
    const wss = new WebSocketServer({ server })
    wss.on('connection', (socket) => {
      for (let index = 0; index < 100; index += 1) socket.send(Buffer.from(`${index};`))
    })
  })
  const terminal = await connectTerminal({ base, userId: 'ada', sessionId: 's1' })
  afterwards(terminal)
  await new Promise((resolve) => setImmediate(resolve))
  const all = Array.from({ length: 100 }, (_item, index) => `${index};`).join('')
  expect(await outputWith(terminal, '99;')).toBe(all)
})

it('takes a text message for output as well', async () => {
  const base = await serve((server) => {
    new WebSocketServer({ server }).on('connection', (socket) => socket.send('grüezi'))
  })
  const terminal = await connectTerminal({ base, userId: 'ada', sessionId: 's1' })
  afterwards(terminal)
  const chunk = await new Promise<Uint8Array>((resolve) => terminal.onData(resolve))
  expect(new TextDecoder().decode(chunk)).toBe('grüezi')
})
