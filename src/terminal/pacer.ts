import type { Pace } from '../upstream/protocol.ts'

/** Spaces frames, so that no more than a {@link Pace} allows leaves. */
export class Pacer {
  // The time of the last frame, and the bytes that have left since the last pause of a whole interval.
  #lastFrame = -Infinity
  #bytes = 0

  /** Returns 0 and counts the bytes if they may leave now. Otherwise returns the ms to wait. */
  reserve(size: number, { bytes, interval }: Pace): number {
    const now = performance.now()
    const rest = this.#lastFrame + interval - now
    if (rest <= 0) this.#bytes = 0
    else if (this.#bytes + size > bytes || this.#lastFrame > now) return rest
    this.#lastFrame = now
    this.#bytes += size
    return 0
  }

  /** Lets nothing leave for so many ms. */
  pause(ms: number): void {
    this.#lastFrame = performance.now() + ms
  }
}
