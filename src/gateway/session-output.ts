import { WaterMark } from '../lib/water-mark.ts'
import { MESSAGE_OVERHEAD, type OutputSource, type Sink } from '../terminal/output.ts'

/**
 * The output of a gateway's session until a client joins. Holds it, and pauses the upstream (`source`) when more than
 * `maxBuffered` bytes wait.
 */
export class SessionOutput implements Sink {
  readonly source: OutputSource
  readonly #waterMark: WaterMark
  // The output that waits for a client.
  #held: Array<readonly [data: Uint8Array, isBinary: boolean]> = []
  #bytes = 0
  // Whether output is dropped, because the terminal has been closed from this side.
  #discarding = false

  constructor(maxBuffered: number, source: OutputSource) {
    this.source = source
    this.#waterMark = new WaterMark(maxBuffered, source)
  }

  push(data: Uint8Array, isBinary: boolean): void {
    if (this.#discarding) return
    // A copy: the data may be a part of a larger buffer, which it would keep in memory.
    this.#held.push([new Uint8Array(data), isBinary])
    this.#bytes += data.length + MESSAGE_OVERHEAD
    this.#waterMark.update(this.#bytes)
  }

  /** Passes the output that waits to the sink of a client, which takes all further output itself. */
  join(client: Sink): void {
    // First, because the sink of a slow client pauses the upstream again.
    this.#waterMark.update(0)
    for (const [data, isBinary] of this.#held) client.push(data, isBinary)
    this.#held = []
    this.source.receiver = client
  }

  isPaused(): boolean {
    return this.#waterMark.paused
  }

  end(): void {
    // Nobody waits for the end.
  }

  discard(): void {
    this.#discarding = true
    this.#held = []
  }
}
