import { createDeferred } from '../lib/deferred.ts'
import type { FlowControl } from '../lib/water-mark.ts'
import { MESSAGE_OVERHEAD, type Sink } from '../terminal/output.ts'
import { createBacklog } from './backlog.ts'
import { OPEN, type ClientSocket } from './client-socket.ts'
import type { Counters } from './counters.ts'
import { tcpSocketOf } from './tcp.ts'
import { claimOutputShare, releaseOutputShare } from './turn-share.ts'

/** The messages of the upstream, on their way to the client. */
export interface Downlink extends Sink {
  /** Resolves when the client has taken everything, or never will. */
  drained(): Promise<void>
}

// The largest cost of a message that leaves at once if it is alone: Open Terminal reads at most 4096 bytes at a time.
const SINGLE_MESSAGE = 4096 + MESSAGE_OVERHEAD

/**
 * Sends the client each message of the upstream, and writes all messages of one turn of the event loop at once. Makes the
 * upstream (`source`) wait when the session has had its share of the turn, and when `maxBuffered` bytes wait for the
 * client. Calls `onProgress` when the client takes output that had to wait.
 */
export function createDownlink(
  client: ClientSocket,
  maxBuffered: number,
  source: FlowControl,
  counters: Counters,
  onProgress: () => void,
): Downlink {
  const tcp = tcpSocketOf(client)
  const session = Symbol('session')
  const backlog = createBacklog(client, maxBuffered, source, onProgress)
  // The messages of this turn: the first one begins the turn, and a single small one ends it early.
  let turnMessages = 0
  // What the messages of this turn cost, to compare with the share.
  let turnCost = 0
  // What the session may move in this turn.
  let share = 0
  // Whether output is dropped, because the terminal has been closed from this side.
  let discarding = false
  const { promise: started, resolve: start } = createDeferred()

  // The echo of a keystroke leaves at once. Several messages wait for the rest of the turn.
  const endTick = (): void => {
    if (turnMessages === 1 && turnCost <= SINGLE_MESSAGE) endTurn()
    else setImmediate(endTurn)
  }

  const endTurn = (): void => {
    turnMessages = 0
    turnCost = 0
    tcp?.uncork()
    backlog.check()
  }

  return {
    started,
    isPaused: backlog.isFull,
    push(data, isBinary) {
      start()
      if (discarding || client.readyState !== OPEN) return
      if (turnMessages === 0) {
        share = claimOutputShare(session)
        tcp?.cork()
        process.nextTick(endTick)
      }
      turnMessages += 1
      turnCost += data.length + MESSAGE_OVERHEAD
      counters.bytesToClient += data.length
      backlog.send(data, isBinary)
      if (turnCost >= share) backlog.pause()
    },
    end() {
      releaseOutputShare(session)
    },
    discard() {
      discarding = true
    },
    drained: backlog.drained,
  }
}
