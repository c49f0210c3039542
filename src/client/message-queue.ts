import { setImmediate } from 'node:timers'
import type { FlowControl } from '../lib/water-mark.ts'

/** Takes the messages of a client. */
export interface MessageReceiver {
  push(data: Buffer, isBinary: boolean): void
}

/**
 * What a client may send in one turn of the event loop, so that its flood does not delay other sessions. Also a share
 * for what is parsed in one turn.
 */
export const INPUT_SHARE_BYTES: number = 64 * 1024

// What a message costs the event loop beside its bytes, about.
const MESSAGE_COST_BYTES = 1024

/**
 * Delivers the messages of a client to `receiver`, in order, and no more than a share of them in one turn of the event
 * loop. Without a receiver, drops them.
 */
export class MessageQueue implements FlowControl {
  receiver: MessageReceiver | undefined
  readonly #socket: FlowControl
  // ws emits all messages of one read at once, even after a pause. The messages beyond the share wait here.
  #waiting: Array<readonly [data: Buffer, isBinary: boolean]> = []
  // The index of the next message to deliver: it is slow to shift thousands of messages off an array.
  #next = 0
  // The part of the share that this turn has used.
  #used = 0
  // Whether the receiver has asked for a pause, which outlasts the turn.
  #paused = false
  // Whether messages are dropped. The share still counts then, so that a flood cannot block the event loop.
  #closed = false
  // Runs when no message waits any more. Absent until the client has said that it will send no more.
  #onEnd: (() => void) | undefined

  constructor(socket: FlowControl) {
    this.#socket = socket
  }

  push(data: Buffer, isBinary: boolean): void {
    if (!this.#closed && (this.#paused || this.#waiting.length > 0 || this.#used >= INPUT_SHARE_BYTES)) {
      this.#waiting.push([data, isBinary])
      return
    }
    this.#use(data.length)
    if (!this.#closed) this.receiver?.push(data, isBinary)
  }

  /** Holds messages back, and makes the client wait. */
  pause(): void {
    if (this.#closed) return
    this.#paused = true
    this.#socket.pause()
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    if (this.#used === 0) this.#endTurn()
  }

  /** Whether the receiver holds messages back. */
  isPaused(): boolean {
    return this.#paused
  }

  /** Calls `onEmpty` as soon as no message waits. Call it when the client sends no more messages. */
  end(onEmpty: () => void): void {
    this.#onEnd = onEmpty
    if (this.#waiting.length === 0) onEmpty()
  }

  /** Drops the messages that wait and all further messages. */
  close(): void {
    this.#closed = true
    this.#paused = false
    this.#forget()
    if (this.#used === 0) this.#socket.resume()
  }

  #use(bytes: number): void {
    if (this.#used === 0) setImmediate(() => this.#endTurn())
    this.#used += bytes + MESSAGE_COST_BYTES
    if (this.#used >= INPUT_SHARE_BYTES) this.#socket.pause()
  }

  #endTurn(): void {
    this.#used = 0
    while (!this.#paused && this.#used < INPUT_SHARE_BYTES) {
      const message = this.#waiting[this.#next]
      if (!message) break
      this.#next += 1
      this.#use(message[0].length)
      this.receiver?.push(...message)
    }
    if (this.#next < this.#waiting.length) return
    this.#forget()
    // Also after `close()`: while the socket is paused, the client's close frame cannot arrive.
    if (!this.#paused && this.#used < INPUT_SHARE_BYTES) this.#socket.resume()
  }

  #forget(): void {
    this.#waiting = []
    this.#next = 0
    this.#onEnd?.()
  }
}
