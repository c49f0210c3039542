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
