import { assertObject, assertSignal, assertWhole, wrongType, wrongValue } from './arguments.ts'
import { resolveCredential } from './auth.ts'
import { openConnection, readable, type Attached, type TerminalConnection } from './connection.ts'
import { delay, startDeadline } from './deadline.ts'
import { dial, explainRefusal, type Dialling, type Refusal } from './dial.ts'
import { TerminalError } from './errors.ts'
import { leaseSession, type Lease } from './lease.ts'
import { createOutput, type CreateSink, type Sink } from './output.ts'
import { encodeResize, mayPass, terminalError, type TerminalSize } from './protocol.ts'
import { resolveUpstream, type UpstreamOptions } from './upstream.ts'
import { buildUpstreamHttpUrl, whereOf } from './url.ts'
import { sendsHeaders, WebSocket, type SocketConstructor } from './websocket.ts'

/** What {@link connectTerminal} is given; all but the first few have defaults that suit most. */
export interface ConnectTerminalOptions extends UpstreamOptions {
  /**
   * The session to attach to, which is then yours to delete. Default: a new one is created, and deleted again when
   * attaching fails and when the terminal ends.
   */
  sessionId?: string | undefined
  /** The size of the window, sent before anything else. Default: the server's 80 columns × 24 rows. */
  size?: TerminalSize | undefined
  /**
   * Whether the key of `bearer` also travels in the URL, which servers and proxies like to log:
   * - `'always'` attaches to every release;
   * - `'never'` attaches to all but Terminals 0.0.1 and 0.0.2;
   * - `'fallback'` tries without, and once more with it if the handshake is refused.
   *
   * Default: `'always'`.
   */
  tokenInUrl?: 'always' | 'never' | 'fallback' | undefined
  /**
   * ms for the whole of connecting, from 1 to 2147483647; deleting the session again may take up to 3 000 more.
   * Default: 30 000.
   */
  timeout?: number | undefined
  /**
   * How often to try in all, and ms between two tries, for what may pass: a connection refused or reset, HTTP 502, 503
   * and 504, close codes 1012 and 1013, and 4003 "not reachable". Default: `{ attempts: 5, delay: 1 000 }`.
   *
   * A session that was created although the answer got lost on its way is not known, and so not deleted; where that is
   * worse than a failure now and then, use 1 attempt.
   */
  retry?: { attempts: number; delay: number } | undefined
  /** ms of silence after which an attach counts as accepted: no server says so. Default: 1 000. */
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

/**
 * Opens a terminal: creates a session, attaches to it in the way that every release understands, and resolves once the
 * server has accepted, with the first output or after `settle` ms of silence.
 *
 * When it rejects nothing is left behind, neither socket nor timer nor session; only if the server is still creating
 * the session then, that is waited for in the background, for 30 s at most, to delete it.
 *
 * A reader that stops for over 40 s while output floods in may lose the terminal: servers give up on a socket that
 * does not answer their pings, and a paused one cannot.
 *
 * @example
 * ```ts
 * import { connectTerminal } from 'terminal-upstream'
 *
 * await using terminal = await connectTerminal({ base: 'http://127.0.0.1:8000', key: 'sk-1', userId: 'ada' })
 * await terminal.write('uname -a; exit\n')
 * for await (const chunk of terminal) process.stdout.write(chunk)
 * ```
 *
 * @throws {TerminalError} ERR_TERMINAL_UNAUTHORIZED when the key is not accepted.
 * @throws {TerminalError} ERR_TERMINAL_NOT_FOUND when the session, policy or server is not there.
 * @throws {TerminalError} ERR_TERMINAL_IN_USE when somebody else is attached to the session.
 * @throws {TerminalError} ERR_TERMINAL_LIMIT when the server has as many sessions as it allows.
 * @throws {TerminalError} ERR_TERMINAL_UNAVAILABLE when the server cannot be reached, after all tries.
 * @throws {TerminalError} ERR_TERMINAL_TIMEOUT when `timeout` ran out.
 * @throws {TerminalError} ERR_TERMINAL_INVALID_URL, ERR_TERMINAL_FORBIDDEN, ERR_TERMINAL_MISSING_USER or
 * ERR_TERMINAL_PROTOCOL when {@link TerminalErrorCode} says so.
 * @throws {TypeError} ERR_INVALID_ARG_TYPE or ERR_INVALID_ARG_VALUE when an option is of no use.
 * @throws {RangeError} ERR_OUT_OF_RANGE when a number is.
 * @throws The `reason` of `signal` when that aborts.
 */
export async function connectTerminal(options: ConnectTerminalOptions): Promise<TerminalConnection> {
  const { attached, sink } = await attachTerminal(options, createOutput)
  return readable(attached, sink)
}

/** A terminal that is open, and where its output goes. */
export interface OpenTerminal<S extends Sink> {
  readonly attached: Attached
  readonly sink: S
}

/** What {@link connectTerminal} does, for whatever is to take the output; a sink is made for every dial. */
export async function attachTerminal<S extends Sink>(
  options: ConnectTerminalOptions,
  createSink: CreateSink<S>,
): Promise<OpenTerminal<S>> {
  const plan: Plan<S> = { ...makePlan(options), createSink }
  const { upstream, signal, where, timeout, retry } = plan
  const progress: Progress = {}
  const deadline = startDeadline(timeout, signal, () => {
    const { doing, failure } = progress
    const advice = failure && `The last try: ${failure.message}`
    const why = `still ${doing} after ${timeout} ms`
    return terminalError('ERR_TERMINAL_TIMEOUT', `Cannot attach at ${where}`, why, { cause: failure, advice })
  })
  const lease = leaseSession(upstream, options.sessionId)
  try {
    for (let attempt = 1; ; attempt += 1) {
      const outcome = await attach(plan, lease, deadline.signal, progress).catch(refusalOf)
      if ('attached' in outcome) return outcome
      const { error, sessionGone } = outcome
      // A server that restarts, or ends a session whose connection drops, has lost one that was just created.
      const mayHelp = mayPass(error) || (sessionGone && lease.disown())
      if (attempt >= retry.attempts || !mayHelp || !(error instanceof TerminalError)) throw error
      progress.failure = error
      progress.doing = 'waiting to try again'
      await delay(retry.delay, deadline.signal)
    }
  } catch (error) {
    if (error instanceof TerminalError && error.code === 'ERR_TERMINAL_IN_USE') lease.disown()
    await lease.release()
    throw error
  } finally {
    deadline.stop()
  }
}

/** What neither another session nor the key in the URL would change. */
function refusalOf(error: unknown): Refusal {
  return { error }
}

interface Plan<S extends Sink> extends Dialling<S> {
  /** Without the signal: that is for connecting, and an open terminal must not keep it alive. */
  readonly upstream: Omit<UpstreamOptions, 'signal'>
  readonly signal: AbortSignal | undefined
  /** Where it all happens, for messages. */
  readonly where: string
  readonly tokenInUrl: 'always' | 'never' | 'fallback'
  readonly timeout: number
  readonly retry: { readonly attempts: number; readonly delay: number }
  readonly keepAlive: number
}

/** What a timeout has to tell. */
interface Progress {
  doing?: string
  failure?: TerminalError
}

/** ms of silence before a heartbeat, unless told otherwise. */
export const KEEP_ALIVE = 30_000

/** Bytes to hold for a slow reader, unless told otherwise. */
export const MAX_BUFFERED: number = 1024 * 1024

/** ms; setTimeout takes anything longer for 1 ms. */
export const LONGEST_TIMER: number = 2 ** 31 - 1

function makePlan(options: ConnectTerminalOptions): Omit<Plan<Sink>, 'createSink'> {
  assertObject('options', options)
  const {
    authType = 'bearer',
    size,
    tokenInUrl = 'always',
    timeout = 30_000,
    retry = { attempts: 5, delay: 1_000 },
    settle = 1_000,
    keepAlive = KEEP_ALIVE,
    maxBuffered = MAX_BUFFERED,
    WebSocket: Socket = WebSocket,
    signal,
    ...upstream
  } = options
  if (!['always', 'never', 'fallback'].includes(tokenInUrl)) {
    throw wrongValue('tokenInUrl', "must be 'always', 'never' or 'fallback'")
  }
  assertWhole('timeout', timeout, 1, LONGEST_TIMER)
  assertSignal(signal)
  assertObject('retry', retry)
  assertWhole('retry.attempts', retry.attempts, 0, Number.MAX_SAFE_INTEGER)
  assertWhole('retry.delay', retry.delay, 0, LONGEST_TIMER)
  assertWhole('settle', settle, 0, LONGEST_TIMER)
  assertWhole('keepAlive', keepAlive, 0, LONGEST_TIMER)
  assertWhole('maxBuffered', maxBuffered, 1, Number.MAX_SAFE_INTEGER)
  if (typeof Socket !== 'function' || !Socket.prototype) throw wrongType('WebSocket', 'a class', Socket)
  if (size !== undefined) assertObject('size', size)
  if (options.cookie !== undefined && !sendsHeaders(Socket) && resolveCredential(authType, null).sendsCookie) {
    throw wrongValue('cookie', 'cannot be sent by this WebSocket: connect from a server')
  }
  return {
    upstream: { ...upstream, authType },
    signal,
    where: whereOf(buildUpstreamHttpUrl(upstream.base, upstream)),
    resize: size && encodeResize(size.cols, size.rows),
    tokenInUrl,
    timeout,
    retry,
    keepAlive,
    settle,
    maxBuffered,
    Socket,
  }
}

/** One try: a session if there is none yet, and a socket on it. */
async function attach<S extends Sink>(
  plan: Plan<S>,
  lease: Lease,
  signal: AbortSignal,
  progress: Progress,
): Promise<OpenTerminal<S> | Refusal> {
  progress.doing = 'asking for a session'
  const sessionId = await lease.acquire(signal)
  const options = { ...plan.upstream, sessionId, signal }
  for (let withToken = plan.tokenInUrl === 'always'; ; withToken = true) {
    progress.doing = 'waiting for the server to accept'
    const upstream = await resolveUpstream(options)
    const { redact, tokenInUrl } = upstream
    const url = upstream.wsUrl(sessionId, withToken)
    const where = whereOf(url)
    const failed = `Cannot attach at ${where}`
    const dialled = await dial(plan, upstream, url, failed, signal)
    if ('link' in dialled) {
      const { keepAlive, upstream: user } = plan
      const attached = openConnection({ ...dialled, lease, sessionId, options: user, redact, where, keepAlive })
      return { attached, sink: dialled.sink }
    }
    progress.doing = 'asking why the server refused'
    const keyInUrl = tokenInUrl && withToken
    const attempt = { failed, redact, keyInUrl, sendsHeaders: sendsHeaders(plan.Socket) }
    const refusal = await explainRefusal(dialled, attempt, options)
    if (plan.tokenInUrl !== 'fallback' || withToken || !tokenInUrl || !refusal.keyMayHelp) return refusal
  }
}
