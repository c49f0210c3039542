import { channel, type Channel } from 'node:diagnostics_channel'
import type { Client, ProxySummary } from '../client/client.ts'
import type { Counters } from '../client/counters.ts'
import type { TerminalClose } from '../terminal/types.ts'
import { CLOSE_RESTART, CLOSE_TOO_LARGE, CLOSE_TRY_AGAIN } from '../upstream/close-codes.ts'

/** Which session an event is about. */
export interface SessionEvent {
  /** The user that `authorize` has returned. */
  readonly userId: string
  /** The id of the session at the gateway. */
  readonly sessionId: string
  /** It is about a client that looks on, and not about the session itself. */
  readonly watch?: true
  /** Who looks on, as `authorize` has said; absent if it has not. */
  readonly watchedBy?: string
}

/**
 * A client has joined a session as its first one, or to look on. Published by the channel `terminal-upstream:attached`.
 */
export interface AttachedEvent extends SessionEvent {
  /** ms from the handshake until the client had joined. */
  readonly ms: number
}

/** A client has come back to a session. Published by the channel `terminal-upstream:resumed`. */
export interface ResumedEvent extends SessionEvent {
  /** ms from the handshake until the client had joined. */
  readonly ms: number
}

/** What a client has moved. */
export interface MovedBytes {
  /** Bytes of output that were given to the client's socket. */
  readonly bytesToClient: number
  /** Bytes of input and commands of the client that the upstream's socket has taken. */
  readonly bytesToUpstream: number
  /**
   * Bytes of the client's input that were not sent, because on an old server no program reads them, or because Ctrl-C
   * was typed after them; absent if there are none.
   */
  readonly inputDropped?: number
}

/** A client has left, and its session goes on. Published by the channel `terminal-upstream:parked`. */
export interface ParkedEvent extends SessionEvent, MovedBytes {
  /** The close code of the client; 4009 if another one has taken the terminal over. */
  readonly closeCode: number
  /** ms since the client had joined, which was the `attached` or `resumed` before. */
  readonly ms: number
}

/**
 * A session has ended, after `attached`; or, with `watch`, a client has left that has looked on. Published once by the
 * channel `terminal-upstream:closed`.
 */
export interface ClosedEvent extends SessionEvent, Partial<MovedBytes> {
  /** The close code of the side that has ended the session; 1006 if its connection dropped. */
  readonly closeCode: number
  /** The session was parked when it ended: the event has no bytes, because `parked` has said them. */
  readonly wasParked?: true
  /** ms since the event of the session before: `attached`, `resumed` or `parked`. */
  readonly ms: number
  /** What went wrong, for the operator. Its message may name addresses. */
  readonly error?: unknown
}

/**
 * Why a client was refused:
 *
 * - `origin`: its page may not use the gateway;
 * - `unauthenticated`: it has not said who it is, because its auth frame was wrong or late;
 * - `unauthorized`: `authorize` does not accept its token, or has failed: `error` says which;
 * - `forbidden`: `authorize` forbids it, or its user has gone on with another client (409, 4009);
 * - `not-found`: its user has no such session, or its path does not exist;
 * - `limit`: its user has as many sessions as allowed, 16 clients look on at the session already, or `authorize` says
 *   that it asks too often;
 * - `full`: the upstream has no place for another session;
 * - `upstream`: the upstream has failed, or refused the credentials;
 * - `busy`: too many clients wait to be authorized;
 * - `closing`: the gateway closes, or opens no more sessions;
 * - `bad-request`: it has sent what no client sends.
 */
export type RefusedReason =
  | 'origin'
  | 'unauthenticated'
  | 'unauthorized'
  | 'forbidden'
  | 'not-found'
  | 'limit'
  | 'full'
  | 'upstream'
  | 'busy'
  | 'closing'
  | 'bad-request'

/** A request or a WebSocket was refused. Published by the channel `terminal-upstream:refused`. */
export interface RefusedEvent {
  /** Why. Use it as the label of a metric. */
  readonly reason: RefusedReason
  /** The HTTP status of the answer, also if the client had left before; absent for a WebSocket that was open. */
  readonly status?: number
  /** The close code that a WebSocket was sent; absent for a request or a handshake. */
  readonly closeCode?: number
  /** The user that `authorize` has returned; absent if it has let nobody in. */
  readonly userId?: string
  /** The client wanted to look on. */
  readonly watch?: true
  /** Who that is, as `authorize` has said; absent if it has not. */
  readonly watchedBy?: string
  /** What went wrong, for the operator. Its message may name addresses. If `authorize` threw it, it is that value. */
  readonly error?: unknown
  /** `origin`: the page's `Origin`. */
  readonly origin?: string
  /** `origin`: the `Host` that has arrived; absent if none has. A proxy in front may have replaced the page's. */
  readonly host?: string
  /** `origin`: the option `origins` of the gateway. With `'same'`, the page's `Origin` was compared with `host`. */
  readonly origins?: 'same' | 'any' | readonly string[]
}

/** What each channel publishes. No event holds a key, token, cookie, query string or value of `headers`. */
interface GatewayEvents {
  attached: AttachedEvent
  closed: ClosedEvent
  parked: ParkedEvent
  refused: RefusedEvent
  resumed: ResumedEvent
}

const channels: Record<keyof GatewayEvents, Channel> = {
  attached: channel('terminal-upstream:attached'),
  closed: channel('terminal-upstream:closed'),
  parked: channel('terminal-upstream:parked'),
  refused: channel('terminal-upstream:refused'),
  resumed: channel('terminal-upstream:resumed'),
}

/** Publishes an event to those who have subscribed to its channel. */
export function publish<Name extends keyof GatewayEvents>(name: Name, event: GatewayEvents[Name]): void {
  channels[name].publish(event)
}

/** Tells the operator that a session has ended that was parked at some `performance.now()`. */
export function publishEnd(userId: string, sessionId: string, at: number, { code, error }: TerminalClose): void {
  const ms = performance.now() - at
  publish('closed', { userId, sessionId, closeCode: code, wasParked: true, ms, ...(error && { error }) })
}

/** Tells the operator how one client is served. */
export class ClientReport {
  readonly client: Client
  // Absent until the client is authorized.
  userId: string | undefined
  // What the events say of a client that looks on. Absent for any other.
  watcher: Pick<SessionEvent, 'watch' | 'watchedBy'> | undefined
  // What the operator is told if the client gets no further than this.
  refusal: RefusedReason = 'unauthenticated'
  // Absent until it has joined its session.
  #session: SessionEvent | undefined
  // When the client came, and then when it joined.
  #since = performance.now()
  // Whether the session goes on without the client.
  #hasLeft = false

  constructor(client: Client) {
    this.client = client
    void client.summary.promise.then((summary) => this.#onEnd(summary))
  }

  /** The client has joined its session: as its first client, or to resume it. */
  onJoined(session: SessionEvent, isFirst: boolean): void {
    const since = this.#since
    this.#since = performance.now()
    this.#session = { ...session, ...this.watcher }
    publish(isFirst ? 'attached' : 'resumed', { ...this.#session, ms: this.#since - since })
  }

  /** The client has left with this close code, and its session goes on. */
  onLeft(closeCode: number): void {
    if (!this.#session) return
    this.#hasLeft = true
    const ms = performance.now() - this.#since
    publish('parked', { ...this.#session, closeCode, ...moved(this.client.counters), ms })
  }

  #onEnd({ endedBy, code, error, ...counters }: ProxySummary): void {
    if (this.#hasLeft) return
    const event = { closeCode: code, ...(error && { error }) }
    if (this.#session) {
      publish('closed', { ...this.#session, ...event, ...moved(counters), ms: performance.now() - this.#since })
    } else if (endedBy === 'proxy') {
      const { userId } = this
      const reason = (!error && OF_GATEWAY[code]) || this.refusal
      publish('refused', { reason, ...event, ...(userId !== undefined && { userId }), ...this.watcher })
    }
  }
}

// What ends a client whatever it waits for, and is no error: the gateway closes, there are too many strangers, or it
// has sent too much.
const OF_GATEWAY: Partial<Record<number, RefusedReason>> = {
  [CLOSE_RESTART]: 'closing',
  [CLOSE_TRY_AGAIN]: 'busy',
  [CLOSE_TOO_LARGE]: 'bad-request',
}

function moved({ bytesToClient, bytesToUpstream, inputDropped }: Counters): MovedBytes {
  return { bytesToClient, bytesToUpstream, ...(inputDropped > 0 && { inputDropped }) }
}
