/** Characters in a row that output has to repeat. A clock or a spinner repeats fewer of them by chance. */
const PROOF = 8

const BUCKETS = 4096
// An odd number that nobody can know, so that nobody can choose input whose hashes are all the same.
const SEED = 2 * Math.floor(Math.random() * 2 ** 31) + 1

/** Whether a byte is no control character. A UTF-8 character counts as its bytes. */
export function isCharacter(byte: number): boolean {
  return byte >= 0x20 && byte !== 0x7f
}

/** The last {@link PROOF} characters of a text. */
export class LastCharacters {
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
 * Finds the first place of {@link PROOF} characters in a row in a text. A plain search would take milliseconds for each piece
 * of a flood.
 */
export class CharacterIndex {
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
