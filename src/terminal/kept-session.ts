import { globalWith } from '../lib/globals.ts'
import { CLOSE_DROPPED, CLOSE_GOING_AWAY, CLOSE_TRY_AGAIN, CLOSE_UNAUTHORIZED } from '../upstream/close-codes.ts'
import { asRecord, parseJson } from '../upstream/requests.ts'

// Close codes of a connection that the network or a proxy has ended, and not the session (PROTOCOL 8.5); and that of a
// key that has expired, of which a fresh one may be had.
const RESUMABLE_CLOSES = [CLOSE_GOING_AWAY, CLOSE_DROPPED, CLOSE_TRY_AGAIN, CLOSE_UNAUTHORIZED]

/**
 * What a server that keeps sessions has said of one, and how far its output has come, over one connection after another
 * (PROTOCOL 8). Other servers say nothing, and then nothing is resumed.
 */
export class KeptSession {
  readonly isWanted: boolean
  /**
   * Whether the server keeps the session when the connection drops. Such a server answers heartbeats (PROTOCOL 8.4).
   */
  isKept = false
  /** Whether the server paces the input itself. */
  isPaced = false
  /** Whether the server still has to say that it goes on. Until it has, nothing is accepted. */
  isAwaited = false
  keepForMs = 0
  /** The generation that the server has named (PROTOCOL 8.6). Absent before that. */
  generation: string | undefined
  /** Bytes of output of the session so far. */
  received = 0
  /** Where to go on after a cut; `null` before the first byte, and within a tail. */
  offset: number | null = null
  // Whether no message has come over the latest connection yet.
  #isNew = true
  readonly #onEnd: (isResumed: boolean) => void

  /** With `isWanted`, asks servers to keep the session. Calls `onEnd` when a connection has ended. */
  constructor(isWanted: boolean, onEnd: (isResumed: boolean) => void) {
    this.isWanted = isWanted
    this.#onEnd = onEnd
  }

  /** Begins another connection. */
  begin(): void {
    this.#isNew = true
    this.isAwaited = this.isKept
  }

  /** Takes a message. Returns whether it is output of the session. */
  accepts(data: Uint8Array, isBinary: boolean): boolean {
    const isFirst = this.#isNew
    this.#isNew = false
    if (isFirst && !isBinary && this.#readAttached(data)) return false
    // Until the server has gone on, something else has answered in its place. Later, its output is always binary.
    if (this.isAwaited || (this.isKept && !isBinary)) return false
    this.offset = this.received += data.length
    return true
  }

  /** A connection has ended. Returns whether the session is resumed over another one; never if this side `isDone`. */
  end(code: number, isDone: boolean): boolean {
    const isResumed = this.isKept && !isDone && RESUMABLE_CLOSES.includes(code)
    this.#onEnd(isResumed)
    return isResumed
  }

  /** Reads the frame of a server that keeps sessions (PROTOCOL 8.2). Returns whether it is one. */
  #readAttached(data: Uint8Array): boolean {
    const text = new (globalWith('TextDecoder').TextDecoder)().decode(data)
    const { type, offset, keepFor, paced, generation } = asRecord(parseJson(text))
    if (type !== 'attached' || !Number.isSafeInteger(offset)) return false
    this.isAwaited = false
    this.keepForMs = Number(keepFor)
    this.isKept = this.keepForMs > 0
    if (typeof generation === 'string' && generation !== '') this.generation = generation
    this.isPaced = paced === true
    this.received = Number(offset)
    // A tail is one message. Until it has come, there is nothing to go on from.
    if (offset !== this.offset) this.offset = offset === 0 ? 0 : null
    return true
  }
}
