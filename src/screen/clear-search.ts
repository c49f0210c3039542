import { NO_BYTES } from './sequence.ts'

// What clears a screen, or makes it another one: RIS, ED and the alternate screen.
const CLEARS = ['\x1bc', '\x1b[2J', '\x1b[?1049'].map((sequence) => Buffer.from(sequence))
const LONGEST_CLEAR_BYTES = 7
// To search these takes 10 ms of each second.
const AT_ONCE_BYTES = 1024 * 1024
const BYTES_PER_MS = 16 * 1024

/** Looks in output for what clears the screen. What does so within a flood is no help, so it takes little time. */
export class ClearSearch {
  // The end of the output before.
  #last: Buffer = NO_BYTES
  // Bytes that may be read now, and when that was computed.
  #credit = AT_ONCE_BYTES
  #since = performance.now()

  /** Whether there is time to search some output. */
  mayRead(output: readonly Buffer[]): boolean {
    const now = performance.now()
    this.#credit = Math.min(AT_ONCE_BYTES, this.#credit + (now - this.#since) * BYTES_PER_MS)
    this.#since = now
    if (this.#credit < 0) return false
    for (const { length } of output) this.#credit -= length
    return true
  }

  /** Whether output clears the screen, also with the end of the output before it. */
  finds(output: Buffer): boolean {
    const joint = Buffer.concat([this.#last, output.subarray(0, LONGEST_CLEAR_BYTES)])
    this.#last = Buffer.from(output.subarray(-LONGEST_CLEAR_BYTES))
    return isCleared(output) || isCleared(joint)
  }

  /** What comes next does not belong to what came before. */
  reset(): void {
    this.#last = NO_BYTES
  }
}

export function isCleared(output: Buffer): boolean {
  return CLEARS.some((clear) => output.includes(clear))
}
