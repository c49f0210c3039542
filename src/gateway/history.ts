// Smaller pieces of output are collected in blocks, because each piece takes memory beside its bytes.
const SMALL_BYTES = 1024
const BLOCK_BYTES = 4096
const FIRST_BLOCK_BYTES = 256
// A piece of a larger buffer keeps all of that in memory. Less than this is not worth a copy when a part is dropped.
const LARGE_BYTES = 128 * 1024

/** Takes output that is not kept any longer. */
export interface DropObserver {
  onDrop(dropped: readonly Buffer[]): void
}

/**
 * The last output of a session. Large pieces are kept as they came, and not copied: a server's frames of 4 KiB would
 * take a tenth longer. Only those are copied that keep more than twice their bytes in memory, because they share it
 * with something else, such as a frame that has been dropped.
 */
export class History {
  readonly #observer: DropObserver
  // How many bytes are kept at least. An eighth more may be kept, so that pieces are dropped together.
  #most: number
  #pieces: Buffer[] = []
  // The last piece, if it is a block that small pieces are collected in, and the bytes of it that are in use.
  #block: Buffer | undefined
  #used = 0
  // The memory of the last pieces that were not copied, how many they are, and their bytes.
  #shared: ArrayBufferLike | undefined
  #sharing = 0
  #sharedBytes = 0
  #start = 0
  #end = 0

  /** Keeps `most` bytes. */
  constructor(most: number, observer: DropObserver) {
    this.#most = most
    this.#observer = observer
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
    if (data.length < SMALL_BYTES) this.#collect(data)
    else {
      this.#close()
      if (data.buffer !== this.#shared) this.#settle(data.buffer)
      this.#pieces.push(data)
      this.#sharing += 1
      this.#sharedBytes += data.length
    }
    if (!this.#isOver) return
    const dropped = this.#dropWhole()
    if (dropped.length > 0) this.#observer.onDrop(dropped)
    // A large piece, of which only a part is kept.
    if (this.#isOver) this.trim()
  }

  get #isOver(): boolean {
    return this.#end - this.#start > this.#most + this.#most / 8
  }

  /** Keeps no more than the bytes that have to be kept. */
  trim(): void {
    if (this.#end - this.#start <= this.#most) return
    const dropped = this.#dropWhole()
    const rest = this.#end - this.#most - this.#start
    const [first] = this.#pieces
    if (first && rest > 0) {
      this.#start += rest
      dropped.push(first.subarray(0, rest))
      const kept = first.subarray(rest)
      const { byteLength } = kept.buffer
      this.#pieces[0] = byteLength > LARGE_BYTES && byteLength > 2 * kept.length ? copyOf([kept]) : kept
    }
    this.#observer.onDrop(dropped)
  }

  /** Drops the pieces of which nothing has to be kept. Cuts none: a flood would make two more objects for each. */
  #dropWhole(): Buffer[] {
    this.#close()
    let rest = this.#end - this.#most - this.#start
    let count = 0
    for (let piece; (piece = this.#pieces[count]) && piece.length <= rest; count += 1) rest -= piece.length
    this.#start = this.#end - this.#most - rest
    const dropped = this.#pieces.splice(0, count)
    this.#sharing = Math.min(this.#sharing, this.#pieces.length)
    this.#sharedBytes = Math.min(this.#sharedBytes, this.#end - this.#start)
    return dropped
  }

  /** Returns a copy of the output from an offset on. */
  read(from: number): Buffer {
    this.#close()
    let skipped = from - this.#start
    const pieces: Buffer[] = []
    for (const piece of this.#pieces) {
      if (skipped < piece.length) pieces.push(piece.subarray(skipped))
      skipped = Math.max(0, skipped - piece.length)
    }
    return copyOf(pieces)
  }

  /** Returns the last `most` bytes, or what is kept of them. */
  last(most: number): Buffer {
    return this.read(Math.max(this.#start, this.#end - most))
  }

  /** Keeps the last `most` bytes from now on. */
  limit(most: number): void {
    this.#most = most
    this.trim()
  }

  #collect(data: Buffer): void {
    if (!this.#block || this.#block.length - this.#used < data.length) {
      this.#close()
      this.#settle()
      // An idle shell has printed little more than its prompt.
      const size = Math.min(BLOCK_BYTES, Math.max(FIRST_BLOCK_BYTES, this.#end - this.#start))
      this.#block = Buffer.allocUnsafeSlow(Math.max(size, data.length))
      this.#used = 0
      this.#pieces.push(this.#block)
    }
    this.#block.set(data, this.#used)
    this.#used += data.length
  }

  /** Cuts the block to the bytes that are in use. */
  #close(): void {
    if (!this.#block) return
    const used = this.#block.subarray(0, this.#used)
    this.#pieces[this.#pieces.length - 1] = this.#used < this.#block.length / 2 ? copyOf([used]) : used
    this.#block = undefined
  }

  /** The pieces come from other memory, `next`, from now on: copies the last ones if they are less than half of it. */
  #settle(next?: ArrayBufferLike): void {
    const { byteLength = 0 } = this.#shared ?? {}
    if (this.#sharing > 0 && byteLength > 2 * this.#sharedBytes) {
      const first = this.#pieces.length - this.#sharing
      this.#pieces[first] = copyOf(this.#pieces.splice(first, this.#sharing))
    }
    this.#shared = next
    this.#sharing = 0
    this.#sharedBytes = 0
  }
}

/** Returns the bytes in memory of their own. */
function copyOf(pieces: readonly Buffer[]): Buffer {
  const copy = Buffer.allocUnsafeSlow(pieces.reduce((sum, { length }) => sum + length, 0))
  let end = 0
  for (const piece of pieces) {
    copy.set(piece, end)
    end += piece.length
  }
  return copy
}
