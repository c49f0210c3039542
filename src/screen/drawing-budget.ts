import { setImmediate } from 'node:timers'

// What a session may take of each second, and at once.
const SHARE = 0.05
const MOST_MS = 50
// It is not worth the while to go on with less.
const LEAST_MS = 5
// What all sessions may take of a turn of the event loop.
const TURN_MS = 3

// What they have taken of this turn.
let turnMs = 0

/** The time that the screens of one session may take. While one is drawn, all sessions wait. */
export class DrawingBudget {
  #credit = MOST_MS
  #since = performance.now()

  /** Whether nothing more may be drawn in this turn. */
  get isTurnOver(): boolean {
    return turnMs >= TURN_MS || this.#credit <= 0
  }

  /** Calls back, and takes as much of the time as that takes. */
  measure<T>(make: () => T): T {
    const since = performance.now()
    try {
      return make()
    } finally {
      this.spend(performance.now() - since)
    }
  }

  spend(ms: number): void {
    this.#refill()
    // Drawing is in small pieces. What takes longer is a process that stood still, as on a busy machine.
    this.#credit -= Math.min(ms, MOST_MS)
    if (turnMs === 0) setImmediate(() => (turnMs = 0))
    turnMs += ms
  }

  /** Returns after how many ms to go on. */
  wait(): number {
    this.#refill()
    return this.#credit >= LEAST_MS ? 0 : Math.ceil((LEAST_MS - this.#credit) / SHARE)
  }

  #refill(): void {
    const now = performance.now()
    this.#credit = Math.min(MOST_MS, this.#credit + (now - this.#since) * SHARE)
    this.#since = now
  }
}
