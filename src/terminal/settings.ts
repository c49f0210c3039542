import { assertObject, assertSignal, assertWhole, wrongType, wrongValue } from '../lib/arguments.ts'
import { resolveCredential } from '../upstream/auth.ts'
import type { ConnectTerminalOptions } from './connect.ts'
import { encodeResize } from '../upstream/protocol.ts'
import type { UpstreamOptions } from '../upstream/resolve.ts'
import { buildUpstreamHttpUrl, readBase, whereOf } from '../upstream/url.ts'
import { sendsHeaders, WebSocket, type SocketConstructor } from './websocket.ts'

/** The options of `connectTerminal`, checked and complete. */
export interface Settings {
  /** Without the signal: the signal is for connecting, and an open terminal must not keep it alive. */
  readonly upstream: Omit<UpstreamOptions, 'signal'>
  readonly sessionId: string | undefined
  readonly signal: AbortSignal | undefined
  /** The URL of the session or sessions, for messages. */
  readonly where: string
  readonly Socket: SocketConstructor
  /** The frame that sets the size, if one was asked for. */
  readonly resize: string | undefined
  readonly tokenInUrl: 'always' | 'never' | 'fallback'
  readonly timeout: number
  readonly attempts: number
  /** ms before the second try. */
  readonly retryDelay: number
  readonly settle: number
  readonly keepAlive: number
  readonly maxBuffered: number
}

/** The default ms of silence before a heartbeat. */
export const KEEP_ALIVE = 30_000

/** The default number of bytes to hold for a slow reader. */
export const MAX_BUFFERED: number = 1024 * 1024

/** ms; setTimeout takes anything longer for 1 ms. */
export const LONGEST_TIMER: number = 2 ** 31 - 1

/** Checks the options, and reads each of them once: the caller may change its objects afterwards. */
export function readSettings(options: ConnectTerminalOptions): Settings {
  assertObject('options', options)
  const {
    authType = 'bearer',
    sessionId,
    size,
    tokenInUrl = 'fallback',
    timeout = 30_000,
    retry = {},
    settle = 1_000,
    keepAlive = KEEP_ALIVE,
    maxBuffered = MAX_BUFFERED,
    WebSocket: Socket = WebSocket,
    signal,
    ...rest
  } = options
  if (!['always', 'never', 'fallback'].includes(tokenInUrl)) {
    throw wrongValue('tokenInUrl', "must be 'always', 'never' or 'fallback'")
  }
  assertWhole('timeout', timeout, 1, LONGEST_TIMER)
  assertSignal(signal)
  assertObject('retry', retry)
  const { attempts = 5, delay: retryDelay = 1_000 } = retry
  assertWhole('retry.attempts', attempts, 0, Number.MAX_SAFE_INTEGER)
  assertWhole('retry.delay', retryDelay, 0, LONGEST_TIMER)
  assertWhole('settle', settle, 0, LONGEST_TIMER)
  assertWhole('keepAlive', keepAlive, 0, LONGEST_TIMER)
  assertWhole('maxBuffered', maxBuffered, 1, Number.MAX_SAFE_INTEGER)
  if (typeof Socket !== 'function' || !Socket.prototype) throw wrongType('WebSocket', 'a class', Socket)
  if (size !== undefined) assertObject('size', size)
  if (rest.cookie !== undefined && !sendsHeaders(Socket) && resolveCredential(authType, null).sendsCookie) {
    throw wrongValue('cookie', 'cannot be sent by this WebSocket: connect from a server')
  }
  const upstream = { ...rest, authType, base: readBase(rest.base) }
  return {
    upstream,
    sessionId,
    signal,
    where: whereOf(buildUpstreamHttpUrl(upstream.base, { ...upstream, sessionId })),
    Socket,
    resize: size && encodeResize(size.cols, size.rows),
    tokenInUrl,
    timeout,
    attempts,
    retryDelay,
    settle,
    keepAlive,
    maxBuffered,
  }
}
