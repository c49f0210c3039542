import { wrongType } from '../lib/arguments.ts'
import { INPUT_INTERVAL, MAX_INPUT_FRAME } from '../upstream/protocol.ts'

/** The owner of an {@link Input}: the terminal that the frames go to. */
export interface InputOwner {
  /** Resolves when the socket has taken the frame. */
  send(frame: string | ArrayBuffer): Promise<void>
  /** Throws after the end of the terminal. */
  assertOpen(): void
}

/**
 * Sends keystrokes and pastes to the shell. Cuts them into frames, and spaces the frames, so that every release takes
 * all of them (PROTOCOL 5.5). All calls keep their order.
 *
 * Keystrokes leave at once: only input beyond one full frame in {@link INPUT_INTERVAL} ms has to wait.
 */
export class Input {
  readonly #owner: InputOwner
  // The last call in the queue, after which the next call may go. Never rejects.
  #queue = Promise.resolve()
  // The number of calls in the queue: a keystroke may leave at once only if there are none.
  #waiting = 0
  // The time of the last frame, and the bytes that have left since the last pause of a whole interval.
  #lastFrame = -Infinity
  #bytes = 0

  constructor(owner: InputOwner) {
    this.#owner = owner
  }

  /** Resolves when the socket has taken all bytes. With `isLent`, the caller does not change the bytes until then. */
  write(data: string | Uint8Array, isLent = false): Promise<void> {
    const given = toBytes(data)
    if (!given) return Promise.reject(wrongType('data', 'a string or a Uint8Array', data))
    if (this.#waiting > 0 || !isKeystroke(given) || this.#reserve(given.length) > 0) {
      // A copy: the caller may reuse its buffer as soon as this function returns.
      const bytes = isLent ? given : given.slice()
      return this.#enqueue(() => this.#send(bytes))
    }
    const sent = this.#owner.send(given.slice().buffer)
    sent.catch(() => {})
    return sent
  }

  /** Sends a text frame unchanged after everything before it. Resolves when the socket has taken the frame. */
  command(text: string): Promise<void> {
    return this.#enqueue(() => this.#owner.send(text))
  }

  #enqueue(perform: () => Promise<void>): Promise<void> {
    this.#waiting += 1
    const done = this.#queue.then(perform)
    const settle = (): void => {
      this.#waiting -= 1
    }
    // The queue handles the rejection: a caller that does not await a keystroke must not crash the process.
    this.#queue = done.then(settle, settle)
    return done
  }

  async #send(bytes: Uint8Array): Promise<void> {
    this.#owner.assertOpen()
    for (let start = 0; start < bytes.length; start += MAX_INPUT_FRAME) {
      const frame = bytes.slice(start, start + MAX_INPUT_FRAME)
      for (let rest; (rest = this.#reserve(frame.length)) > 0;) {
        await new Promise((resolve) => setTimeout(resolve, Math.ceil(rest)))
      }
      await this.#owner.send(frame.buffer)
    }
  }

  /** Returns 0 and counts the bytes if they may leave now. Otherwise returns the ms to wait. */
  #reserve(size: number): number {
    const now = performance.now()
    const rest = this.#lastFrame + INPUT_INTERVAL - now
    if (rest <= 0) this.#bytes = 0
    else if (this.#bytes + size > MAX_INPUT_FRAME) return rest
    this.#lastFrame = now
    this.#bytes += size
    return 0
  }
}

/** Whether the bytes fit into one frame, so that they may skip the queue. */
function isKeystroke({ length }: Uint8Array): boolean {
  return length > 0 && length <= MAX_INPUT_FRAME
}

function toBytes(data: unknown): Uint8Array | undefined {
  if (typeof data === 'string') return new TextEncoder().encode(data)
  // Not `instanceof`: in jsdom, a Buffer is of another realm.
  return ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : undefined
}
