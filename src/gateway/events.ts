import { channel, type Channel } from 'node:diagnostics_channel'

/** What the diagnostics channels of gateways publish. It holds no key, token, cookie or query string. */
export interface GatewayEvent {
  /** The user that `authorize` has returned; absent if it refused. */
  readonly userId?: string
  /** The id of the session at the gateway; absent if there is none. */
  readonly sessionId?: string
  /** `refused`: the HTTP status or the close code. `closed`: the close code of the side that ended. */
  readonly code?: number
  /** `closed`: bytes of output that were given to the client's socket. */
  readonly bytesToClient?: number
  /** `closed`: bytes of input and commands that the upstream's socket has taken. */
  readonly bytesToUpstream?: number
  /** `attached`: ms from the handshake on. `closed`: ms from attaching on. */
  readonly ms?: number
  /** What went wrong, for the operator. Its message may name addresses. If `authorize` threw it, it is that value. */
  readonly error?: unknown
}

const channels: Record<'attached' | 'closed' | 'refused', Channel> = {
  attached: channel('terminal-upstream:attached'),
  closed: channel('terminal-upstream:closed'),
  refused: channel('terminal-upstream:refused'),
}

/** Publishes an event to those who have subscribed to its channel. */
export function publish(name: 'attached' | 'closed' | 'refused', event: GatewayEvent): void {
  channels[name].publish(event)
}
