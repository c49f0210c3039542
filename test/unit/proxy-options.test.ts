import { describe, expect, it } from 'vitest'
import { CLIENT_AUTH, connectToAuthorize, connectToProxy, join, summaryOf } from '../support/proxy.ts'
import { clientOf, until, upstreamOf } from '../support/upstream.ts'

describe('proxyTerminal', () => {
  it.each<[string, unknown]>([
    ['no options', undefined],
    ['null', null],
    ['a string', 'http://127.0.0.1:1'],
    ['an empty object', {}],
    ['no user', { base: 'http://127.0.0.1:1' }],
    ['a base that is not a URL', { base: 'nowhere', userId: 'ada' }],
    ['an authorize that is undefined', { authorize: undefined, base: 'http://127.0.0.1:1', userId: 'ada' }],
    ['an authorize that is not a function', { authorize: {} }],
    ['an authTimeout of 0', { authorize: () => {}, authTimeout: 0 }],
    ['an authTimeout beyond the longest timer', { authorize: () => {}, authTimeout: 2 ** 31 }],
    ['an authTimeout that is not a number', { authorize: () => {}, authTimeout: '1' }],
    ['a signal that is an empty object', { base: 'http://127.0.0.1:1', userId: 'ada', signal: {} }],
    ['a keepAlive that is not a number', { base: 'http://127.0.0.1:1', userId: 'ada', keepAlive: '1' }],
  ])('with %s closes the client with 4003 and returns the error', async (_what, options) => {
    const { closed, proxy } = await connectToProxy(options)
    expect(await closed).toEqual({ code: 4003, reason: '' })
    const summary = await summaryOf(proxy)
    expect(summary).toMatchObject({ endedBy: 'proxy', code: 4003, reason: '' })
    expect(summary.error).toMatchObject({
      message: expect.stringContaining('`'),
      code: expect.stringMatching(/^ERR_(?:INVALID_ARG|OUT_OF_RANGE|TERMINAL_INVALID_URL)/),
    })
  })

  const authorize = (): never => expect.unreachable('nobody should be asked')
  const nobody = { base: 'http://127.0.0.1:1', userId: 'ada' }

  it.each<[options: object, message: string]>([
    [{ ...nobody, keepALive: 1 }, '`keepALive` is not an option of proxyTerminal. Did you mean `keepAlive`?'],
    [{ authorise: authorize }, '`authorise` is not an option of proxyTerminal. Did you mean `authorize`?'],
    [{ authorize, ...nobody }, '`base` cannot be given together with `authorize`'],
    [{ authorize, sessionId: 's1' }, '`sessionId` cannot be given together with `authorize`'],
    [{ authorize, signal: new AbortController().signal }, '`signal` cannot be given together with `authorize`'],
    [{ ...nobody, sessionId: 's1', watch: true }, '`watch` is for connectTerminal: a client of a proxy types'],
    [{ ...nobody, authTimeout: 1 }, '`authTimeout` can only be given together with `authorize`'],
    [{ authorize, maxBuffered: 0 }, '`maxBuffered` must be a whole number from 1 to 9007199254740991, got 0'],
    [{ authorize, retry: 5 }, '`retry` must be an object, got number'],
    [{ authorize, request: 5 }, '`request` must be an object, got number'],
  ])('ignores nothing of %j', async (options, message) => {
    const { closed, proxy } = await connectToProxy(options)
    expect(await closed).toEqual({ code: 4003, reason: '' })
    expect(await summaryOf(proxy)).toMatchObject({ endedBy: 'proxy', error: { message } })
  })

  it('uses the options for the terminal that are given together with authorize', async () => {
    const upstream = await upstreamOf()
    const size = { cols: 100, rows: 30 }
    const options = { size, settle: 10_000, maxBuffered: 1_000 }
    const { ws, closed } = await connectToAuthorize(() => clientOf(upstream), options)
    ws.send(CLIENT_AUTH)
    await until(() => upstream.sessions[0]?.size.cols === size.cols)
    ws.send(Buffer.alloc(1_000))
    expect(await closed).toMatchObject({ code: 1009 })
  })
})

describe('a signal', () => {
  it('that aborts during the opening closes the client with 1001 and leaves no session', async () => {
    const upstream = await upstreamOf({ faults: { attach: 'stall' } })
    const abort = new AbortController()
    const { closed, proxy } = await connectToProxy({ ...clientOf(upstream), signal: abort.signal })
    await until(() => upstream.sessions.length === 1)
    const reason = new Error('the server shuts down')
    abort.abort(reason)
    expect(await closed).toEqual({ code: 1001, reason: '' })
    const summary = await summaryOf(proxy)
    expect(summary).toMatchObject({ endedBy: 'proxy', code: 1001, reason: '' })
    expect(summary.error).toBe(reason)
    expect(upstream.sessions).toEqual([])
  })

  it('that has aborted already lets the proxy send no request, with and without authorize', async () => {
    const upstream = await upstreamOf()
    const reason = new Error('the server shuts down')
    const options = { ...clientOf(upstream), signal: AbortSignal.abort(reason) }
    const without = await connectToProxy(options)
    expect(await without.closed).toEqual({ code: 1001, reason: '' })
    expect(await summaryOf(without.proxy)).toMatchObject({ endedBy: 'proxy', code: 1001, error: reason })
    const { ws, closed, proxy } = await connectToAuthorize(() => options)
    ws.send(CLIENT_AUTH)
    expect(await closed).toEqual({ code: 1001, reason: '' })
    expect(await summaryOf(proxy)).toMatchObject({ endedBy: 'proxy', code: 1001, error: reason })
    expect(upstream.requests).toEqual([])
  })

  it('that aborts when the terminal is open has no effect', async () => {
    const abort = new AbortController()
    const { ws, printed } = await join({}, { signal: abort.signal })
    ws.send(Buffer.from('one'))
    await printed('one')
    abort.abort()
    ws.send(Buffer.from('two'))
    await printed('two')
  })
})
