import { TerminalModes } from '../screen/modes.ts'
import { nameOf, type Sequence } from '../screen/sequence.ts'
import { SequenceParser, type SequenceHandler } from '../screen/sequences.ts'

const COLOURS = nameOf('m')
const RESET = nameOf('c')

/** Tracks what programs change on the user's own terminal, so that the rest can be undone when a program is cut off. */
export class ModeTracker implements SequenceHandler {
  readonly #parser = new SequenceParser()
  readonly #modes = new TerminalModes()
  #isColoured = false

  /** Reads output before the terminal gets it. */
  track({ buffer, byteOffset, length }: Uint8Array): void {
    this.#parser.feed(Buffer.from(buffer, byteOffset, length), this)
  }

  /** Returns the sequences that undo every change that is left. */
  undo(): string {
    return (this.#isColoured ? '\x1b[0m' : '') + this.#modes.undo()
  }

  onSequence(sequence: Sequence): void {
    const { kind, name } = sequence
    this.#modes.apply(sequence)
    if (kind === 'csi' && name === COLOURS) this.#isColoured = sequence.parameters.some((parameter) => parameter > 0)
    if (kind === 'escape' && name === RESET) this.#isColoured = false
  }
}
