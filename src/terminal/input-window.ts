import { PACE, PACE_OF_REPEATED, PACE_OF_SILENT, TTY_BYTES, UNREAD_BYTES, type Pace } from '../upstream/protocol.ts'
import { BracketedPaste } from './paste.ts'
import { UnreadInput } from './unread-input.ts'

// Beyond the limit, for Ctrl-C, Ctrl-Z and Ctrl-\, and for the keys after them: a person must be able to leave a
// program.
const INTERRUPT_RESERVE_BYTES = 512
const LONGEST_KEY_BYTES = 16

// After larger frames, a PTY takes fewer bytes that nobody reads.
const FRAME_BYTES = 1024
// A PTY keeps messages of more than one page in pages of their own.
const PAGE_BYTES = 256

// Ctrl-C, Ctrl-\ and Ctrl-Z: a tty that gets one throws away what the program has not read, and shows ^C, ^\ or ^Z.
const INTERRUPTS = [0x03, 0x1c, 0x1a]
const CARET = 0x5e
// What is added to a control character after the caret.
const TO_LETTER = 0x40

/** The part of some input that may go next. */
export interface InputPart {
  /** Bytes; 0 if something has to be read first. */
  readonly length: number
  readonly pace: Pace
  /** Whether it is part of a paste that the program of an old server has asked for: a proof that the program reads. */
  readonly isPaste: boolean
}

/**
 * How much input a shell may get that nothing has shown to be read, on a server that ends the shell otherwise
 * (PROTOCOL 5.9 and 5.10).
 */
export class InputWindow {
  readonly #paste = new BracketedPaste()
  // Absent before the first input.
  #unread: UnreadInput | undefined
  // Bytes that the PTY loses in its pages, for the input that the output has not repeated.
  #waste = 0
  // Whether Ctrl-C or its like was sent, and nothing has shown yet that the tty has read it.
  #isInterrupting = false
  // When the last frame was sent, and the bytes that were sent since the last pause of a whole interval.
  #lastFrame = -Infinity
  #paced = 0
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
   * Takes output. Returns whether it shows that the program reads. `isOld` is whether the server is known to end a
   * shell that does not read.
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
   * Returns the part of the input from `start` on that may go next. `isOld` is whether the server is known to end a
   * shell that does not read.
   */
  nextPart(data: Uint8Array, start: number, isOld: boolean): InputPart {
    const { isPaste, length } = this.#paste.partOf(data, start, FRAME_BYTES)
    // A server that takes all input needs no slow paste, so a long one has to wait for the answer, like any input.
    if (isPaste && isOld) return { length, pace: PACE_OF_SILENT, isPaste }
    const paceOfOld = this.#unrepeated < TTY_BYTES ? PACE_OF_REPEATED : PACE_OF_SILENT
    const pace = isOld ? paceOfOld : PACE
    const mayUseReserve = isInterrupt(data) || (this.#isInterrupting && data.length <= LONGEST_KEY_BYTES)
    const room = UNREAD_BYTES + (mayUseReserve ? INTERRUPT_RESERVE_BYTES : 0) - this.unread
    return { length: Math.max(0, Math.min(length, room)), pace, isPaste: false }
  }

  /** Notes input that is sent. */
  push(data: Uint8Array, isPaste: boolean): void {
    this.#paste.onInput(data)
    // A program that has asked for pastes reads them, and so what came before.
    if (isPaste) this.#noteAllRead()
    else {
      this.#unread ??= new UnreadInput()
      this.#unread.push(data)
      if (data.length > PAGE_BYTES) this.#waste += -data.length & (PAGE_BYTES - 1)
    }
    this.#isInterrupting ||= isInterrupt(data)
  }

  /** Returns 0 and counts the bytes if they may be sent now at this pace. Otherwise returns the ms to wait. */
  reserve(size: number, { bytes, intervalMs }: Pace): number {
    const now = performance.now()
    const rest = this.#lastFrame + intervalMs - now
    if (rest <= 0) this.#paced = 0
    else if (this.#paced + size > bytes || this.#lastFrame > now) return rest
    this.#lastFrame = now
    this.#paced += size
    return 0
  }

  /** Lets nothing be sent for so many ms. */
  pause(ms: number): void {
    this.#lastFrame = performance.now() + ms
  }

  get #unrepeated(): number {
    return this.#unread?.unrepeated ?? 0
  }

  #noteAllRead(): void {
    this.lastProof = performance.now()
    this.#unread = undefined
    this.#waste = 0
    this.#isInterrupting = false
  }
}

/** Whether input is nothing but Ctrl-C, Ctrl-\ or Ctrl-Z, as it is when a person has typed it. */
export function isInterrupt(input: Uint8Array): boolean {
  return input.length > 0 && input.every((byte) => INTERRUPTS.includes(byte))
}

/** Whether output shows that a tty has read Ctrl-C, Ctrl-\ or Ctrl-Z. */
export function showsInterrupt(output: Uint8Array): boolean {
  for (let at = output.indexOf(CARET); at >= 0; at = output.indexOf(CARET, at + 1)) {
    if (INTERRUPTS.includes(Number(output[at + 1]) - TO_LETTER)) return true
  }
  return false
}
