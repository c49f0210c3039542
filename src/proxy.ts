import type { IncomingMessage } from 'node:http'
import { assertObject, assertSignal, assertWhole, wrongType } from './arguments.ts'
import {
  attachTerminal,
  KEEP_ALIVE,
  LONGEST_TIMER,
  MAX_BUFFERED,
  type ConnectTerminalOptions,
  type OpenTerminal,
} from './connect.ts'
import { abortable } from './deadline.ts'
import { TerminalError } from './errors.ts'
import { isSocket, OPEN, takeClient, type Client, type ClientSocket } from './proxy/client.ts'
import { cutReason, passOn, refusalFor, withoutAddresses } from './proxy/closing.ts'
import { readAuth, type ClientAuth } from './proxy/commands.ts'
import { createDownlink, type Downlink } from './proxy/downlink.ts'
import type { Tally } from './proxy/tally.ts'
import { createUplink, type Uplink } from './proxy/uplink.ts'

export type { ClientSocket } from './proxy/client.ts'
export type { ClientAuth } from './proxy/commands.ts'

/** How to find out, from the client's first message, which upstream it is to be joined to. */
export interface AuthorizeOptions {
  /**
   * Is given what the client says of itself in its first message, `{"type":"auth","token":…,"chat_id":…}`, and returns
   * the upstream and its credentials, which the client never sees.
   *
   * A `TerminalError` that it throws picks the close code: `ERR_TERMINAL_UNAUTHORIZED` 4001, `ERR_TERMINAL_FORBIDDEN`
   * 4003, `ERR_TERMINAL_NOT_FOUND` 4004; its `closeReason` is what the client is told, its message is not. Anything else
   * that it throws is 4003 with no detail.
   */
  authorize: (auth: ClientAuth, request?: IncomingMessage) => ConnectTerminalOptions | Promise<ConnectTerminalOptions>
  /** The client's handshake, for `authorize`. Default: none. */
  request?: IncomingMessage | undefined
  /** ms for the client's first message, from 1 to 2147483647. Default: 10 000, as Open WebUI. */
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
  /** The session that it was joined to, if it came to that. */
  readonly sessionId?: string
}

type End = Pick<ProxySummary, 'endedBy' | 'code' | 'reason' | 'error'>

/**
 * Joins a client's WebSocket to a terminal of an upstream, whose key the client never sees; resolves when both have
 * ended and the session that was created for it is gone. Never rejects, whatever either side does.
 *
 * For proxies: call it as soon as the connection is there, because what the client sends before is lost (or `pause()`
 * the socket until then). Messages go through as they are, both ways, text and binary, but that input is cut into frames
 * and paced as `write` does, and that text frames that would kill the shell are dropped. A side that does not keep up
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
 * @see https://github.com/open-webui/open-webui/blob/main/backend/open_webui/routers/terminals.py `ws_terminal`
 */
export async function proxyTerminal(client: ClientSocket, options: ProxyOptions): Promise<ProxySummary> {
  let stop: AbortController | undefined = new AbortController()
  let end: (end: End) => void
  const ended = new Promise<End>((resolve) => (end = resolve))
  const finish = (how: End): void => {
    end(how)
    stop?.abort()
  }

  const tally: Tally = { bytesToClient: 0, bytesToUpstream: 0, dropped: 0 }
  if (!isSocket(client)) {
    const error = wrongType('client', 'a WebSocket of ws', client)
    return { endedBy: 'proxy', code: 1006, reason: '', error, ...tally }
  }
  const leg = takeClient(client)
  const overflow = (): void =>
    finish({ endedBy: 'proxy', code: 1009, reason: 'Too much input before the terminal was open' })
  const uplink = createUplink({ pause: leg.pause, resume: leg.resume, overflow }, tally)
  void leg.gone.then((departure) => finish({ endedBy: 'client', ...departure }))

  const opening = open({ client, options, leg, uplink, tally, finish, signal: stop.signal }).finally(() => {
    // A tenth of what an idle session takes in memory.
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
  return {
    ...how,
    ...(terminal && { sessionId: terminal.attached.sessionId }),
    ...tally,
  }
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
  const abort = (): void => finish({ endedBy: 'proxy', code: GOING_AWAY, reason: '', error: toError(outer?.reason) })
  try {
    assertObject('options', options)
    // Nobody is there any more for whom to start a shell.
    if (client.readyState !== OPEN) return undefined
    const wanted = 'authorize' in options ? await authorized(opening, options) : options
    mayQuote = false
    leg.receive(uplink.take)
    assertObject('options', wanted)
    assertSignal(wanted.signal)
    outer = wanted.signal
    if (outer?.aborted) abort()
    else outer?.addEventListener('abort', abort)
    const { keepAlive = KEEP_ALIVE, maxBuffered = MAX_BUFFERED } = wanted
    uplink.limit(maxBuffered)
    const terminal = await attachTerminal({ ...wanted, signal }, (most, source) =>
      createDownlink(client, most, source, tally, leg.stir),
    )
    const { hostname } = new URL(wanted.base)
    leg.keepAlive(keepAlive)
    uplink.open(terminal.attached)
    void terminal.attached.closed.then(({ code, reason, error }) => {
      finish({ endedBy: 'upstream', code, reason: withoutAddresses(reason, hostname), ...(error && { error }) })
    })
    return terminal
  } catch (error) {
    const { code, reason } = refusalFor(error)
    const quote = mayQuote && error instanceof TerminalError ? error.closeReason : undefined
    const told = typeof quote === 'string' ? cutReason(quote) : reason
    finish({ endedBy: 'proxy', code, reason: told, error: toError(error) })
    return undefined
  } finally {
    outer?.removeEventListener('abort', abort)
  }
}

/** Whoever writes `authorize` may throw anything, and whoever reads a summary wants its message. */
function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error('Something that is no Error was thrown', { cause: thrown })
}

/** Waits for the client to say who it is, and asks which upstream that means. */
async function authorized(
  { leg, uplink, signal }: Opening,
  { authorize, request, authTimeout = 10_000 }: AuthorizeOptions,
): Promise<ConnectTerminalOptions> {
  if (typeof authorize !== 'function') throw wrongType('authorize', 'a function', authorize)
  assertWhole('authTimeout', authTimeout, 1, LONGEST_TIMER)
  let timer: ReturnType<typeof setTimeout> | undefined
  const first = new Promise<ClientAuth | undefined>((resolve) => {
    timer = setTimeout(resolve, authTimeout, undefined)
    leg.receive((data, isBinary) => {
      leg.receive(uplink.take)
      resolve(readAuth(data, isBinary))
    })
  })
  const auth = await abortable(first, signal).finally(() => clearTimeout(timer))
  if (!auth) {
    const message = `The client's first message was no auth frame, or did not come within ${authTimeout} ms`
    throw new TerminalError('ERR_TERMINAL_UNAUTHORIZED', message, { closeReason: 'Auth timeout or invalid payload' })
  }
  return abortable(Promise.resolve(authorize(auth, request)), signal)
}
