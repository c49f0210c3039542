import { Deferred } from '../lib/deferred.ts'
import { join } from './frames.ts'
import type { CommandOutput } from './types.ts'

// More is only passed on, and not kept for the result: a server's log has 37 MB of it at most (PROTOCOL 9.10).
const KEPT_BYTES = 64 * 1024 * 1024
// As a pipe does, a loop that is slow makes the rest wait.
const UNREAD_BYTES = 4 * 1024 * 1024

interface Reader {
  readonly waiting: CommandOutput[]
  bytes: number
}

/** The output of a command, kept for its result, and for loops that read it. */
export class OutputStore {
  readonly #cut = new Set<CommandOutput['stream']>()
  readonly #kept: CommandOutput[] = []
  readonly #readers = new Set<Reader>()
  readonly #onRead: () => void
  #keptBytes = 0
  #hasEnded = false
  // Resolves at the next output, or the end.
  #news = new Deferred()

  /** Calls `onRead` when a loop begins, goes on and ends. */
  constructor(onRead: () => void) {
    this.#onRead = onRead
  }

  /** Whether some output is not kept. */
  get isCut(): boolean {
    return this.#cut.size > 0
  }

  /** Whether a loop reads the output as it comes. */
  get isRead(): boolean {
    return this.#readers.size > 0
  }

  /** Whether more output has to wait for a loop. */
  get isFull(): boolean {
    return [...this.#readers].some(({ bytes }) => bytes > UNREAD_BYTES)
  }

  push(output: CommandOutput): void {
    const { stream, data } = output
    const { length } = data
    // What is kept of a stream has no holes.
    if (this.#keptBytes + length > KEPT_BYTES) this.#cut.add(stream)
    if (!this.#cut.has(stream)) {
      this.#kept.push(output)
      this.#keptBytes += length
    }
    for (const reader of this.#readers) {
      reader.waiting.push(output)
      reader.bytes += length
    }
    this.#tell()
  }

  end(): void {
    this.#hasEnded = true
    this.#tell()
  }

  /** Returns all that is kept of a stream. */
  whole(stream: CommandOutput['stream']): Uint8Array {
    return join(this.#kept.flatMap((output) => (output.stream === stream ? [output.data] : [])))
  }

  /** Returns the output from its beginning, as it comes. */
  async *read(): AsyncGenerator<CommandOutput, void, undefined> {
    const reader: Reader = { waiting: [...this.#kept], bytes: this.#keptBytes }
    this.#readers.add(reader)
    try {
      for (;;) {
        for (let next; (next = reader.waiting.shift()); reader.bytes -= next.data.length) yield next
        if (this.#hasEnded) return
        this.#onRead()
        await this.#news.promise
      }
    } finally {
      this.#readers.delete(reader)
      this.#onRead()
    }
  }

  #tell(): void {
    this.#news.resolve()
    this.#news = new Deferred()
  }
}
