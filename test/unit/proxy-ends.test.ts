import { describe, expect, it } from 'vitest'
import { WebSocketServer, type WebSocket } from 'ws'
import { createTerminalSession, type ConnectTerminalOptions } from '../../src/index.ts'
import type { ProxySummary } from '../../src/proxy.ts'
import type { TestUpstream, TestUpstreamOptions } from '../../src/testing.ts'
import { clientTo, join, startProxy, type Joined } from '../support/proxy.ts'
import { pair } from '../support/proxy-pair.ts'
import { afterwards, clientOf, nobody, releases, serve, until, upstreamOf } from '../support/upstream.ts'

interface Refused {
  /** What the client was told. */
  readonly told: { code: number; reason: string }
  readonly summary: ProxySummary | undefined
}

/** Lets a client in for which there is no terminal. */
async function refused(options: ConnectTerminalOptions): Promise<Refused> {
  const proxy = await startProxy(() => options)
  const { closed } = await clientTo(proxy)
  return { told: await closed, summary: await proxy.served[0]?.summary }
}

/** Joins a client; resolves when the upstream's end is no longer a refusal. */
async function joinOpen(...options: Parameters<typeof join>): Promise<Joined> {
  const joined = await join(...options)
  joined.ws.send(Buffer.from('~'))
  await joined.printed('~')
  return joined
}

function deletions({ requests }: TestUpstream): number {
  return requests.filter(({ method }) => method === 'DELETE').length
}

const HIDDEN = 'http://10.0.3.7:8000 sk-canary secret.internal'

describe('a refusal by the upstream', () => {
  const quick = { retry: { attempts: 1, delay: 0 } }
  const hiding = (refuse: number): { refuse: number; body: string } => ({
    refuse,
    body: JSON.stringify({ error: HIDDEN }),
  })

  it.each<[string, number, string, string, { server?: TestUpstreamOptions; client?: Partial<ConnectTerminalOptions> }]>(
    [
      ['a wrong key', 4001, 'Not authorized', 'ERR_TERMINAL_UNAUTHORIZED', { client: { key: 'sk-canary-wrong' } }],
      ['401', 4001, 'Not authorized', 'ERR_TERMINAL_UNAUTHORIZED', { server: { faults: { create: hiding(401) } } }],
      ['4001', 4001, 'Not authorized', 'ERR_TERMINAL_UNAUTHORIZED', { server: { faults: { attach: hiding(4001) } } }],
      ['422', 4002, 'Missing user_id', 'ERR_TERMINAL_MISSING_USER', { server: { faults: { create: hiding(422) } } }],
      ['4002', 4002, 'Missing user_id', 'ERR_TERMINAL_MISSING_USER', { server: { faults: { attach: hiding(4002) } } }],
      ['403', 4003, 'Access denied', 'ERR_TERMINAL_FORBIDDEN', { server: { faults: { create: hiding(403) } } }],
      ['4003', 4003, 'Access denied', 'ERR_TERMINAL_FORBIDDEN', { server: { faults: { attach: hiding(4003) } } }],
      ['404', 4004, 'Session not found', 'ERR_TERMINAL_NOT_FOUND', { server: { faults: { create: hiding(404) } } }],
      ['4004', 4004, 'Session not found', 'ERR_TERMINAL_NOT_FOUND', { server: { faults: { attach: hiding(4004) } } }],
      [
        'an unknown policy',
        4004,
        'Session not found',
        'ERR_TERMINAL_NOT_FOUND',
        { server: { policies: ['cpu'] }, client: { policyId: 'gpu' } },
      ],
      [
        '4009',
        4009,
        'Session already connected',
        'ERR_TERMINAL_IN_USE',
        { server: { faults: { attach: hiding(4009) } } },
      ],
      [
        '429',
        4003,
        'Too many terminal sessions',
        'ERR_TERMINAL_LIMIT',
        { server: { faults: { create: hiding(429) } } },
      ],
      [
        '500',
        4003,
        'Terminal instance not reachable',
        'ERR_TERMINAL_UNAVAILABLE',
        { server: { faults: { create: hiding(500) } } },
      ],
      [
        '502',
        4003,
        'Terminal instance not reachable',
        'ERR_TERMINAL_UNAVAILABLE',
        { server: { faults: { attach: hiding(502) } } },
      ],
      [
        '1011',
        4003,
        'Terminal instance not reachable',
        'ERR_TERMINAL_UNAVAILABLE',
        { server: { faults: { attach: hiding(1011) } } },
      ],
      [
        'a reset',
        4003,
        'Terminal instance not reachable',
        'ERR_TERMINAL_UNAVAILABLE',
        { server: { faults: { attach: 'reset' } } },
      ],
      [
        'a page instead of JSON',
        4003,
        'Terminal instance not reachable',
        'ERR_TERMINAL_PROTOCOL',
        { server: { faults: { create: { refuse: 200, body: `<h1>${HIDDEN}</h1>` } } } },
      ],
      [
        'a redirect',
        4003,
        'Terminal instance not reachable',
        'ERR_TERMINAL_PROTOCOL',
        { server: { faults: { create: { refuse: 302, headers: { location: 'http://secret.internal/' } } } } },
      ],
      [
        'silence',
        4003,
        'Terminal instance not reachable',
        'ERR_TERMINAL_TIMEOUT',
        { server: { faults: { attach: 'stall' } }, client: { timeout: 60 } },
      ],
    ],
  )('by %s is %i %j to the client, without a word of where and why', async (_what, code, reason, error, setting) => {
    const upstream = await upstreamOf(setting.server)
    const { told, summary } = await refused({ ...clientOf(upstream), ...quick, ...setting.client })
    expect(told).toEqual({ code, reason })
    expect(summary).toMatchObject({ endedBy: 'proxy', code, reason, error: { code: error } })
    expect(summary).not.toHaveProperty('sessionId')
    // But what is in use by somebody else is left to them.
    if (code !== 4009) expect(upstream.sessions).toEqual([])
  })

  it('that is no answer at all is 4003', async () => {
    const { told, summary } = await refused({ base: await nobody(), userId: 'ada', ...quick })
    expect(told).toEqual({ code: 4003, reason: 'Terminal instance not reachable' })
    // The operator is told what the client is not.
    expect(summary?.error?.message).toContain('127.0.0.1')
  })

  it.each(releases)('of a session that is not there is 4004 with %s', async (release) => {
    const upstream = await upstreamOf({ release, redialDelay: 1 })
    const { told } = await refused({ ...clientOf(upstream), ...quick, sessionId: 'nowhere' })
    expect(told).toEqual({ code: 4004, reason: 'Session not found' })
  })

  it('of a session that somebody else has is 4009, and leaves them alone', async () => {
    const { upstream, session, ws, printed } = await join({ release: 'open-terminal@0.14' })
    const { told } = await refused({ ...clientOf(upstream), ...quick, sessionId: session.id })
    expect(told).toEqual({ code: 4009, reason: 'Session already connected' })
    ws.send(Buffer.from('still here'))
    await printed('still here')
  })

  it('is not the end as long as it may pass', async () => {
    const { ws, printed } = await join(
      { faults: { create: ['reset', { refuse: 503 }], attach: ['reset', { refuse: 1013 }] } },
      { retry: { attempts: 5, delay: 1 } },
    )
    ws.send(Buffer.from('at last'))
    await printed('at last')
  })
})

describe('the end by the upstream', () => {
  it.each<[number, string]>([
    [1000, ''],
    [1000, 'over'],
    [1001, 'going away'],
    [1003, ''],
    [1008, ''],
    [1011, 'keepalive ping timeout'],
    [1012, ''],
    [1014, ''],
    [3000, ''],
    [4001, 'Invalid API key'],
    [4003, 'Access denied'],
    [4999, '€'.repeat(41)],
  ])('with %i %j is passed on to the client', async (code, reason) => {
    const { session, closed, served, upstream } = await joinOpen()
    session.close(code, reason)
    expect(await closed).toEqual({ code, reason })
    expect(await served.summary).toMatchObject({
      endedBy: 'upstream',
      code,
      reason,
      sessionId: session.id,
      error: { closeCode: code },
    })
    expect([upstream.sessions, deletions(upstream)]).toEqual([[], 1])
  })

  it('with no code reaches the client as that', async () => {
    // It asks for the session then, to find out why.
    const base = await serve((server) => {
      server.on('request', (_request, response) => response.end('{"id":"s1"}'))
      new WebSocketServer({ server }).on('connection', (ws) =>
        ws.on('message', (_data, isBinary) => isBinary && ws.close()),
      )
    })
    const proxy = await startProxy(() => ({ base, userId: 'ada', sessionId: 's1', settle: 0 }))
    const { ws, closed } = await clientTo(proxy)
    ws.send(Buffer.from('x'))
    expect(await closed).toEqual({ code: 1005, reason: '' })
    expect(await proxy.served[0]?.summary).toMatchObject({ endedBy: 'upstream', code: 1005, reason: '' })
  })

  it('with a reset is 1014, which may be sent where 1006 may not', async () => {
    const { session, closed, served, upstream } = await joinOpen()
    session.reset()
    expect(await closed).toEqual({ code: 1014, reason: '' })
    expect(await served.summary).toMatchObject({
      endedBy: 'upstream',
      code: 1006,
      error: { code: 'ERR_TERMINAL_UNAVAILABLE' },
    })
    expect([upstream.sessions, deletions(upstream)]).toEqual([[], 1])
  })

  it('with something that is no frame is 1014', async () => {
    const { upstream, closed, served } = await pair()
    Reflect.get(upstream, '_socket').write(Buffer.from([0xff, 0xff, 0xff, 0xff]))
    expect(await closed).toEqual({ code: 1014, reason: '' })
    expect(await served.summary).toMatchObject({ endedBy: 'upstream', code: 1006, error: { code: expect.any(String) } })
  })

  it('tells the client nothing of where it is, nor of a key', async () => {
    const { upstream, session, closed, served } = await joinOpen()
    const { host } = new URL(upstream.url)
    session.close(1011, `${upstream.url}/x?token=1 ${host} 10.0.3.7:8000 wss://a.internal sk-canary no`)
    const { code, reason } = await closed
    expect(code).toBe(1011)
    expect(reason).toBe('[redacted] [redacted] [redacted] [redacted] [redacted] no')
    expect(await served.summary).toMatchObject({ reason })
  })

  it('says no more than fits when it had to take something out', async () => {
    const { session, closed } = await joinOpen()
    session.close(1011, '1.2.3.4 '.repeat(14))
    const { code, reason } = await closed
    expect(code).toBe(1011)
    expect(reason).toBe('[redacted] '.repeat(14).slice(0, 123))
  })

  it('because the shell has ended is 1000 and no error, on every release', async () => {
    const ends = releases.map(async (release) => {
      const { upstream, session, printed, closed, served } = await joinOpen({ release })
      await session.output('bye')
      session.exit()
      await printed('bye')
      expect(await closed).toEqual({ code: 1000, reason: '' })
      const summary = await served.summary
      expect(summary).toMatchObject({ endedBy: 'upstream', code: 1000, reason: '', bytesToClient: 4 })
      expect(summary).not.toHaveProperty('error')
      expect(upstream.sessions).toEqual([])
    })
    await Promise.all(ends)
  })

  it.each<[string, (ws: WebSocket) => void, number, boolean]>([
    ['goes on', (ws) => ws.resume(), 1001, true],
    ['leaves instead', (ws) => ws.terminate(), 1006, false],
  ])('waits for a client that has yet to take what has come, until it %s', async (_what, move, code, complete) => {
    const { ws, session, bytes, closed, served, upstream } = await joinOpen({}, { maxBuffered: 64 * 1024 * 1024 })
    ws.pause()
    // More than the machine holds for a socket that nobody reads.
    await session.output(Buffer.alloc(20_000_000))
    session.close(1001)
    await until(() => upstream.sessions.length === 0)
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(served.socket.readyState).toBe(ws.OPEN)
    move(ws)
    expect(await closed).toMatchObject({ code })
    expect(bytes().length === 20_000_001).toBe(complete)
    expect(await served.summary).toMatchObject({ endedBy: 'upstream', code: 1001, bytesToClient: 20_000_001 })
  })
})

describe('the end by the client', () => {
  it.each<[number, string]>([
    [1000, ''],
    [1001, 'going away'],
    [1008, ''],
    [1011, ''],
    [1014, ''],
    [3000, 'mine'],
    [4001, ''],
    [4999, '€'.repeat(41)],
  ])('with %i %j is passed on to the upstream', async (code, reason) => {
    const { ws, upstream, served } = await pair()
    const told = closeOf(upstream)
    ws.close(code, reason)
    expect(await told).toEqual({ code, reason })
    expect(await served.summary).toMatchObject({ endedBy: 'client', code, reason })
  })

  it('with no code is a plain goodbye to the upstream', async () => {
    const { ws, upstream, served } = await pair()
    const told = closeOf(upstream)
    ws.close()
    expect(await told).toEqual({ code: 1000, reason: '' })
    expect(await served.summary).toMatchObject({ endedBy: 'client', code: 1005, reason: '' })
  })

  it('that just drops the connection is 1001 to the upstream', async () => {
    const { ws, upstream, served } = await pair()
    const told = closeOf(upstream)
    ws.terminate()
    expect(await told).toEqual({ code: 1001, reason: '' })
    expect(await served.summary).toMatchObject({ endedBy: 'client', code: 1006, reason: '' })
  })

  it('by something that is no frame is 1001 to the upstream', async () => {
    const { ws, upstream, served } = await pair()
    const told = closeOf(upstream)
    Reflect.get(ws, '_socket').write(Buffer.from([0xff, 0xff, 0xff, 0xff]))
    expect(await told).toMatchObject({ code: expect.toBeOneOf([1001, 1002]) })
    expect(await served.summary).toMatchObject({ endedBy: 'client' })
  })

  it('deletes the session that was created for it, on every release, and is no error', async () => {
    const ends = releases.map(async (release) => {
      const { ws, upstream, served } = await join({ release })
      ws.close(1000)
      const summary = await served.summary
      expect(summary).toMatchObject({ endedBy: 'client', code: 1000 })
      expect(summary).not.toHaveProperty('error')
      expect([upstream.sessions, deletions(upstream)]).toEqual([[], 1])
    })
    await Promise.all(ends)
  })

  it.each<[string, TestUpstreamOptions, (upstream: TestUpstream) => boolean]>([
    ['the session is created', { faults: { create: { delay: 50 } } }, ({ requests }) => requests.length === 1],
    ['the upstream is dialled', { faults: { attach: 'stall' } }, ({ requests }) => requests.length === 2],
    ['it is waited whether the upstream refuses', {}, ({ sessions }) => sessions[0]?.attached === 1],
  ])('while %s leaves no session', async (_when, server, reached) => {
    const upstream = await upstreamOf(server)
    const proxy = await startProxy(() => ({ ...clientOf(upstream), settle: 10_000 }))
    const { ws } = await clientTo(proxy)
    await until(() => reached(upstream))
    ws.terminate()
    expect(await proxy.served[0]?.summary).toMatchObject({ endedBy: 'client', code: 1006 })
    // One that was still being created when the client left is seen through, to delete it.
    await until(() => upstream.sessions.length === 0 && deletions(upstream) === 1)
  })
})

function closeOf(ws: WebSocket): Promise<{ code: number; reason: string }> {
  return new Promise((resolve) => {
    ws.once('close', (code, reason) => resolve({ code, reason: reason.toString() }))
  })
}

describe('a session that the operator named', () => {
  async function named(): Promise<Pick<Joined, 'ws' | 'upstream' | 'served'>> {
    const upstream = await upstreamOf()
    const { id } = await createTerminalSession(clientOf(upstream))
    const proxy = await startProxy(() => ({ ...clientOf(upstream), sessionId: id }))
    const { ws, printed } = await clientTo(proxy)
    await until(() => upstream.sessions[0]?.attached === 1)
    void upstream.sessions[0]?.output('open')
    await printed('open')
    const [served] = proxy.served
    return served ? { ws, upstream, served } : expect.unreachable('it should be there')
  }

  it.each<[string, (joined: Awaited<ReturnType<typeof named>>) => void]>([
    ['the client', ({ ws }) => ws.close()],
    ['a client that drops the connection', ({ ws }) => ws.terminate()],
    ['the upstream', ({ upstream }) => upstream.sessions[0]?.close(1001)],
    ['a reset', ({ upstream }) => upstream.sessions[0]?.reset()],
  ])('is still there after the end by %s', async (_who, end) => {
    const joined = await named()
    end(joined)
    await joined.served.summary
    expect(joined.upstream.sessions).toHaveLength(1)
    expect(deletions(joined.upstream)).toBe(0)
  })

  it('is still there after a refusal', async () => {
    const upstream = await upstreamOf({ faults: { attach: { refuse: 4003 } } })
    const { id } = await createTerminalSession(clientOf(upstream))
    const { told } = await refused({ ...clientOf(upstream), sessionId: id })
    expect(told.code).toBe(4003)
    expect(upstream.sessions).toMatchObject([{ id }])
  })
})

describe('the heartbeat', () => {
  it('ends a client that no longer answers', async () => {
    const { ws, served, upstream } = await join({}, { keepAlive: 30 })
    ws.pause()
    expect(await served.summary).toMatchObject({ endedBy: 'client', code: 1006, reason: '' })
    expect(upstream.sessions).toEqual([])
  })

  it('keeps a client that is merely silent, which it tells nothing that is not for it', async () => {
    const { ws, messages, printed, upstream } = await join({}, { keepAlive: 20 })
    let pings = 0
    ws.on('ping', () => (pings += 1))
    await until(() => pings >= 5)
    ws.send(Buffer.from('alive'))
    await printed('alive')
    expect(messages.filter(({ isBinary }) => !isBinary)).toEqual([])
    // The upstream has had its own.
    const sent = upstream.requests.flatMap(({ frames }) => frames)
    expect(sent.filter((frame) => frame === '{"type":"ping"}').length).toBeGreaterThanOrEqual(2)
  })

  it('ends an upstream that no longer answers, and tells the client 1014', async () => {
    const { session, closed, served, upstream } = await join({}, { keepAlive: 30 })
    session.stall()
    expect(await closed).toEqual({ code: 1014, reason: '' })
    expect(await served.summary).toMatchObject({
      endedBy: 'upstream',
      code: 1006,
      error: { code: 'ERR_TERMINAL_UNAVAILABLE', message: expect.stringContaining('no answer to 2 pings') },
    })
    expect(upstream.sessions).toEqual([])
  })

  it('ends a client that no longer answers although the shell goes on printing', async () => {
    const { ws, session, served } = await join({}, { keepAlive: 30 })
    ws.pause()
    // The machine takes megabytes for a client that has gone: that is no sign of life.
    const chatter = setInterval(() => void session.output('.'), 10)
    afterwards({ close: () => clearInterval(chatter) })
    await until(() => served.socket.readyState === ws.CLOSED)
    expect(await served.summary).toMatchObject({ endedBy: 'client', code: 1006 })
  })

  it('is not sent to either with keepAlive: 0', async () => {
    const { ws, upstream } = await join({}, { keepAlive: 0 })
    let pings = 0
    ws.on('ping', () => (pings += 1))
    await new Promise((resolve) => setTimeout(resolve, 60))
    expect(pings).toBe(0)
    const frames = upstream.requests.flatMap((request) => request.frames)
    // The second one confirms the attach.
    expect(frames).toEqual([expect.stringContaining('"auth"'), '{"type":"ping"}'])
  })
})
