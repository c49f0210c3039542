import type { IncomingMessage } from 'node:http'
import { assertKnown, assertObject, assertSignal, assertWhole, wrongType, wrongValue } from '../lib/arguments.ts'
import type { AbortSignalLike } from '../lib/cancellation.ts'
import { LONGEST_TIMER_MS } from '../lib/deadline.ts'
import { attachTerminal, type OpenedTerminal } from '../terminal/attach.ts'
import type { UpstreamConnection } from '../terminal/connection.ts'
import { readSettings, type ConnectTerminalOptions } from '../terminal/settings.ts'
import { CLOSE_GOING_AWAY, reasonForClient } from '../upstream/close-codes.ts'
import { UPSTREAM_OPTIONS } from '../upstream/auth.ts'
import { CONNECT_OPTIONS, type UpstreamOptions } from '../upstream/options.ts'
import {
  askToAuthorize,
  AUTH_TIMEOUT_MS,
  describeClient,
  readAuthorization,
  readTerminalOptions,
  receiveAuth,
  TERMINAL_OPTIONS,
  type ProxiedClient,
  type TerminalOptions,
} from '../client/authorize.ts'
import { Client, type JoinedSession, type ProxyEnd, type ProxySummary } from '../client/client.ts'
import { isSocket, OPEN, type ClientSocket } from '../client/socket.ts'
import { explainThrown } from '../client/closing.ts'
import { ClientOutput } from '../client/output.ts'

/** How to find the upstream for a client from its first message. */
export interface AuthorizeOptions extends TerminalOptions {
  /**
   * Gets what the client says of itself in its first message, `{"type":"auth","token":…,"chat_id":…}`, and in its
   * handshake if you pass `request`. Returns the upstream and its credentials, which the client never sees. Only the
   * fields of `UpstreamOptions` are read, at once; others have no effect, and are named in a warning of the process.
   *
   * Until it has answered, only the first message is parsed, which may have 64 KiB, and the client may send 2 MiB in
   * all. Check whose `chatId` it is: on Open Terminal up to 0.11 a chat is the id of its session, and a user who names
   * the chat of another user gets, or ends, that user's shell.
   *
   * A `TerminalError` that it throws picks the close code: `ERR_TERMINAL_UNAUTHORIZED` 4001, `ERR_TERMINAL_FORBIDDEN`
   * 4003, `ERR_TERMINAL_NOT_FOUND` 4004. The client is told its `closeReason`, unless it has a `closeCode`, too: then
   * that is what a server has said. The client is never told its message. Any other value that it throws closes the
   * client with 4003 and no reason. The operator finds it as `error` in the summary: log that, for no warning is given.
   */
  authorize(this: void, client: ProxiedClient): UpstreamOptions | Promise<UpstreamOptions>
  /**
   * The client's handshake, for `authorize`.
   * @defaultValue none
   */
  request?: IncomingMessage | undefined
  /**
   * ms for the client's first message, and as many again for `authorize`, from 1 to 2147483647. As long as Open WebUI
   * waits, if you do not say otherwise.
   * @defaultValue 10 000 ms
   */
  authTimeout?: number | undefined
}

/** The options of {@link proxyTerminal}: the upstream, or how to find it, and not both. */
export type ProxyOptions =
  | (ConnectTerminalOptions & { [Name in Exclude<keyof AuthorizeOptions, keyof ConnectTerminalOptions>]?: never })
  | (AuthorizeOptions & { [Name in Exclude<keyof ConnectTerminalOptions, keyof AuthorizeOptions>]?: never })

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
 * @param options Either the options of `connectTerminal`, whose `reconnect` has no effect here: a client is joined to
 * one connection of the upstream. Or `authorize`, which finds the upstream for a client, and options for the connection
 * to it. A wrong option closes the client with 4003, and is the `error` of the summary.
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
 * @example A client that says who it is in its first message:
 * ```ts
 * import type { IncomingMessage } from 'node:http'
 * import { proxyTerminal, type ClientSocket } from 'terminal-upstream/proxy'
 *
 * async function serve(client: ClientSocket, request: IncomingMessage) {
 *   await proxyTerminal(client, {
 *     request,
 *     authorize: ({ token }) => ({ base: 'http://127.0.0.1:8000', key: 'sk-1', userId: userOf(token) }),
 *     maxBuffered: 256 * 1024,
 *   })
 * }
 * declare function userOf(token: string): string
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
  assertObject('options', options)
  // A client that has left needs no shell.
  if (client.socket.readyState !== OPEN) return undefined
  const upstream = isOfAuthorize(options) ? await authorizeClient(client, options, signal) : options
  return attach(client, upstream, signal)
}

const ONLY_OF_AUTHORIZE = ['authorize', 'request', 'authTimeout']
const OF_CONNECT = [...UPSTREAM_OPTIONS, ...CONNECT_OPTIONS]
const NEVER_OF_AUTHORIZE = OF_CONNECT.filter((name) => !TERMINAL_OPTIONS.includes(name))

/** Returns of which kind the options are. Throws if they are of both: something of them would be ignored. */
function isOfAuthorize(options: ProxyOptions): options is AuthorizeOptions {
  assertKnown('proxyTerminal', options, [...ONLY_OF_AUTHORIZE, ...OF_CONNECT])
  // `authorize: undefined` must fail: without one, every client would get a shell.
  const isIt = 'authorize' in options
  const others = isIt ? NEVER_OF_AUTHORIZE : ONLY_OF_AUTHORIZE
  const wrong = Object.entries(options).find(([name, value]) => value !== undefined && others.includes(name))
  if (wrong) throw wrongValue(wrong[0], `can${isIt ? 'not' : ' only'} be given together with \`authorize\``)
  return isIt
}

// Whether the operator has been told of a field that has no effect.
let hasWarned = false

/** Waits for the client's first message, and asks `authorize` for the upstream. */
async function authorizeClient(
  { connection, input }: Client,
  options: AuthorizeOptions,
  signal: AbortSignalLike,
): Promise<ConnectTerminalOptions> {
  const { authorize, request, authTimeout = AUTH_TIMEOUT_MS } = options
  const settings = readTerminalOptions(options)
  if (typeof authorize !== 'function') throw wrongType('authorize', 'a function', authorize)
  if (request !== undefined) assertObject('request', request)
  assertWhole('authTimeout', authTimeout, 1, LONGEST_TIMER_MS)
  const { auth } = await receiveAuth(connection, input, authTimeout, signal)
  const { upstream, ignored } = await askToAuthorize(authTimeout, signal, async () =>
    readAuthorization(await authorize(describeClient(request, auth))),
  )
  if (ignored !== undefined && !hasWarned) {
    hasWarned = true
    const warning = { type: 'TerminalProxyWarning', code: 'TERMINAL_PROXY_AUTHORIZE' }
    globalThis.process?.emitWarning?.(`\`authorize\` of proxyTerminal ${ignored}`, warning)
  }
  return { ...settings, ...upstream }
}

/** Attaches to the upstream, and connects both directions to it. */
async function attach(
  client: Client,
  options: ConnectTerminalOptions,
  signal: AbortSignalLike,
): Promise<JoinedSession> {
  const { socket, connection, input, counters } = client
  assertSignal(options.signal)
  const settings = readSettings({ ...options, signal })
  if (settings.watch) throw wrongValue('watch', 'is for connectTerminal: a client of a proxy types')
  const { keepAlive, maxBuffered } = settings
  client.admit(keepAlive, maxBuffered)
  const stopWatching = watchSignal(options.signal, client)
  let terminal: OpenedTerminal<ClientOutput>
  try {
    terminal = await attachTerminal(
      settings,
      (source) => new ClientOutput(socket, maxBuffered, source, counters, connection),
    )
  } finally {
    stopWatching()
  }
  input.startSending(terminal.connection)
  watchTerminal(terminal.connection, client)
  return new ProxySession(terminal)
}

/**
 * The session of a client. It lives as long as the client, so it has no functions of its own, and keeps nothing of the
 * attaching.
 */
class ProxySession implements JoinedSession {
  readonly terminal: UpstreamConnection
  readonly output: ClientOutput

  constructor({ connection, sink }: OpenedTerminal<ClientOutput>) {
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
function watchTerminal({ closed }: UpstreamConnection, client: Client): void {
  void closed.then(({ code, reason, error }) => {
    client.finish({ endedBy: 'upstream', code, reason: reasonForClient(reason), ...(error && { error }) })
  })
}
