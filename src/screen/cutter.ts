import { CharacterKeeper } from '../lib/characters.ts'
import type { WindowSize } from './classes.ts'
import { NO_BYTES, nameOf, withoutControls, type Sequence } from './sequence.ts'
import { SequenceParser, type SequenceHandler } from './sequences.ts'

const COLOURS = nameOf('m')
const MODES: ReadonlySet<number> = new Set(['h', 'l', '?h', '?l'].map(nameOf))
// What repeats something as often as its parameter says: prints again; inserts, deletes and scrolls lines; inserts,
// deletes, erases and tabs within a line.
const REPEAT_CHARACTER = nameOf('b')
const REPEAT_LINES: ReadonlySet<number> = new Set(['L', 'M', 'S', 'T'].map(nameOf))
const REPEATS: ReadonlySet<number> = new Set(
  ['@', 'P', 'X', 'I', 'Z', ' @', ' A', "'}", "'~"].map(nameOf).concat(REPEAT_CHARACTER, ...REPEAT_LINES),
)

// A sequence takes up to 45 ns for each cell of the window, and a quarter of that for each row and column as often as
// it repeats something. So what is written at once takes 2 ms, and a character that is repeated as long at most.
const MOST_CELLS_AT_ONCE = 40_000
const REPEATED = 1 / 4
const MOST_SHIFTED = 1_000_000

// What joins the character before it, without end. Nobody sees more than some of these, but a terminal keeps them all.
const JOINED = /[\p{M}\p{Cf}\u1160-\u11ff]/u
const MOST_JOINED = 16
const FIRST_JOINED_LEAD = 0xcc

/**
 * Makes output safe to draw. A terminal draws a screen for a few bytes, or as many as their parameter says, so that is
 * cut to the window; and it keeps strings, which may be large and draw nothing, so these are left out.
 */
export class Cutter implements SequenceHandler {
  #parser = new SequenceParser()
  #characters = new CharacterKeeper()
  // What has been cut, the last of it in parts, and how many cells these may draw.
  #pieces: Buffer[] = []
  #parts: Buffer[] = []
  #drawn = 0
  // What is being cut, and whether that begins within a sequence.
  #input: Buffer = NO_BYTES
  #isOpen = false
  // How many characters have joined the last one that takes room.
  #joined = 0
  #size: WindowSize = { cols: 0, rows: 0 }

  /** Returns the next output in pieces, each of which takes little time in a window of this size. */
  cut(data: Buffer, size: WindowSize): Buffer[] {
    this.#size = size
    this.#isOpen = this.#parser.beginning !== ''
    const whole = this.#characters.add(data)
    this.#input = Buffer.from(whole.buffer, whole.byteOffset, whole.length)
    this.#parser.feed(this.#input, this)
    this.#endPiece()
    this.#input = NO_BYTES
    return this.#pieces.splice(0)
  }

  /** What comes next does not belong to what came before. */
  reset(): void {
    this.#parser = new SequenceParser()
    this.#characters = new CharacterKeeper()
  }

  /** The beginning of the sequence, or of the character, that goes on in the next output. */
  get beginning(): Buffer {
    return Buffer.concat([Buffer.from(this.#parser.beginning, 'latin1'), this.#characters.rest])
  }

  onText(data: Buffer, start: number, end: number): void {
    const text = data.subarray(start, end)
    if (text.some((byte) => byte >= FIRST_JOINED_LEAD)) this.#parts.push(this.#thin(text))
    else {
      this.#joined = 0
      this.#parts.push(text)
    }
  }

  onSequence(sequence: Sequence, start: number, end: number): void {
    const { kind, name, isSplit } = sequence
    if (kind === 'osc' || kind === 'dcs' || kind === 'string') return
    const repeats = kind === 'csi' && REPEATS.has(name) ? this.#repeatsOf(sequence) : undefined
    if (repeats) this.#parts.push(shortened(sequence, repeats))
    // What is left of a sequence that began earlier has another beginning.
    else if (isSplit || (this.#isOpen && start === 0 && kind !== 'control'))
      this.#parts.push(Buffer.from(sourceOf(sequence), 'latin1'))
    else this.#parts.push(this.#input.subarray(start, end))
    if (kind === 'control' || (kind === 'csi' && name === COLOURS)) return
    const { cols, rows } = this.#size
    this.#drawn += cols * rows * (MODES.has(name) ? sequence.parameters.length : 1)
    this.#drawn += (cols + rows) * REPEATED * (repeats?.[0] ?? 0)
    if (this.#drawn + cols * rows > MOST_CELLS_AT_ONCE) this.#endPiece()
  }

  /** Returns the parameters of a sequence that repeats nothing more often than the window has room for. */
  #repeatsOf({ name, parameters }: Sequence): number[] {
    const { cols, rows } = this.#size
    const characters = Math.min(cols * rows, Math.max(cols, Math.floor(MOST_SHIFTED / (cols + rows))))
    const most = name === REPEAT_CHARACTER ? characters : REPEAT_LINES.has(name) ? rows : cols
    return parameters.map((parameter) => Math.min(parameter, most))
  }

  /** Leaves out characters that join the one before when too many have. */
  #thin(text: Buffer): Buffer {
    let thinned = ''
    let isThinned = false
    for (const character of text.toString()) {
      this.#joined = JOINED.test(character) ? this.#joined + 1 : 0
      if (this.#joined <= MOST_JOINED) thinned += character
      else isThinned = true
    }
    return isThinned ? Buffer.from(thinned) : text
  }

  #endPiece(): void {
    this.#drawn = 0
    if (this.#parts.length > 0) this.#pieces.push(Buffer.concat(this.#parts.splice(0)))
  }
}

/** Returns a sequence with other parameters. */
function shortened(sequence: Sequence, parameters: readonly number[]): Buffer {
  const final = sourceOf(sequence)
    .slice(2)
    .replace(/^[\d:;]*/, '')
  return Buffer.from(`\x1b[${sequence.hasParts ? '' : parameters.join(';')}${final}`)
}

/** Returns an escape or control sequence without the control characters between its bytes. */
function sourceOf({ kind, body, from, to }: Sequence): string {
  return (kind === 'csi' ? '\x1b[' : '\x1b') + withoutControls(body.toString('latin1', from, to))
}
