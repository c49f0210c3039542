import { setImmediate } from 'node:timers'
import { WaterMark, type FlowControl } from '../lib/water-mark.ts'
import { MESSAGE_OVERHEAD_BYTES, type Sink } from '../terminal/output.ts'
import type { ClientConnection } from './connection.ts'
import { OPEN, type ClientSocket } from './socket.ts'
import type { Counters } from './counters.ts'
import { tcpSocketOf, unsentBytes, type TcpSocket } from './tcp.ts'

const BINARY = { binary: true }
const TEXT = { binary: false }

// The largest cost of a message that leaves at once if it is alone: Open Terminal reads at most 4096 bytes at a time.
const SINGLE_MESSAGE_BYTES = 4096 + MESSAGE_OVERHEAD_BYTES

/**
 * The output of a session, on its way to the client. Writes all messages of one turn of the event loop at once. Makes
 * the upstream (`source`) wait when the session has had its share of the turn, and when `maxBuffered` bytes wait for
 * the client.
 */
export class ClientOutput implements Sink {
  readonly #client: ClientSocket
  readonly #tcp: TcpSocket | undefined
  readonly #counters: Counters
  readonly #source: FlowControl
  readonly #observer: Pick<ClientConnection, 'noteProgress'>
  // Passed to each `send`: one function for all messages.
  readonly #onSent = (): void => this.#messageSent()
  // Whether the upstream has to wait for the client. It may also wait for the next turn.
  readonly #waterMark: WaterMark
  // Whether the upstream waits, to call `pause` and `resume` only when that changes.
  #isSourcePaused = false
  // The messages of this turn: the first one begins the turn, and a single small one ends it early.
  #turnMessages = 0
  // What the messages of this turn cost, to compare with the share.
  #turnCost = 0
  // What the session may move in this turn.
  #share = 0
  // Messages in the socket: `bufferedAmount` counts their bytes, and not the memory that each message takes.
  #waiting = 0
  // Bytes that may wait beside `maxBuffered`, until the socket has been empty.
  #allowed = 0
  // Whether the last turn left bytes in the socket. Only then does a sent message prove that the client reads;
  // otherwise the operating system has taken it.
  #congested = false
  // Whether an answer waits in the socket.
  #isAnswering = false
  // Whether output is dropped, because the terminal has been closed from this side.
  #discarding = false
  // Resolves the promise of `drained`.
  #resolveDrained: (() => void) | undefined

  constructor(
    client: ClientSocket,
    maxBuffered: number,
    source: FlowControl,
    counters: Counters,
    observer: Pick<ClientConnection, 'noteProgress'>,
  ) {
    this.#client = client
    this.#tcp = tcpSocketOf(client)
    this.#counters = counters
    this.#source = source
    this.#observer = observer
    this.#waterMark = new WaterMark(maxBuffered)
  }

  isPaused(): boolean {
    return this.#waterMark.paused
  }

  push(data: Uint8Array, isBinary: boolean): void {
    if (!this.#isTaking()) return
    if (this.#turnMessages === 0) {
      this.#share = claimShare(this)
      this.#tcp?.cork()
      process.nextTick(() => this.#endTick())
    }
    this.#turnMessages += 1
    this.#turnCost += data.length + MESSAGE_OVERHEAD_BYTES
    this.#counters.bytesToClient += data.length
    this.#waiting += 1
    this.#client.send(data, isBinary ? BINARY : TEXT, this.#onSent)
    if (this.#turnCost >= this.#share) this.#pauseSource()
  }

  /**
   * Sends output that the upstream does not wait for: it has been kept, and takes no memory of its own. A client on a
   * slow link may read it for minutes.
   */
  replay(data: Uint8Array): void {
    if (data.length === 0) return
    this.#allowed += data.length
    this.push(data, true)
  }

  /**
   * Answers a question of the client with a text message, which is no output, unless the answer before still waits: a
   * client that asks and does not read must not fill the memory.
   */
  answer(text: string): void {
    if (this.#isAnswering || !this.#isTaking()) return
    this.#isAnswering = true
    this.#waiting += 1
    this.#client.send(Buffer.from(text), TEXT, () => {
      this.#isAnswering = false
      this.#messageSent()
    })
  }

  end(): void {
    releaseShare(this)
  }

  discard(): void {
    this.#discarding = true
  }

  /** Returns how many bytes the operating system has still to take. */
  unsent(): number {
    return unsentBytes(this.#client)
  }

  /** Resolves when the client has taken everything, or never will. */
  drained(): Promise<void> {
    return new Promise((resolve) => {
      this.#resolveDrained = resolve
      if (this.#waiting === 0) resolve()
    })
  }

  #isTaking(): boolean {
    return !this.#discarding && this.#client.readyState === OPEN
  }

  // The echo of a keystroke leaves at once. Several messages wait for the rest of the turn.
  #endTick(): void {
    if (this.#turnMessages === 1 && this.#turnCost <= SINGLE_MESSAGE_BYTES) this.#endTurn()
    else setImmediate(() => this.#endTurn())
  }

  #endTurn(): void {
    this.#turnMessages = 0
    this.#turnCost = 0
    this.#tcp?.uncork()
    this.#congested = this.#client.bufferedAmount > 0
    this.#regulate()
  }

  #messageSent(): void {
    this.#waiting -= 1
    if (this.#waiting === 0) this.#allowed = 0
    if (this.#congested) this.#observer.noteProgress()
    if (this.#waterMark.paused) this.#regulate()
    if (this.#waiting === 0) this.#resolveDrained?.()
  }

  /** Makes the upstream wait if too much waits for the client, and lets it go on otherwise. */
  #regulate(): void {
    const held = this.#client.bufferedAmount + this.#waiting * MESSAGE_OVERHEAD_BYTES - this.#allowed
    // `bufferedAmount` also counts pings, so it may exceed a small limit although no message waits.
    this.#waterMark.update(this.#waiting === 0 ? 0 : held)
    if (this.#waterMark.paused) this.#pauseSource()
    else if (this.#isSourcePaused) {
      this.#isSourcePaused = false
      this.#source.resume()
    }
  }

  #pauseSource(): void {
    if (this.#isSourcePaused) return
    this.#isSourcePaused = true
    this.#source.pause()
  }
}

// What one session may move in one turn of the event loop, so that its flood does not delay other sessions. A larger
// share makes a flood faster, and the keystrokes of other sessions slower (test/bench measures both), so a session has
// the large one only while no other session has output.
const SHARE_ALONE_BYTES = 512 * 1024
const SHARE_IN_COMPANY_BYTES = 64 * 1024
// How long a session counts after output: people stop to think between two keys.
const COMPANY_STAYS_MS = 10_000

// The output that has begun the latest turn.
let latest: ClientOutput | undefined
// When an output other than the one before has begun a turn.
let changedAt = -Infinity

/** Returns how many bytes an output may move in the turn that it begins. */
function claimShare(output: ClientOutput): number {
  const now = performance.now()
  if (latest && latest !== output) changedAt = now
  latest = output
  return now - changedAt < COMPANY_STAYS_MS ? SHARE_IN_COMPANY_BYTES : SHARE_ALONE_BYTES
}

/** Forgets an output that has ended, so that it is no company for the next one. */
function releaseShare(output: ClientOutput): void {
  if (latest === output) latest = undefined
}
