import { assertObject, assertSignal, wrongType } from '../lib/arguments.ts'
import type { AbortSignalLike } from '../lib/cancellation.ts'
import { attachTerminal, type OpenTerminal } from '../terminal/attach.ts'
import type { UpstreamConnection } from '../terminal/connection.ts'
import { KEEP_ALIVE, MAX_BUFFERED, readSettings, type ConnectTerminalOptions } from '../terminal/settings.ts'
import { CLOSE_GOING_AWAY } from '../upstream/close-codes.ts'
import { parseBase } from '../upstream/url.ts'
import { authorizeClient, type AuthorizeOptions } from '../client/authorize.ts'
import { Client, type JoinedSession, type ProxyEnd, type ProxySummary } from '../client/client.ts'
import { isSocket, OPEN, type ClientSocket } from '../client/socket.ts'
import { explainThrown, withoutAddresses } from '../client/closing.ts'
import { ClientOutput } from '../client/output.ts'

export type { AuthorizeOptions, ProxySummary }

/** The options of {@link proxyTerminal}: the upstream, or how to find it. */
export type ProxyOptions = ConnectTerminalOptions | AuthorizeOptions

/**
 * Joins a client's WebSocket to a terminal of an upstream, whose key the client never sees. Resolves when both
 * connections have ended and the session that was created for the client is deleted. Never rejects.
 *
 * Call it as soon as the client has connected: what the client sends before is lost, unless you `pause()` the socket.
 * Output passes unchanged, text and binary. Input is cut into frames and paced as by `write`. Of the client's text
 * frames, only `{"type":"resize","cols":80,"rows":24}` and `{"type":"ping"}` are passed on: servers ignore others, or
 * end the shell. Empty binary messages are dropped. A side that does not keep up makes the other side wait; the
 * upstream is read until `maxBuffered` bytes wait for the client. Pings of the WebSocket are answered on each
 * connection and not passed on. When one side ends, the other side is closed with the same code, if that code may be
 * sent.
 *
 * A client that does not read for three times `keepAlive`, 90 s by default, while output waits for it counts as gone,
 * and so does one that does not answer two pings, `keepAlive` ms apart. If the client leaves while its session is being
 * created, the proxy waits for the session in the background, for 30 s at most, to delete it.
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
 * const upstream = { base: 'http://127.0.0.1:8000', key: 'sk-1', userId: 'ada' }
 * new WebSocketServer({ server }).on('connection', async (client) => {
 *   const { endedBy, code, error } = await proxyTerminal(client, upstream)
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
  return new Client(client, (joining, signal) => joinUpstream(joining, options, signal)).summary.promise
}

/** Finds the upstream, and opens its terminal for the client. */
async function joinUpstream(
  client: Client,
  options: ProxyOptions,
  signal: AbortSignalLike,
): Promise<JoinedSession | undefined> {
  const { socket, connection, input } = client
  assertObject('options', options)
  // A client that has left needs no shell.
  if (socket.readyState !== OPEN) return undefined
  const upstream = 'authorize' in options ? await authorizeClient(options, connection, input, signal) : options
  client.isAuthorized = true
  return attach(client, upstream, signal)
}

/** Attaches to the upstream, and connects both directions to it. */
async function attach(
  client: Client,
  options: ConnectTerminalOptions,
  signal: AbortSignalLike,
): Promise<JoinedSession> {
  const { socket, connection, input, counters } = client
  assertObject('options', options)
  assertSignal(options.signal)
  const { keepAlive = KEEP_ALIVE, maxBuffered = MAX_BUFFERED, base } = options
  const { hostname } = parseBase(base).url

  connection.limitBytes(undefined)
  connection.deliverTo(input)
  input.startReading(maxBuffered)
  const stopWatching = watchSignal(options.signal, client)
  let terminal: OpenTerminal<ClientOutput>
  try {
    terminal = await attachTerminal(
      readSettings({ ...options, signal }),
      (source) => new ClientOutput(socket, maxBuffered, source, counters, connection),
    )
  } finally {
    stopWatching()
  }
  connection.keepAlive(keepAlive)
  input.startSending(terminal.connection)
  watchTerminal(terminal.connection, hostname, client)
  return new ProxySession(terminal)
}

/**
 * The session of a client. It lives as long as the client, so it has no functions of its own, and keeps nothing of the
 * attaching.
 */
class ProxySession implements JoinedSession {
  readonly terminal: UpstreamConnection
  readonly output: ClientOutput

  constructor({ connection, sink }: OpenTerminal<ClientOutput>) {
    this.terminal = connection
    this.output = sink
  }

  leave(_end: ProxyEnd, code: number | undefined, reason: string): Promise<unknown> {
    return this.terminal.close(code, reason)
  }
}

/** Ends the proxying when the caller's signal aborts, until the returned function is called. */
function watchSignal(signal: AbortSignalLike | undefined, client: Client): () => void {
  const onAbort = (): void => {
    const { error } = explainThrown(signal?.reason, false)
    client.finish({ endedBy: 'proxy', code: CLOSE_GOING_AWAY, reason: '', error })
  }
  if (signal?.aborted) onAbort()
  else signal?.addEventListener('abort', onAbort)
  return () => signal?.removeEventListener('abort', onAbort)
}

/** Ends the proxying when the terminal closes. */
function watchTerminal({ closed }: UpstreamConnection, hostname: string, client: Client): void {
  void closed.then(({ code, reason, error }) => {
    client.finish({ endedBy: 'upstream', code, reason: withoutAddresses(reason, hostname), ...(error && { error }) })
  })
}
