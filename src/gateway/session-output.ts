import type { FlowControl } from '../lib/water-mark.ts'
import { ScreenState } from '../screen/state.ts'
import { plainText } from '../screen/plain-text.ts'
import { buildTail } from '../screen/tail.ts'
import type { ClientOutput } from '../client/output.ts'
import type { Sink } from '../terminal/output.ts'
import type { TerminalSize } from '../upstream/protocol.ts'
import { ClientFlow } from './client-flow.ts'
import type { Follower } from './follower.ts'
import { History, type DropObserver } from './history.ts'

// Kept for the first client, even if no output is kept later: it must see the prompt.
const FIRST_OUTPUT_BYTES = 64 * 1024

// Of a PTY that has not been told otherwise.
const DEFAULT_SIZE: TerminalSize = { cols: 80, rows: 24 }

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
  /** The bytes between the offset that the client has asked for and the first one that is kept. */
  readonly missing: number
  /** The offset from which the client answers queries (PROTOCOL 8.2): those of before get no answer any more. */
  readonly live: number
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
  // The size of the window, as the last client has set it.
  #size: TerminalSize
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
  // Absent while there are none.
  #followers: Set<Follower> | undefined
  /** Whether there is no more output. */
  hasEnded = false

  constructor(source: FlowControl, size: TerminalSize = DEFAULT_SIZE) {
    this.source = source
    this.#size = size
  }

  get size(): TerminalSize {
    return this.#size
  }

  /** The window has another size, from the next byte of output on. */
  resize(size: TerminalSize): void {
    if (size.cols === this.#size.cols && size.rows === this.#size.rows) return
    this.#size = size
    for (const follower of this.#followers ?? []) follower.onResize(size)
  }

  /** The number of bytes of output so far. */
  get printed(): number {
    return this.#history.end
  }

  push(data: Buffer): void {
    if (this.#discarding) return
    this.#history.push(data)
    // As binary: servers send no text, and clients that resume take text for no output.
    if (this.#behindFrom === undefined) this.#client?.output.push(data, true)
    if (this.#followers) for (const follower of this.#followers) follower.onOutput(data)
  }

  follow(follower: Follower): void {
    this.#followers ??= new Set()
    this.#followers.add(follower)
  }

  unfollow(follower: Follower): void {
    this.#followers?.delete(follower)
    if (this.#followers?.size === 0) this.#followers = undefined
  }

  /** Returns the last lines of the window. */
  text(): string {
    this.#history.trim()
    return plainText(this.recent(Infinity), this.#size.rows, this.#before?.parser.clone())
  }

  /** Keeps the last `most` bytes of output. */
  keep(most: number): void {
    this.#history.limit(this.#hadClient ? most : Math.max(most, FIRST_OUTPUT_BYTES))
  }

  /** Returns the last `most` bytes of output, or what is kept of them. */
  recent(most: number): Buffer {
    const { start, end } = this.#history
    return this.#history.read(Math.max(start, end - most))
  }

  /**
   * Returns what a client gets that wants to go on from an offset: exactly the output from there, if all of that is
   * kept, and otherwise a tail. The first client gets everything.
   */
  replayFrom(offset: number | null | undefined): Replay {
    this.#history.trim()
    const { start, end } = this.#history
    const from = offset ?? (this.#hadClient ? undefined : 0)
    const live = this.#hadClient ? end : 0
    if (from !== undefined && from >= start && from <= end) {
      const replay = Math.max(0, this.#shown - from)
      const data = this.#history.read(from)
      return { offset: from, replay, data, isExact: true, missing: 0, live }
    }
    const tail = buildTail(this.#history.read(start), this.#before)
    // A tail must not look like the exact output.
    const data = end - tail.length === offset ? Buffer.concat([CANCEL, tail]) : tail
    const first = end - data.length
    const replay = Math.max(0, this.#shown - first)
    const missing = Math.max(0, start - Math.max(0, offset ?? start))
    return { offset: first, replay, data, isExact: false, missing, live }
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
    this.hasEnded = true
    for (const follower of this.#followers ?? []) follower.onEnd()
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
