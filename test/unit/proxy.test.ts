import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import { WebSocketServer, type WebSocket } from 'ws'
import { TerminalError, type ConnectTerminalOptions, type TerminalErrorCode } from '../../src/index.ts'
import {
  proxyTerminal,
  type AuthorizeOptions,
  type ClientAuth,
  type ProxyOptions,
  type ProxySummary,
} from '../../src/proxy.ts'
import type { TestUpstream } from '../../src/testing.ts'
import { clientTo, join, startProxy, type Proxy, type ProxyClient } from '../support/proxy.ts'
import { clientOf, releases, serve, until, upstreamOf, withoutCanary } from '../support/upstream.ts'

/** What an upstream got on its sockets, one list for each. */
function framesOf({ requests }: TestUpstream): Array<Array<string>> {
  const sockets = requests.filter(({ status }) => status === 101)
  return sockets.map(({ frames }) => {
    const texts = frames.map((frame) => Buffer.from(frame).toString())
    // The heartbeat that confirms a silent attach is none of the client's.
    const heartbeat = texts.indexOf('{"type":"ping"}')
    return texts.filter((_text, index) => index !== heartbeat)
  })
}

const OWN_AUTH = '{"type":"auth","token":"sk-canary"}'
const CLIENT_AUTH = '{"type":"auth","token":"jwt","chat_id":"7"}'

/** Starts a proxy that asks who is there, and connects a client. */
async function ask(
  authorize: AuthorizeOptions['authorize'],
  options: Partial<AuthorizeOptions> = {},
): Promise<ProxyClient & { proxy: Proxy }> {
  const proxy = await startProxy((request) => ({ authorize, request, ...options }))
  return { ...(await clientTo(proxy)), proxy }
}

function summaryOf({ served }: Proxy): Promise<ProxySummary> | undefined {
  return served[0]?.summary
}

describe('a client', () => {
  it('is joined to a terminal', async () => {
    const { ws, printed, closed, served, upstream } = await join()
    ws.send(Buffer.from('hello'))
    await printed('hello')
    ws.close(1000)
    await closed
    expect(await served.summary).toMatchObject({ endedBy: 'client', code: 1000, bytesToClient: 5, bytesToUpstream: 5 })
    expect(upstream.sessions).toEqual([])
  })

  it('is joined on every release, with options up front and with authorize', async () => {
    const joined = releases.flatMap((release) =>
      [false, true].map(async (asks) => {
        const upstream = await upstreamOf({ release })
        const options = clientOf(upstream)
        const proxy = await startProxy(() => (asks ? { authorize: () => options } : options))
        const { ws, printed, closed } = await clientTo(proxy)
        if (asks) ws.send(CLIENT_AUTH)
        ws.send('{"type":"resize","cols":132,"rows":50}')
        ws.send(Buffer.from('hello'))
        await printed('hello')
        expect(framesOf(upstream)).toEqual([[OWN_AUTH, '{"type":"resize","cols":132,"rows":50}', 'hello']])
        ws.close(1000)
        await closed
        expect(await summaryOf(proxy)).toMatchObject({ endedBy: 'client', code: 1000, dropped: 0 })
        expect(upstream.sessions).toEqual([])
      }),
    )
    await Promise.all(joined)
  })

  it('that was paused until it could be handed over has lost nothing', async () => {
    const upstream = await upstreamOf()
    const { socket, client } = await accept((ws) => ws.pause())
    client.ws.send(CLIENT_AUTH)
    client.ws.send(Buffer.from('hello'))
    await new Promise((resolve) => setTimeout(resolve, 20))
    const summary = proxyTerminal(socket, { authorize: () => clientOf(upstream) })
    await client.printed('hello')
    client.ws.close()
    expect(await summary).toMatchObject({ endedBy: 'client', bytesToUpstream: 5 })
  })

  it('that is already closing or closed when it is handed over is joined to nothing', async () => {
    const upstream = await upstreamOf()
    const { socket, client } = await accept()
    socket.close(1001)
    const closing = proxyTerminal(socket, clientOf(upstream))
    await client.closed
    expect(await closing).toMatchObject({ endedBy: 'client', bytesToClient: 0 })
    expect(await proxyTerminal(socket, clientOf(upstream))).toMatchObject({ endedBy: 'client', code: 1006 })
    const authorize = vi.fn(() => clientOf(upstream))
    expect(await proxyTerminal(socket, { authorize })).toMatchObject({ endedBy: 'client', code: 1006 })
    expect(authorize).not.toHaveBeenCalled()
    // A request for a session would have come by then.
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(upstream.requests).toEqual([])
  })

  const leave = ({ ws }: ProxyClient): void => ws.close()

  it.each<[string, (options: ConnectTerminalOptions) => ProxyOptions, (client: ProxyClient, up: TestUpstream) => void]>(
    [
      ['left', (options) => options, leave],
      ['left behind its auth frame', (options) => ({ authorize: () => options }), leave],
      [
        'been told of the end by the upstream',
        (options) => options,
        (_client, { sessions }) => sessions[0]?.close(1001),
      ],
      ['been told of the end by the proxy', () => ({ authorize: () => Promise.reject(new Error('no')) }), () => {}],
    ],
  )(
    'that has %s leaves no listener and no timer',
    async (_what, optionsFor, end) => {
      const upstream = await upstreamOf()
      const { socket, client } = await accept()
      const listeners = socket.eventNames()
      const summary = proxyTerminal(socket, optionsFor(clientOf(upstream)))
      client.ws.send(CLIENT_AUTH)
      client.ws.send(Buffer.from('x'))
      await Promise.race([client.printed('x'), client.closed])
      end(client, upstream)
      await summary
      expect(socket.eventNames()).toEqual(listeners)
      // The upstream and the client, in the same process, have theirs a moment longer, but none as long as ours.
      while (timers() > 0) await turn()
    },
    3_000,
  )
})

/** Lets a client in and hands its server side over. */
async function accept(
  onConnection: (socket: WebSocket) => void = () => {},
): Promise<{ socket: WebSocket; client: ProxyClient }> {
  let wss: WebSocketServer | undefined
  const base = await serve((server) => (wss = new WebSocketServer({ server }).on('connection', onConnection)))
  const connection = wss && once(wss, 'connection')
  const client = await clientTo({ url: base.replace('http', 'ws') })
  const [socket] = (await connection) as [WebSocket]
  return { socket, client }
}

function timers(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
}

describe('authorize', () => {
  it.each<[string, ClientAuth]>([
    [CLIENT_AUTH, { token: 'jwt', chatId: '7' }],
    ['{"type":"auth","token":"jwt"}', { token: 'jwt' }],
    ['{"type":"auth","token":"","chat_id":""}', { token: '' }],
    ['{"type":"auth","token":"jwt","chat_id":7}', { token: 'jwt' }],
    // A byte more would be too large.
    [CLIENT_AUTH.padEnd(65_536), { token: 'jwt', chatId: '7' }],
  ])('of %.60s is given what the client says of itself, and its handshake', async (frame, auth) => {
    const upstream = await upstreamOf()
    const authorize = vi.fn<AuthorizeOptions['authorize']>(() => clientOf(upstream))
    const { ws, printed, proxy } = await ask(authorize)
    ws.send(frame)
    ws.send(Buffer.from('x'))
    await printed('x')
    const request = proxy.served[0]?.request as IncomingMessage
    expect(authorize.mock.calls).toStrictEqual([[auth, request]])
    expect(framesOf(upstream)).toEqual([[OWN_AUTH, 'x']])
  })

  it('is given no handshake when there was none to give', async () => {
    const authorize = vi.fn<AuthorizeOptions['authorize']>(() => Promise.reject(new Error('enough')))
    const { ws, closed } = await ask(authorize, { request: undefined })
    ws.send(CLIENT_AUTH)
    await closed
    expect(authorize.mock.calls).toStrictEqual([[{ token: 'jwt', chatId: '7' }, undefined]])
  })

  it('may take its time, while frames wait', async () => {
    const upstream = await upstreamOf()
    const { ws, printed } = await ask(async () => {
      await new Promise((resolve) => setTimeout(resolve, 30))
      return clientOf(upstream)
    })
    ws.send(CLIENT_AUTH)
    ws.send(Buffer.from('one '))
    await new Promise((resolve) => setTimeout(resolve, 10))
    ws.send(Buffer.from('two'))
    await printed('one two')
    expect(framesOf(upstream)).toEqual([[OWN_AUTH, 'one ', 'two']])
  })

  it('is asked once: a second auth frame goes no further', async () => {
    const upstream = await upstreamOf()
    const { ws, printed, proxy } = await ask(() => clientOf(upstream))
    ws.send(CLIENT_AUTH)
    ws.send(CLIENT_AUTH)
    ws.send(Buffer.from('one'))
    await printed('one')
    ws.send(CLIENT_AUTH)
    ws.send(Buffer.from('two'))
    await printed('two')
    expect(framesOf(upstream)).toEqual([[OWN_AUTH, 'one', 'two']])
    ws.close()
    // An auth frame would not have harmed the shell.
    expect(await summaryOf(proxy)).toMatchObject({ dropped: 0 })
  })

  const refusals: Array<[what: string, thrown: Error, code: number, reason: string]> = [
    ['a TerminalError', new TerminalError('ERR_TERMINAL_UNAUTHORIZED', 'for the log'), 4001, 'Not authorized'],
    ['a TerminalError', new TerminalError('ERR_TERMINAL_FORBIDDEN', 'for the log'), 4003, 'Access denied'],
    ['a TerminalError', new TerminalError('ERR_TERMINAL_NOT_FOUND', 'for the log'), 4004, 'Session not found'],
    ['a TerminalError', new TerminalError('ERR_TERMINAL_MISSING_USER', 'for the log'), 4002, 'Missing user_id'],
    [
      'a TerminalError with a reason',
      new TerminalError('ERR_TERMINAL_FORBIDDEN', 'for the log', { closeReason: 'A saved chat is required' }),
      4003,
      'A saved chat is required',
    ],
    [
      'a TerminalError with a reason that is too long',
      new TerminalError('ERR_TERMINAL_NOT_FOUND', 'for the log', { closeReason: `${'x'.repeat(121)}€` }),
      4004,
      'x'.repeat(121),
    ],
    [
      'a TerminalError with a reason that is none',
      new TerminalError('ERR_TERMINAL_FORBIDDEN', 'for the log', { closeReason: 5 as never }),
      4003,
      'Access denied',
    ],
    [
      'a TerminalError that this version does not know',
      new TerminalError('ERR_TERMINAL_LATER' as TerminalErrorCode, 'for the log'),
      4003,
      '',
    ],
    ['an Error', new Error('http://127.0.0.1:8000 says no'), 4003, ''],
  ]

  it.each(refusals)(
    'that throws %s (%s) closes with %i %j and has not dialled',
    async (_what, thrown, code, reason) => {
      const throwing = (): never => {
        throw thrown
      }
      for (const authorize of [throwing, () => Promise.reject(thrown)]) {
        const { ws, closed, proxy } = await ask(authorize)
        ws.send(CLIENT_AUTH)
        expect(await closed).toEqual({ code, reason })
        const summary = await summaryOf(proxy)
        expect(summary).toMatchObject({ endedBy: 'proxy', code, reason, bytesToClient: 0, bytesToUpstream: 0 })
        expect(summary?.error).toBe(thrown)
        expect(summary).not.toHaveProperty('sessionId')
      }
    },
  )

  it.each(['no', 42, null, undefined, Symbol('no')])(
    'that throws %s, which is no error, closes with 4003',
    async (thrown) => {
      const { ws, closed, proxy } = await ask(() => Promise.reject(thrown))
      ws.send(CLIENT_AUTH)
      expect(await closed).toEqual({ code: 4003, reason: '' })
      const { error } = (await summaryOf(proxy)) ?? {}
      expect(error).toBeInstanceOf(Error)
      expect(error?.cause).toBe(thrown)
    },
  )

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['a string', 'http://127.0.0.1:1'],
    ['nothing of use', {}],
    ['no user', { base: 'http://127.0.0.1:1' }],
    ['no URL as base', { base: 'nowhere', userId: 'ada' }],
    ['a signal that is none', { base: 'http://127.0.0.1:1', userId: 'ada', signal: {} }],
    ['a keepAlive out of range', { base: 'http://127.0.0.1:1', userId: 'ada', keepAlive: -1 }],
    ['a maxBuffered out of range', { base: 'http://127.0.0.1:1', userId: 'ada', maxBuffered: Number.NaN }],
  ])('that returns %s closes with 4003 and tells the operator why', async (_what, options) => {
    const { ws, closed, proxy } = await ask(() => options as never)
    ws.send(CLIENT_AUTH)
    expect(await closed).toEqual({ code: 4003, reason: '' })
    const { error } = (await summaryOf(proxy)) ?? {}
    expect(error).toMatchObject({
      code: expect.stringMatching(/^ERR_(?:INVALID_ARG|OUT_OF_RANGE|TERMINAL_INVALID_URL)/),
    })
  })

  it('that never settles does not keep a client that leaves', async () => {
    const { ws, closed, proxy } = await ask(() => new Promise(() => {}))
    ws.send(CLIENT_AUTH)
    ws.close(1001, 'bye')
    await closed
    expect(await summaryOf(proxy)).toMatchObject({ endedBy: 'client', code: 1001, reason: 'bye' })
  })

  it.each(['resolves', 'rejects'])('that %s when the client has left leads nowhere', async (how) => {
    const upstream = await upstreamOf()
    let settle: (() => void) | undefined
    const { ws, closed, proxy } = await ask(
      () =>
        new Promise((resolve, reject) => {
          settle = () => (how === 'resolves' ? resolve(clientOf(upstream)) : reject(new Error('too late')))
        }),
    )
    ws.send(CLIENT_AUTH)
    await until(() => settle !== undefined)
    ws.terminate()
    await closed
    expect(await summaryOf(proxy)).toMatchObject({ endedBy: 'client', code: 1006 })
    settle?.()
    // What it would lead to, an unhandled rejection included, would have begun by then.
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(upstream.requests).toEqual([])
  })
})

describe('a first message', () => {
  it.each<[string, string | Uint8Array]>([
    ['is empty', ''],
    ['is no JSON', 'jwt'],
    ['is cut short', CLIENT_AUTH.slice(0, -1)],
    ['is no object', '["auth"]'],
    ['is null', 'null'],
    ['is another command', '{"type":"resize","cols":80,"rows":24}'],
    ['has no token', '{"type":"auth"}'],
    ['has a token that is no string', '{"type":"auth","token":{}}'],
    ['is larger than 64 KiB', CLIENT_AUTH.padEnd(65_537)],
    ['is binary', Buffer.from(CLIENT_AUTH)],
    ['is binary and empty', new Uint8Array()],
  ])('that %s closes with 4001 and authorizes nothing', async (_what, first) => {
    const authorize = vi.fn(() => clientOf({ url: 'http://127.0.0.1:1' }))
    const { ws, closed, proxy } = await ask(authorize)
    ws.send(first)
    // It does not get a second one.
    ws.send(CLIENT_AUTH)
    const said = { code: 4001, reason: 'Auth timeout or invalid payload' }
    expect(await closed).toEqual(said)
    expect(await summaryOf(proxy)).toMatchObject({
      endedBy: 'proxy',
      ...said,
      error: { code: 'ERR_TERMINAL_UNAUTHORIZED' },
    })
    expect(authorize).not.toHaveBeenCalled()
  })

  it('that does not come in time closes with 4001, and is too late then', async () => {
    const authorize = vi.fn(() => clientOf({ url: 'http://127.0.0.1:1' }))
    const { ws, closed, proxy } = await ask(authorize, { authTimeout: 20 })
    const { socket } = proxy.served[0] ?? {}
    // So that it does not know of the end yet.
    ws.pause()
    await until(() => socket?.readyState !== ws.OPEN)
    ws.send(CLIENT_AUTH)
    ws.send('1')
    ws.resume()
    expect(await closed).toEqual({ code: 4001, reason: 'Auth timeout or invalid payload' })
    expect(await summaryOf(proxy)).toMatchObject({
      endedBy: 'proxy',
      code: 4001,
      error: { code: 'ERR_TERMINAL_UNAUTHORIZED', message: expect.stringContaining('20 ms') },
      dropped: 0,
    })
    expect(authorize).not.toHaveBeenCalled()
  })

  it('is not waited for once the client has left', async () => {
    const { ws, proxy } = await ask(() => clientOf({ url: 'http://127.0.0.1:1' }))
    ws.close(1001)
    expect(await summaryOf(proxy)).toMatchObject({ endedBy: 'client', code: 1001 })
  })

  it('that came in time has no limit on what follows', async () => {
    const upstream = await upstreamOf()
    const { ws, printed } = await ask(() => clientOf(upstream), { authTimeout: 30 })
    ws.send(CLIENT_AUTH)
    await new Promise((resolve) => setTimeout(resolve, 60))
    ws.send(Buffer.from('still here'))
    await printed('still here')
  })

  it('is not waited for by a proxy that knows the upstream, and goes no further', async () => {
    const { ws, printed, upstream, served } = await join()
    ws.send(CLIENT_AUTH)
    ws.send(Buffer.from('x'))
    await printed('x')
    expect(framesOf(upstream)).toEqual([[OWN_AUTH, 'x']])
    ws.close()
    expect(await served.summary).toMatchObject({ dropped: 0 })
  })
})

describe('frames that come before the upstream is open', () => {
  it('arrive in order, with only the last of the sizes, where it stood', async () => {
    const upstream = await upstreamOf({ faults: { create: { delay: 20 }, attach: { delay: 20 } } })
    const { ws, printed } = await clientTo(await startProxy(() => clientOf(upstream)))
    ws.send('{"type":"resize","cols":1,"rows":1}')
    ws.send(Buffer.from('one '))
    ws.send('{"type":"ping"}')
    ws.send('{"type":"resize","cols":2,"rows":2}')
    // One that would kill the shell is dropped, and does not take the place of another.
    ws.send('{"type":"resize","cols":-1,"rows":2}')
    ws.send(Buffer.from('two '))
    ws.send('no JSON')
    ws.send('{"type":"resize","cols":3,"rows":3}')
    ws.send(Buffer.from('three'))
    await printed('three')
    expect(framesOf(upstream)).toEqual([
      [OWN_AUTH, 'one ', '{"type":"ping"}', 'two ', 'no JSON', '{"type":"resize","cols":3,"rows":3}', 'three'],
    ])
    ws.send('{"type":"resize","cols":4,"rows":4}')
    ws.send('{"type":"resize","cols":5,"rows":5}')
    ws.send(Buffer.from('four'))
    await printed('four')
    // Now that nothing waits, all of them go through.
    expect(framesOf(upstream)[0]?.slice(-3)).toEqual([
      '{"type":"resize","cols":4,"rows":4}',
      '{"type":"resize","cols":5,"rows":5}',
      'four',
    ])
  })

  it('go behind the size that the operator asked for', async () => {
    const upstream = await upstreamOf()
    const proxy = await startProxy(() => ({ ...clientOf(upstream), size: { cols: 100, rows: 40 } }))
    const { ws, printed } = await clientTo(proxy)
    ws.send(Buffer.from('x'))
    await printed('x')
    expect(framesOf(upstream)).toEqual([[OWN_AUTH, '{"type":"resize","cols":100,"rows":40}', 'x']])
  })

  const TOO_MUCH = { code: 1009, reason: 'Too much input before the terminal was open' }

  it.each<[string, Partial<ProxyOptions>, number, number]>([
    ['1 MiB of input', {}, 18, 65_536],
    ['2 100 empty messages, for what they cost', {}, 2_100, 0],
    ['maxBuffered', { maxBuffered: 1_000 }, 1, 1_000],
  ])('close with 1009 once they are more than %s, and leave nothing', async (_what, options, count, size) => {
    const upstream = await upstreamOf({ faults: { create: { delay: 20 } } })
    const { ws, closed, proxy } = await overflow(upstream, { settle: 10_000, ...options })
    await until(() => upstream.requests.some(({ status }) => status === 101))
    for (let sent = 0; sent < count; sent += 1) ws.send(Buffer.alloc(size))
    expect(await closed).toEqual(TOO_MUCH)
    expect(await summaryOf(proxy)).toMatchObject({ endedBy: 'proxy', ...TOO_MUCH, bytesToUpstream: 0 })
    expect(upstream.sessions).toEqual([])
    expect(framesOf(upstream)).toEqual([[OWN_AUTH]])
  })

  it('may not be more than maxBuffered while the session is still being created either', async () => {
    const upstream = await upstreamOf({ faults: { create: { delay: 100 } } })
    const { ws, closed, proxy } = await overflow(upstream, { maxBuffered: 1_000 })
    ws.send(Buffer.alloc(1_000))
    expect(await closed).toEqual(TOO_MUCH)
    await summaryOf(proxy)
    await until(() => upstream.sessions.length === 0)
    expect(framesOf(upstream)).toEqual([])
  })

  it('close with 1009 before anybody has been authorized, too', async () => {
    const { ws, closed, proxy } = await ask(() => new Promise(() => {}))
    ws.send(CLIENT_AUTH)
    for (let sent = 0; sent < 18; sent += 1) ws.send(Buffer.alloc(65_536))
    expect(await closed).toEqual(TOO_MUCH)
    expect(await summaryOf(proxy)).toMatchObject({ endedBy: 'proxy', ...TOO_MUCH })
  })

  it('close with 1009 while the upstream of an authorized client is opened', async () => {
    const upstream = await upstreamOf({ faults: { attach: 'stall' } })
    const { ws, closed, proxy } = await ask(() => clientOf(upstream))
    ws.send(CLIENT_AUTH)
    await until(() => upstream.sessions.length === 1)
    for (let sent = 0; sent < 18; sent += 1) ws.send(Buffer.alloc(65_536))
    expect(await closed).toEqual(TOO_MUCH)
    expect(await summaryOf(proxy)).toMatchObject({ endedBy: 'proxy', ...TOO_MUCH })
    expect(upstream.sessions).toEqual([])
  })

  it('may be any number of sizes', async () => {
    const upstream = await upstreamOf({ faults: { create: { delay: 20 } } })
    const { ws, printed } = await overflow(upstream, {})
    for (let cols = 1; cols <= 5_000; cols += 1) ws.send(`{"type":"resize","cols":${cols},"rows":1}`)
    ws.send(Buffer.from('x'))
    await printed('x')
    expect(upstream.sessions[0]?.size).toEqual({ cols: 5_000, rows: 1 })
  })
})

/** Starts a proxy to an upstream that is not ready yet, and connects a client. */
async function overflow(
  upstream: TestUpstream,
  options: Partial<ProxyOptions>,
): Promise<ProxyClient & { proxy: Proxy }> {
  const proxy = await startProxy(() => ({ ...clientOf(upstream), ...options }))
  return { ...(await clientTo(proxy)), proxy }
}

describe('misuse', () => {
  it.each<[string, unknown]>([
    ['no options', undefined],
    ['null', null],
    ['a string', 'http://127.0.0.1:1'],
    ['an empty object', {}],
    ['no user', { base: 'http://127.0.0.1:1' }],
    ['no URL as base', { base: 'nowhere', userId: 'ada' }],
    ['an authorize that is undefined', { authorize: undefined, base: 'http://127.0.0.1:1', userId: 'ada' }],
    ['an authorize that is no function', { authorize: {} }],
    ['an authTimeout of 0', { authorize: () => {}, authTimeout: 0 }],
    ['an authTimeout that no timer can have', { authorize: () => {}, authTimeout: 2 ** 31 }],
    ['an authTimeout that is no number', { authorize: () => {}, authTimeout: '1' }],
    ['a signal that is none', { base: 'http://127.0.0.1:1', userId: 'ada', signal: {} }],
    ['a signal that is a number', { base: 'http://127.0.0.1:1', userId: 'ada', signal: 5 }],
    ['a keepAlive that is no number', { base: 'http://127.0.0.1:1', userId: 'ada', keepAlive: '1' }],
  ])('with %s is no rejection: the client is told 4003, the operator what is wrong', async (_what, options) => {
    const proxy = await startProxy(() => options as ProxyOptions)
    const { closed } = await clientTo(proxy)
    expect(await closed).toEqual({ code: 4003, reason: '' })
    const summary = await summaryOf(proxy)
    expect(summary).toMatchObject({ endedBy: 'proxy', code: 4003, reason: '' })
    expect(summary?.error).toMatchObject({
      message: expect.stringContaining('`'),
      code: expect.stringMatching(/^ERR_(?:INVALID_ARG|OUT_OF_RANGE|TERMINAL_INVALID_URL)/),
    })
  })
})

describe('the signal', () => {
  it('of options that aborts while the upstream is opened ends both with 1001, and leaves no session', async () => {
    const upstream = await upstreamOf({ faults: { attach: 'stall' } })
    const abort = new AbortController()
    const proxy = await startProxy(() => ({ ...clientOf(upstream), signal: abort.signal }))
    const { closed } = await clientTo(proxy)
    await until(() => upstream.sessions.length === 1)
    const reason = new Error('the server shuts down')
    abort.abort(reason)
    expect(await closed).toEqual({ code: 1001, reason: '' })
    const summary = await summaryOf(proxy)
    expect(summary).toMatchObject({ endedBy: 'proxy', code: 1001, reason: '' })
    expect(summary?.error).toBe(reason)
    expect(upstream.sessions).toEqual([])
  })

  it('that has aborted before has nothing dialled, in either form', async () => {
    const upstream = await upstreamOf()
    const reason = new Error('the server shuts down')
    const options = { ...clientOf(upstream), signal: AbortSignal.abort(reason) }
    const upFront = await startProxy(() => options)
    expect(await (await clientTo(upFront)).closed).toEqual({ code: 1001, reason: '' })
    expect(await summaryOf(upFront)).toMatchObject({ endedBy: 'proxy', code: 1001, error: reason })
    const { ws, closed, proxy } = await ask(() => options)
    ws.send(CLIENT_AUTH)
    expect(await closed).toEqual({ code: 1001, reason: '' })
    expect(await summaryOf(proxy)).toMatchObject({ endedBy: 'proxy', code: 1001, error: reason })
    expect(upstream.requests).toEqual([])
  })

  it('is of no more interest once the terminal is open', async () => {
    const abort = new AbortController()
    const { ws, printed } = await join({}, { signal: abort.signal })
    ws.send(Buffer.from('one'))
    await printed('one')
    abort.abort()
    ws.send(Buffer.from('two'))
    await printed('two')
  })
})

describe('the summary', () => {
  it('counts what went each way and what did not, and names the session', async () => {
    const { ws, printed, session, served } = await join()
    const { id } = session
    ws.send('{"type":"ping"}')
    ws.send('1')
    ws.send('[]')
    ws.send('{"type":"resize","cols":null}')
    ws.send(Buffer.from('é'))
    await printed('é')
    await session.output('more')
    await printed('more')
    ws.close(3001, 'enough')
    expect(await served.summary).toStrictEqual({
      endedBy: 'client',
      code: 3001,
      reason: 'enough',
      sessionId: id,
      bytesToClient: 6,
      bytesToUpstream: 17,
      dropped: 3,
    })
  })

  it('of a client that left while the upstream was opened has no session', async () => {
    const upstream = await upstreamOf({ faults: { attach: 'stall' } })
    const proxy = await startProxy(() => clientOf(upstream))
    const { ws, closed } = await clientTo(proxy)
    await until(() => upstream.sessions.length === 1)
    ws.close()
    await closed
    expect(withoutCanary(await summaryOf(proxy))).toStrictEqual({
      endedBy: 'client',
      code: 1005,
      reason: '',
      bytesToClient: 0,
      bytesToUpstream: 0,
      dropped: 0,
    })
    expect(upstream.sessions).toEqual([])
  })
})
