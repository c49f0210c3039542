import { Cancellation, type AbortSignalLike } from '../lib/cancellation.ts'
import { Deferred } from '../lib/deferred.ts'
import type { UpstreamConnection } from '../terminal/connection.ts'
import { KEEP_ALIVE_MS } from '../terminal/settings.ts'
import { CLOSE_BAD_GATEWAY, CLOSE_GOING_AWAY, CLOSE_TOO_LARGE } from '../upstream/close-codes.ts'
import { ClientConnection, type ClientClose, type ClientConnectionOwner } from './connection.ts'
import type { ClientSocket } from './socket.ts'
import { explainThrown, relayClose } from './closing.ts'
import type { Counters } from './counters.ts'
import type { ClientOutput } from './output.ts'
import { ClientInput } from './input.ts'

/** How a client was served. */
export interface ProxySummary extends Readonly<Counters> {
  /**
   * The side that ended it. `proxy` means that no terminal was opened: the client was not authorized or sent too much,
   * the upstream refused or could not be reached, an option was wrong, or the signal aborted.
   */
  readonly endedBy: 'client' | 'upstream' | 'proxy'
  /**
   * The close code of that side, 1006 when its connection dropped; for the proxy, the code that the client was sent.
   */
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

/** The part of the summary that says how the serving ended. */
export type ProxyEnd = Pick<ProxySummary, 'endedBy' | 'code' | 'reason' | 'error'>

/** The session that a client is joined to. */
export interface JoinedSession {
  /** The way of its output to the client. */
  readonly output: Pick<ClientOutput, 'drained'>
  /** Its terminal at the upstream. */
  readonly terminal: Pick<UpstreamConnection, 'sessionId' | 'chatId'>
  /**
   * The serving ends, with this close frame for the side that has not ended it. Resolves when nothing of the client is
   * left.
   */
  leave(end: ProxyEnd, code: number | undefined, reason: string): Promise<unknown>
}

/**
 * Finds or opens the session of a client, and connects both directions to it. Resolves with `undefined` if the client
 * has left. What it throws ends the client. `signal` aborts when the client leaves.
 */
export type JoinSession = (client: Client, signal: AbortSignalLike) => Promise<JoinedSession | undefined>

/** A client and, once that is found, the session that it is joined to. */
export class Client implements ClientConnectionOwner {
  readonly summary: Deferred<ProxySummary> = new Deferred()
  readonly socket: ClientSocket
  readonly connection: ClientConnection
  readonly input: ClientInput
  readonly counters: Counters = { bytesToClient: 0, bytesToUpstream: 0, inputDropped: 0, dropped: 0 }
  // Whether `authorize` has answered. Only its errors have a close reason that the client may read.
  isAuthorized = false
  readonly #joined: Promise<JoinedSession | undefined>
  // Stops the joining. Absent after it.
  #cancellation: Cancellation | undefined
  // Only the first end counts.
  #hasEnded = false
  // The end that follows when all that the client has sent has arrived. Absent unless `drain` was called.
  #drainEnd: ProxyEnd | undefined

  constructor(socket: ClientSocket, join: JoinSession) {
    this.socket = socket
    this.connection = new ClientConnection(socket, this)
    this.connection.keepAlive(KEEP_ALIVE_MS)
    this.input = new ClientInput(this.connection, this, this.counters)
    const cancellation = new Cancellation()
    this.#cancellation = cancellation
    this.#joined = join(this, cancellation)
      .catch((error: unknown) => {
        this.finish({ endedBy: 'proxy', ...explainThrown(error, !this.isAuthorized) })
        return undefined
      })
      .finally(() => (this.#cancellation = undefined))
  }

  /**
   * Nothing needs to be known of the client any more: what it sends is parsed, and `maxBuffered` bytes of it may wait.
   */
  admit(keepAlive: number, maxBuffered: number): void {
    this.isAuthorized = true
    this.connection.limitBytes(undefined)
    this.connection.keepAlive(keepAlive)
    this.connection.deliverTo(this.input)
    this.input.startReading(maxBuffered)
  }

  onOverflow(): void {
    this.finish({ endedBy: 'proxy', code: CLOSE_TOO_LARGE, reason: 'Too much input before the terminal was open' })
  }

  onClientGone(close: ClientClose): void {
    const end = this.#drainEnd
    if (end) void this.input.idle().then(() => this.finish(end))
    else this.finish({ endedBy: 'client', ...close })
  }

  /**
   * Ends both sides, but lets all that the client sends before it answers the close frame arrive. Has no time limit:
   * call `finish` when it takes too long.
   */
  drain(end: ProxyEnd): void {
    // What a client sends before it is authorized leads nowhere.
    if (!this.isAuthorized) return this.finish(end)
    this.#drainEnd = end
    this.connection.startClosing(end.code, end.reason)
  }

  /** Ends both sides. */
  finish(end: ProxyEnd): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    this.#cancellation?.abort()
    void this.#close(end).then(this.summary.resolve)
  }

  async #close(end: ProxyEnd): Promise<ProxySummary> {
    const { connection } = this
    // A joining that fails at once ends the session within the constructor.
    await Promise.resolve()
    connection.deliverTo(undefined)
    if (end.endedBy === 'upstream') {
      // The heartbeat ends a client that does not take the rest of the output.
      connection.keepAlive(KEEP_ALIVE_MS)
      await Promise.race([this.#joined.then((session) => session?.output.drained()), connection.gone])
    }
    // What this side is sent if the other side ended without a code that may be sent.
    const substitute = end.endedBy === 'client' ? CLOSE_GOING_AWAY : CLOSE_BAD_GATEWAY
    const { code, reason } = relayClose(end.code, end.reason, substitute)
    connection.close(code, reason)
    const session = await this.#joined
    await Promise.all([connection.gone, session?.leave(end, code, reason)])
    connection.release()
    const { sessionId, chatId } = session?.terminal ?? {}
    return {
      ...end,
      ...(sessionId !== undefined && { sessionId }),
      ...(chatId !== undefined && { chatId }),
      ...this.counters,
    }
  }
}
