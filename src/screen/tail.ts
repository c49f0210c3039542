import { unfinishedBytes } from '../lib/characters.ts'
import { mayReplay, withoutReports } from './queries.ts'
import { SequenceParser, type SequenceHandler } from './sequences.ts'
import { nameOf, type Sequence } from './sequence.ts'
import { TerminalModes } from './modes.ts'
import { isWhole } from './page.ts'
import type { Picture } from './picture.ts'
import type { ScreenState } from './state.ts'

const BEL = 0x07
const SPACE = 0x20
const DEL = 0x7f
const LINE_FEED = 0x0a
// The first of two bytes in UTF-8, of which the second may begin a sequence.
const C1_LEAD = 0xc2

// CAN ends a sequence that the terminal may have got in part, and RIS resets the terminal. In xterm.js 6 it leaves a
// hidden cursor hidden.
const RESET = '\x18\x1bc\x1b[?25h'
const STRING_TERMINATOR = '\x1b\\'
const TERMINATOR = nameOf('\\')
const FULL_RESET = nameOf('c')
const SET_REGION = nameOf('r')
const FOCUS_CONTROLS: ReadonlySet<number> = new Set(['?h', '?l', '!p'].map(nameOf))

// To copy less natively takes longer than a loop.
const SHORT_BYTES = 32
// For the modes.
const ROOM_BYTES = 1024

/** What is known of a screen beside its output. */
interface KnownScreen {
  /**
   * What a terminal shows before the output. Then that begins with the sequence or character that it goes on with, and
   * is no tail, but all of what follows.
   */
  readonly picture?: Picture
  /** The rows of the window. A region of all of them is left out: the terminal may have more. */
  readonly rows?: number
  /** Where in the output the window has got its size, 0 for before it. No scroll region is left from before that. */
  readonly sizedAt?: number
}

/**
 * Returns the last output for a terminal that has not shown the output before it. The tail begins at a line, with the
 * modes that are on, and leaves out all sequences that a terminal answers, or that act outside of its window: nobody
 * waits for these answers any more, so they would be typed into the shell.
 *
 * Looks at each byte a few times at most, and makes no object for a sequence or a piece: while this runs, all sessions
 * wait, and a program may print what takes the longest.
 *
 * @param output The last output.
 * @param before The state before it; absent if there was no output before it.
 */
export function buildTail(output: Buffer, before?: ScreenState, known: KnownScreen = {}): Buffer {
  return new Tail(output, before, known).build()
}

class Tail implements SequenceHandler {
  readonly #output: Buffer
  readonly #parser: SequenceParser
  readonly #modes: TerminalModes
  // Whether the output begins within a sequence.
  readonly #isCut: boolean
  readonly #rows: number
  readonly #sizedAt: number
  // What has been built, and its length.
  #tail: Buffer
  #length = 0
  // The output that comes next in the tail, and has not been copied yet.
  #from = 0
  #to = 0
  // Whether the tail has begun.
  #hasBegun: boolean
  // Whether the tail begins anew at the next line.
  #awaitsLine: boolean
  // Whether it is known that what has been read is no part of a string.
  #isCertain: boolean

  constructor(output: Buffer, before: ScreenState | undefined, { picture, rows = Infinity, sizedAt = 0 }: KnownScreen) {
    this.#output = output
    this.#rows = rows
    this.#sizedAt = sizedAt
    this.#tail = Buffer.allocUnsafe(output.length + ROOM_BYTES)
    this.#parser = (picture ? undefined : before?.parser.clone()) ?? new SequenceParser()
    this.#modes = before?.modes.clone() ?? new TerminalModes()
    if (sizedAt > 0) this.#modes.forgetRegions()
    this.#isCut = this.#parser.beginning !== ''
    this.#hasBegun = before === undefined
    // Most output has an end of a line soon.
    this.#awaitsLine =
      !this.#hasBegun && !picture && output.subarray(0, Math.ceil(output.length / 2)).includes(LINE_FEED)
    this.#isCertain = picture !== undefined || (before?.isCertain ?? true)
    if (picture) this.#begin(picture)
  }

  build(): Buffer {
    const output = this.#output
    const whole = output.length - unfinishedBytes(output)
    const unfinished = this.#parser.feed(output.subarray(0, whole), this)
    if (!this.#hasBegun) this.#begin()
    // Only now: a terminal with the focus reports it at once, and the programs before may not have wanted that.
    if (this.#modes.sendsFocus) this.#add('\x1b[?1004h')
    // The live output completes the sequence, or the character, that is not finished.
    const isCut = (unfinished === 0 && this.#isCut) || this.#parser.isSplit
    if (isCut) this.#add(this.#parser.beginning)
    this.#keep(isCut ? whole : unfinished, output.length)
    this.#copy()
    const tail = this.#tail.subarray(0, this.#length)
    // It may wait for its client for long.
    return tail.length < this.#tail.length / 2 ? Buffer.from(tail) : tail
  }

  onText(output: Buffer, start: number, end: number): void {
    let at = start
    const lineFeed = this.#awaitsLine ? indexOf(output, LINE_FEED, start, end) : end
    if (lineFeed < end) {
      at = lineFeed + 1
      this.#modes.applyText(output, start, at)
      this.#awaitsLine = false
      this.#hasBegun = false
    }
    if (!this.#hasBegun) {
      // The output may begin within a character.
      while (at < end && isContinuation(output[at])) at += 1
      this.#begin()
    }
    if (this.#awaitsLine) this.#modes.applyText(output, at, end)
    // Without the second byte, the lead and what follows a sequence that is left out could make another sequence.
    if (at < end) this.#keep(at, output[end - 1] === C1_LEAD ? end - 1 : end)
  }

  onSequence(sequence: Sequence, start: number, end: number): void {
    const { kind } = sequence
    const setsRegion = kind === 'csi' && sequence.name === SET_REGION
    const isOver = setsRegion && end <= this.#sizedAt
    // What has begun sets all by itself.
    if (!this.#hasBegun || this.#awaitsLine || !this.#isCertain || mayChangeFocus(sequence)) this.#modes.apply(sequence)
    if (isOver) this.#modes.forgetRegions()
    // A terminator without a beginning: what came before it was a string, and nothing to show.
    if (!this.#isCertain && kind === 'escape' && sequence.name === TERMINATOR) {
      this.#begin()
      this.#awaitsLine = false
    }
    if (kind !== 'control') this.#isCertain = true
    if (!this.#hasBegun || !mayReplay(sequence)) return
    const hasNoRegion = isOver || (setsRegion && isWhole(sequence.parameters, this.#rows))
    const shorter = hasNoRegion ? '\x1b[r' : withoutReports(sequence)
    if (shorter !== undefined) return this.#add(shorter)
    const { isSplit } = sequence
    if (isSplit) this.#keepClean(start, end)
    else this.#keep(start, end)
    const isOpen = (kind === 'osc' || kind === 'dcs') && (isSplit || this.#output[end - 1] !== BEL)
    if (isOpen) this.#add(STRING_TERMINATOR)
  }

  #begin(picture?: Picture): void {
    this.#hasBegun = true
    this.#length = 0
    this.#from = this.#to
    this.#modes.forgetRegions(this.#rows)
    this.#add(RESET + this.#modes.restore(picture))
  }

  /** Adds a part of the output. Copies it later, together with what follows it. */
  #keep(start: number, end: number): void {
    if (start !== this.#to) {
      this.#copy()
      this.#from = start
    }
    this.#to = end
  }

  /** Adds a sequence without the control characters between its bytes, which have been added before. */
  #keepClean(start: number, end: number): void {
    for (let at = start; at < end; at += 1) {
      const byte = Number(this.#output[at])
      if (at === start || (byte >= SPACE && byte !== DEL)) this.#keep(at, at + 1)
    }
  }

  #add(sequences: string): void {
    this.#copy()
    this.#makeRoom(sequences.length)
    if (sequences.length > SHORT_BYTES) this.#tail.write(sequences, this.#length, 'latin1')
    else for (let at = 0; at < sequences.length; at += 1) this.#tail[this.#length + at] = sequences.charCodeAt(at)
    this.#length += sequences.length
  }

  #copy(): void {
    const output = this.#output
    const [from, to] = [this.#from, this.#to]
    this.#from = to
    this.#makeRoom(to - from)
    const tail = this.#tail
    if (to - from > SHORT_BYTES) output.copy(tail, this.#length, from, to)
    else for (let at = from; at < to; at += 1) tail[this.#length + at - from] = Number(output[at])
    this.#length += to - from
  }

  #makeRoom(bytes: number): void {
    if (this.#length + bytes <= this.#tail.length) return
    const larger = Buffer.allocUnsafe(2 * (this.#length + bytes))
    this.#tail.copy(larger, 0, 0, this.#length)
    this.#tail = larger
  }
}

/** Whether a sequence may change `sendsFocus`. */
function mayChangeFocus({ kind, name }: Sequence): boolean {
  return kind === 'csi' ? FOCUS_CONTROLS.has(name) : kind === 'escape' && name === FULL_RESET
}

/** Returns the index of a byte, `end` if it is not there. A native search for each piece of text would take longer. */
function indexOf(output: Buffer, byte: number, start: number, end: number): number {
  let at = start
  while (at < end && output[at] !== byte) at += 1
  return at
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x80 && byte <= 0xbf
}
