import type { FlowControl } from '../lib/water-mark.ts'
import { MESSAGE_OVERHEAD } from '../terminal/output.ts'
import type { ClientSocket } from './socket.ts'

const BINARY = { binary: true }
const TEXT = { binary: false }

/** Is told when the client has taken output that was stuck. */
export interface ProgressObserver {
  noteProgress(): void
}

/** The output that waits in the client's socket. Pauses the upstream (`source`) while too much of it waits. */
export class Backlog {
  readonly #client: ClientSocket
  readonly #maxBuffered: number
  readonly #source: FlowControl
  readonly #observer: ProgressObserver
  // Passed to each `send`: one function for all messages.
  readonly #onSent = (): void => this.#messageSent()
  // Whether an answer waits in the socket.
  #isAnswering = false
  // Bytes that may wait beside `maxBuffered`, until the socket has been empty.
  #allowed = 0
  // Messages in the socket: `bufferedAmount` counts their bytes, and not the memory that each message takes.
  #waiting = 0
  // Whether the upstream waits, to call `pause` and `resume` only when that changes.
  #paused = false
  // Whether the upstream has to wait for the client. It may also wait for the next turn.
  #full = false
  // Whether the last turn left bytes in the socket. Only then does a sent message prove that the client
  // reads; otherwise the operating system has taken it.
  #congested = false
  // Resolves the promise of `drained`.
  #resolveDrained: (() => void) | undefined

  constructor(client: ClientSocket, maxBuffered: number, source: FlowControl, observer: ProgressObserver) {
    this.#client = client
    this.#maxBuffered = maxBuffered
    this.#source = source
    this.#observer = observer
  }

  /** Lets this many bytes more wait than `maxBuffered`, until nothing waits. */
  allow(bytes: number): void {
    this.#allowed += bytes
  }

  /** Sends a message to the client. */
  send(data: Uint8Array, isBinary: boolean): void {
    this.#waiting += 1
    this.#client.send(data, isBinary ? BINARY : TEXT, this.#onSent)
  }

  /**
   * Answers a question of the client with a text message, unless the answer before still waits: a client that asks and does
   * not read must not fill the memory.
   */
  answer(text: string): void {
    if (this.#isAnswering) return
    this.#isAnswering = true
    this.#waiting += 1
    this.#client.send(Buffer.from(text), TEXT, () => {
      this.#isAnswering = false
      this.#messageSent()
    })
  }

  /** Makes the upstream wait until the next `check`. */
  pause(): void {
    if (this.#paused) return
    this.#paused = true
    this.#source.pause()
  }

  /** Makes the upstream wait if more than `maxBuffered` bytes wait, and lets it go on otherwise. */
  check(): void {
    this.#congested = this.#client.bufferedAmount > 0
    this.#full = this.#memory() > this.#maxBuffered
    if (this.#full) this.pause()
    else this.#resume()
  }

  /** Whether more than `maxBuffered` bytes waited at the last `check`, and no room has been made since. */
  isFull(): boolean {
    return this.#full
  }

  /** Resolves when the client has taken everything, or never will. */
  drained(): Promise<void> {
    return new Promise((resolve) => {
      this.#resolveDrained = resolve
      if (this.#waiting === 0) resolve()
    })
  }

  #resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#source.resume()
  }

  #memory(): number {
    return this.#client.bufferedAmount + this.#waiting * MESSAGE_OVERHEAD - this.#allowed
  }

  #messageSent(): void {
    this.#waiting -= 1
    if (this.#waiting === 0) this.#allowed = 0
    if (this.#congested) this.#observer.noteProgress()
    // `bufferedAmount` also counts pings, so it may exceed a small limit although no message waits.
    if (this.#full && (this.#waiting === 0 || this.#memory() <= this.#maxBuffered / 2)) {
      this.#full = false
      this.#resume()
    }
    if (this.#waiting === 0) this.#resolveDrained?.()
  }
}
