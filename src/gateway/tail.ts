import { mayReplay, withoutReports } from './replayable.ts'
import { SequenceParser, type SequenceHandler, type SequenceKind } from './sequence-parser.ts'
import { TerminalModes } from './terminal-modes.ts'

const ENQ = 0x05
const BEL = 0x07
const LINE_FEED = 0x0a
// The first of two bytes in UTF-8, of which the second may begin a sequence.
const C1_LEAD = 0xc2

// CAN ends a sequence that the terminal may have got in part, and RIS resets the terminal.
const RESET = '\x18\x1bc'
const STRING_TERMINATOR = '\x1b\\'

/** The state of a terminal that has shown some output. */
export interface TerminalState {
  readonly parser: SequenceParser
  readonly modes: TerminalModes
  /** Whether the parser knows if the output ends within a string. */
  readonly isCertain: boolean
}

/**
 * Returns the last output for a terminal that has not shown the output before it. The tail begins at a line, with the modes
 * that are on, and leaves out all sequences that a terminal answers, or that act outside of its window: nobody waits for
 * these answers any more, so they would be typed into the shell.
 *
 * @param output The last output.
 * @param before The state before it; absent if there was no output before it.
 */
export function buildTail(output: Buffer, before?: TerminalState): Buffer {
  return new Tail(output, before, 'line').build() ?? new Tail(output, before, 'anywhere').finish()
}

class Tail implements SequenceHandler {
  readonly #output: Buffer
  readonly #parser: SequenceParser
  readonly #modes: TerminalModes
  // Whether the output begins within a sequence.
  readonly #isCut: boolean
  readonly #beginAt: 'line' | 'anywhere'
  readonly #parts: Buffer[] = []
  // Whether the tail has begun.
  #hasBegun: boolean
  // Whether it is known that what has been read is no part of a string.
  #isCertain: boolean

  constructor(output: Buffer, before: TerminalState | undefined, beginAt: 'line' | 'anywhere') {
    this.#output = output
    this.#parser = before?.parser.clone() ?? new SequenceParser()
    this.#modes = before?.modes.clone() ?? new TerminalModes()
    this.#isCut = this.#parser.beginning !== ''
    this.#beginAt = beginAt
    this.#hasBegun = before === undefined
    this.#isCertain = before?.isCertain ?? true
  }

  /** Returns the tail, or `undefined` if the first half of the output has no end of a line. */
  build(): Buffer | undefined {
    const half = Math.ceil(this.#output.length / 2)
    // Most output has an end of a line soon.
    if (!this.#hasBegun && !this.#output.subarray(0, half).includes(LINE_FEED)) return undefined
    const tail = this.finish()
    return this.#hasBegun ? tail : undefined
  }

  finish(): Buffer {
    const unfinished = this.#parser.feed(this.#output, this)
    if (!this.#hasBegun && this.#beginAt === 'anywhere') this.#begin()
    // Only now: a terminal with the focus reports it at once, and the programs before may not have wanted that.
    if (this.#modes.sendsFocus) this.#add('\x1b[?1004h')
    // The live output completes the sequence that is not finished.
    if (unfinished === 0 && this.#isCut) this.#add(this.#parser.beginning)
    else this.#parts.push(this.#output.subarray(unfinished))
    return Buffer.concat(this.#parts)
  }

  onText(_data: Buffer, start: number, end: number): void {
    let text = this.#output.subarray(start, end)
    if (!this.#hasBegun) {
      if (this.#beginAt === 'line') {
        const lineFeed = text.indexOf(LINE_FEED)
        if (lineFeed === -1) return
        text = text.subarray(lineFeed + 1)
      }
      // The output may begin within a character.
      while (isContinuation(text[0])) text = text.subarray(1)
      this.#begin()
    }
    for (let enquiry; (enquiry = text.indexOf(ENQ)) >= 0; text = text.subarray(enquiry + 1)) {
      this.#addText(text.subarray(0, enquiry))
    }
    this.#addText(text)
  }

  onSequence(kind: SequenceKind, body: string, _data: Buffer, start: number, end: number): void {
    this.#modes.apply(kind, body)
    // A terminator without a beginning: what came before it was a string, and nothing to show.
    if (!this.#isCertain && kind === 'escape' && body === '\\') this.#begin()
    this.#isCertain = true
    if (!this.#hasBegun || !mayReplay(kind, body)) return
    const shorter = withoutReports(kind, body)
    if (shorter !== undefined) return this.#add(shorter)
    this.#parts.push(this.#output.subarray(start, end))
    const isOpen = (kind === 'osc' || kind === 'dcs') && this.#output[end - 1] !== BEL
    if (isOpen) this.#add(STRING_TERMINATOR)
  }

  #addText(text: Buffer): void {
    // Without this, the byte and what follows a sequence that is left out could make another sequence.
    this.#parts.push(text.at(-1) === C1_LEAD ? text.subarray(0, -1) : text)
  }

  #begin(): void {
    this.#hasBegun = true
    this.#parts.length = 0
    this.#add(RESET + this.#modes.restore())
  }

  #add(sequences: string): void {
    this.#parts.push(Buffer.from(sequences, 'latin1'))
  }
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x80 && byte <= 0xbf
}
