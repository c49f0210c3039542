import type { FlowControl } from '../lib/water-mark.ts'
import { MESSAGE_OVERHEAD } from '../terminal/output.ts'
import type { ClientSocket } from './client-socket.ts'

/** The output that waits in the client's socket, because the client has not taken it yet. */
export interface Backlog {
  /** Sends a message to the client. */
  send(data: Uint8Array, isBinary: boolean): void
  /** Makes the upstream wait until the next `check`. */
  pause(): void
  /** Makes the upstream wait if more than `maxBuffered` bytes wait, and lets it go on otherwise. */
  check(): void
  /** Whether more than `maxBuffered` bytes waited at the last `check`, and no room has been made since. */
  readonly isFull: () => boolean
  /** Resolves when the client has taken everything, or never will. */
  readonly drained: () => Promise<void>
}

const BINARY = { binary: true }
const TEXT = { binary: false }

/**
 * Counts the output that waits in the client's socket, and pauses the upstream (`source`) by it. Calls `onProgress` when
 * the client takes output that had to wait.
 */
export function createBacklog(
  client: ClientSocket,
  maxBuffered: number,
  source: FlowControl,
  onProgress: () => void,
): Backlog {
  // Messages in the socket: `bufferedAmount` counts their bytes, and not the memory that each message takes.
  let waiting = 0
  // Whether the upstream waits, to call `pause` and `resume` only when that changes.
  let paused = false
  // Whether the upstream has to wait for the client. It may also wait for the next turn.
  let full = false
  // Whether the last turn left bytes in the socket. Only those show that the client reads: the operating system takes the
  // others at once.
  let congested = false
  // Resolves the promise of `drained`.
  let resolveDrained: (() => void) | undefined

  function resume(): void {
    if (!paused) return
    paused = false
    source.resume()
  }

  const onSent = (): void => {
    waiting -= 1
    if (congested) onProgress()
    // `bufferedAmount` also counts pings, so it may exceed a small limit although no message waits.
    if (full && (waiting === 0 || memoryOf(client, waiting) <= maxBuffered / 2)) {
      full = false
      resume()
    }
    if (waiting === 0) resolveDrained?.()
  }

  const backlog: Backlog = {
    send(data, isBinary) {
      waiting += 1
      client.send(data, isBinary ? BINARY : TEXT, onSent)
    },
    pause() {
      if (paused) return
      paused = true
      source.pause()
    },
    check() {
      congested = client.bufferedAmount > 0
      full = memoryOf(client, waiting) > maxBuffered
      if (full) backlog.pause()
      else resume()
    },
    isFull: () => full,
    drained: () =>
      new Promise((resolve) => {
        resolveDrained = resolve
        if (waiting === 0) resolve()
      }),
  }
  return backlog
}

function memoryOf({ bufferedAmount }: ClientSocket, messages: number): number {
  return bufferedAmount + messages * MESSAGE_OVERHEAD
}
