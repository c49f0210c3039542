import { SequenceParser, type SequenceHandler } from './sequences.ts'
import type { Sequence } from './sequence.ts'
import { TerminalModes } from './modes.ts'

// To read each sequence takes four times as long as to pass the output on. So a session may have this many bytes read
// at once, and as many in each second. That takes 5 ms.
const READ_AT_ONCE_BYTES = 1024 * 1024
const READ_BYTES_PER_MS = 1024
// As many more bytes would take as long as what is done for these.
const STRING_COST_BYTES = 128
const CONTROL_COST_BYTES = 4

const ESC = 0x1b
const BRACKET = 0x5b
const QUESTION_MARK = 0x3f
// What is searched in a loop. A native search for each byte of a flood of question marks would take longer.
const SHORT_BYTES = 32
// What is read in a flood, from a private mode on: programs set their modes together.
const NEIGHBOURHOOD_BYTES = 128

/** The state of a terminal that has shown the output before some offset. */
export class ScreenState implements SequenceHandler {
  modes: TerminalModes = new TerminalModes()
  #parser = new SequenceParser()
  // Bytes that may be read now, and when that was computed.
  #credit = READ_AT_ONCE_BYTES
  #since = performance.now()
  #isCertain = true
  readonly #skimmer: SequenceHandler = { onSequence: (sequence) => this.modes.apply(sequence) }

  clone(): ScreenState {
    const clone = new ScreenState()
    clone.modes = this.modes.clone()
    clone.#parser = this.#parser.clone()
    clone.#isCertain = this.#isCertain
    return clone
  }

  /** The parser at the end of the output. Of a flood, it does not know whether a string has begun. */
  get parser(): SequenceParser {
    return this.#parser
  }

  /** Whether the parser knows if the output ends within a string. */
  get isCertain(): boolean {
    return this.#isCertain
  }

  /** Takes the next output. Of a flood, reads only the surroundings of private modes (DECSET), and the end. */
  push(output: readonly Buffer[]): void {
    const now = performance.now()
    this.#credit = Math.min(READ_AT_ONCE_BYTES, this.#credit + (now - this.#since) * READ_BYTES_PER_MS)
    this.#since = now
    let skimmed: Buffer | undefined
    for (const data of output) {
      skimmed = this.#credit < data.length ? data : undefined
      if (skimmed) this.#skim(data)
      else {
        this.#credit -= data.length
        this.#parser.feed(data, this)
      }
    }
    // Colours, charsets and the rest are most likely those of the last sequences.
    if (skimmed) this.#parser.feed(skimmed.subarray(-NEIGHBOURHOOD_BYTES), this.#skimmer)
  }

  onText(data: Buffer, start: number, end: number): void {
    this.modes.applyText(data, start, end)
  }

  onSequence(sequence: Sequence): void {
    const { kind } = sequence
    this.modes.apply(sequence)
    this.#credit -= kind === 'osc' ? STRING_COST_BYTES : kind === 'control' ? CONTROL_COST_BYTES : 0
    // Each sequence ends what was before it.
    if (kind !== 'control') this.#isCertain = true
  }

  #skim(data: Buffer): void {
    for (let at = data.indexOf(QUESTION_MARK); at >= 0;) {
      let next = at + 1
      if (data[at - 1] === BRACKET && data[at - 2] === ESC) {
        const from = at - 2
        // What is not finished is read again, with what follows it.
        const unfinished =
          from + new SequenceParser().feed(data.subarray(from, at + NEIGHBOURHOOD_BYTES), this.#skimmer)
        next = unfinished > from ? unfinished : at + NEIGHBOURHOOD_BYTES
      }
      at = indexOfQuestion(data, next)
    }
    this.#parser = new SequenceParser()
    this.#isCertain = false
  }
}

/**
 * Returns the index of the next question mark after another one; -1 if there is none. Most programs print them less
 * often than ESC.
 */
function indexOfQuestion(data: Buffer, from: number): number {
  const end = Math.min(from + SHORT_BYTES, data.length)
  for (let at = from; at < end; at += 1) if (data[at] === QUESTION_MARK) return at
  return data.indexOf(QUESTION_MARK, end)
}
