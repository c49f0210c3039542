import type { FlowControl } from '../lib/water-mark.ts'
import type { ScreenClasses } from '../screen/classes.ts'
import type { ClientOutput } from '../client/output.ts'
import type { Sink } from '../terminal/output.ts'
import type { TerminalSize } from '../upstream/protocol.ts'
import { ClientFlow, type StallOwner } from './client-flow.ts'
import type { Follower } from './follower.ts'
import type { History } from './history.ts'
import { Replays, type Replay, type Viewer } from './replay.ts'

// Kept for the first client, even if no output is kept later: it must see the prompt.
const FIRST_OUTPUT_BYTES = 64 * 1024

// Of a PTY that has not been told otherwise.
const DEFAULT_SIZE: TerminalSize = { cols: 80, rows: 24 }

/** The output of a gateway's session. Keeps its last bytes, and passes it on to the client that is joined. */
export class SessionOutput implements Sink {
  readonly source: FlowControl
  // The size of the window, as the last client has set it.
  #size: TerminalSize
  // The offset of the output that a client has not been given, which is slow or waits for its replay. Absent while it
  // gets all as it comes.
  #behindFrom: number | undefined
  readonly #replays: Replays
  readonly #history: History
  // The client that is joined: what it may do to the upstream, its side, and who ends it. Absent without a client.
  #client: { readonly flow: ClientFlow; readonly output: ClientOutput; readonly owner: StallOwner } | undefined
  // The number of bytes that clients have been sent.
  #shown = 0
  // Whether a client has joined before.
  #hadClient = false
  // Whether the client waits for its replay.
  #isHeld = false
  // Whether output is dropped, because the terminal has been closed from this side.
  #discarding = false
  // Absent while there are none.
  #followers: Set<Follower> | undefined
  /** Whether there is no more output. */
  hasEnded = false

  constructor(source: FlowControl, size: TerminalSize = DEFAULT_SIZE, screen?: ScreenClasses) {
    this.source = source
    this.#size = size
    this.#replays = new Replays(FIRST_OUTPUT_BYTES, size, screen)
    this.#history = this.#replays.history
  }

  get size(): TerminalSize {
    return this.#size
  }

  /** The window has another size, from the next byte of output on. */
  resize(size: TerminalSize): void {
    if (size.cols === this.#size.cols && size.rows === this.#size.rows) return
    this.#size = size
    this.#replays.resize(size)
    for (const follower of this.#followers ?? []) follower.onResize(size)
  }

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

  /** Resolves with what the window shows; without a screen, with the last lines. */
  text(): Promise<string> {
    return this.#replays.text()
  }

  /** Keeps the last `most` bytes of output. */
  keep(most: number): void {
    this.#history.limit(this.#hadClient ? most : Math.max(most, FIRST_OUTPUT_BYTES))
  }

  /** Returns the last `most` bytes of output, or what is kept of them. */
  recent(most: number): Buffer {
    return this.#history.last(most)
  }

  /**
   * Returns what a client gets that wants to go on from an offset: exactly the output from there, if all of that is
   * kept, and otherwise a tail. The first client gets everything. It is a promise if a whole screen has to be drawn,
   * and may end before the output at the time when that resolves.
   *
   * @param viewer Whom it is for, once that exists. Absent for one whose window has the size of the session's.
   */
  replayFrom(offset: number | null | undefined, viewer?: () => Viewer): Replay | Promise<Replay> {
    this.#history.trim()
    const { start, end } = this.#history
    const from = offset ?? (this.#hadClient ? undefined : 0)
    const live = this.#hadClient ? end : 0
    if (from !== undefined && from >= start && from <= end) {
      const replay = Math.max(0, this.#shown - from)
      const data = this.#history.read(from)
      return { offset: from, replay, data, isExact: true, missing: 0, live, needsRedraw: false }
    }
    return this.#replays.make(offset, this.#shown, viewer)
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

  /** Gives the client no output, and makes the upstream wait, until it gets its replay. */
  hold(): void {
    this.#isHeld = true
    this.#behindFrom = this.#shown
    this.#client?.flow.pause()
  }

  /** Gives the client its replay, and then all output after that. */
  replay({ offset, data }: Replay): void {
    const client = this.#client
    client?.output.replay(data)
    if (!client || !this.#isHeld) return
    this.#isHeld = false
    this.#behindFrom = offset + data.length
    if (this.#catchUp()) client.flow.resume()
    else client.owner.onStalled()
  }

  unsent(): number {
    return this.#client?.output.unsent() ?? 0
  }

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
    if (from === undefined || this.#isHeld) return true
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
    this.#isHeld = false
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

  /** Nobody comes for the output any more. */
  release(): void {
    this.#replays.release()
  }
}
