const RECENT_BYTES = 64 * 1024

/** The last output of a session. */
export class RecentOutput {
  #chunks: Uint8Array[] = []
  #length = 0

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk)
    this.#length += chunk.length
    if (this.#length > 2 * RECENT_BYTES) this.#trim()
  }

  toString(): string {
    this.#trim()
    return Buffer.concat(this.#chunks).toString()
  }

  #trim(): void {
    this.#chunks = [Buffer.concat(this.#chunks).subarray(-RECENT_BYTES)]
    this.#length = Math.min(this.#length, RECENT_BYTES)
  }
}
