import { globalWith } from '../lib/globals.ts'
import { CLOSE_DROPPED, CLOSE_GOING_AWAY, CLOSE_TRY_AGAIN, CLOSE_UNAUTHORIZED } from '../upstream/close-codes.ts'
import { isSize, type TerminalSize } from '../upstream/protocol.ts'
import { asRecord, parseJson } from '../upstream/requests.ts'

// Close codes of a connection that the network or a proxy has ended, and not the session (PROTOCOL 8.5); and that of a
// key that has expired, of which a fresh one may be had.
const RESUMABLE_CLOSES = [CLOSE_GOING_AWAY, CLOSE_DROPPED, CLOSE_TRY_AGAIN, CLOSE_UNAUTHORIZED]

/** Is told what becomes of a session. */
export interface KeptSessionOwner {
  /** A connection has ended. */
  onEnd(isResumed: boolean): void
  /** So many bytes of output are missing before the next. */
  onGap(bytes: number): void
  /** The window of a session that is watched has this size. */
  onSize(size: TerminalSize): void
}

/**
 * What a server that keeps sessions has said of one, and how far its output has come, over one connection after another
 * (PROTOCOL 8). Other servers say nothing, and then nothing is resumed.
 */
export class KeptSession {
  /** Whether this client only looks on (PROTOCOL 8.13). */
  readonly isWatching: boolean
  /**
   * Whether the session outlives the connection. The server of such a session answers heartbeats (PROTOCOL 8.4).
   */
  isKept = false
  /** Whether the server paces the input itself. */
  isPaced = false
  /** Whether the server still has to say that it goes on. Until it has, nothing is accepted. */
  isAwaited = false
  /** Whether a server that keeps sessions has answered, over any connection. Its text frames are no output. */
  isKnown = false
  keepForMs = 0
  /** The generation that the server has named (PROTOCOL 8.6). Absent before that. */
  generation: string | undefined
  /** Bytes of output of the session so far. */
  received = 0
  /** Where to go on after a cut; `null` before the first byte, and within a tail. */
  offset: number | null = null
  /** Whether queries in the output that was accepted last get no answer any more (PROTOCOL 8.2). */
  isReplay = false
  // The offset from which on they do.
  #live = 0
  // Whether no message has come over the latest connection yet.
  #isNew = true
  readonly #mayResume: boolean
  readonly #owner: KeptSessionOwner

  /** With `mayResume`, asks servers to keep the session. */
  constructor(mayResume: boolean, owner: KeptSessionOwner, isWatching = false) {
    this.#mayResume = mayResume
    this.isWatching = isWatching
    this.#owner = owner
  }

  /** What the auth frame says of the session, so that the server keeps it and goes on with it (PROTOCOL 8.1). */
  get progress(): object | undefined {
    const { offset, generation, isWatching } = this
    if (isWatching) return { offset, watch: true }
    return this.#mayResume ? { offset, generation } : undefined
  }

  /** Begins another connection. */
  begin(): void {
    this.#isNew = true
    this.isAwaited = this.isKept || this.isWatching
  }

  /** Takes a message. Returns whether it is output of the session. */
  accepts(data: Uint8Array, isBinary: boolean): boolean {
    const mayTell = this.#isNew || this.isWatching
    if (mayTell && !isBinary && this.#readFrame(data)) return false
    this.#isNew = false
    // Until the server has gone on, something else has answered in its place. Later, its output is always binary.
    if (this.isAwaited || (this.isKnown && !isBinary)) return false
    this.isReplay = this.received < this.#live
    this.offset = this.received += data.length
    return true
  }

  /** A connection has ended. Returns whether the session is resumed over another one; never if this side `isDone`. */
  end(code: number, isDone: boolean): boolean {
    const isResumed = this.#mayResume && this.isKept && !isDone && RESUMABLE_CLOSES.includes(code)
    this.#owner.onEnd(isResumed)
    return isResumed
  }

  /** Reads a frame of a server that keeps sessions (PROTOCOL 8.2 and 8.13). Returns whether it is one. */
  #readFrame(data: Uint8Array): boolean {
    const text = new (globalWith('TextDecoder').TextDecoder)().decode(data)
    const { type, cols, rows, ...fields } = asRecord(parseJson(text))
    if (type === 'attached') return this.#readAttached(fields)
    // It still draws the screen, and no other server answers a heartbeat.
    if (type === 'pong' && this.#isNew) return (this.isKnown = this.isAwaited = true)
    if (type !== 'resize' || !this.isKnown || !isSize(cols, 1) || !isSize(rows, 1)) return false
    this.#owner.onSize({ cols, rows })
    return true
  }

  #readAttached({ offset, missing, live, keepFor, paced, generation }: Record<string, unknown>): boolean {
    if (!Number.isSafeInteger(offset)) return false
    const isFirst = !this.isKept
    this.#isNew = this.isAwaited = false
    this.isKnown = true
    this.keepForMs = Number(keepFor)
    // Whoever looks on comes back to a session that others keep alive.
    this.isKept = this.keepForMs > 0 || this.isWatching
    if (typeof generation === 'string' && generation !== '') this.generation = generation
    this.isPaced = paced === true
    this.received = Number(offset)
    this.#live = Number(live)
    // A tail is one message. Until it has come, there is nothing to go on from.
    if (offset !== this.offset) this.offset = offset === 0 ? 0 : null
    if (!isFirst && Number.isSafeInteger(missing) && Number(missing) > 0) this.#owner.onGap(Number(missing))
    return true
  }
}
