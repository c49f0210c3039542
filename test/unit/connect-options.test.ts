import { describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import {
  buildUpstreamAuth,
  connectTerminal,
  createTerminalSession,
  deleteTerminalSession,
  getTerminalSession,
  listTerminalSessions,
  type ConnectTerminalOptions,
  type UpstreamAuthOptions,
  type UpstreamOptions,
} from '../../src/index.ts'
import { browserSocket } from '../support/browser-socket.ts'
import { handshakes } from '../support/requests.ts'
import { connectTo } from '../support/terminal.ts'
import { afterwards, clientOf, rejection, upstreamOf, userOf } from '../support/upstream.ts'

const FUNCTIONS = {
  connectTerminal,
  createTerminalSession,
  listTerminalSessions,
  getTerminalSession,
  deleteTerminalSession,
  buildUpstreamAuth: async (options: object) => buildUpstreamAuth(options as UpstreamAuthOptions),
}

describe('an option that does not exist', () => {
  it.each<[keyof typeof FUNCTIONS, object, string, string?]>([
    ['connectTerminal', { createIfGnoe: true }, 'createIfGnoe', 'createIfGone'],
    ['connectTerminal', { policyID: 'gpu' }, 'policyID', 'policyId'],
    ['createTerminalSession', { contextid: 'chat:7' }, 'contextid', 'contextId'],
    ['listTerminalSessions', { cokie: 'a=b' }, 'cokie', 'cookie'],
    ['getTerminalSession', { session: 's1' }, 'session', 'sessionId'],
    ['deleteTerminalSession', { sessionID: 's1' }, 'sessionID', 'sessionId'],
    ['buildUpstreamAuth', { header: {} }, 'header', 'headers'],
  ])('of %s: %o is a TypeError that suggests the nearest', async (name, wrong, option, nearest) => {
    const upstream = await upstreamOf()
    const options = { ...(name === 'buildUpstreamAuth' ? { authType: 'none', userId: 'ada' } : userOf(upstream)) }
    const error = await rejection(FUNCTIONS[name]({ ...options, ...wrong } as never))
    expect(error).toMatchObject({
      name: 'TypeError',
      code: 'ERR_INVALID_ARG_VALUE',
      message: `\`${option}\` is not an option of ${name}. Did you mean \`${nearest}\`?`,
    })
    expect(upstream.requests).toEqual([])
  })

  it.each([
    [{ retry: { attempt: 3 } }, '`attempt` is not an option of retry. Did you mean `attempts`?'],
    [{ reconnect: { timeOut: 3 } }, '`timeOut` is not an option of reconnect. Did you mean `timeout`?'],
  ])('of connectTerminal may also be a field: %j', async (wrong, message) => {
    const upstream = await upstreamOf()
    expect(await rejection(connectTerminal({ ...userOf(upstream), ...wrong } as never))).toMatchObject({ message })
  })

  it('is none of those that are declared', async () => {
    // PROTOCOL 3.11: with a later one in the container, the session of a chat is refused.
    const upstream = await upstreamOf({ inner: 'open-terminal@0.11' })
    const user = {
      authType: 'session' as const,
      key: 'sk-canary',
      userId: 'ada',
      policyId: 'gpu',
      contextId: 'chat:7',
      chatId: '7',
      cookie: 'a=b',
      headers: { 'X-SSO': '1' },
      signal: new AbortController().signal,
    }
    const { policyId: _, signal: __, ...identity } = user
    buildUpstreamAuth(identity satisfies Required<UpstreamAuthOptions>)
    const all = { ...user, base: upstream.url } satisfies Required<UpstreamOptions>
    const { id: sessionId } = await createTerminalSession(all)
    const options: Required<ConnectTerminalOptions> = {
      ...all,
      sessionId,
      createIfGone: true,
      deleteOnClose: true,
      size: { cols: 80, rows: 24 },
      tokenInUrl: 'never',
      timeout: 10_000,
      retry: { attempts: 2, delay: 1 },
      reconnect: { delay: 1, timeout: 1 },
      settle: 50,
      keepAlive: 1_000,
      maxBuffered: 1_000,
      watch: false,
      WebSocket,
    }
    afterwards(await connectTerminal(options))
  })
})

describe('connectTerminal', () => {
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
    ['retry', null, 'ERR_INVALID_ARG_TYPE'],
    ['retry', { attempts: 0, delay: 0 }, 'ERR_OUT_OF_RANGE'],
    ['retry', { delay: '1' }, 'ERR_OUT_OF_RANGE'],
    ['reconnect', true, 'ERR_INVALID_ARG_TYPE'],
    ['reconnect', null, 'ERR_INVALID_ARG_TYPE'],
    ['reconnect', { timeout: 1.5 }, 'ERR_OUT_OF_RANGE'],
    ['reconnect', { timeout: 2 ** 31 }, 'ERR_OUT_OF_RANGE'],
    ['reconnect', { delay: -1 }, 'ERR_OUT_OF_RANGE'],
    ['deleteOnClose', 'no', 'ERR_INVALID_ARG_TYPE'],
    ['createIfGone', 'yes', 'ERR_INVALID_ARG_TYPE'],
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
    ['signal', 'soon', 'ERR_INVALID_ARG_TYPE'],
    ['signal', { aborted: false }, 'ERR_INVALID_ARG_TYPE'],
    ['signal', { aborted: false, addEventListener() {} }, 'ERR_INVALID_ARG_TYPE'],
  ])('rejects %s: %o with %s, and sends nothing', async (name, value, code) => {
    const upstream = await upstreamOf()
    const options = { ...clientOf(upstream), [name]: value } as ConnectTerminalOptions
    expect(await rejection(connectTerminal(options))).toMatchObject({ code })
    expect(upstream.requests).toEqual([])
  })

  it('rejects with ERR_INVALID_ARG_TYPE without options', async () => {
    const calling = (connectTerminal as () => Promise<unknown>)()
    expect(await rejection(calling)).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
  })

  it('rejects a cookie that the socket cannot send, if the auth type sends cookies', async () => {
    const upstream = await upstreamOf()
    const options = { ...clientOf(upstream), cookie: 'sid=1', WebSocket: browserSocket }
    const error = await rejection(connectTerminal({ ...options, authType: 'session' }))
    expect(error).toMatchObject({ name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' })
    expect(upstream.requests).toEqual([])
    afterwards(await connectTerminal(options))
  })

  it('dials with a class derived from that of ws', async () => {
    const upstream = await upstreamOf()
    class Tagged extends WebSocket {
      constructor(url: string, protocols: string[], options: { headers: Record<string, string> }) {
        super(url, protocols, { ...options, headers: { ...options.headers, 'x-trace': '1' } })
      }
    }
    await connectTo(upstream, { WebSocket: Tagged as never })
    expect(handshakes(upstream)).toMatchObject([{ headers: { 'x-trace': '1', 'x-user-id': 'ada' } }])
  })

  it('calls a key function before every request and every dial', async () => {
    const upstream = await upstreamOf()
    let asked = 0
    const key = (): string => {
      asked += 1
      return 'sk-canary'
    }
    const terminal = await connectTerminal({ ...clientOf(upstream), key })
    // To create the session, to dial, and to look the session up after silence.
    expect(asked).toBe(3)
    await terminal.close()
    expect(asked).toBe(4)
  })
})
