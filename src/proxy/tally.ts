/** What has gone through so far. */
export interface Tally {
  /** Bytes of output that were handed to the client's socket. */
  bytesToClient: number
  /** Bytes of input and commands that the upstream's socket has taken. */
  bytesToUpstream: number
  /** Text frames of the client that were not sent on: they would have killed the shell, or had more than 64 KiB. */
  dropped: number
}
