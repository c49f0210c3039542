import { TTY_BUFFER, UNREAD_LIMIT } from '../upstream/protocol.ts'
import { CharacterIndex, isCharacter, LastCharacters } from './characters.ts'
import { TextOfOutput } from './text-of-output.ts'

// Bytes that may be unread before the output is compared with them, which costs time, on a server that may take all input.
// Typed commands stay below.
const COMPARE_FROM = UNREAD_LIMIT / 2

/** What is needed to compare output with the input. */
interface Comparison {
  /** Absent after more input: it is made when there is output. */
  index: CharacterIndex | undefined
  readonly text: TextOfOutput
  /** The last characters of the output that repeat nothing yet. */
  readonly last: LastCharacters
  /** What the character before has repeated: something for the first time, or something again. */
  repeats: 'first' | 'again' | undefined
}

/**
 * The input that was sent, and that the output has not shown to be read.
 *
 * The proof is that the output repeats 8 characters of it in a row: then everything up to there has been read, because a
 * terminal keeps the order. If these characters stand in several places, only the first one is sure.
 *
 * It may be the tty that has read and repeated it, for a program that has not, but no more than fits into its line buffer.
 * The program may then repeat that again. So output that could repeat the last {@link TTY_BUFFER} bytes again proves nothing.
 */
export class UnreadInput {
  // The characters that the output may still repeat, for the first time or again, and how many bytes of input had been sent
  // with each.
  #characters: number[] = []
  #offsets: number[] = []
  #sent = 0
  // The index of the first character that the output may repeat again, and of the first that it has not repeated.
  #again = 0
  #first = 0
  // How many bytes the output has repeated, and how many of them may still be in the line buffer of the tty.
  #read = 0
  #repeated = 0
  // Absent while nothing is compared.
  #comparison: Comparison | undefined

  /** How many bytes may be unread. */
  get bytes(): number {
    return this.unrepeated + this.#repeated
  }

  /** How many bytes the output has not repeated. */
  get unrepeated(): number {
    return this.#sent - this.#read
  }

  /** Notes bytes that were sent. */
  push(data: Uint8Array): void {
    this.#characters.splice(0, this.#again)
    this.#offsets.splice(0, this.#again)
    this.#first -= this.#again
    this.#again = 0
    for (const byte of data) {
      this.#sent += 1
      if (!isCharacter(byte)) continue
      this.#characters.push(byte)
      this.#offsets.push(this.#sent)
    }
    if (this.#comparison) this.#comparison.index = undefined
  }

  /** Notes that everything was read. */
  clear(): void {
    this.#characters = []
    this.#offsets = []
    this.#again = this.#first = this.#repeated = 0
    this.#read = this.#sent
    this.#comparison = undefined
  }

  /**
   * Compares output with the input. Returns whether it shows that more of the input was read. `isOld` is whether the server
   * is known to end a shell that does not read.
   */
  onOutput(data: Uint8Array, isOld: boolean): boolean {
    if (!this.#comparison && this.unrepeated < (isOld ? 1 : COMPARE_FROM)) return false
    this.#comparison ??= { index: undefined, text: new TextOfOutput(), last: new LastCharacters(), repeats: undefined }
    this.#comparison.index ??= new CharacterIndex(this.#characters)
    const { index, text } = this.#comparison
    const before = this.#read
    for (const byte of data) if (text.has(byte) && isCharacter(byte)) this.#compare(byte, index, this.#comparison)
    const read = this.#read - before
    this.#repeated = Math.min(this.#repeated + read, TTY_BUFFER)
    return read > 0
  }

  #compare(character: number, index: CharacterIndex, comparison: Comparison): void {
    let place = comparison.repeats === 'again' ? this.#again : this.#first
    if (comparison.repeats && this.#characters[place] === character) place += 1
    else {
      comparison.last.push(character)
      comparison.repeats = undefined
      place = index.find(comparison.last, this.#again)
      if (place === 0) return
      comparison.last.clear()
      comparison.repeats = place <= this.#first ? 'again' : 'first'
    }
    if (comparison.repeats === 'again') this.#again = place
    // What repeats again may catch up with what repeats first.
    if (place <= this.#first) return
    this.#first = place
    this.#read = Number(this.#offsets[place - 1])
    while (Number(this.#offsets[this.#again]) <= this.#read - TTY_BUFFER) this.#again += 1
  }
}
