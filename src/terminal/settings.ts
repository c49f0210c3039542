import { assertKnown, assertObject, assertSignal, assertWhole, wrongType, wrongValue } from '../lib/arguments.ts'
import type { AbortSignalLike } from '../lib/cancellation.ts'
import { LONGEST_TIMER_MS } from '../lib/deadline.ts'
import type { TerminalError } from '../lib/errors.ts'
import { carries } from '../upstream/auth.ts'
import { encodeResize, type TerminalSize } from '../upstream/protocol.ts'
import { readUpstream, type RequestOptions, type UpstreamOptions } from '../upstream/options.ts'
import { buildUpstreamHttpUrl, withoutQuery } from '../upstream/url.ts'
import type { KeptSession } from './kept-session.ts'
import { sendsHeaders, WebSocket, type SocketConstructor } from './socket-class.ts'
import type { ReconnectOptions, RetryOptions } from './types.ts'

/** The options of `connectTerminal`. `base` and `userId` are required, and most servers want a `key`. */
export interface ConnectTerminalOptions extends UpstreamOptions {
  /**
   * The session to attach to. Without one, and with `null`, a session is created, and deleted when attaching fails.
   * @defaultValue a new session
   */
  sessionId?: string | null | undefined
  /**
   * Whether a new session takes the place of the one in `sessionId` if the server itself says that this is gone, or not
   * this user's. So a page can pass the id that it kept before it was reloaded, or nothing. No other failure creates a
   * session: a key that is not accepted, a server that cannot be reached, and a proxy's 404 say nothing about the
   * shell.
   *
   * If another client is attached, that is tried again as `retry` says: the connection of the page before the reload
   * may still be open. Also with this, `''` counts as no `sessionId`.
   * @defaultValue `false`
   */
  createIfGone?: boolean | undefined
  /**
   * Whether the session is deleted by `close()` and after the shell's end; on a server that keeps no shell, also after
   * the end of the connection. Never if another client is attached, or because a session could not be resumed.
   * @defaultValue `true`, but `false` with a `sessionId` and without `createIfGone`
   */
  deleteOnClose?: boolean | undefined
  /**
   * The size of the window, sent right after the auth frame.
   * @defaultValue the server's 80 × 24
   */
  size?: TerminalSize | undefined
  /**
   * Whether the key of `bearer` is also in the URL, which servers and proxies write into their logs:
   * - `'fallback'` dials without the key in the URL. If the server refuses the handshake, it dials once more with the
   *   key, unless the server says that the session does not exist or that the key is wrong;
   * - `'always'` saves the refused handshake with Terminals 0.0.1 and 0.0.2;
   * - `'never'` cannot attach to those two.
   * @defaultValue `'fallback'`
   */
  tokenInUrl?: 'always' | 'never' | 'fallback' | undefined
  /**
   * ms for connecting, all tries included, from 1 to 2147483647. Ending the shell and deleting the session after a
   * failure may take up to 4 000 ms more.
   * @defaultValue 30 000 ms
   */
  timeout?: number | undefined
  /**
   * How often to try, and the first pause; `false` tries once. Only failures that may pass are tried again: a
   * connection refused or reset, HTTP 429 of a limit on requests, 502, 503 and 504, close codes 1012 and 1013, and 4003
   * "not reachable"; with `createIfGone`, also 4009.
   *
   * If the answer to a POST is lost, the new session is looked for in the list of sessions. It is not found, and so not
   * deleted, if the same user created another at the same time, or if the server is an Open Terminal up to 0.11, which
   * does not tell who owns a session.
   * @defaultValue 5 attempts, 1 000 ms
   */
  retry?: RetryOptions | false | undefined
  /**
   * How to resume the session when the connection drops and the server keeps the shell, as a gateway of this package
   * does. `false` never resumes. With any other server, a terminal whose connection drops has ended.
   *
   * A try that fails never deletes the session. Only the gateway itself ends the tries early: it does not have the
   * session, denies access, has another client (4009), or refuses the key twice in a row.
   * @defaultValue 500 ms, for as long as the gateway keeps the shell
   */
  reconnect?: ReconnectOptions | false | undefined
  /**
   * ms of silence after which an attach counts as accepted, because no server confirms it. Before that, the server is
   * asked whether the session exists, which may take 500 ms even if `settle` is shorter.
   * A new session with a chat behind an orchestrator needs more: its container may be slow to refuse the chat.
   * @defaultValue 1 000 ms; 5 000 ms for a new session with a chat behind an orchestrator
   */
  settle?: number | undefined
  /**
   * ms of silence before a heartbeat, 0 for none. A heartbeat is a message that every server ignores and every proxy
   * passes on, and a protocol ping if the runtime can send one. Two unanswered pings end the terminal as `lost`.
   * @defaultValue 30 000 ms
   */
  keepAlive?: number | undefined
  /**
   * Bytes of output that may wait for a slow reader before the server has to wait; a little more may arrive until it
   * does. Browsers cannot make a server wait: there, all output is kept in memory until it is read.
   * @defaultValue 1 MiB
   */
  maxBuffered?: number | undefined
  /**
   * Only looks on: gets the output and the size of the window of a session of a gateway of this package, which has to
   * allow it, and never types. The session is somebody else's, or has another client: it is not taken over, not kept
   * alive and not deleted, so a `sessionId` is required, and `createIfGone` and `deleteOnClose` cannot be `true`.
   * `size` has no effect.
   *
   * No other server has watchers. It attaches this client as any other, which may take the session from the one that
   * has it, or end its shell. Connecting then rejects, and leaves without deleting anything.
   * @defaultValue `false`
   */
  watch?: boolean | undefined
  /**
   * The WebSocket class to dial with. A class that cannot send headers, such as that of browsers, cannot attach to Open
   * Terminal from 0.12.4 on, which reads the user from a header.
   * @defaultValue `ws` in Node, Bun and Deno, elsewhere the global class
   */
  WebSocket?: SocketConstructor | undefined
}

/** {@link ConnectTerminalOptions} whose signal may be one of our own. */
export interface ConnectOptions extends RequestOptions, Omit<ConnectTerminalOptions, keyof UpstreamOptions> {}

/** How often something is tried, and how long the pauses are. */
export interface Tries {
  readonly attempts: number
  /** ms before the second try, or before the first try to resume. */
  readonly delay: number
}

/** The options of `connectTerminal`, checked, with all defaults filled in. */
export interface Settings {
  /** Without the signal: it only cancels connecting, and an open terminal must not keep it in memory. */
  readonly upstream: Omit<UpstreamOptions, 'signal'>
  readonly sessionId: string | undefined
  readonly createIfGone: boolean
  readonly deleteOnClose: boolean
  /** Absent if nothing is resumed. The default `timeout` is what the server announces. */
  readonly reconnect: { readonly delay: number; readonly timeout: number | undefined } | undefined
  readonly signal: AbortSignalLike | undefined
  /** The URL of the session or sessions, for messages. */
  readonly where: string
  readonly Socket: SocketConstructor
  readonly watch: boolean
  /** The text frame that sets the size, if there is a `size` to set. */
  readonly resize: string | undefined
  readonly tokenInUrl: 'always' | 'never' | 'fallback'
  readonly timeout: number
  readonly retry: Tries
  /** Absent for a sink that nothing is resumed for. */
  readonly kept?: KeptSession | undefined
  /** Hears of each try to connect that has failed, if another follows. */
  readonly onRetry?: ((error: TerminalError) => void) | undefined
  readonly settle: number | undefined
  readonly keepAlive: number
  readonly maxBuffered: number
}

/** The default silence before a heartbeat. */
export const KEEP_ALIVE_MS = 30_000

/** The default of what may wait for a slow reader. */
export const MAX_BUFFERED_BYTES: number = 1024 * 1024

/** Checks the options, and reads each of them once, because the caller may change its objects later. */
export function readSettings(options: ConnectOptions): Settings {
  assertObject('options', options)
  const {
    authType = 'bearer',
    sessionId: named,
    createIfGone = false,
    deleteOnClose = createIfGone || (named ?? undefined) === undefined,
    size,
    tokenInUrl = 'fallback',
    timeout = 30_000,
    retry: retrying = {},
    reconnect: resuming = {},
    settle,
    keepAlive = KEEP_ALIVE_MS,
    maxBuffered = MAX_BUFFERED_BYTES,
    watch = false,
    WebSocket: Socket = WebSocket,
    signal,
    ...rest
  } = options
  if (!['always', 'never', 'fallback'].includes(tokenInUrl)) {
    throw wrongValue('tokenInUrl', "must be 'always', 'never' or 'fallback'")
  }
  assertWhole('timeout', timeout, 1, LONGEST_TIMER_MS)
  assertSignal(signal)
  if (typeof createIfGone !== 'boolean') throw wrongType('createIfGone', 'a boolean', createIfGone)
  if (typeof deleteOnClose !== 'boolean') throw wrongType('deleteOnClose', 'a boolean', deleteOnClose)
  // A page that has kept no id may have `''`.
  const sessionId = (createIfGone && named === '' ? undefined : named) ?? undefined
  if (typeof watch !== 'boolean') throw wrongType('watch', 'a boolean', watch)
  // Whoever looks on does not own the session.
  if (watch && (sessionId === undefined || createIfGone || deleteOnClose)) {
    throw wrongValue('watch', 'needs a `sessionId`, and neither `createIfGone` nor `deleteOnClose`')
  }
  const retry = retrying === false ? { attempts: 1, delay: 0 } : readRetry(retrying)
  const reconnect = resuming === false ? undefined : readReconnect(resuming)
  if (settle !== undefined) assertWhole('settle', settle, 0, LONGEST_TIMER_MS)
  assertWhole('keepAlive', keepAlive, 0, LONGEST_TIMER_MS)
  assertWhole('maxBuffered', maxBuffered, 1, Number.MAX_SAFE_INTEGER)
  if (typeof Socket !== 'function' || !Socket.prototype) throw wrongType('WebSocket', 'a class', Socket)
  if (size !== undefined) assertObject('size', size)
  const resize = size && encodeResize(size.cols, size.rows)
  const upstream = readUpstream({ ...rest, authType })
  if (!sendsHeaders(Socket)) {
    const problem = 'cannot be sent by this WebSocket: connect from a server'
    if (rest.cookie !== undefined && carries(authType, 'cookie')) throw wrongValue('cookie', problem)
    if (Object.keys({ ...upstream.headers }).length > 0) throw wrongValue('headers', problem)
  }
  return {
    upstream,
    sessionId,
    createIfGone,
    deleteOnClose,
    reconnect,
    signal,
    where: withoutQuery(buildUpstreamHttpUrl(upstream.base, { ...upstream, sessionId })),
    Socket,
    watch,
    resize: watch ? undefined : resize,
    tokenInUrl,
    timeout,
    retry,
    settle,
    keepAlive,
    maxBuffered,
  }
}

function readReconnect(given: ReconnectOptions): NonNullable<Settings['reconnect']> {
  assertObject('reconnect', given)
  assertKnown('reconnect', given, ['delay', 'timeout'])
  const { delay = 500, timeout } = given
  assertWhole('reconnect.delay', delay, 0, LONGEST_TIMER_MS)
  if (timeout !== undefined) assertWhole('reconnect.timeout', timeout, 0, LONGEST_TIMER_MS)
  return { delay, timeout }
}

function readRetry(given: RetryOptions): Tries {
  assertObject('retry', given)
  assertKnown('retry', given, ['attempts', 'delay'])
  const { attempts = 5, delay = 1_000 } = given
  assertWhole('retry.attempts', attempts, 1, Number.MAX_SAFE_INTEGER)
  assertWhole('retry.delay', delay, 0, LONGEST_TIMER_MS)
  return { attempts, delay }
}
