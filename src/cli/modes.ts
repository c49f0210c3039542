import { TerminalModes } from '../screen/modes.ts'
import type { Sequence } from '../screen/sequence.ts'
import { SequenceParser, type SequenceHandler } from '../screen/sequences.ts'

/** Tracks what programs change on the user's own terminal, so that the rest can be undone when a program is cut off. */
export class ModeTracker implements SequenceHandler {
  readonly #parser = new SequenceParser()
  readonly #modes = new TerminalModes()

  /** Reads output before the terminal gets it. */
  track({ buffer, byteOffset, length }: Uint8Array): void {
    this.#parser.feed(Buffer.from(buffer, byteOffset, length), this)
  }

  /** Returns the sequences that undo every change that is left. */
  undo(): string {
    return this.#modes.undo()
  }

  onSequence(sequence: Sequence): void {
    this.#modes.apply(sequence)
  }
}
