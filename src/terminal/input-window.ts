import { PACE, PACE_OF_REPEATED, PACE_OF_SILENT, TTY_BUFFER, UNREAD_LIMIT, type Pace } from '../upstream/protocol.ts'
import { isInterrupt, showsInterrupt } from './interrupts.ts'
import { Pacer } from './pacer.ts'
import { BracketedPaste } from './paste.ts'
import { UnreadInput } from './unread-input.ts'

// Bytes beyond the limit that are kept for Ctrl-C, Ctrl-Z and Ctrl-\, and for the keys after them: a person must be able
// to leave a program. A key has at most this many bytes.
const INTERRUPT_RESERVE = 512
const LONGEST_KEY = 16

// Bytes of a frame: a PTY takes fewer bytes that nobody reads after larger ones.
const FRAME = 1024
// A PTY keeps messages of more than one page in pages of their own.
const PAGE = 256

/** The part of some input that may go next. */
export interface InputPart {
  /** Bytes; 0 if something has to be read first. */
  readonly length: number
  readonly pace: Pace
  /** Whether it is part of a paste that the program of an old server has asked for: a proof that the program reads. */
  readonly isPaste: boolean
}

/**
 * How much input a shell may get that nothing has shown to be read, on a server that ends the shell otherwise (PROTOCOL 5.9
 * and 5.10).
 */
export class InputWindow {
  /** Spaces what may go. */
  readonly pacer: Pacer = new Pacer()
  readonly #paste = new BracketedPaste()
  // Absent before the first input.
  #unread: UnreadInput | undefined
  // Bytes that the PTY loses in its pages, for the input that the output has not repeated.
  #waste = 0
  // Whether Ctrl-C or its like was sent, and nothing has shown yet that the tty has read it.
  #isInterrupting = false
  /** When something has last shown that the program reads, as `performance.now()`. */
  lastProof: number = 0

  /** Bytes that may be unread, with what they cost beside. */
  get unread(): number {
    return (this.#unread?.bytes ?? 0) + this.#waste
  }

  /** Whether a paste was begun and not ended. */
  get isPasting(): boolean {
    return this.#paste.isOpen
  }

  /**
   * Takes output. Returns whether it shows that the program reads. `isOld` is whether the server is known to end a shell that
   * does not read.
   */
  onOutput(data: Uint8Array, isOld: boolean): boolean {
    const hasNewReader = this.#paste.onOutput(data)
    const isRepeated = this.#unread?.onOutput(data, isOld) === true
    if (isRepeated) this.#waste = Math.min(this.#waste, this.#unrepeated)
    // The tty has thrown away what was not read, or a line editor has begun to read it.
    const hasInterrupted = this.#isInterrupting && (hasNewReader || showsInterrupt(data))
    if (hasInterrupted) this.#noteAllRead()
    else if (isRepeated) this.lastProof = performance.now()
    return hasInterrupted || isRepeated
  }

  /**
   * Returns the part of the input from `start` on that may go next. `isOld` is whether the server is known to end a shell
   * that does not read.
   */
  nextPart(data: Uint8Array, start: number, isOld: boolean): InputPart {
    const { isPaste, length } = this.#paste.partOf(data, start, FRAME)
    // A server that takes all input needs no slow paste, so a long one has to wait for the answer, like any input.
    if (isPaste && isOld) return { length, pace: PACE_OF_SILENT, isPaste }
    const pace = isOld ? this.#paceOfOld : PACE
    const mayUseReserve = isInterrupt(data) || (this.#isInterrupting && data.length <= LONGEST_KEY)
    const room = UNREAD_LIMIT + (mayUseReserve ? INTERRUPT_RESERVE : 0) - this.unread
    return { length: Math.max(0, Math.min(length, room)), pace, isPaste: false }
  }

  /** Notes input that is sent. */
  push(data: Uint8Array, isPaste: boolean): void {
    this.#paste.onInput(data)
    // A program that has asked for pastes reads them, and so what came before.
    if (isPaste) this.#noteAllRead()
    else this.#push(data)
    this.#isInterrupting ||= isInterrupt(data)
  }

  #push(data: Uint8Array): void {
    this.#unread ??= new UnreadInput()
    this.#unread.push(data)
    if (data.length > PAGE) this.#waste += -data.length & (PAGE - 1)
  }

  get #unrepeated(): number {
    return this.#unread?.unrepeated ?? 0
  }

  get #paceOfOld(): Pace {
    return this.#unrepeated < TTY_BUFFER ? PACE_OF_REPEATED : PACE_OF_SILENT
  }

  #noteAllRead(): void {
    this.lastProof = performance.now()
    this.#unread = undefined
    this.#waste = 0
    this.#isInterrupting = false
  }
}
