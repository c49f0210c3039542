import { TTY_BUFFER, UNREAD_LIMIT } from '../upstream/protocol.ts'

// Bytes that may be unread before the output is compared with them, which costs time, on a server that may take all
// input. Typed commands stay below.
const COMPARE_FROM_BYTES = UNREAD_LIMIT / 2

// Characters in a row that output has to repeat. A clock or a spinner repeats fewer of them by chance.
const PROOF = 8

const BUCKETS = 4096
// An odd number that nobody can know, so that nobody can choose input whose hashes are all the same.
const SEED = 2 * Math.floor(Math.random() * 2 ** 31) + 1

const BELL = 0x07
const CANCEL = 0x18
const ESCAPE = 0x1b

/** What is needed to compare output with the input. */
interface Comparison {
  /** Absent after more input: it is made when there is output. */
  index: CharacterIndex | undefined
  /** Where the output is among escape sequences. */
  place: Place
  /** The last characters of the output that repeat nothing yet. */
  readonly last: LastCharacters
  /** What the character before has repeated: something for the first time, or something again. */
  repeats: 'first' | 'again' | undefined
}

/**
 * The input that was sent, and that the output has not shown to be read.
 *
 * The proof is that the output repeats 8 characters of it in a row: then everything up to there has been read, because
 * a terminal keeps the order. If these characters stand in several places, only the first one is sure.
 *
 * It may be the tty that has read and repeated it, for a program that has not, but no more than fits into its line
 * buffer. The program may then repeat that again. So output that could repeat the last {@link TTY_BUFFER} bytes again
 * proves nothing.
 */
export class UnreadInput {
  // The characters that the output may still repeat, for the first time or again, and how many bytes of input had been
  // sent with each.
  readonly #characters: number[] = []
  readonly #offsets: number[] = []
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

  /**
   * Compares output with the input. Returns whether it shows that more of the input was read. `isOld` is whether the
   * server is known to end a shell that does not read.
   */
  onOutput(data: Uint8Array, isOld: boolean): boolean {
    if (!this.#comparison && this.unrepeated < (isOld ? 1 : COMPARE_FROM_BYTES)) return false
    const comparison = (this.#comparison ??= {
      index: undefined,
      place: 'text',
      last: new LastCharacters(),
      repeats: undefined,
    })
    const index = (comparison.index ??= new CharacterIndex(this.#characters))
    const before = this.#read
    for (const byte of data) {
      if (comparison.place !== 'text' || byte === ESCAPE) comparison.place = nextPlace(comparison.place, byte)
      else if (isCharacter(byte)) this.#compare(byte, index, comparison)
    }
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

/** Whether a byte is no control character. A UTF-8 character counts as its bytes. */
function isCharacter(byte: number): boolean {
  return byte >= 0x20 && byte !== 0x7f
}

/** The last {@link PROOF} characters of a text. */
class LastCharacters {
  // In two numbers of 32 bits, because eight characters do not fit into one.
  older = 0
  newer = 0
  #count = 0

  push(character: number): void {
    this.older = (this.older << 8) | (this.newer >>> 24)
    this.newer = (this.newer << 8) | character
    this.#count += 1
  }

  clear(): void {
    this.#count = 0
  }

  /** A number below {@link BUCKETS}; -1 if there were not enough characters since the last `clear`. */
  get bucket(): number {
    if (this.#count < PROOF) return -1
    const mixed = Math.imul(this.older, SEED) ^ this.newer
    return (Math.imul(mixed ^ (mixed >>> 15), SEED) >>> 16) % BUCKETS
  }
}

/**
 * Finds the first place of {@link PROOF} characters in a row in a text. A plain search would take milliseconds for each
 * piece of a flood.
 */
class CharacterIndex {
  readonly #characters: readonly number[]
  // For each bucket, the first place after such characters, and for each place, the next one. 0 is none.
  readonly #first = new Uint16Array(BUCKETS)
  readonly #next: Uint16Array

  constructor(characters: readonly number[]) {
    this.#characters = characters
    this.#next = new Uint16Array(characters.length + 1)
    const newest = new Uint16Array(BUCKETS)
    const last = new LastCharacters()
    for (const [index, character] of characters.entries()) {
      last.push(character)
      const { bucket } = last
      if (bucket < 0) continue
      const before = Number(newest[bucket])
      if (before > 0) this.#next[before] = index + 1
      else this.#first[bucket] = index + 1
      newest[bucket] = index + 1
    }
  }

  /** Returns the first place after the characters that wholly stand from `start` on; 0 if there is none. */
  find(wanted: LastCharacters, start: number): number {
    const { bucket } = wanted
    for (let place = this.#first[bucket]; place; place = this.#next[place]) {
      // `start` only grows, so nobody needs an earlier place any more.
      if (place < start + PROOF) this.#first[bucket] = Number(this.#next[place])
      else if (this.#isBefore(place, wanted)) return place
    }
    return 0
  }

  #isBefore(place: number, { older, newer }: LastCharacters): boolean {
    const found = new LastCharacters()
    for (let index = place - PROOF; index < place; index += 1) found.push(Number(this.#characters[index]))
    return found.older === older && found.newer === newer
  }
}

/** Tells the text of a program's output from its escape sequences. */
type Place = 'text' | 'escape' | 'control sequence' | 'string'

/** @see https://invisible-island.net/xterm/ctlseqs/ctlseqs.html */
function nextPlace(place: Place, byte: number): Place {
  if (byte === ESCAPE) return 'escape'
  if (byte === CANCEL) return 'text'
  // A string, such as a title of the window, ends with BEL, or with ESC and a backslash.
  if (place === 'string') return byte === BELL ? 'text' : 'string'
  if (place === 'control sequence') return byte >= 0x40 ? 'text' : place
  if (byte === 0x5b) return 'control sequence'
  // ESC followed by P, X, ], ^ or _.
  if ([0x50, 0x58, 0x5d, 0x5e, 0x5f].includes(byte)) return 'string'
  return byte >= 0x30 ? 'text' : 'escape'
}
