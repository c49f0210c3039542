import type { IncomingMessage } from 'node:http'
import { assertObject, assertSignal, assertWhole, wrongType } from '../lib/arguments.ts'
import { attachTerminal, type OpenTerminal } from '../terminal/attach.ts'
import type { ConnectTerminalOptions } from '../terminal/settings.ts'
import { abortable, LONGEST_TIMER, withDeadline } from '../lib/deadline.ts'
import { TerminalError } from '../lib/errors.ts'
import { takeClient, type Client } from './client.ts'
import { isSocket, OPEN, type ClientSocket } from './client-socket.ts'
import { explainThrown, passOn, withoutAddresses } from './closing.ts'
import { LONGEST_TEXT, readAuth, type ClientAuth } from './commands.ts'
import { createDownlink, type Downlink } from './downlink.ts'
import type { Tally } from './tally.ts'
import { createUplink, type Uplink } from './uplink.ts'
import { KEEP_ALIVE, MAX_BUFFERED } from '../terminal/settings.ts'
import { parseBase } from '../upstream/url.ts'

/** How to find out, from the client's first message, which upstream it is to be joined to. */
export interface AuthorizeOptions {
  /**
   * Is given what the client says of itself in its first message, `{"type":"auth","token":…,"chat_id":…}`, and returns
   * the upstream and its credentials, which the client never sees.
   *
   * Until it has answered, no message is parsed but the first, which may have 64 KiB, and what the client sends is
   * limited to 2 MiB. Check whose `chatId` it is: on Open Terminal up to 0.11 a chat is the id of its session, and a user
   * who names the chat of another user gets, or ends, that user's shell.
   *
   * A `TerminalError` that it throws picks the close code: `ERR_TERMINAL_UNAUTHORIZED` 4001, `ERR_TERMINAL_FORBIDDEN`
   * 4003, `ERR_TERMINAL_NOT_FOUND` 4004; its `closeReason` is what the client is told, its message is not. Anything else
   * that it throws is 4003 with no detail.
   */
  authorize: (auth: ClientAuth, request?: IncomingMessage) => ConnectTerminalOptions | Promise<ConnectTerminalOptions>
  /** The client's handshake, for `authorize`. Default: none. */
  request?: IncomingMessage | undefined
  /**
   * ms for the client's first message, and as many again for `authorize`, from 1 to 2147483647. Default: 10 000, as
   * Open WebUI.
   */
  authTimeout?: number | undefined
}

/** What {@link proxyTerminal} is given: the upstream, or how to find it out. */
export type ProxyOptions = ConnectTerminalOptions | AuthorizeOptions

/** What became of a client. */
export interface ProxySummary extends Readonly<Tally> {
  /** Who ended it: `proxy` when there was nothing to join it to, or it did not say in time or form who it is. */
  readonly endedBy: 'client' | 'upstream' | 'proxy'
  /** The close code that came from that side, 1006 when its connection dropped; by the proxy, the one sent to the client. */
  readonly code: number
  /** The reason that came with the code. */
  readonly reason: string
  /** What went wrong, for the log: its message is for the operator. Absent when the shell ended or the client left. */
  readonly error?: Error
  /** The session that the client was joined to, if it came to that. */
  readonly sessionId?: string
  /** The chat of that session; absent where the server took none. */
  readonly chatId?: string
}

type End = Pick<ProxySummary, 'endedBy' | 'code' | 'reason' | 'error'>

/**
 * Joins a client's WebSocket to a terminal of an upstream, whose key the client never sees; resolves when both have
 * ended and the session that was created for it is gone. Never rejects; only a `client` that
 * is no socket is thrown back.
 *
 * For proxies: call it as soon as the connection is there, because what the client sends before is lost (or `pause()`
 * the socket until then). Messages go through as they are, both ways, text and binary, but that input is cut into frames
 * and paced as `write` does, that empty messages are left out, and that text frames are dropped that would kill the shell
 * or have more than 64 KiB. A side that does not keep up
 * makes the other wait; the upstream is read on until `maxBuffered` bytes wait for the client. Pings end at each leg. If
 * one side ends, so does the other, with the same close code where that may be sent.
 *
 * A client that does not read for 90 s while there is something to read counts as gone, as does one that does not
 * answer two pings, `keepAlive` ms apart. Where the client leaves while its session is being created, that is waited
 * for in the background, for 30 s at most, to delete it.
 *
 * @param client The server side of a connection, of whichever copy of `ws`; without compression, best.
 * @param options The upstream, as for `connectTerminal`, or `authorize` to find it out.
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
 * @throws {TypeError} ERR_INVALID_ARG_TYPE at once when `client` is no WebSocket of `ws`.
 * @see https://github.com/open-webui/open-webui/blob/main/backend/open_webui/routers/terminals.py `ws_terminal`
 */
export function proxyTerminal(client: ClientSocket, options: ProxyOptions): Promise<ProxySummary> {
  if (!isSocket(client)) throw wrongType('client', 'a WebSocket of ws', client)
  return join(client, options)
}

async function join(client: ClientSocket, options: ProxyOptions): Promise<ProxySummary> {
  // Given up at the end: it is a tenth of what an idle session takes in memory.
  let stop: AbortController | undefined = new AbortController()
  let end: (end: End) => void
  const ended = new Promise<End>((resolve) => (end = resolve))
  const finish = (how: End): void => {
    end(how)
    stop?.abort()
  }
  const overflow = (): void =>
    finish({ endedBy: 'proxy', code: 1009, reason: 'Too much input before the terminal was open' })

  const tally: Tally = { bytesToClient: 0, bytesToUpstream: 0, dropped: 0 }
  const leg = takeClient(client, overflow)
  leg.keepAlive(KEEP_ALIVE)
  const uplink = createUplink({ pause: leg.pause, resume: leg.resume, overflow }, tally)
  void leg.gone.then((departure) => finish({ endedBy: 'client', ...departure }))

  const opening = open({ client, options, leg, uplink, tally, finish, signal: stop.signal }).finally(() => {
    stop = undefined
  })
  const how = await ended
  leg.receive(undefined)
  const farewell = passOn(how.code, how.reason, how.endedBy === 'client' ? GOING_AWAY : BAD_GATEWAY)
  if (how.endedBy === 'upstream') {
    // What is still on its way to the client may take its time, but not for ever.
    leg.keepAlive(KEEP_ALIVE)
    await Promise.race([opening.then((opened) => opened?.sink.drained()), leg.gone])
  }
  leg.close(farewell.code, farewell.reason)
  const terminal = await opening
  await Promise.all([leg.gone, terminal?.attached.close(farewell.code, farewell.reason)])
  leg.release()
  const { sessionId, chatId } = terminal?.attached ?? {}
  return { ...how, ...(sessionId !== undefined && { sessionId }), ...(chatId !== undefined && { chatId }), ...tally }
}

// For an end that no close frame can say: that of the client, and that of the upstream.
const GOING_AWAY = 1001
const BAD_GATEWAY = 1014

interface Opening {
  readonly client: ClientSocket
  readonly options: ProxyOptions
  readonly leg: Client
  readonly uplink: Uplink
  readonly tally: Tally
  readonly finish: (end: End) => void
  /** Aborts when it has ended. */
  readonly signal: AbortSignal
}

/** Finds the upstream, attaches to it and has everything flow; resolves with `undefined` when it has ended instead. */
async function open(opening: Opening): Promise<OpenTerminal<Downlink> | undefined> {
  const { client, options, leg, uplink, tally, finish, signal } = opening
  let mayQuote = true
  let outer: AbortSignal | undefined
  const abort = (): void => {
    const { error } = explainThrown(outer?.reason, false)
    finish({ endedBy: 'proxy', code: GOING_AWAY, reason: '', error })
  }
  try {
    assertObject('options', options)
    // The client has left: it needs no shell.
    if (client.readyState !== OPEN) return undefined
    const wanted = 'authorize' in options ? await authorized(opening, options) : options
    mayQuote = false
    assertObject('options', wanted)
    assertSignal(wanted.signal)
    const { keepAlive = KEEP_ALIVE, maxBuffered = MAX_BUFFERED, base } = wanted
    const { hostname } = parseBase(base)
    leg.limitBytes(undefined)
    leg.receive(uplink.take)
    uplink.authorized(maxBuffered)
    outer = wanted.signal
    if (outer?.aborted) abort()
    else outer?.addEventListener('abort', abort)
    const terminal = await attachTerminal({ ...wanted, signal }, (most, source) =>
      createDownlink(client, most, source, tally, leg.noteProgress),
    )
    leg.keepAlive(keepAlive)
    uplink.open(terminal.attached)
    void terminal.attached.closed.then(({ code, reason, error }) => {
      finish({ endedBy: 'upstream', code, reason: withoutAddresses(reason, hostname), ...(error && { error }) })
    })
    return terminal
  } catch (error) {
    finish({ endedBy: 'proxy', ...explainThrown(error, mayQuote) })
    return undefined
  } finally {
    outer?.removeEventListener('abort', abort)
  }
}

// Bytes of a client before its first message, and of one that is not authorized yet.
const UNKNOWN_LIMIT = 2 * LONGEST_TEXT
const UNAUTHORIZED_LIMIT = 2 * MAX_BUFFERED

/** Waits for the client to say who it is, and asks which upstream that means. */
async function authorized(
  { leg, uplink, signal }: Opening,
  { authorize, request, authTimeout = 10_000 }: AuthorizeOptions,
): Promise<ConnectTerminalOptions> {
  if (typeof authorize !== 'function') throw wrongType('authorize', 'a function', authorize)
  assertWhole('authTimeout', authTimeout, 1, LONGEST_TIMER)
  leg.limitBytes(UNKNOWN_LIMIT)
  let timer: ReturnType<typeof setTimeout> | undefined
  const first = new Promise<ClientAuth | undefined>((resolve) => {
    timer = setTimeout(resolve, authTimeout, undefined)
    leg.receive((data, isBinary) => {
      leg.receive(uplink.take)
      leg.limitBytes(UNAUTHORIZED_LIMIT)
      resolve(readAuth(data, isBinary))
    })
  })
  const auth = await abortable(first, signal).finally(() => clearTimeout(timer))
  if (!auth) {
    const message = `The client's first message was no auth frame, or did not come within ${authTimeout} ms`
    throw new TerminalError('ERR_TERMINAL_UNAUTHORIZED', message, { closeReason: 'Auth timeout or invalid payload' })
  }
  const late = (): TerminalError =>
    new TerminalError('ERR_TERMINAL_TIMEOUT', `\`authorize\` has not answered within ${authTimeout} ms`)
  return withDeadline(authTimeout, signal, () => Promise.resolve(authorize(auth, request)), late)
}
