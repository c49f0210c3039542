import { startTicking, stopTicking, type Ticking } from './clock.ts'

/** Is told of a silence. */
export interface SilenceObserver {
  onSilence(timer: SilenceTimer): void
}

/**
 * Calls `onSilence` of the observer after each of the `delays`, in ms since the last reset. After the last delay, only a
 * reset starts it again. A silence is measured in ticks of the clock, so it may last up to 200 ms longer.
 */
export class SilenceTimer implements Ticking {
  readonly #delays: readonly number[]
  readonly #observer: SilenceObserver
  // The time at which the silence began.
  #since = performance.now()
  // The index of the delay that runs out next.
  #step = 0
  // Whether the silence has been broken since the last tick.
  #broken = false
  // Whether all delays have run out, so that the clock is not needed before the next reset.
  #resting = false

  constructor(delays: readonly number[], observer: SilenceObserver) {
    this.#delays = delays
    this.#observer = observer
    if (delays.length > 0) startTicking(this)
  }

  /** Starts the silence anew. Only sets a flag, because a flood of messages does it a hundred thousand times a second. */
  reset(): void {
    this.#broken = true
    if (!this.#resting) return
    this.#resting = false
    startTicking(this)
  }

  /** Stops for good: a later `reset` does not restart it. */
  stop(): void {
    this.#resting = false
    stopTicking(this)
  }

  tick(now: number): void {
    if (this.#broken) {
      this.#broken = false
      this.#since = now
      this.#step = 0
    }
    if (now - this.#since < Number(this.#delays[this.#step])) return
    this.#step += 1
    if (this.#step === this.#delays.length) {
      this.#resting = true
      stopTicking(this)
    }
    this.#observer.onSilence(this)
  }
}
