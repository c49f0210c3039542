import { SequenceParser, type SequenceHandler } from './sequence-parser.ts'
import { TerminalModes } from './terminal-modes.ts'

// To read each sequence takes four times as long as to pass the output on. So a session may have this many bytes read at
// once, and as many in each second. That takes 5 ms.
const READ_AT_ONCE = 1024 * 1024
const READ_PER_MS = 1024

const ESC = 0x1b
const BRACKET = 0x5b
const QUESTION_MARK = 0x3f
// Bytes around a private mode that are read in a flood: programs set their modes together.
const NEIGHBOURHOOD = 128

/** The state of a terminal that has shown the output before some offset. */
export class ScreenState implements SequenceHandler {
  readonly modes: TerminalModes = new TerminalModes()
  #parser = new SequenceParser()
  // Bytes that may be read now, and when that was computed.
  #credit = READ_AT_ONCE
  #since = performance.now()
  #isCertain = true

  /** The parser at the end of the output. Of a flood, it does not know whether a string has begun. */
  get parser(): SequenceParser {
    return this.#parser
  }

  /** Whether the parser knows all that it has to. */
  get isCertain(): boolean {
    return this.#isCertain
  }

  /** Takes the next output. Of a flood, reads only the surroundings of private modes (DECSET). */
  push(output: readonly Buffer[]): void {
    const now = performance.now()
    this.#credit = Math.min(READ_AT_ONCE, this.#credit + (now - this.#since) * READ_PER_MS)
    this.#since = now
    for (const data of output) {
      if (this.#credit < data.length) this.#skim(data)
      else {
        this.#credit -= data.length
        this.#parser.feed(data, this)
      }
    }
  }

  onSequence(...[kind, body]: Parameters<SequenceHandler['onSequence']>): void {
    this.modes.apply(kind, body)
    // Each sequence ends what was before it.
    this.#isCertain = true
  }

  #skim(data: Buffer): void {
    const { modes } = this
    for (let at = 0; (at = data.indexOf(QUESTION_MARK, at)) >= 0;) {
      const isMode = data[at - 1] === BRACKET && data[at - 2] === ESC
      if (isMode) {
        const nearby = data.subarray(at - 2, at + NEIGHBOURHOOD)
        new SequenceParser().feed(nearby, { onSequence: (kind, body) => modes.apply(kind, body) })
      }
      at += isMode ? NEIGHBOURHOOD : 1
    }
    this.#parser = new SequenceParser()
    this.#isCertain = false
  }
}
