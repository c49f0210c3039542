import { setImmediate } from 'node:timers'
import type { FlowControl } from '../lib/water-mark.ts'
import { MESSAGE_OVERHEAD, type Sink } from '../terminal/output.ts'
import { Backlog, type ProgressObserver } from './backlog.ts'
import { OPEN, type ClientSocket } from './socket.ts'
import type { Counters } from './counters.ts'
import { tcpSocketOf, unsentBytes, type TcpSocket } from './tcp.ts'
import { claimOutputShare, releaseOutputShare } from './turn-share.ts'

// The largest cost of a message that leaves at once if it is alone: Open Terminal reads at most 4096 bytes at a time.
const SINGLE_MESSAGE = 4096 + MESSAGE_OVERHEAD

/**
 * The messages of the upstream, on their way to the client. Writes all messages of one turn of the event loop at once.
 * Makes the upstream (`source`) wait when the session has had its share of the turn, and when `maxBuffered` bytes wait
 * for the client.
 */
export class ClientOutput implements Sink {
  readonly #client: ClientSocket
  readonly #tcp: TcpSocket | undefined
  readonly #counters: Counters
  readonly #backlog: Backlog
  // The messages of this turn: the first one begins the turn, and a single small one ends it early.
  #turnMessages = 0
  // What the messages of this turn cost, to compare with the share.
  #turnCost = 0
  // What the session may move in this turn.
  #share = 0
  // Whether output is dropped, because the terminal has been closed from this side.
  #discarding = false

  constructor(
    client: ClientSocket,
    maxBuffered: number,
    source: FlowControl,
    counters: Counters,
    observer: ProgressObserver,
  ) {
    this.#client = client
    this.#tcp = tcpSocketOf(client)
    this.#counters = counters
    this.#backlog = new Backlog(client, maxBuffered, source, observer)
  }

  isPaused(): boolean {
    return this.#backlog.isFull()
  }

  push(data: Uint8Array, isBinary: boolean): void {
    if (this.#discarding || this.#client.readyState !== OPEN) return
    if (this.#turnMessages === 0) {
      this.#share = claimOutputShare(this)
      this.#tcp?.cork()
      process.nextTick(() => this.#endTick())
    }
    this.#turnMessages += 1
    this.#turnCost += data.length + MESSAGE_OVERHEAD
    this.#counters.bytesToClient += data.length
    this.#backlog.send(data, isBinary)
    if (this.#turnCost >= this.#share) this.#backlog.pause()
  }

  /**
   * Sends output that the upstream does not wait for: it has been kept, and takes no memory of its own. A client on a slow link
   * may read it for minutes.
   */
  replay(data: Uint8Array): void {
    if (data.length === 0) return
    this.#backlog.allow(data.length)
    this.push(data, true)
  }

  /** Answers the client with a text message, unless the answer before still waits. It is no output. */
  answer(text: string): void {
    if (!this.#discarding && this.#client.readyState === OPEN) this.#backlog.answer(text)
  }

  end(): void {
    releaseOutputShare(this)
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
    return this.#backlog.drained()
  }

  // The echo of a keystroke leaves at once. Several messages wait for the rest of the turn.
  #endTick(): void {
    if (this.#turnMessages === 1 && this.#turnCost <= SINGLE_MESSAGE) this.#endTurn()
    else setImmediate(() => this.#endTurn())
  }

  #endTurn(): void {
    this.#turnMessages = 0
    this.#turnCost = 0
    this.#tcp?.uncork()
    this.#backlog.check()
  }
}
