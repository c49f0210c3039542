import { channel, type Channel } from 'node:diagnostics_channel'

/**
 * What the diagnostics channels of gateways publish. It holds no key, token, cookie, query string
 * or value of `headers`.
 *
 * A session publishes `attached` when its first client joins, `parked` each time a client leaves and the session goes on,
 * `resumed` each time a client comes back, and `closed` once when it ends.
 */
export interface GatewayEvent {
  /** The user that `authorize` has returned; absent if it refused. */
  readonly userId?: string
  /** The id of the session at the gateway; absent if there is none. */
  readonly sessionId?: string
  /**
   * `refused`: the HTTP status or the close code. `parked`: the close code of the client, 4009 if another one took the
   * terminal over. `closed`: the close code of the side that ended.
   */
  readonly code?: number
  /** `parked` and `closed`: bytes of output that were given to the client's socket; absent if no client was there. */
  readonly bytesToClient?: number
  /** `parked` and `closed`: bytes of input and commands of the client that the upstream's socket has taken. */
  readonly bytesToUpstream?: number
  /**
   * `parked` and `closed`: bytes of the client's input that were not sent, because on an old server no program reads them,
   * or because Ctrl-C was typed after them; absent if there are none.
   */
  readonly inputDropped?: number
  /** `closed`: the session was parked when it ended. */
  readonly wasParked?: true
  /**
   * `attached` and `resumed`: ms from the handshake on. `parked`: ms since the client had joined. `closed`: ms since then,
   * or since the session was parked.
   */
  readonly ms?: number
  /** What went wrong, for the operator. Its message may name addresses. If `authorize` threw it, it is that value. */
  readonly error?: unknown
}

const channels: Record<'attached' | 'closed' | 'parked' | 'refused' | 'resumed', Channel> = {
  attached: channel('terminal-upstream:attached'),
  closed: channel('terminal-upstream:closed'),
  parked: channel('terminal-upstream:parked'),
  refused: channel('terminal-upstream:refused'),
  resumed: channel('terminal-upstream:resumed'),
}

/** Publishes an event to those who have subscribed to its channel. */
export function publish(name: keyof typeof channels, event: GatewayEvent): void {
  channels[name].publish(event)
}
