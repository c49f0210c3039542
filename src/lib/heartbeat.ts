import { startTicking, stopTicking, type Ticking } from './clock.ts'

/** The owner of a {@link Heartbeat}: it reaches the other side. */
export interface HeartbeatOwner {
  /** Sends a ping. Returns whether the other side can be expected to answer it. */
  ping(): boolean
  /** Whether an answer cannot arrive at the moment: a paused socket reads no pongs. */
  isPaused(): boolean
  /** Two pings in a row were not answered. */
  onLost(): void
}

/** Pings without an answer, after which the connection counts as lost. */
export const MISSED_PINGS = 2

/**
 * Pings after every `interval` ms of silence, to find out whether the other side is still there. 0 never pings. Each session
 * has one on both sides, so it is one small object with no timer of its own.
 */
export class Heartbeat implements Ticking {
  readonly #interval: number
  readonly #owner: HeartbeatOwner
  // The time at which the silence began.
  #since = performance.now()
  // Whether the silence has been broken since the last tick.
  #broken = false
  // Pings without an answer.
  #missed = 0

  constructor(interval: number, owner: HeartbeatOwner) {
    this.#interval = interval
    this.#owner = owner
    if (interval > 0) startTicking(this)
  }

  /** The other side has sent something: the silence begins anew. Only sets fields, because a flood does it for each message. */
  reset(): void {
    this.#missed = 0
    this.#broken = true
  }

  /** The other side has shown that it is there, but this does not restart the silence. */
  onPong(): void {
    this.#missed = 0
  }

  stop(): void {
    stopTicking(this)
  }

  tick(now: number): void {
    if (this.#broken) this.#since = now
    this.#broken = false
    if (now - this.#since >= this.#interval) this.pingNow()
  }

  /** Pings, or reports that two pings were not answered. Also for an owner that cannot wait. */
  pingNow(): void {
    this.#broken = true
    if (this.#owner.isPaused()) this.#missed = 0
    if (this.#missed === MISSED_PINGS) return this.#owner.onLost()
    if (this.#owner.ping()) this.#missed += 1
  }
}
