import { SilenceTimer, type SilenceObserver } from '../lib/silence-timer.ts'
import type { FlowControl } from '../lib/water-mark.ts'

// How long a client may make the upstream wait, after which it has to make progress, and for how long then. A server
// ends a shell whose connection does not answer a ping for 20 s (PROTOCOL 5.8).
const LONGEST_STALLS_MS = [5_000, 15_000]

/**
 * Is told that the client has to go: it takes nothing and makes the upstream wait too long, or it is too far behind.
 */
export interface StallOwner {
  onStalled(): void
}

/** The output that a {@link ClientFlow} is for. */
interface FlowOwner {
  unsent(): number
  onStalled(): void
  onSlow(): void
}

/** The flow control of one client over the upstream of its session. Without effect once the client has left. */
export class ClientFlow implements FlowControl, SilenceObserver {
  readonly #source: FlowControl
  readonly #output: FlowOwner
  // Whether the upstream waits for the client.
  #paused = false
  #closed = false
  // Runs from the first pause on, until the client has not paused the upstream for a while.
  #timer: SilenceTimer | undefined
  // The bytes that the client had to take after the first delay. Absent before.
  #unsent: number | undefined

  constructor(source: FlowControl, output: FlowOwner) {
    this.#source = source
    this.#output = output
  }

  pause(): void {
    if (this.#closed) return
    this.#paused = true
    this.#source.pause()
    this.#timer ??= new SilenceTimer(LONGEST_STALLS_MS, this)
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

  onSilence(): void {
    const before = this.#unsent
    this.#unsent = this.#output.unsent()
    if (before === undefined) return
    this.#timer = undefined
    this.#unsent = undefined
    if (!this.#paused) return
    // A large message that is being read counts as progress, although it has not been read.
    if (this.#output.unsent() < before) this.#output.onSlow()
    else this.#output.onStalled()
  }
}
