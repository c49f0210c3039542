import { wrongType } from '../lib/arguments.ts'
import { Cancellation, type AbortSignalLike } from '../lib/cancellation.ts'
import type { TerminalError } from '../lib/errors.ts'
import { bytesOf } from '../lib/globals.ts'
import { terminalError } from '../upstream/failures.ts'
import { PACE, UNREAD_BYTES } from '../upstream/protocol.ts'
import { InputWindow, isInterrupt, type InputPart } from './input-window.ts'
import { ESCAPE, PASTE_END } from './paste.ts'

/** The owner of an {@link Input}: the terminal that the frames go to. */
export interface InputOwner {
  /** The URL, for messages. */
  readonly where: string
  /** Resolves when the socket has taken the frame. */
  send(frame: string | ArrayBuffer): Promise<void>
  /** Throws after the end of the terminal. */
  assertOpen(): void
  /** Whether the server paces the input itself. */
  isPaced(): boolean
  /** Resolves with whether the server takes all input, however slowly the program reads it. */
  takesAllInput(signal: AbortSignalLike): Promise<boolean>
}

/** A call that waits: bytes, or a text frame. */
interface Waiting {
  readonly data: Uint8Array | string
  readonly since: number
  /** Whether what waits before it is thrown away. */
  readonly isFlush: boolean
  sent: number
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

// Without a proof that the program reads, input is refused after that.
const PROOF_TIMEOUT_MS = 30_000
// For the program to read the end of a paste, before the tty throws away what it has not read.
const PASTE_END_MS = 100

// Bytes of input that were not sent, by the error that says so.
const unsent = new WeakMap<object, number>()

/** Returns how many bytes of input an error says were not sent; 0 for any other error. */
export function unsentInput(error: unknown): number {
  return unsent.get(Object(error)) ?? 0
}

/**
 * Sends keystrokes and pastes to the shell, cut into frames and spaced, so that every release takes all of them and
 * none ends the shell (PROTOCOL 5.5, 5.9 and 5.10). All calls keep their order.
 *
 * Keystrokes leave at once: only input beyond one full frame of a pace has to wait. Until it is known that the
 * server takes all input, no more than {@link UNREAD_BYTES} bytes are sent that nothing has shown to be read.
 */
export class Input {
  readonly #owner: InputOwner
  readonly #queue: Waiting[] = []
  #isSending = false
  // Ends a wait for a proof. Absent while nothing waits for one.
  #wake: (() => void) | undefined
  // Whether the server takes all input, `undefined` until it was asked, and what stops the question.
  #takesAll: boolean | undefined
  #question: Cancellation | undefined
  // Absent before the first input, and before output that may change a mode: a proxy has thousands of sessions that are
  // idle.
  #window: InputWindow | undefined

  /** `takesAll` is whether the server takes all input, if that is known. */
  constructor(owner: InputOwner, takesAll?: boolean) {
    this.#owner = owner
    this.#takesAll = takesAll
  }

  /** Resolves when the socket has taken all bytes. With `isLent`, the caller does not change the bytes until then. */
  write(data: string | Uint8Array, isLent = false): Promise<void> {
    const given = toBytes(data)
    if (!given) return Promise.reject(wrongType('data', 'a string or a Uint8Array', data))
    if (this.#queue.length === 0 && given.length > 0) {
      const { length, pace, isPaste } = this.#nextPart(given, 0)
      if (length === given.length && !isPaste && this.#limited.reserve(length, pace) === 0) {
        const sent = this.#sendBytes(given.slice(), false)
        sent.catch(() => {})
        return sent
      }
    }
    // A copy: the caller may reuse its buffer as soon as this function returns.
    return this.#enqueue(isLent ? given : given.slice(), isInterrupt(given))
  }

  /** Sends a text frame unchanged after everything before it, but not after input that waits for a proof. */
  command(text: string): Promise<void> {
    return this.#wake ? this.#owner.send(text) : this.#enqueue(text)
  }

  /** Takes the output, which may show that the program reads. */
  onOutput(data: Uint8Array): void {
    if (this.#isFree || !(this.#window || data.includes(ESCAPE))) return
    if (this.#limited.onOutput(data, this.#takesAll === false)) this.#wake?.()
  }

  /** Rejects all that waits: the terminal has ended. */
  stop(): void {
    this.#question?.abort()
    this.#wake?.()
  }

  get #limited(): InputWindow {
    return (this.#window ??= new InputWindow())
  }

  /** Whether input needs no proof. */
  get #isFree(): boolean {
    return this.#takesAll === true || this.#owner.isPaced()
  }

  #nextPart(data: Uint8Array, start: number): InputPart {
    if (!this.#isFree) return this.#limited.nextPart(data, start, this.#takesAll === false)
    return { length: Math.min(data.length - start, PACE.bytes), pace: PACE, isPaste: false }
  }

  #enqueue(data: Uint8Array | string, isFlush = false): Promise<void> {
    const done = new Promise<void>((resolve, reject) => {
      this.#queue.push({ data, since: performance.now(), isFlush, sent: 0, resolve, reject })
    })
    // A caller that does not await a keystroke must not crash the process.
    done.catch(() => {})
    if (this.#takesAll === false) this.#flush()
    if (!this.#isSending) void this.#sendAll()
    return done
  }

  async #sendAll(): Promise<void> {
    this.#isSending = true
    for (let first; (first = this.#queue[0]);) {
      try {
        this.#owner.assertOpen()
        if (!(await this.#sendNext(first))) continue
        this.#remove(first)
        first.resolve()
      } catch (error) {
        this.#remove(first)
        first.reject(error)
      }
    }
    this.#isSending = false
  }

  #remove(entry: Waiting): void {
    const index = this.#queue.indexOf(entry)
    if (index >= 0) this.#queue.splice(index, 1)
  }

  /**
   * Sends the next part of an entry, or waits until it may be sent. Resolves with whether all of the entry was sent.
   */
  async #sendNext(entry: Waiting): Promise<boolean> {
    const { data, sent } = entry
    if (isText(data)) {
      await this.#owner.send(data)
      return true
    }
    const isUnknown = this.#takesAll === undefined && !this.#owner.isPaced()
    if (isUnknown && this.#limited.unread + data.length - sent > UNREAD_BYTES) {
      this.#question = new Cancellation()
      this.#takesAll = await this.#owner.takesAllInput(this.#question).catch(() => false)
      if (!this.#takesAll) this.#flush()
      return false
    }
    const { length, pace, isPaste } = this.#nextPart(data, sent)
    if (length === 0 && sent < data.length) {
      await this.#waitForProof(entry)
      return false
    }
    const rest = this.#owner.isPaced() ? 0 : this.#limited.reserve(length, pace)
    if (rest > 0) {
      await new Promise((resolve) => setTimeout(resolve, Math.ceil(rest)))
      return false
    }
    if (length > 0) await this.#sendBytes(data.slice(sent, sent + length), isPaste)
    entry.sent += length
    return entry.sent === data.length
  }

  async #sendBytes(bytes: Uint8Array<ArrayBuffer>, isPaste: boolean): Promise<void> {
    if (!this.#isFree) this.#limited.push(bytes, isPaste)
    return this.#owner.send(bytes.buffer)
  }

  /** Waits until the program has read something. Throws if nothing shows that in time. */
  async #waitForProof(entry: Waiting): Promise<void> {
    // The size of the window does not wait for a program.
    for (const text of this.#queue.filter(({ data }) => isText(data))) {
      this.#remove(text)
      this.#owner.send(String(text.data)).then(text.resolve, text.reject)
    }
    const rest = Math.max(entry.since, this.#limited.lastProof) + PROOF_TIMEOUT_MS - performance.now()
    // Only this input is given up, and the shell stays: on such a server, more input may end it.
    if (rest <= 0) throw this.#stalledError(entry, 'for 30 s, no program has shown that it reads them')
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, rest)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    this.#wake = undefined
  }

  /** Throws away what waits before the last Ctrl-C or its like, as a tty does. It is the word of who typed that. */
  #flush(): void {
    const last = this.#queue.map(({ isFlush }) => isFlush).lastIndexOf(true)
    const dropped = this.#queue.slice(0, Math.max(last, 0)).filter(({ data, isFlush }) => !isText(data) && !isFlush)
    for (const entry of dropped) {
      this.#remove(entry)
      const why = 'Ctrl-C, Ctrl-Z or Ctrl-\\ was typed after them'
      entry.reject(this.#stalledError(entry, why, 'Type them again if they are still wanted.'))
    }
    // Otherwise the program would take all further keys for a part of the paste.
    if (dropped.length > 0 && this.#limited.isPasting) {
      void this.#sendBytes(PASTE_END.slice(), true).catch(() => {})
      this.#limited.pause(PASTE_END_MS)
    }
    if (last >= 0) this.#wake?.()
  }

  #stalledError({ data, sent }: Waiting, why: string, advice?: string): TerminalError {
    const rest = data.length - sent
    const reason = `${rest} of ${data.length} bytes were not sent: ${why}`
    const action = `Cannot type into the terminal at ${this.#owner.where}`
    const error = terminalError('ERR_TERMINAL_INPUT_STALLED', action, reason, { advice })
    unsent.set(error, rest)
    return error
  }
}

function isText(data: unknown): data is string {
  return typeof data === 'string'
}

function toBytes(data: unknown): Uint8Array | undefined {
  if (isText(data)) return bytesOf(data)
  // Not `instanceof`: in jsdom, a Buffer is of another realm.
  return ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : undefined
}
