import { NO_BYTES } from './sequence.ts'

/** Returns the bytes at the end of some output that begin a character in UTF-8, and are not all of it. */
export function unfinishedCharacter(output: Buffer): Buffer {
  for (let back = 1; back <= Math.min(3, output.length); back += 1) {
    const byte = Number(output[output.length - back])
    if (byte < 0x80) return NO_BYTES
    if (byte < 0xc0) continue
    const length = byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4
    return back < length ? Buffer.from(output.subarray(-back)) : NO_BYTES
  }
  return NO_BYTES
}
