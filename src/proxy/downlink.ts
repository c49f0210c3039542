import { MESSAGE_OVERHEAD, type FlowControl, type Sink } from '../terminal/output.ts'
import { OPEN, type ClientSocket } from './client-socket.ts'
import type { Tally } from './tally.ts'
import { tcpOf } from './tcp.ts'

/** Everything that goes from the upstream to the client. */
export interface Downlink extends Sink {
  /** Resolves when the client has taken, or will never take, what is on its way. */
  drained(): Promise<void>
}

// What a session may move in one turn of the event loop. More makes a flood faster and its neighbours' keystrokes
// slower (test/bench measures both), and so it depends on whether there are any who move something.
const SHARE_ALONE = 512 * 1024
const SHARE_IN_COMPANY = 64 * 1024
// ms after another one has moved something: people stop to think between two keys.
const COMPANY_STAYS = 10_000
// The most that a message on its own may have and leave at once: all that Open Terminal reads at a time.
const SINGLE = 4096 + MESSAGE_OVERHEAD

const BINARY = { binary: true }
const TEXT = { binary: false }

/**
 * Sends the client what comes from the upstream, message for message, with all that comes in one turn in one write; and
 * makes the upstream wait when the session has had its share of the turn or the client has `maxBuffered` to take.
 */
export function createDownlink(
  client: ClientSocket,
  maxBuffered: number,
  source: FlowControl,
  tally: Tally,
  onProgress: () => void,
): Downlink {
  const socket = tcpOf(client)
  const session = Symbol('session')
  // Messages that have not left yet.
  let waiting = 0
  let turnMessages = 0
  let turnCost = 0
  let share = 0
  let paused = false
  let full = false
  let congested = false
  let discarding = false
  let start: () => void
  const started = new Promise<void>((resolve) => (start = resolve))
  let drain: (() => void) | undefined

  function held(): number {
    return client.bufferedAmount + waiting * MESSAGE_OVERHEAD
  }

  function pause(): void {
    if (paused) return
    paused = true
    source.pause()
  }

  function resume(): void {
    if (!paused) return
    paused = false
    source.resume()
  }

  const sent = (): void => {
    waiting -= 1
    // Only what the machine could not take at once tells of the client.
    if (congested) onProgress()
    // Pings wait there too.
    if (full && (waiting === 0 || held() <= maxBuffered / 2)) {
      full = false
      resume()
    }
    if (waiting === 0) drain?.()
  }

  // A keystroke's echo leaves at once; what comes in company waits for the rest of the turn.
  const endTick = (): void => {
    if (turnMessages === 1 && turnCost <= SINGLE) endTurn()
    else setImmediate(endTurn)
  }

  const endTurn = (): void => {
    turnMessages = 0
    turnCost = 0
    socket?.uncork()
    congested = client.bufferedAmount > 0
    full = held() > maxBuffered
    if (full) pause()
    else resume()
  }

  return {
    started,
    isPaused: () => full,
    push(data, isBinary) {
      start()
      if (discarding || client.readyState !== OPEN) return
      if (turnMessages === 0) {
        share = takeTurn(session)
        socket?.cork()
        process.nextTick(endTick)
      }
      turnMessages += 1
      turnCost += data.length + MESSAGE_OVERHEAD
      tally.bytesToClient += data.length
      waiting += 1
      client.send(data, isBinary ? BINARY : TEXT, sent)
      if (turnCost >= share) pause()
    },
    end() {
      if (lastMover === session) lastMover = undefined
    },
    discard() {
      discarding = true
    },
    drained: () =>
      new Promise((resolve) => {
        drain = resolve
        if (waiting === 0) resolve()
      }),
  }
}

let lastMover: symbol | undefined
let lastChange = -Infinity

/** Returns what a session that begins a turn may move in it. */
function takeTurn(session: symbol): number {
  const now = performance.now()
  if (lastMover && lastMover !== session) lastChange = now
  lastMover = session
  return now - lastChange < COMPANY_STAYS ? SHARE_IN_COMPANY : SHARE_ALONE
}
