import type { CommandOutput } from './types.ts'

const STREAMS = { o: 'stdout', e: 'stderr' } as const
const PART = /^([oe])(\d+):(\d+):([A-Za-z\d+/=]*)$/
// A part has at most 64 KiB, in base64.
const LONGEST_LINE_CHARS = 100_000
const END = /^([oe])(\d+)\.$/

/**
 * Reads what the program of `commandScript` prints, in pieces of any size.
 *
 * The log that the server gives it from may have been cut (PROTOCOL 9.10), and may be read again from its beginning. So
 * each part has a number: one that comes again is skipped, and one that is missing is noticed.
 */
export class FrameReader {
  /** Whether the program has begun that runs the command. */
  hasBegun = false
  /** The exit status of the command; `undefined` before its end. */
  exitCode: number | undefined
  /** Whether all has ended: the command, and what holds its streams. */
  hasEnded = false
  /** Why the command has not run, in a word of the program. */
  failure: string | undefined
  readonly #onOutput: (output: CommandOutput) => void
  readonly #next = { stdout: 0, stderr: 0 }
  readonly #ended = new Set<string>()
  #hasGap = false
  // The beginning of a line whose end has not come.
  #line = ''

  constructor(onOutput: (output: CommandOutput) => void) {
    this.#onOutput = onOutput
  }

  /** Whether output is missing: parts of it, or its end. */
  get isTruncated(): boolean {
    return this.#hasGap || this.#ended.size < 2
  }

  push(text: string): void {
    const lines = (this.#line + text).split('\n')
    const rest = String(lines.pop())
    // Nothing of ours is longer.
    this.#line = rest.length > LONGEST_LINE_CHARS ? '' : rest
    for (const line of lines) this.#read(line.replace(/\r$/, ''))
  }

  /** Forgets the beginning of a line: what comes next is not the rest of it. */
  restart(): void {
    this.#line = ''
  }

  #read(line: string): void {
    const [, letter, number, size, base64 = ''] = PART.exec(line) ?? END.exec(line) ?? []
    if (letter === 'o' || letter === 'e') {
      const stream = STREAMS[letter]
      // A line with a piece missing is as good as none.
      if (size !== undefined && base64.length !== Number(size)) return
      if (Number(number) < this.#next[stream]) return
      if (Number(number) > this.#next[stream]) this.#hasGap = true
      this.#next[stream] = Number(number)
      if (size === undefined) {
        this.#ended.add(stream)
        return
      }
      this.#next[stream] += 1
      this.#onOutput({ stream, data: fromBase64(base64) })
    } else if (/^[cx]\d{1,3}$/.test(line)) {
      this.exitCode = Number(line.slice(1))
      this.hasEnded ||= line.startsWith('x')
    } else if (line === 'b') {
      this.hasBegun = true
    } else if (line.startsWith('!')) {
      this.failure = line.slice(1)
    }
  }
}

function fromBase64(text: string): Uint8Array {
  // Ten times as fast as the rest, where it exists.
  if (globalThis.Buffer) return new Uint8Array(globalThis.Buffer.from(text, 'base64'))
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0))
}

/** Returns bytes as base64. */
export function toBase64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))
}

/** Returns several pieces as one. */
export function join(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(pieces.reduce((size, { length }) => size + length, 0))
  let at = 0
  for (const piece of pieces) {
    whole.set(piece, at)
    at += piece.length
  }
  return whole
}
