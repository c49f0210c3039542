const ASCII = 0x42
const ALL_ASCII = ASCII * 0x01010101
// The final characters of the charsets that xterm.js knows.
const KNOWN: ReadonlySet<number> = new Set(Buffer.from('0AB4C5RQKYE6ZH7='))
// What designates G0 to G3, and which one these and the following characters mean: G1 and G2 have another one for sets
// of 96 characters.
const DESIGNATORS = '()*+'
const DESIGNATED = [0, 1, 2, 3, undefined, 1, 2]
const FIRST_DESIGNATOR = 0x28
// Selects UTF-8, or not.
const CODING = 0x25
// What takes one of them into use: SI, SO, LS2 and LS3.
const SHIFTS = ['\x0f', '\x0e', '\x1bn', '\x1bo']

/** The charsets G0 to G3. */
export class Charsets {
  /** Which one is in use, from 0 for G0. */
  level = 0
  // The final character of each, a byte for each: a program may reset them for every two bytes.
  #designated = ALL_ASCII

  /** Becomes the same as another one. */
  copy(other: Charsets): void {
    this.level = other.level
    this.#designated = other.#designated
  }

  /** Whether the one in use is G0, and ASCII. */
  get isAscii(): boolean {
    return this.level === 0 && (this.#designated & 0xff) === ASCII
  }

  /** Makes all ASCII. */
  designateAscii(): void {
    this.#designated = ALL_ASCII
  }

  reset(): void {
    this.level = 0
    this.#designated = ALL_ASCII
  }

  /** Takes the name of an escape sequence of two characters. Returns whether it is about charsets. */
  apply(name: number): boolean {
    const first = name >> 8
    if (first === CODING) {
      this.level = 0
      this.#designate(0, ASCII)
      return true
    }
    const designated = DESIGNATED[first - FIRST_DESIGNATOR]
    if (designated !== undefined && KNOWN.has(name & 0xff)) this.#designate(designated, name & 0xff)
    return designated !== undefined
  }

  /** Returns what designates these in a terminal where all are ASCII, and takes one into use. */
  restore(): string {
    return this.#spell((final) => String.fromCharCode(final)) + (this.level > 0 ? SHIFTS[this.level] : '')
  }

  /** Returns what makes all ASCII again, and takes G0 into use. */
  undo(): string {
    return this.#spell(() => 'B') + (this.level > 0 ? SHIFTS[0] : '')
  }

  #designate(level: number, final: number): void {
    const shift = 8 * level
    this.#designated = (this.#designated & ~(0xff << shift)) | (final << shift)
  }

  #spell(finalOf: (final: number) => string): string {
    const finals = [0, 8, 16, 24].map((shift) => (this.#designated >> shift) & 0xff)
    return finals.map((final, at) => (final === ASCII ? '' : `\x1b${DESIGNATORS[at]}${finalOf(final)}`)).join('')
  }
}
