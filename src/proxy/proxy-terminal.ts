import { assertObject, assertSignal, wrongType } from '../lib/arguments.ts'
import { Cancellation, type AbortSignalLike } from '../lib/cancellation.ts'
import { Deferred } from '../lib/deferred.ts'
import { attachTerminal, type OpenTerminal } from '../terminal/attach.ts'
import type { TerminalCore } from '../terminal/core.ts'
import { KEEP_ALIVE, MAX_BUFFERED, type ConnectTerminalOptions } from '../terminal/settings.ts'
import { parseBase } from '../upstream/url.ts'
import { authorizeClient, type AuthorizeOptions } from './authorize.ts'
import { ClientLeg, type ClientClose, type LegOwner } from './client-leg.ts'
import { isSocket, OPEN, type ClientSocket } from './client-socket.ts'
import { explainThrown, relayClose, withoutAddresses } from './closing.ts'
import type { Counters } from './counters.ts'
import { Downlink } from './downlink.ts'
import { Uplink, type UplinkOwner } from './uplink.ts'

export type { AuthorizeOptions }

/** The options of {@link proxyTerminal}: the upstream, or how to find it. */
export type ProxyOptions = ConnectTerminalOptions | AuthorizeOptions

/** How a client was served. */
export interface ProxySummary extends Readonly<Counters> {
  /**
   * The side that ended it. `proxy` means that no terminal was opened: the client was not authorized or sent too much, the
   * upstream refused or could not be reached, an option was wrong, or the signal aborted.
   */
  readonly endedBy: 'client' | 'upstream' | 'proxy'
  /** The close code of that side, 1006 when its connection dropped; for the proxy, the code that the client was sent. */
  readonly code: number
  /** The reason that came with the code. */
  readonly reason: string
  /** What went wrong, with a message for the operator's log. Absent when the shell ended or the client left. */
  readonly error?: Error
  /** The session that the client was joined to; absent if no terminal was opened. */
  readonly sessionId?: string
  /** The chat of that session; absent if the server did not accept one. */
  readonly chatId?: string
}

/** The part of the summary that says how the proxying ended. */
type ProxyEnd = Pick<ProxySummary, 'endedBy' | 'code' | 'reason' | 'error'>

/**
 * Joins a client's WebSocket to a terminal of an upstream, whose key the client never sees. Resolves when both
 * connections have ended and the session that was created for the client is deleted. Never rejects.
 *
 * Call it as soon as the client has connected: what the client sends before is lost, unless you `pause()` the socket.
 * Output passes unchanged, text and binary. Input is cut into frames and paced as by `write`. The proxy drops empty
 * binary messages of the client, and its text frames that would kill the shell or exceed 64 KiB. A side that does not
 * keep up makes the other side wait; the upstream is read until `maxBuffered` bytes wait for the client. Pings are
 * answered on each connection and not passed on. When one side ends, the other side is closed with the same code, if that
 * code may be sent.
 *
 * A client that does not read for three times `keepAlive`, 90 s by default, while output waits for it counts as gone, and
 * so does one that does not answer two pings, `keepAlive` ms apart. If the client leaves while its session is being created, the proxy waits for the session
 * in the background, for 30 s at most, to delete it.
 *
 * @param client The server side of a connection, of any copy of `ws`; best without compression.
 * @param options The upstream, as for `connectTerminal`, or `authorize` to find it.
 *
 * @example
 * ```ts
 * import { createServer } from 'node:http'
 * import { proxyTerminal } from 'terminal-upstream/proxy'
 * import { WebSocketServer } from 'ws'
 *
 * const server = createServer()
 * new WebSocketServer({ server }).on('connection', async (client) => {
 *   const { endedBy, code, error } = await proxyTerminal(client, { base: 'http://127.0.0.1:8000', key: 'sk-1', userId: 'ada' })
 *   console.log(endedBy, code, error)
 * })
 * server.listen(8080)
 * ```
 *
 * @throws {TypeError} ERR_INVALID_ARG_TYPE at once when `client` is not a WebSocket of `ws`.
 * @see https://github.com/open-webui/open-webui/blob/main/backend/open_webui/routers/terminals.py `ws_terminal`
 */
export function proxyTerminal(client: ClientSocket, options: ProxyOptions): Promise<ProxySummary> {
  if (!isSocket(client)) throw wrongType('client', 'a WebSocket of ws', client)
  return new ProxySession(client, options).summary.promise
}

// What one side is sent when the other side ended without a code that may be sent.
const GOING_AWAY = 1001
const BAD_GATEWAY = 1014

/** A client and, once it is open, the terminal that it is joined to. */
class ProxySession implements Opening, LegOwner, UplinkOwner {
  readonly summary = new Deferred<ProxySummary>()
  readonly client: ClientSocket
  readonly leg: ClientLeg
  readonly uplink: Uplink
  readonly counters: Counters = { bytesToClient: 0, bytesToUpstream: 0, dropped: 0 }
  readonly #opened: Promise<OpenTerminal<Downlink> | undefined>
  // Stops the opening. Absent after it.
  #cancellation: Cancellation | undefined
  // Only the first end counts.
  #hasEnded = false

  constructor(client: ClientSocket, options: ProxyOptions) {
    this.client = client
    this.leg = new ClientLeg(client, this)
    this.leg.keepAlive(KEEP_ALIVE)
    this.uplink = new Uplink(this.leg, this, this.counters)
    const cancellation = new Cancellation()
    this.#cancellation = cancellation
    this.#opened = open(this, options, cancellation).finally(() => (this.#cancellation = undefined))
  }

  /** Called by the leg and the uplink. */
  onOverflow(): void {
    this.finish({ endedBy: 'proxy', code: 1009, reason: 'Too much input before the terminal was open' })
  }

  /** Called by the leg. */
  onClientGone(close: ClientClose): void {
    this.finish({ endedBy: 'client', ...close })
  }

  finish(end: ProxyEnd): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    this.#cancellation?.abort()
    void this.#close(end).then(this.summary.resolve)
  }

  async #close(end: ProxyEnd): Promise<ProxySummary> {
    const { leg } = this
    // An opening that fails at once ends the session within the constructor.
    await Promise.resolve()
    leg.deliverTo(undefined)
    if (end.endedBy === 'upstream') {
      // The heartbeat ends a client that does not take the rest of the output.
      leg.keepAlive(KEEP_ALIVE)
      await Promise.race([this.#opened.then((terminal) => terminal?.sink.drained()), leg.gone])
    }
    const { code, reason } = relayClose(end.code, end.reason, end.endedBy === 'client' ? GOING_AWAY : BAD_GATEWAY)
    leg.close(code, reason)
    const terminal = await this.#opened
    await Promise.all([leg.gone, terminal?.core.close(code, reason)])
    leg.release()
    const { sessionId, chatId } = terminal?.core ?? {}
    return {
      ...end,
      ...(sessionId !== undefined && { sessionId }),
      ...(chatId !== undefined && { chatId }),
      ...this.counters,
    }
  }
}

/** The parts of a session that the steps of the opening need. */
interface Opening {
  readonly client: ClientSocket
  readonly leg: ClientLeg
  readonly uplink: Uplink
  readonly counters: Counters
  finish(end: ProxyEnd): void
}

/** Finds the upstream and opens its terminal. Resolves with `undefined` if that fails, or the proxying ends before. */
async function open(
  opening: Opening,
  options: ProxyOptions,
  signal: AbortSignalLike,
): Promise<OpenTerminal<Downlink> | undefined> {
  const { client, leg, uplink } = opening
  // Whether the client may read the close reason of an error. Only the errors of `authorize` have one for clients.
  let mayQuote = true
  try {
    assertObject('options', options)
    // A client that has left needs no shell.
    if (client.readyState !== OPEN) return undefined
    const upstream = 'authorize' in options ? await authorizeClient(options, leg, uplink, signal) : options
    mayQuote = false
    return await attach(opening, upstream, signal)
  } catch (error) {
    opening.finish({ endedBy: 'proxy', ...explainThrown(error, mayQuote) })
    return undefined
  }
}

/** Attaches to the upstream, and connects both directions to it. */
async function attach(
  opening: Opening,
  options: ConnectTerminalOptions,
  signal: AbortSignalLike,
): Promise<OpenTerminal<Downlink>> {
  const { client, leg, uplink, counters } = opening
  assertObject('options', options)
  assertSignal(options.signal)
  const { keepAlive = KEEP_ALIVE, maxBuffered = MAX_BUFFERED, base } = options
  const { hostname } = parseBase(base).url

  leg.limitBytes(undefined)
  leg.deliverTo(uplink)
  uplink.startReading(maxBuffered)
  const stopWatching = watchSignal(options.signal, opening)
  let terminal: OpenTerminal<Downlink>
  try {
    terminal = await attachTerminal(
      { ...options, signal },
      (most, source) => new Downlink(client, most, source, counters, leg),
    )
  } finally {
    stopWatching()
  }
  leg.keepAlive(keepAlive)
  uplink.startSending(terminal.core)
  watchTerminal(terminal.core, hostname, opening)
  return terminal
}

/** Ends the proxying when the caller's signal aborts, until the returned function is called. */
function watchSignal(signal: AbortSignalLike | undefined, opening: Opening): () => void {
  const onAbort = (): void => {
    const { error } = explainThrown(signal?.reason, false)
    opening.finish({ endedBy: 'proxy', code: GOING_AWAY, reason: '', error })
  }
  if (signal?.aborted) onAbort()
  else signal?.addEventListener('abort', onAbort)
  return () => signal?.removeEventListener('abort', onAbort)
}

/** Ends the proxying when the terminal closes. */
function watchTerminal({ closed }: TerminalCore, hostname: string, opening: Opening): void {
  void closed.then(({ code, reason, error }) => {
    opening.finish({ endedBy: 'upstream', code, reason: withoutAddresses(reason, hostname), ...(error && { error }) })
  })
}
