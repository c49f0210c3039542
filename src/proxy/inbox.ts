/** Takes a message of the client. */
export type Receive = (data: Buffer, isBinary: boolean) => void

/** The messages of a client, on their way to the uplink. */
export interface Inbox {
  readonly push: Receive
  /** Holds messages back, and makes the client wait. */
  readonly pause: () => void
  readonly resume: () => void
  /** Whether the reader has asked for a pause. */
  readonly isPaused: () => boolean
  /** No more will come: calls `done` once nothing waits any more. */
  readonly end: (done: () => void) => void
  /** Drops the messages that wait and all that come. */
  readonly close: () => void
}

// What a client may hand on in one turn of the event loop, in bytes, so that its flood does not delay other clients.
export const SHARE: number = 64 * 1024
// What a message costs the event loop beside its bytes, about.
const MESSAGE_COST = 1024

/** Hands messages on in order, no more than a share of them in one turn of the event loop. */
export function createInbox(deliver: Receive, socket: { pause(): void; resume(): void }): Inbox {
  // ws emits all messages of one read at once, also after a pause. The messages beyond the share wait here.
  let waiting: Array<readonly [data: Buffer, isBinary: boolean]> = []
  // The place of the next message to hand on: taking thousands of messages from the front of an array is slow.
  let next = 0
  // The part of the share that this turn has used.
  let used = 0
  // Whether the reader has asked for a pause.
  let paused = false
  // Whether the reader takes no more messages.
  let closed = false
  // Called when nothing waits any more.
  let onEnd: (() => void) | undefined

  function use(bytes: number): void {
    if (used === 0) setImmediate(endTurn)
    used += bytes + MESSAGE_COST
    if (used >= SHARE) socket.pause()
  }

  function endTurn(): void {
    used = 0
    for (let message; !paused && used < SHARE && (message = waiting[next]);) {
      next += 1
      use(message[0].length)
      deliver(...message)
    }
    if (next < waiting.length) return
    waiting = []
    next = 0
    onEnd?.()
    // Also when it is closed: a paused socket never sees a close frame.
    if (!paused && used < SHARE) socket.resume()
  }

  return {
    push(data, isBinary) {
      if (!closed && (paused || waiting.length > 0 || used >= SHARE)) {
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
    end(done) {
      onEnd = done
      if (waiting.length === 0) done()
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
