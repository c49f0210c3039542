import { TTY_BYTES, UNREAD_BYTES } from '../upstream/protocol.ts'

// On a server that may take all input, output is compared, which costs time, from a paste on, or when so much is
// unread. Typed commands stay below.
const PASTE_BYTES = 256
const COMPARE_FROM_BYTES = UNREAD_BYTES / 2

// What output has to repeat in a row. A clock or a spinner repeats fewer of them by chance.
const PROOF_CHARS = 8

// What output may repeat once more, before the last proof: more than the line buffer of a tty, and a large screen.
const MEMORY_BYTES = 24_576

// How far after the last proof. Further on, 8 may be the end of one text and the beginning of another, such as a prompt
// and a word. If 8 more follow, the proof is of one text.
const NEAR_CHARS = 256

const BUCKETS = 32_768
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
  /** The last characters of the output. */
  readonly last: LastCharacters
  /** The first place after these in the input; 0 for none. */
  found: number
  /** How many times in a row that place was the next one. */
  inRow: number
  /** Whether the character before was part of a proof. */
  isProof: boolean
  /** Where the paste begins in the input that the comparison began with. What was typed before has no proof. */
  paste: number
}

/**
 * The input that was sent, and that the output has not shown to be read.
 *
 * The proof is that the output repeats 8 characters of it in a row, or 16 if it has left out much before them: then
 * everything up to there has been read, because a terminal keeps the order. If these characters stand in several
 * places, only the first one is sure.
 *
 * Output may repeat input more than once: the tty does, as far as its line buffer goes, for a program that has not read
 * it yet, and then the program does, which may also draw its screen anew. So characters that stand in the
 * {@link MEMORY_BYTES} before the last proof prove nothing, wherever else they stand.
 */
export class UnreadInput {
  // The characters that the output may repeat, and how many bytes of input had been sent with each.
  #characters: number[] = []
  #offsets: number[] = []
  #sent = 0
  // The index of the first character that the output has not repeated.
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
    let old = 0
    while (old < this.#first && Number(this.#offsets[old]) <= this.#read - MEMORY_BYTES) old += 1
    this.#characters.splice(0, old)
    this.#offsets.splice(0, old)
    this.#first -= old
    if (this.#comparison) {
      this.#comparison.index = undefined
      this.#comparison.found -= old
      this.#comparison.paste -= old
    } else if (data.length >= PASTE_BYTES) this.#compareFrom(this.#characters.length)
    for (const byte of data) {
      this.#sent += 1
      if (!isCharacter(byte)) continue
      this.#characters.push(byte)
      this.#offsets.push(this.#sent)
    }
  }

  /**
   * Compares output with the input. Returns whether it shows that more of the input was read. `isOld` is whether the
   * server is known to end a shell that does not read.
   */
  onOutput(data: Uint8Array, isOld: boolean): boolean {
    if (!this.#comparison && this.unrepeated < (isOld ? 1 : COMPARE_FROM_BYTES)) return false
    const comparison = this.#comparison ?? this.#compareFrom(0)
    const index = (comparison.index ??= new CharacterIndex(this.#characters))
    const before = this.#read
    for (const byte of data) {
      if (comparison.place !== 'text' || byte === ESCAPE) comparison.place = nextPlace(comparison.place, byte)
      else if (isCharacter(byte)) this.#compare(byte, index, comparison)
    }
    const read = this.#read - before
    this.#repeated = Math.min(this.#repeated + read, TTY_BYTES)
    return read > 0
  }

  #compare(character: number, index: CharacterIndex, comparison: Comparison): void {
    comparison.last.push(character)
    if (comparison.isProof && this.#characters[this.#first] === character) this.#first += 1
    else {
      if (comparison.isProof) comparison.last.clear(character)
      const found = index.find(comparison.last)
      comparison.inRow = found === comparison.found + 1 ? comparison.inRow + 1 : 1
      comparison.found = found
      const lastProof = Math.max(this.#first, comparison.paste)
      comparison.isProof = found > lastProof && (found - lastProof <= NEAR_CHARS || comparison.inRow > PROOF_CHARS)
      if (!comparison.isProof) return
      this.#first = found
    }
    this.#read = Number(this.#offsets[this.#first - 1])
  }

  #compareFrom(paste: number): Comparison {
    const last = new LastCharacters()
    return (this.#comparison = { index: undefined, place: 'text', last, found: 0, inRow: 0, isProof: false, paste })
  }
}

/** Whether a byte is no control character. A UTF-8 character counts as its bytes. */
function isCharacter(byte: number): boolean {
  return byte >= 0x20 && byte !== 0x7f
}

/** The last {@link PROOF_CHARS} characters of a text. */
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

  /** Forgets all characters but one. */
  clear(character: number): void {
    this.#count = 0
    this.push(character)
  }

  /** A number below {@link BUCKETS}; -1 if there were not enough characters since the last `clear`. */
  get bucket(): number {
    if (this.#count < PROOF_CHARS) return -1
    const mixed = Math.imul(this.older, SEED) ^ this.newer
    return (Math.imul(mixed ^ (mixed >>> 15), SEED) >>> 16) % BUCKETS
  }
}

/**
 * Finds the first place of {@link PROOF_CHARS} characters in a row in a text. A plain search would take milliseconds
 * for each piece of a flood.
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

  /** Returns the first place after these characters; 0 if there is none. */
  find(wanted: LastCharacters): number {
    const { bucket } = wanted
    for (let place = this.#first[bucket]; place; place = this.#next[place]) {
      if (this.#isBefore(place, wanted)) return place
    }
    return 0
  }

  #isBefore(place: number, { older, newer }: LastCharacters): boolean {
    const found = new LastCharacters()
    for (let index = place - PROOF_CHARS; index < place; index += 1) found.push(Number(this.#characters[index]))
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
