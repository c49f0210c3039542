import { SilenceTimer, type SilenceObserver } from './silence-timer.ts'

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

/** Pings after every `interval` ms of silence, to find out whether the other side is still there. 0 never pings. */
export class Heartbeat implements SilenceObserver {
  readonly #owner: HeartbeatOwner
  readonly #silence: SilenceTimer
  // Pings without an answer.
  #missed = 0

  constructor(interval: number, owner: HeartbeatOwner) {
    this.#owner = owner
    this.#silence = new SilenceTimer(interval === 0 ? [] : [interval], this)
  }

  /** The other side has sent something: the silence begins anew. */
  reset(): void {
    this.#missed = 0
    this.#silence.reset()
  }

  /** The other side has shown that it is there, but this does not restart the silence. */
  onPong(): void {
    this.#missed = 0
  }

  stop(): void {
    this.#silence.stop()
  }

  /** Pings now, or reports that two pings were not answered. Also for an owner that cannot wait for the silence. */
  onSilence(): void {
    if (this.#owner.isPaused()) this.#missed = 0
    if (this.#missed === MISSED_PINGS) return this.#owner.onLost()
    if (this.#owner.ping()) this.#missed += 1
    this.#silence.reset()
  }
}
