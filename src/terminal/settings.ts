import { assertObject, assertSignal, assertWhole, wrongType, wrongValue } from '../lib/arguments.ts'
import { resolveCredential } from '../upstream/auth.ts'
import { LONGEST_TIMER } from '../lib/deadline.ts'
import { encodeResize, type TerminalSize } from '../upstream/protocol.ts'
import type { UpstreamOptions } from '../upstream/resolve.ts'
import { buildUpstreamHttpUrl, readBase, whereOf } from '../upstream/url.ts'
import { sendsHeaders, WebSocket, type SocketConstructor } from './websocket.ts'

/** What `connectTerminal` is given; all but the first few have defaults that suit most. */
export interface ConnectTerminalOptions extends UpstreamOptions {
  /**
   * The session to attach to, which is then yours to delete. Default: a new one is created, and deleted again when
   * attaching fails and when the terminal ends.
   */
  sessionId?: string | undefined
  /** The size of the window, sent before anything else. Default: the server's 80 columns × 24 rows. */
  size?: TerminalSize | undefined
  /**
   * Whether the key of `bearer` also travels in the URL, which servers and proxies write into their logs:
   * - `'fallback'` tries without it, and once more with it if the server refuses the handshake and does not say that the
   *   session is not there or that the key is wrong;
   * - `'always'` saves Terminals 0.0.1 and 0.0.2 the refused handshake;
   * - `'never'` attaches to all but those two.
   *
   * Default: `'fallback'`.
   */
  tokenInUrl?: 'always' | 'never' | 'fallback' | undefined
  /**
   * ms for the whole of connecting, from 1 to 2147483647; deleting the session again may take up to 3 000 more.
   * Default: 30 000.
   */
  timeout?: number | undefined
  /**
   * How often to try in all, and ms before the second try, for what may pass: a connection refused or reset, HTTP 502,
   * 503 and 504, close codes 1012 and 1013, and 4003 "not reachable". The delay doubles from try to try, up to 8 000 ms,
   * and a random part of it, at most half, is left out. Either field may be left out. Default: `attempts` 5, `delay`
   * 1 000.
   *
   * Where the answer to the creation of a session is lost, the session is looked for. It is not found, and so not
   * deleted, if another of the same user was created at the same time, or if the server is an Open Terminal up to 0.11,
   * which does not tell whose a session is.
   */
  retry?: { attempts?: number | undefined; delay?: number | undefined } | undefined
  /**
   * ms of silence after which an attach counts as accepted: no server says so. The server is asked for the session
   * before. Default: 1 000.
   */
  settle?: number | undefined
  /**
   * ms of silence before a heartbeat, 0 for none: a message that every server ignores and every proxy passes on, and
   * where the runtime can, a protocol ping; two of those unanswered end the terminal as `lost`. Default: 30 000.
   */
  keepAlive?: number | undefined
  /**
   * Bytes of output to hold for a slow reader before the server is made to wait; a little more may come until it does.
   * Browsers cannot make it wait: there, and with their kind of socket, it all is held. Default: 1 MiB.
   */
  maxBuffered?: number | undefined
  /**
   * The WebSocket class to dial with. One that cannot send headers, as in browsers, cannot attach to Open Terminal from
   * 0.12.4 on, which wants to see the user there. Default: `ws` in Node, Bun and Deno, the global one elsewhere.
   */
  WebSocket?: SocketConstructor | undefined
}

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
