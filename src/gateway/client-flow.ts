import { SilenceTimer, type SilenceObserver } from '../lib/silence-timer.ts'
import type { FlowControl } from '../lib/water-mark.ts'

// ms that a client may make the upstream wait. A server ends a shell whose connection does not answer a ping for 20 s
// (PROTOCOL 5.8).
const LONGEST_STALLS = [15_000]

/** The flow control of one client over the upstream of its session. Without effect once the client has left. */
export class ClientFlow implements FlowControl, SilenceObserver {
  readonly #source: FlowControl
  readonly #onStalled: () => void
  // Whether the upstream waits for the client.
  #paused = false
  #closed = false
  // Runs from the first pause on, until the client has not paused the upstream for a while.
  #timer: SilenceTimer | undefined

  constructor(source: FlowControl, onStalled: () => void) {
    this.#source = source
    this.#onStalled = onStalled
  }

  pause(): void {
    if (this.#closed) return
    this.#paused = true
    this.#source.pause()
    this.#timer ??= new SilenceTimer(LONGEST_STALLS, this)
    this.#timer.reset()
  }

  resume(): void {
    if (this.#closed) return
    this.#paused = false
    this.#source.resume()
  }

  close(): void {
    this.#closed = true
    this.#timer?.stop()
    if (this.#paused) this.#source.resume()
  }

  /** Called by the timer. */
  onSilence(): void {
    this.#timer = undefined
    if (this.#paused) this.#onStalled()
  }
}
