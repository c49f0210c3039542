import { SilenceTimer, type SilenceObserver } from '../lib/silence-timer.ts'
import type { FlowControl } from '../lib/water-mark.ts'
import { ScreenState } from '../screen/state.ts'
import { buildTail } from '../screen/tail.ts'
import type { ClientOutput } from '../client/output.ts'
import type { Sink } from '../terminal/output.ts'
import { History, type DropObserver } from './history.ts'

// Kept for the first client, even if no output is kept later: it must see the prompt.
const FIRST_OUTPUT_BYTES = 64 * 1024

// How long a client may make the upstream wait, after which it has to make progress, and for how long then. A server
// ends a shell whose connection does not answer a ping for 20 s (PROTOCOL 5.8).
const LONGEST_STALLS_MS = [5_000, 15_000]

// A control character that does nothing (CAN).
const CANCEL = Buffer.from([0x18])

/** The output that a client gets when it joins. */
export interface Replay {
  /** The offset of the first byte (PROTOCOL 8.2). */
  readonly offset: number
  /** The bytes that another client has been sent before. */
  readonly replay: number
  readonly data: Buffer
  /** Whether the data is all output from the offset that the client has asked for. Otherwise it is a tail. */
  readonly isExact: boolean
}

/**
 * Is told that the client has to go: it takes nothing and makes the upstream wait too long, or it is too far behind.
 */
interface StallOwner {
  onStalled(): void
}

/** The output of a gateway's session. Keeps its last bytes, and passes it on to the client that is joined. */
export class SessionOutput implements Sink, DropObserver {
  readonly source: FlowControl
  // The offset of the output that a slow client has not been given. Absent while it gets all as it comes.
  #behindFrom: number | undefined
  readonly #history = new History(FIRST_OUTPUT_BYTES, this)
  // The state of a terminal before the bytes that are kept. Absent while all output is kept.
  #before: ScreenState | undefined
  // The client that is joined: what it may do to the upstream, its side, and who ends it. Absent without a client.
  #client: { readonly flow: ClientFlow; readonly output: ClientOutput; readonly owner: StallOwner } | undefined
  // The number of bytes that clients have been sent.
  #shown = 0
  // Whether a client has joined before.
  #hadClient = false
  // Whether output is dropped, because the terminal has been closed from this side.
  #discarding = false

  constructor(source: FlowControl) {
    this.source = source
  }

  push(data: Buffer): void {
    if (this.#discarding) return
    this.#history.push(data)
    // As binary: servers send no text, and clients that resume take text for no output.
    if (this.#behindFrom === undefined) this.#client?.output.push(data, true)
  }

  /** Keeps the last `most` bytes of output. */
  keep(most: number): void {
    this.#history.limit(this.#hadClient ? most : Math.max(most, FIRST_OUTPUT_BYTES))
  }

  /**
   * Returns what a client gets that wants to go on from an offset: exactly the output from there, if all of that is
   * kept, and otherwise a tail. The first client gets everything.
   */
  replayFrom(offset: number | null | undefined): Replay {
    this.#history.trim()
    const { start, end } = this.#history
    const from = offset ?? (this.#hadClient ? undefined : 0)
    if (from !== undefined && from >= start && from <= end) {
      return { offset: from, replay: Math.max(0, this.#shown - from), data: this.#history.read(from), isExact: true }
    }
    const tail = buildTail(this.#history.read(start), this.#before)
    // A tail must not look like the exact output.
    const data = end - tail.length === offset ? Buffer.concat([CANCEL, tail]) : tail
    const first = end - data.length
    return { offset: first, replay: Math.max(0, this.#shown - first), data, isExact: false }
  }

  /** Passes all further output on to a client. */
  join(createOutput: (source: FlowControl) => ClientOutput, owner: StallOwner): ClientOutput {
    this.part()
    const flow = new ClientFlow(this.source, this)
    const output = createOutput(flow)
    this.#client = { flow, output, owner }
    this.#hadClient = true
    return output
  }

  /** Returns the bytes that the client has still to take. */
  unsent(): number {
    return this.#client?.output.unsent() ?? 0
  }

  /** The client has taken nothing for 10 s. */
  onStalled(): void {
    this.#client?.owner.onStalled()
  }

  /** The client reads, and has not caught up. The upstream goes on, and the client gets what it misses later. */
  onSlow(): void {
    const client = this.#client
    if (!client) return
    this.#behindFrom = this.#history.end
    client.flow.resume()
    void client.output.drained().then(() => {
      if (this.#client === client && !this.#catchUp()) client.owner.onStalled()
    })
  }

  /** Returns `false` if the output that the client misses is not kept any more. */
  #catchUp(): boolean {
    const from = this.#behindFrom
    if (from === undefined) return true
    if (from < this.#history.start) return false
    this.#behindFrom = undefined
    this.#client?.output.replay(this.#history.read(from))
    return true
  }

  /** Passes no more output on to the client. The upstream does not wait for it any more. */
  part(): void {
    if (!this.#client) return
    this.#client.output.end()
    this.#client.flow.close()
    this.#client = undefined
    this.#shown = this.#behindFrom ?? this.#history.end
    this.#behindFrom = undefined
  }

  isPaused(): boolean {
    return this.#client?.output.isPaused() ?? false
  }

  end(): void {
    this.#catchUp()
    this.#client?.output.end()
  }

  discard(): void {
    this.#discarding = true
    this.#client?.output.discard()
  }

  onDrop(dropped: readonly Buffer[]): void {
    this.#before ??= new ScreenState()
    this.#before.push(dropped)
  }
}

/** The flow control of one client over the upstream of its session. Without effect once the client has left. */
export class ClientFlow implements FlowControl, SilenceObserver {
  readonly #source: FlowControl
  readonly #output: Pick<SessionOutput, 'unsent' | 'onStalled' | 'onSlow'>
  // Whether the upstream waits for the client.
  #paused = false
  #closed = false
  // Runs from the first pause on, until the client has not paused the upstream for a while.
  #timer: SilenceTimer | undefined
  // The bytes that the client had to take after the first delay. Absent before.
  #unsent: number | undefined

  constructor(source: FlowControl, output: Pick<SessionOutput, 'unsent' | 'onStalled' | 'onSlow'>) {
    this.#source = source
    this.#output = output
  }

  pause(): void {
    if (this.#closed) return
    this.#paused = true
    this.#source.pause()
    this.#timer ??= new SilenceTimer(LONGEST_STALLS_MS, this)
    this.#timer.reset()
    this.#unsent = undefined
  }

  resume(): void {
    if (this.#closed) return
    this.#paused = false
    this.#source.resume()
  }

  close(): void {
    this.#closed = true
    this.#timer?.stop()
    if (this.#paused) this.#source.resume()
  }

  onSilence(): void {
    const before = this.#unsent
    this.#unsent = this.#output.unsent()
    if (before === undefined) return
    this.#timer = undefined
    this.#unsent = undefined
    if (!this.#paused) return
    // A large message that is being read counts as progress, although it has not been read.
    if (this.#output.unsent() < before) this.#output.onSlow()
    else this.#output.onStalled()
  }
}
