import { SilenceTimer, type SilenceObserver } from '../lib/silence-timer.ts'
import type { FlowControl } from '../lib/water-mark.ts'

// ms that a client may make the upstream wait, after those from which on it has to make progress. A server ends a shell whose
// connection does not answer a ping for 20 s (PROTOCOL 5.8).
const LONGEST_STALLS = [5_000, 15_000]

/** Is told that a client has made the upstream wait for as long as it may. */
export interface StallObserver {
  /** Returns the bytes that the client has still to take. */
  unsent(): number
  /** The client has taken nothing for 10 s. */
  onStalled(): void
  /** The client reads, and has not caught up. */
  onSlow(): void
}

/** The flow control of one client over the upstream of its session. Without effect once the client has left. */
export class ClientFlow implements FlowControl, SilenceObserver {
  readonly #source: FlowControl
  readonly #observer: StallObserver
  // Whether the upstream waits for the client.
  #paused = false
  #closed = false
  // Runs from the first pause on, until the client has not paused the upstream for a while.
  #timer: SilenceTimer | undefined
  // The bytes that the client had to take after the first delay. Absent before.
  #unsent: number | undefined

  constructor(source: FlowControl, observer: StallObserver) {
    this.#source = source
    this.#observer = observer
  }

  pause(): void {
    if (this.#closed) return
    this.#paused = true
    this.#source.pause()
    this.#timer ??= new SilenceTimer(LONGEST_STALLS, this)
    this.#timer.reset()
    this.#unsent = undefined
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
    const before = this.#unsent
    this.#unsent = this.#observer.unsent()
    if (before === undefined) return
    this.#timer = undefined
    this.#unsent = undefined
    if (!this.#paused) return
    // A large message that is being read counts as progress, although it has not been read.
    if (this.#observer.unsent() < before) this.#observer.onSlow()
    else this.#observer.onStalled()
  }
}
