import { SilenceTimer, type SilenceObserver } from '../lib/silence-timer.ts'
import type { Client, JoinedSession } from '../client/client.ts'
import type { InputTarget } from '../client/input.ts'
import { OPEN } from '../client/socket.ts'
import { unsentBytes } from '../client/tcp.ts'
import { MESSAGE_OVERHEAD_BYTES } from '../terminal/output.ts'
import { encodeResize, HEARTBEAT, type TerminalSize } from '../upstream/protocol.ts'
import { TOO_SLOW } from './ends.ts'
import { PONG } from './session-client.ts'
import type { Replay } from './replay.ts'

// A client that is behind is looked at after each of these, and has to go if it has taken nothing meanwhile.
const STALLS_MS = [5_000, 10_000, 15_000]

// Its input is counted nowhere.
const TYPES_NOTHING = new Error('A client that looks on types nothing')

/** What a watcher needs of those who watch the same session. */
interface WatchedSession {
  readonly terminal: JoinedSession['terminal']
  readonly settings: { readonly maxBuffered: number; readonly keepFor: number }
  /** A watcher has taken all that it was sent. */
  onDrained(watcher: Watcher): void
  leave(watcher: Watcher): void
}

/** A client that looks on at a session (PROTOCOL 8.12). The upstream never waits for it. */
export class Watcher implements JoinedSession, InputTarget, SilenceObserver {
  readonly client: Client
  /** The offset of the output that it has to be sent next; before it was told so, that from which it wants to go on. */
  at: number | null
  /** Whether it has been told where its output begins. */
  isAnnounced = false
  readonly #session: WatchedSession
  // Passed to each `send`.
  readonly #onSent = (): void => this.#messageSent()
  // The size of the window, and the one that it was told last.
  #size: TerminalSize | undefined
  #told: TerminalSize | undefined
  // Messages in the socket.
  #waiting = 0
  // Whether the last message has left bytes in the socket: only then does a sent message prove that the client reads.
  #congested = false
  #isAnswering = false
  // Runs while the client is behind and has something to take; what it had to take when it was asked last, and how
  // often that has not become less.
  #stall: SilenceTimer | undefined
  #unsent = 0
  #stalls = 0
  // Called when it has been sent everything. Absent unless the session has ended.
  #onDone: (() => void) | undefined

  constructor(session: WatchedSession, client: Client, offset: number | null) {
    this.#session = session
    this.client = client
    this.at = offset
  }

  get terminal(): JoinedSession['terminal'] {
    return this.#session.terminal
  }

  get output(): Pick<JoinedSession['output'], 'drained'> {
    return this
  }

  /** Whether it has taken all that it was sent. */
  get isDrained(): boolean {
    return this.#waiting === 0
  }

  /** Resolves when it has been sent all output of the session, which has ended, and has taken it. */
  drained(): Promise<void> {
    return new Promise((resolve) => {
      this.#onDone = resolve
      this.#session.onDrained(this)
    })
  }

  /** It needs nothing more. */
  done(): void {
    this.#onDone?.()
  }

  leave(): Promise<void> {
    this.#stall?.stop()
    this.#session.leave(this)
    return Promise.resolve()
  }

  write(): Promise<void> {
    return Promise.reject(TYPES_NOTHING)
  }

  command(text: string): Promise<void> {
    // Unless the answer before still waits: a client that asks and does not read must not fill the memory.
    if (text === HEARTBEAT && !this.#isAnswering) {
      this.#isAnswering = true
      this.#send(PONG, () => (this.#isAnswering = false))
    }
    return Promise.reject(TYPES_NOTHING)
  }

  /** Takes the output from an offset on, unless it is behind that, or too much waits for it: then it is. */
  take(from: number, output: Buffer): void {
    const known = Number(this.at) - from
    if (!this.isAnnounced || known < 0 || known >= output.length) return
    const data = known > 0 ? output.subarray(known) : output
    if (!this.#hasRoom(data.length)) return
    this.at = from + output.length
    this.#sendOutput(data)
  }

  /** Takes what brings it to the last output, and the size of the window. Has taken all that it was sent. */
  catchUp(replay: Replay, size: TerminalSize): void {
    const { offset, data, missing, isExact } = replay
    this.at = offset + data.length
    if (!isExact || !this.isAnnounced) {
      this.isAnnounced = true
      // It answers no queries at all. It hands back no generation, so it gets none.
      const known = { offset, replay: 0, ...(missing > 0 && { missing }), live: this.at, paced: true }
      this.#send(JSON.stringify({ type: 'attached', ...known, keepFor: this.#session.settings.keepFor }))
    }
    this.#size = size
    this.#tellSize()
    this.#sendOutput(data)
  }

  /** Takes the size of the window; if too much waits for it, only the last one, when it has taken that. */
  resize(size: TerminalSize): void {
    this.#size = size
    if (this.#hasRoom(0)) this.#tellSize()
  }

  /** It is behind, and has to take what it was sent before it gets more. */
  awaitDrain(): void {
    if (this.#stall) return
    this.#unsent = unsentBytes(this.client.socket)
    this.#stalls = 0
    this.#stall = new SilenceTimer(STALLS_MS, this)
  }

  onSilence(): void {
    const before = this.#unsent
    this.#unsent = unsentBytes(this.client.socket)
    if (this.#unsent < before) {
      this.#stalls = 0
      this.#stall?.reset()
    } else if ((this.#stalls += 1) === STALLS_MS.length) {
      // Only this connection, on the word of a limit that is documented: it takes nothing. It may come again.
      this.client.finish(TOO_SLOW)
      this.client.socket.terminate()
    }
  }

  #hasRoom(bytes: number): boolean {
    const held = this.client.socket.bufferedAmount + this.#waiting * MESSAGE_OVERHEAD_BYTES
    return this.isDrained || held + bytes <= this.#session.settings.maxBuffered
  }

  #tellSize(): void {
    const size = this.#size
    if (!size || this.#told === size) return
    this.#told = size
    this.#send(encodeResize(size.cols, size.rows))
  }

  #sendOutput(data: Buffer): void {
    if (data.length === 0) return
    this.client.counters.bytesToClient += data.length
    this.#send(data)
  }

  #send(message: Buffer | string, onSent?: () => void): void {
    const { socket } = this.client
    if (socket.readyState !== OPEN) return
    this.#waiting += 1
    const isBinary = typeof message !== 'string'
    const sent = onSent ? (): void => (onSent(), this.#onSent()) : this.#onSent
    socket.send(isBinary ? message : Buffer.from(message), { binary: isBinary }, sent)
    this.#congested = socket.bufferedAmount > 0
  }

  #messageSent(): void {
    this.#waiting -= 1
    if (this.#congested) this.client.connection.noteProgress()
    if (this.#waiting > 0) return
    this.#stall?.stop()
    this.#stall = undefined
    this.#tellSize()
    this.#session.onDrained(this)
  }
}
