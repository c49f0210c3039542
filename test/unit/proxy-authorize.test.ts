import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import { TerminalError, type UpstreamOptions } from '../../src/index.ts'
import type { AuthorizeOptions, ProxiedClient } from '../../src/proxy.ts'
import {
  CLIENT_AUTH,
  clientTo,
  connectToAuthorize,
  framesOf,
  hostile,
  join,
  KIB,
  neverAuthorize,
  PROXY_AUTH,
  roundTrip,
  startProxy,
  summaryOf,
} from '../support/proxy.ts'
import { afterwards, clientOf, until, upstreamOf } from '../support/upstream.ts'
import { recordWarnings, warned } from '../support/warnings.ts'

const AUTH_WITH_CHAT = '{"type":"auth","token":"jwt","chat_id":"7"}'

describe('authorize', () => {
  // The first that returns more: the operator is told once, as long as the process lives.
  it('that returns more than an upstream is used without the rest, and the operator is warned once', async () => {
    const warnings = recordWarnings()
    const upstream = await upstreamOf()
    const session = { ...clientOf(upstream), sessionId: 's1', maxBuffered: 0 }
    for (let count = 1; count <= 2; count += 1) {
      const { ws, printed } = await connectToAuthorize(() => session)
      ws.send(CLIENT_AUTH)
      ws.send(Buffer.from('one'))
      await printed('one')
    }
    await warned()
    expect(warnings.map(({ name, message }) => [name, message])).toEqual([
      ['TerminalProxyWarning', expect.stringContaining('returned `settle`, `sessionId`, `maxBuffered`, which has no')],
    ])
  })

  // PROTOCOL 7.1
  it.each<[string, ProxiedClient]>([
    [AUTH_WITH_CHAT, { token: 'jwt', chatId: '7' }],
    [CLIENT_AUTH, { token: 'jwt' }],
    ['{"type":"auth","token":"","chat_id":""}', { token: '' }],
    ['{"type":"auth","token":"jwt","chat_id":7}', { token: 'jwt' }],
    // One byte more would be too large.
    [AUTH_WITH_CHAT.padEnd(64 * KIB), { token: 'jwt', chatId: '7' }],
  ])('gets the token and the chat of %.60s, and the handshake of the client', async (frame, auth) => {
    const upstream = await upstreamOf()
    const authorize = vi.fn<AuthorizeOptions['authorize']>(() => clientOf(upstream))
    const { ws, printed, proxy } = await connectToAuthorize(authorize)
    ws.send(frame)
    ws.send(Buffer.from('x'))
    await printed('x')
    const request = proxy.served[0]?.request as IncomingMessage
    expect(authorize.mock.calls).toStrictEqual([[{ ...auth, request }]])
    expect(framesOf(upstream)).toEqual([[PROXY_AUTH, 'x']])
  })

  it('gets what the handshake says of the client', async () => {
    const authorize = vi.fn<AuthorizeOptions['authorize']>(() => Promise.reject(new Error('enough')))
    const proxy = await startProxy((request) => ({ authorize, request }))
    const headers = { 'X-User-Id': 'ada', 'X-Session-Id': '8' }
    const { ws, closed } = await clientTo({ url: `${proxy.url}?token=query&context_id=default` }, { headers })
    ws.send('{"type":"auth","token":"","chat_id":"7"}')
    await closed
    const client = { token: 'query', userId: 'ada', chatId: '8', contextId: 'default' }
    expect(authorize.mock.calls).toStrictEqual([[{ ...client, request: proxy.served[0]?.request }]])
  })

  it('gets no handshake when the caller passed none', async () => {
    const authorize = vi.fn<AuthorizeOptions['authorize']>(() => Promise.reject(new Error('enough')))
    const { ws, closed } = await connectToAuthorize(authorize, { request: undefined })
    ws.send(AUTH_WITH_CHAT)
    await closed
    expect(authorize.mock.calls).toStrictEqual([[{ token: 'jwt', chatId: '7' }]])
  })

  it('may answer late: the messages of the client wait', async () => {
    const upstream = await upstreamOf()
    let allow: ((options: UpstreamOptions) => void) | undefined
    const { ws, printed } = await connectToAuthorize(() => new Promise((resolve) => (allow = resolve)))
    ws.send(CLIENT_AUTH)
    ws.send(Buffer.from('one '))
    await until(() => allow !== undefined)
    ws.send(Buffer.from('two'))
    await roundTrip(ws)
    allow?.(clientOf(upstream))
    await printed('one two')
    expect(framesOf(upstream)).toEqual([[PROXY_AUTH, 'one ', 'two']])
  })

  it('is called once: further auth frames are neither forwarded nor counted as dropped', async () => {
    const upstream = await upstreamOf()
    const { ws, printed, proxy } = await connectToAuthorize(() => clientOf(upstream))
    ws.send(CLIENT_AUTH)
    ws.send(CLIENT_AUTH)
    ws.send(Buffer.from('one'))
    await printed('one')
    ws.send(CLIENT_AUTH)
    ws.send(Buffer.from('two'))
    await printed('two')
    expect(framesOf(upstream)).toEqual([[PROXY_AUTH, 'one', 'two']])
    ws.close()
    expect(await summaryOf(proxy)).toMatchObject({ dropped: 0 })
  })

  const { FORBIDDEN, NOT_FOUND } = { FORBIDDEN: 'ERR_TERMINAL_FORBIDDEN', NOT_FOUND: 'ERR_TERMINAL_NOT_FOUND' } as const
  const saved = { closeReason: 'A saved chat is required' }

  // What is thrown in other ways, and with other codes, is in the table of `explainThrown`.
  it.each<[what: string, thrown: unknown, code: number, reason: string]>([
    ['a TerminalError', new TerminalError(NOT_FOUND, 'for the log'), 4004, 'Session not found'],
    ['one with a reason', new TerminalError(FORBIDDEN, 'for the log', saved), 4003, saved.closeReason],
    ['one of a server', new TerminalError(FORBIDDEN, 'x', { ...saved, closeCode: 4003 }), 4003, 'Access denied'],
    ['an Error', new Error('http://127.0.0.1:8000 says no'), 4003, ''],
    ['a string', 'no', 4003, ''],
    ['a Proxy whose traps throw', hostile, 4003, ''],
  ])('that throws %s closes the client, and no upstream is dialled', async (_what, thrown, code, reason) => {
    const throwing = (): never => {
      throw thrown
    }
    for (const authorize of [throwing, () => Promise.reject(thrown)]) {
      const { ws, closed, proxy } = await connectToAuthorize(authorize)
      ws.send(CLIENT_AUTH)
      expect(await closed).toEqual({ code, reason })
      const summary = await summaryOf(proxy)
      expect(summary).toMatchObject({ endedBy: 'proxy', code, reason, bytesToClient: 0, bytesToUpstream: 0 })
      if (thrown !== hostile) expect([summary.error, summary.error?.cause]).toContain(thrown)
      expect(summary.error).toBeInstanceOf(Error)
      expect(summary).not.toHaveProperty('sessionId')
    }
  })

  it.each<[string, unknown]>([
    ['undefined', undefined],
    ['null', null],
    ['a string', 'http://127.0.0.1:1'],
    ['an empty object', {}],
    ['no user', { base: 'http://127.0.0.1:1' }],
    ['a base that is not a URL', { base: 'nowhere', userId: 'ada' }],
    ['a signal that is an empty object', { base: 'http://127.0.0.1:1', userId: 'ada', signal: {} }],
  ])('that returns %s closes the client with 4003, and the proxy returns the error', async (_what, options) => {
    const { ws, closed, proxy } = await connectToAuthorize(() => options as never)
    ws.send(CLIENT_AUTH)
    expect(await closed).toEqual({ code: 4003, reason: '' })
    const { error } = await summaryOf(proxy)
    expect(error).toMatchObject({
      code: expect.stringMatching(/^ERR_(?:INVALID_ARG|OUT_OF_RANGE|TERMINAL_INVALID_URL)/),
    })
  })

  it('that returns a base that can be read only once is asked for it once', async () => {
    const upstream = await upstreamOf()
    let reads = 0
    const { ws, printed } = await connectToAuthorize(() => ({
      ...clientOf(upstream),
      get base() {
        reads += 1
        return reads === 1 ? upstream.url : (undefined as never)
      },
    }))
    ws.send(CLIENT_AUTH)
    ws.send(Buffer.from('one'))
    await printed('one')
  })

  it('that never answers closes the client after authTimeout', async () => {
    const { ws, closed, proxy } = await connectToAuthorize(neverAuthorize, { authTimeout: 50 })
    ws.send(CLIENT_AUTH)
    expect(await closed).toEqual({ code: 4003, reason: 'Terminal instance not reachable' })
    expect(await summaryOf(proxy)).toMatchObject({
      endedBy: 'proxy',
      error: { code: 'ERR_TERMINAL_TIMEOUT', message: '`authorize` has not answered within 50 ms (authTimeout)' },
    })
  })

  it('that never answers does not delay the end of a client that leaves', async () => {
    const { ws, closed, proxy } = await connectToAuthorize(neverAuthorize)
    ws.send(CLIENT_AUTH)
    ws.close(1001, 'bye')
    await closed
    expect(await summaryOf(proxy)).toMatchObject({ endedBy: 'client', code: 1001, reason: 'bye' })
  })

  it('that answers late has its client pinged meanwhile', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] })
    afterwards({ close: () => vi.useRealTimers() })
    const { ws } = await connectToAuthorize(neverAuthorize, { authTimeout: 600_000 })
    ws.send(CLIENT_AUTH)
    const pinged = once(ws, 'ping')
    vi.advanceTimersByTime(30_000)
    await pinged
  })

  it.each(['resolves', 'rejects'])('that %s after the client has left has no effect', async (how) => {
    const upstream = await upstreamOf()
    let settle: (() => void) | undefined
    const { ws, closed, proxy } = await connectToAuthorize(
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
    // A request or an unhandled rejection would have come by then. There is no event to await.
    await sleep(20)
    expect(upstream.requests).toEqual([])
  })
})

describe('the first message of a client', () => {
  it.each<[string, string | Uint8Array]>([
    ['is empty', ''],
    ['is not JSON', 'jwt'],
    ['is cut short', CLIENT_AUTH.slice(0, -1)],
    ['is not an object', '["auth"]'],
    ['is null', 'null'],
    ['is another command', '{"type":"resize","cols":80,"rows":24}'],
    ['has no token', '{"type":"auth"}'],
    ['has a token that is not a string', '{"type":"auth","token":{}}'],
    ['exceeds 64 KiB', CLIENT_AUTH.padEnd(64 * KIB + 1)],
    ['is a binary auth frame', Buffer.from(CLIENT_AUTH)],
    ['is binary and empty', new Uint8Array()],
  ])('that %s closes the client with 4001 and does not call authorize', async (_what, first) => {
    const authorize = vi.fn(() => clientOf({ url: 'http://127.0.0.1:1' }))
    const { ws, closed, proxy } = await connectToAuthorize(authorize)
    ws.send(first)
    // The client has no second try.
    ws.send(CLIENT_AUTH)
    const refusal = { code: 4001, reason: 'Auth timeout or invalid payload' }
    expect(await closed).toEqual(refusal)
    const error = { code: 'ERR_TERMINAL_UNAUTHORIZED' }
    expect(await summaryOf(proxy)).toMatchObject({ endedBy: 'proxy', ...refusal, error })
    expect(authorize).not.toHaveBeenCalled()
  })

  it('that comes after authTimeout does not call authorize, and the client is closed with 4001', async () => {
    const authorize = vi.fn(() => clientOf({ url: 'http://127.0.0.1:1' }))
    const { ws, closed, proxy } = await connectToAuthorize(authorize, { authTimeout: 20 })
    const { socket } = proxy.served[0] ?? {}
    // The client does not read, and so does not know of the close when it sends.
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

  it('is not awaited once the client has left', async () => {
    const { ws, proxy } = await connectToAuthorize(() => clientOf({ url: 'http://127.0.0.1:1' }))
    ws.close(1001)
    expect(await summaryOf(proxy)).toMatchObject({ endedBy: 'client', code: 1001 })
  })

  it('that came in time ends the limit of authTimeout', async () => {
    const upstream = await upstreamOf()
    const { ws, printed } = await connectToAuthorize(() => clientOf(upstream), { authTimeout: 400 })
    ws.send(CLIENT_AUTH)
    await sleep(500)
    ws.send(Buffer.from('still here'))
    await printed('still here')
  })

  it('is not awaited by a proxy without authorize, and an auth frame is not forwarded', async () => {
    const { ws, printed, upstream, served } = await join()
    ws.send(AUTH_WITH_CHAT)
    ws.send(Buffer.from('x'))
    await printed('x')
    expect(framesOf(upstream)).toEqual([[PROXY_AUTH, 'x']])
    ws.close()
    expect(await served.summary).toMatchObject({ dropped: 0 })
  })
})
