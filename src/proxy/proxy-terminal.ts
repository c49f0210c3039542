import { assertObject, assertSignal, wrongType } from '../lib/arguments.ts'
import type { AbortSignalLike } from '../lib/cancellation.ts'
import { attachTerminal, type OpenTerminal } from '../terminal/attach.ts'
import type { UpstreamConnection } from '../terminal/connection.ts'
import { KEEP_ALIVE, MAX_BUFFERED, readSettings, type ConnectTerminalOptions } from '../terminal/settings.ts'
import { CLOSE_GOING_AWAY } from '../upstream/close-codes.ts'
import { parseBase } from '../upstream/url.ts'
import { authorizeClient, type AuthorizeOptions } from '../client/authorize.ts'
import { ClientSession, type JoinedTerminal, type ProxyEnd, type ProxySummary } from '../client/client.ts'
import { isSocket, OPEN, type ClientSocket } from '../client/socket.ts'
import { explainThrown, withoutAddresses } from '../client/closing.ts'
import { Downlink } from '../client/downlink.ts'

export type { AuthorizeOptions, ProxySummary }

/** The options of {@link proxyTerminal}: the upstream, or how to find it. */
export type ProxyOptions = ConnectTerminalOptions | AuthorizeOptions

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
  return new ClientSession(client, (session, signal) => joinUpstream(session, options, signal)).summary.promise
}

/** Finds the upstream, and opens its terminal for the client. */
async function joinUpstream(
  session: ClientSession,
  options: ProxyOptions,
  signal: AbortSignalLike,
): Promise<JoinedTerminal | undefined> {
  const { client, leg, uplink } = session
  assertObject('options', options)
  // A client that has left needs no shell.
  if (client.readyState !== OPEN) return undefined
  const upstream = 'authorize' in options ? await authorizeClient(options, leg, uplink, signal) : options
  session.isAuthorized = true
  return attach(session, upstream, signal)
}

/** Attaches to the upstream, and connects both directions to it. */
async function attach(
  session: ClientSession,
  options: ConnectTerminalOptions,
  signal: AbortSignalLike,
): Promise<JoinedTerminal> {
  const { client, leg, uplink, counters } = session
  assertObject('options', options)
  assertSignal(options.signal)
  const { keepAlive = KEEP_ALIVE, maxBuffered = MAX_BUFFERED, base } = options
  const { hostname } = parseBase(base).url

  leg.limitBytes(undefined)
  leg.deliverTo(uplink)
  uplink.startReading(maxBuffered)
  const stopWatching = watchSignal(options.signal, session)
  let terminal: OpenTerminal<Downlink>
  try {
    terminal = await attachTerminal(
      readSettings({ ...options, signal }),
      (source) => new Downlink(client, maxBuffered, source, counters, leg),
    )
  } finally {
    stopWatching()
  }
  leg.keepAlive(keepAlive)
  uplink.startSending(terminal.connection)
  watchTerminal(terminal.connection, hostname, session)
  return new Joined(terminal)
}

/** The terminal of a client. It lives as long as that, so it has no functions of its own, and keeps nothing of the attaching. */
class Joined implements JoinedTerminal {
  readonly connection: UpstreamConnection
  readonly sink: Downlink

  constructor({ connection, sink }: OpenTerminal<Downlink>) {
    this.connection = connection
    this.sink = sink
  }

  leave(_end: ProxyEnd, code: number | undefined, reason: string): Promise<unknown> {
    return this.connection.close(code, reason)
  }
}

/** Ends the proxying when the caller's signal aborts, until the returned function is called. */
function watchSignal(signal: AbortSignalLike | undefined, session: ClientSession): () => void {
  const onAbort = (): void => {
    const { error } = explainThrown(signal?.reason, false)
    session.finish({ endedBy: 'proxy', code: CLOSE_GOING_AWAY, reason: '', error })
  }
  if (signal?.aborted) onAbort()
  else signal?.addEventListener('abort', onAbort)
  return () => signal?.removeEventListener('abort', onAbort)
}

/** Ends the proxying when the terminal closes. */
function watchTerminal({ closed }: UpstreamConnection, hostname: string, session: ClientSession): void {
  void closed.then(({ code, reason, error }) => {
    session.finish({ endedBy: 'upstream', code, reason: withoutAddresses(reason, hostname), ...(error && { error }) })
  })
}
