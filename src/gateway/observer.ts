import { costOf } from '../terminal/output.ts'
import type { TerminalSize } from '../upstream/protocol.ts'
import type { Follower } from './follower.ts'
import type { SessionOutput } from './session-output.ts'

/**
 * What the screen of a session shows: output as raw bytes, which may split a UTF-8 character; the size of its window;
 * or that so many bytes of output are left out before the next.
 */
export type ScreenEvent =
  | { readonly type: 'output'; readonly data: Uint8Array }
  | { readonly type: 'resize'; readonly cols: number; readonly rows: number }
  | { readonly type: 'gap'; readonly bytes: number }

/** Yields what a session shows, from its last output on. Holds nothing before the first call of `next`. */
export function observe(
  output: SessionOutput,
  maxBuffered: number,
): AsyncIterableIterator<ScreenEvent, undefined, undefined> {
  const observer = new Observer(output, maxBuffered)
  const events = observer.read()
  return {
    next: () => events.next(),
    async return() {
      // First, because a generator that waits for output does not return.
      observer.onEnd()
      await events.return(undefined)
      return { done: true, value: undefined }
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

/** Follows a session for one reader. */
class Observer implements Follower {
  readonly #output: SessionOutput
  readonly #maxBuffered: number
  // What waits for the reader, and its cost.
  #events: Array<Buffer | TerminalSize> = []
  #cost = 0
  // The offset of what was left out, `null` before the first output. Absent while nothing is.
  #missingFrom: number | null | undefined = null
  #hasEnded = false
  #wake: (() => void) | undefined

  constructor(output: SessionOutput, maxBuffered: number) {
    this.#output = output
    this.#maxBuffered = maxBuffered
  }

  onOutput(data: Buffer): void {
    if (this.#missingFrom !== undefined) return
    const cost = costOf(data)
    if (this.#cost + cost > this.#maxBuffered) this.#missingFrom = this.#output.printed - data.length
    else this.#cost += cost
    this.#add(data)
  }

  onResize(size: TerminalSize): void {
    const last = this.#events.at(-1)
    // One that nobody will see. Who types can set any number of them, at no cost.
    if (last && 'cols' in last) this.#events.pop()
    this.#add(size)
  }

  onEnd(): void {
    this.#hasEnded = true
    this.#wake?.()
  }

  async *read(): AsyncGenerator<ScreenEvent, undefined> {
    // The session has ended, or the reader has gone before it came.
    if (this.#hasEnded || this.#output.hasEnded) return
    this.#output.follow(this)
    let size: TerminalSize | undefined
    try {
      for (;;) {
        const event = this.#events.shift()
        if (event && 'cols' in event) yield { type: 'resize', ...(size = event) }
        else if (event) {
          this.#cost -= costOf(event)
          yield outputOf(event)
        } else if (this.#missingFrom !== undefined) {
          const from = this.#missingFrom
          const { offset, data, missing } = await Promise.resolve(this.#output.replayFrom(from))
          // A whole screen takes its time: what has come meanwhile is replayed next.
          const end = offset + data.length
          this.#missingFrom = end < this.#output.printed ? end : undefined
          if (size !== this.#output.size) yield { type: 'resize', ...(size = this.#output.size) }
          if (missing > 0) yield { type: 'gap', bytes: missing }
          if (data.length > 0) yield outputOf(data)
        } else if (this.#hasEnded) return
        else await new Promise<void>((resolve) => (this.#wake = resolve))
      }
    } finally {
      this.#output.unfollow(this)
    }
  }

  #add(event: Buffer | TerminalSize): void {
    if (this.#missingFrom === undefined) this.#events.push(event)
    // It may have to be told that something is missing.
    this.#wake?.()
  }
}

/** A plain Uint8Array: a Buffer has methods of another meaning. */
function outputOf({ buffer, byteOffset, length }: Buffer): ScreenEvent {
  return { type: 'output', data: new Uint8Array(buffer, byteOffset, length) }
}
