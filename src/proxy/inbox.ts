import { INPUT_SHARE } from './turn-share.ts'

/** Is called with each message of a client. */
export type MessageListener = (data: Buffer, isBinary: boolean) => void

/** The messages of a client, on their way to the uplink. */
export interface Inbox {
  readonly push: MessageListener
  /** Holds messages back, and makes the client wait. */
  readonly pause: () => void
  readonly resume: () => void
  /** Whether `pause` was called last. */
  readonly isPaused: () => boolean
  /** Calls `onEmpty` once no message waits. Call it when the client sends no more messages. */
  readonly end: (onEmpty: () => void) => void
  /** Drops the messages that wait and all further messages. */
  readonly close: () => void
}

// What a message costs the event loop beside its bytes, in bytes, about.
const MESSAGE_COST = 1024

/** Delivers messages in order, and no more than a share of them in one turn of the event loop. */
export function createInbox(deliver: MessageListener, socket: { pause(): void; resume(): void }): Inbox {
  // ws emits all messages of one read at once, even after a pause. The messages beyond the share wait here.
  let waiting: Array<readonly [data: Buffer, isBinary: boolean]> = []
  // The index of the next message to deliver: it is slow to shift thousands of messages off an array.
  let next = 0
  // The part of the share that this turn has used.
  let used = 0
  // Whether the uplink has asked for a pause, which outlasts the turn.
  let paused = false
  // Whether messages are dropped. The share still counts then, so that a flood cannot block the event loop.
  let closed = false
  // Called when no message waits any more. Set once the client sends no more.
  let onEnd: (() => void) | undefined

  function use(bytes: number): void {
    if (used === 0) setImmediate(endTurn)
    used += bytes + MESSAGE_COST
    if (used >= INPUT_SHARE) socket.pause()
  }

  function endTurn(): void {
    used = 0
    while (!paused && used < INPUT_SHARE) {
      const message = waiting[next]
      if (!message) break
      next += 1
      use(message[0].length)
      deliver(...message)
    }
    if (next < waiting.length) return
    waiting = []
    next = 0
    onEnd?.()
    // Even after `close`: a paused socket never receives the close frame of the client.
    if (!paused && used < INPUT_SHARE) socket.resume()
  }

  return {
    push(data, isBinary) {
      if (!closed && (paused || waiting.length > 0 || used >= INPUT_SHARE)) {
        waiting.push([data, isBinary])
        return
      }
      use(data.length)
      if (!closed) deliver(data, isBinary)
    },
    pause() {
      if (closed) return
      paused = true
      socket.pause()
    },
    resume() {
      if (!paused) return
      paused = false
      if (used === 0) endTurn()
    },
    isPaused: () => paused,
    end(onEmpty) {
      onEnd = onEmpty
      if (waiting.length === 0) onEmpty()
    },
    close() {
      closed = true
      paused = false
      waiting = []
      next = 0
      onEnd?.()
      if (used === 0) socket.resume()
    },
  }
}
