/** Returns how many bytes at the end of some output begin a character in UTF-8 that is not finished. */
export function unfinishedBytes(output: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, output.length); back += 1) {
    const byte = Number(output[output.length - back])
    if (byte < 0x80) return 0
    if (byte < 0xc0) continue
    const length = byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4
    return back < length ? back : 0
  }
  return 0
}

/**
 * Keeps the bytes of a character until all of them are there. xterm.js 6 shows nothing for some characters that it gets
 * in two parts: those that are cut behind a byte of 0x80, such as dashes, quotation marks and bullets.
 */
export class CharacterKeeper {
  /** The bytes that are kept. */
  rest: Uint8Array = new Uint8Array()

  /** Returns the same bytes if all of their characters are finished. */
  add(chunk: Uint8Array): Uint8Array {
    let output = chunk
    if (this.rest.length > 0) {
      output = new Uint8Array(this.rest.length + chunk.length)
      output.set(this.rest)
      output.set(chunk, this.rest.length)
    }
    const end = output.length - unfinishedBytes(output)
    // A copy, whatever the chunk is: `slice` of a Buffer would keep all of it in memory.
    this.rest = new Uint8Array(output.subarray(end))
    return output.subarray(0, end)
  }
}
