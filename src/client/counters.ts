/** Counts what has passed between a client and its terminal so far. */
export interface Counters {
  /** Bytes of output that were given to the client's socket. */
  bytesToClient: number
  /** Bytes of input and commands that the upstream's socket has taken. */
  bytesToUpstream: number
  /** Bytes of input that were not sent, because no program reads, or because Ctrl-C was typed after them. */
  inputDropped: number
  /**
   * Text frames of the client that were dropped, because they were neither a size nor a heartbeat, or exceeded 64 KiB.
   */
  dropped: number
}
