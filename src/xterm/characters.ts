import { unfinishedBytes } from '../lib/characters.ts'

/**
 * Keeps the bytes of a character until all of them are there. xterm.js 6 shows nothing for some characters that it gets
 * in two parts: those that are cut behind a byte of 0x80, such as dashes, quotation marks and bullets.
 */
export class CharacterKeeper {
  #rest = new Uint8Array()

  /** Returns the same bytes if all of their characters are finished. */
  add(chunk: Uint8Array): Uint8Array {
    let output = chunk
    if (this.#rest.length > 0) {
      output = new Uint8Array(this.#rest.length + chunk.length)
      output.set(this.#rest)
      output.set(chunk, this.#rest.length)
    }
    const end = output.length - unfinishedBytes(output)
    this.#rest = output.slice(end)
    return output.subarray(0, end)
  }
}
