/** Takes a message of the client. */
export type Receive = (data: Buffer, isBinary: boolean) => void

/** The messages of a client, on their way to whoever takes them. */
export interface Inbox {
  readonly push: Receive
  /** Holds messages back, and makes the client wait. */
  readonly pause: () => void
  readonly resume: () => void
  /** Drops the messages that wait and all that come. The socket is not paused any more: it has to see a close frame. */
  readonly close: () => void
}

// What a client may hand on in one turn of the event loop, in bytes, so that its flood does not delay other clients.
const SHARE = 64 * 1024
// What a message costs the event loop beside its bytes, about.
const MESSAGE_COST = 1024

/** Hands messages on in order, no more than a share of them in one turn of the event loop. */
export function createInbox(deliver: Receive, socket: { pause(): void; resume(): void }): Inbox {
  // ws emits all messages of one read at once, also after a pause. The messages beyond the share wait here.
  const waiting: Array<readonly [data: Buffer, isBinary: boolean]> = []
  // The part of the share that this turn has used.
  let used = 0
  // Whether the reader has asked for a pause.
  let paused = false
  let closed = false

  function handOn(data: Buffer, isBinary: boolean): void {
    if (used === 0) setImmediate(endTurn)
    used += data.length + MESSAGE_COST
    if (used >= SHARE) socket.pause()
    deliver(data, isBinary)
  }

  function endTurn(): void {
    used = 0
    if (closed) return
    while (!paused && used < SHARE) {
      const next = waiting.shift()
      if (!next) break
      handOn(...next)
    }
    if (!paused && waiting.length === 0) socket.resume()
  }

  return {
    push(data, isBinary) {
      if (closed) return
      if (paused || waiting.length > 0 || used >= SHARE) waiting.push([data, isBinary])
      else handOn(data, isBinary)
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
    close() {
      closed = true
      waiting.length = 0
      socket.resume()
    },
  }
}
