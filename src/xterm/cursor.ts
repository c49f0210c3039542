/** The part of xterm.js that resets it. */
interface Resettable {
  reset?: () => void
  write(data: Uint8Array): void
}

export const ESCAPE = 0x1b
// After an escape, this resets the terminal (RIS). xterm.js 6 leaves a hidden cursor hidden then, so what shows it
// follows: `CSI ? 25 h`.
const RESET = 0x63
const SHOW_CURSOR = Uint8Array.of(0x1b, 0x5b, 0x3f, 0x32, 0x35, 0x68)

/** Makes `reset()` show the cursor. Returns a function that restores it. */
export function mendReset(xterm: Resettable): () => void {
  const { reset } = xterm
  if (!reset) return () => {}
  const mended = (): void => {
    reset.call(xterm)
    xterm.write(SHOW_CURSOR)
  }
  xterm.reset = mended
  return () => {
    // Not if somebody else has put theirs in its place since.
    if (xterm.reset === mended) xterm.reset = reset
  }
}

/** Adds to output, after each reset of the terminal, what shows the cursor. */
export class CursorShower {
  // Whether the output so far ends with an escape.
  #isEscaped = false

  /** Returns the same chunk if nothing is to be added. */
  add(chunk: Uint8Array): Uint8Array {
    const resets = this.#isEscaped && chunk[0] === RESET ? [1] : []
    for (let at = chunk.indexOf(ESCAPE); at >= 0; at = chunk.indexOf(ESCAPE, at + 1)) {
      if (chunk[at + 1] === RESET) resets.push(at + 2)
    }
    this.#isEscaped = chunk.at(-1) === ESCAPE
    if (resets.length === 0) return chunk
    const longer = new Uint8Array(chunk.length + resets.length * SHOW_CURSOR.length)
    let from = 0
    for (const [index, end] of [...resets, chunk.length].entries()) {
      longer.set(chunk.subarray(from, end), from + index * SHOW_CURSOR.length)
      if (index < resets.length) longer.set(SHOW_CURSOR, end + index * SHOW_CURSOR.length)
      from = end
    }
    return longer
  }
}
