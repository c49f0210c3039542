import type { FlowControl } from '../lib/water-mark.ts'
import type { Receiver } from './socket.ts'

/** Takes the output of a terminal. */
export interface Sink extends Receiver {
  /**
   * The connection has ended with this close code. Returns whether the session is resumed over another connection, so that
   * it must not be deleted.
   */
  end(code: number): boolean
  /** Whether the server keeps the session when the connection drops. Such a server answers heartbeats (PROTOCOL 8.4). */
  readonly isKept?: boolean
  /** Whether the server paces the input itself. */
  readonly isPaced?: boolean
  /** The offset in the output to ask the server for; `null` for all that it keeps. Absent if nothing is to be resumed. */
  readonly offset?: number | null | undefined
  /** The generation that the server has named (PROTOCOL 8.6). Absent before that. */
  readonly generation?: string | undefined
  /** Whether a server that keeps sessions still has to say that it goes on. Until it has, nothing is accepted. */
  readonly isAwaited?: boolean | undefined
  /** Drops all further output. */
  discard(): void
  /** Whether the server has to wait. */
  isPaused(): boolean
}

/** Where output comes from. */
export interface OutputSource extends FlowControl {
  /** Takes the output. A sink may replace itself by another one. */
  receiver: Sink
}

/** Creates a sink for the output of one connection. */
export type CreateSink<S extends Sink> = (source: OutputSource) => S
