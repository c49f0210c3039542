// Fine enough for silences of a second and more, and cheap for thousands of sessions.
const TICK_MS = 100

// The timers whose silence is measured. One timer of the runtime for all of them: thousands cost memory and CPU.
const running = new Set<SilenceTimer>()
let clock: ReturnType<typeof setTimeout> | undefined

/** Is told of a silence. */
export interface SilenceObserver {
  onSilence(timer: SilenceTimer): void
}

/**
 * Calls `onSilence` of the observer after each of the `delays`, in ms since the last reset. After the last delay, only
 * a reset starts it again. A silence is measured in ticks of the clock, so it may last up to 200 ms longer.
 */
export class SilenceTimer {
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
    if (delays.length > 0) this.#start()
  }

  /** For how many ms the silence has to last until the next call, unless it has been broken. */
  get left(): number {
    return Number(this.#delays[this.#step]) - (performance.now() - this.#since)
  }

  /**
   * Starts the silence anew. Only sets a flag, because a flood of messages does it a hundred thousand times a second.
   */
  reset(): void {
    this.#broken = true
    if (!this.#resting) return
    this.#resting = false
    this.#start()
  }

  /** Stops for good: a later `reset` does not restart it. */
  stop(): void {
    this.#resting = false
    this.#stop()
  }

  #tick(now: number): void {
    if (this.#broken) {
      this.#broken = false
      this.#since = now
      this.#step = 0
    }
    if (now - this.#since < Number(this.#delays[this.#step])) return
    this.#step += 1
    if (this.#step === this.#delays.length) {
      this.#resting = true
      this.#stop()
    }
    this.#observer.onSilence(this)
  }

  #start(): void {
    running.add(this)
    clock ??= setTimeout(SilenceTimer.#tickAll, TICK_MS)
  }

  #stop(): void {
    running.delete(this)
    if (running.size > 0) return
    clearTimeout(clock)
    clock = undefined
  }

  static #tickAll(this: void): void {
    // First, because a timer may stop the clock.
    clock = setTimeout(SilenceTimer.#tickAll, TICK_MS)
    const now = performance.now()
    for (const timer of running) timer.#tick(now)
  }
}
