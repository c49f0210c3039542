/** A session of a gateway, as its operator sees it. */
export interface GatewaySession {
  /** The id of the session at the gateway. The upstream has another id for it. */
  readonly id: string
  /** The user that `authorize` has returned. */
  readonly userId: string
  /** When the session was created. */
  readonly since: Date
  /** When its client attached; absent if it has none. */
  readonly attachedSince?: Date
  /** When its last client left; absent if it has a client, or has not had one yet. */
  readonly parkedSince?: Date
  /** Bytes of output that were given to the sockets of clients. */
  readonly bytesToClient: number
  /** Bytes of input and commands that the upstream's socket has taken. */
  readonly bytesToUpstream: number
}
