// Bytes. Smaller pieces of output are collected in blocks, because each piece takes memory beside its bytes.
const SMALL = 1024
const BLOCK = 4096
const FIRST_BLOCK = 256

/** Takes output that is not kept any longer. */
export type DropOutput = (dropped: readonly Buffer[]) => void

/**
 * The last output of a session. Large pieces are kept as they came, and not copied: a server's frames of 4 KiB would take
 * a tenth longer.
 */
export class History {
  readonly #onDrop: DropOutput
  // Bytes that are kept at least. An eighth more may be kept, so that pieces are dropped together.
  #most: number
  #pieces: Buffer[] = []
  // The last piece, if it is a block that small pieces are collected in, and the bytes of it that are in use.
  #block: Buffer | undefined
  #used = 0
  #start = 0
  #end = 0

  /** Keeps `most` bytes. */
  constructor(most: number, onDrop: DropOutput) {
    this.#most = most
    this.#onDrop = onDrop
  }

  /** The offset of the first byte that is kept. */
  get start(): number {
    return this.#start
  }

  /** The number of bytes of output so far, so the offset of the next byte. */
  get end(): number {
    return this.#end
  }

  /** Takes output, which must not change any more. */
  push(data: Buffer): void {
    this.#end += data.length
    if (data.length < SMALL) this.#collect(data)
    else {
      this.#close()
      this.#pieces.push(data)
    }
    if (this.#end - this.#start > this.#most + this.#most / 8) this.trim()
  }

  /** Keeps no more than the bytes that have to be kept. */
  trim(): void {
    let rest = this.#end - this.#most - this.#start
    if (rest <= 0) return
    this.#start += rest
    this.#close()
    let count = 0
    for (let piece; (piece = this.#pieces[count]) && piece.length <= rest; count += 1) rest -= piece.length
    const dropped = this.#pieces.splice(0, count)
    const [first] = this.#pieces
    if (first && rest > 0) {
      dropped.push(first.subarray(0, rest))
      this.#pieces[0] = first.subarray(rest)
    }
    this.#onDrop(dropped)
  }

  /** Returns a copy of the output from an offset on. */
  read(from: number): Buffer {
    this.#close()
    return Buffer.concat(this.#pieces).subarray(from - this.#start)
  }

  /** Keeps at least this many bytes from now on. */
  limit(most: number): void {
    this.#most = most
    this.trim()
  }

  #collect(data: Buffer): void {
    if (!this.#block || this.#block.length - this.#used < data.length) {
      this.#close()
      // An idle shell has printed little more than its prompt.
      const size = Math.min(BLOCK, Math.max(FIRST_BLOCK, this.#end - this.#start))
      this.#block = Buffer.allocUnsafeSlow(Math.max(size, data.length))
      this.#used = 0
      this.#pieces.push(this.#block)
    }
    this.#block.set(data, this.#used)
    this.#used += data.length
  }

  /** Cuts the block to the bytes that are in use. */
  #close(): void {
    if (this.#block) this.#pieces[this.#pieces.length - 1] = this.#block.subarray(0, this.#used)
    this.#block = undefined
  }
}
