/**
 * The kinds of escape sequences (ECMA-48, section 5). `string` is one of SOS, PM and APC. A `control` is a control
 * character alone.
 *
 * @see https://vt100.net/emu/dec_ansi_parser
 */
export type SequenceKind = 'escape' | 'csi' | 'osc' | 'dcs' | 'string' | 'control'

// All names of more than three characters: nobody asks for one.
const UNNAMED = -1
// As in xterm.js.
const LARGEST_PARAMETER = 0x7fffffff

/** A terminal ignores longer control sequences sooner or later. */
export const LONGEST_BODY_BYTES = 4096

// A native conversion of less takes longer than a loop.
const SHORT_BYTES = 32

const SPACE = 0x20
const SEMICOLON = 0x3b

/** The control characters that begin a sequence, by their second byte in UTF-8. */
export const C1_KINDS: ReadonlyMap<number | undefined, SequenceKind> = new Map([
  [0x90, 'dcs'],
  [0x98, 'string'],
  [0x9b, 'csi'],
  [0x9d, 'osc'],
  [0x9e, 'string'],
  [0x9f, 'string'],
])

/** What follows ESC, for the same. */
export const ESC_KINDS: ReadonlyMap<number, SequenceKind> = new Map([
  [0x50, 'dcs'],
  [0x58, 'string'],
  [0x5b, 'csi'],
  [0x5d, 'osc'],
  [0x5e, 'string'],
  [0x5f, 'string'],
])

/** What begins a sequence that is kept. */
export const INTRODUCERS = { escape: '\x1b', csi: '\x1b[', osc: '\x1b]', control: '' } as const

/** No bytes. */
export const NO_BYTES: Buffer = Buffer.alloc(0)

/**
 * Returns a name of up to three characters as a number: a string for each sequence would take most of the time.
 */
export function nameOf(text: string): number {
  return Buffer.from(text).reduce(extendName, 0)
}

/** Adds a character to a name. */
export function extendName(name: number, byte: number): number {
  return name > 0xffff || name === UNNAMED ? UNNAMED : (name << 8) | byte
}

/** A sequence in a terminal's output. Read it at once, because the parser uses the object for the next one. */
export class Sequence {
  kind: SequenceKind = 'escape'
  /**
   * What {@link nameOf} returns for the characters that tell sequences of a kind apart: all of an escape sequence; the
   * prefix, intermediate and final characters of a control sequence; what is before the first semicolon of an OSC
   * string; the final character of a device control string; a control character itself.
   */
  name = 0
  /** Whether a string contains a question mark. */
  asks = false
  /** Whether a parameter has parts, which are separated by colons. */
  hasParts = false
  /** Whether control characters are between its bytes. A terminal does what they say, and goes on with the sequence. */
  isSplit = false
  /** Holds the body of an escape or control sequence or of an OSC string, from `from` to before `to`. */
  body: Buffer = NO_BYTES
  from = 0
  to = 0
  #parameters: number[] | undefined

  begin(kind: SequenceKind): void {
    this.kind = kind
    this.name = 0
    this.asks = false
    this.hasParts = false
    this.isSplit = false
    this.#parameters = undefined
  }

  clone(): Sequence {
    const { kind, name, asks, hasParts, isSplit, body, from, to } = this
    return Object.assign(new Sequence(), { kind, name, asks, hasParts, isSplit, body, from, to })
  }

  /** The parameters of a control sequence, 0 for those that are left out. */
  get parameters(): readonly number[] {
    if (this.#parameters) return this.#parameters
    const { body, to } = this
    const parameters = []
    let parameter = 0
    for (let at = this.from; at < to; at += 1) {
      const byte = Number(body[at])
      if (byte >= 0x30 && byte <= 0x39) parameter = Math.min(LARGEST_PARAMETER, parameter * 10 + byte - 0x30)
      else if (byte === SEMICOLON) {
        parameters.push(parameter)
        parameter = 0
      }
    }
    parameters.push(parameter)
    return (this.#parameters = parameters)
  }

  /** What is after the name of an OSC string, each byte as a character. Of a long one, the beginning. */
  get content(): string {
    const { body, from } = this
    const to = Math.min(this.to, from + LONGEST_BODY_BYTES)
    let text = ''
    if (to - from > SHORT_BYTES) text = withoutControls(body.toString('latin1', from, to))
    else
      for (let at = from; at < to; at += 1)
        text += Number(body[at]) < SPACE ? '' : String.fromCharCode(Number(body[at]))
    const end = text.indexOf(';')
    return end < 0 ? '' : text.slice(end + 1)
  }
}

/** Returns what a terminal takes for the sequence itself, if control characters are within. */
export function withoutControls(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replaceAll(/[\0-\x1f\x7f]/g, '')
}

/** Whether a byte is the second one of a control character from U+0080 to U+009F in UTF-8. */
export function isC1(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x80 && byte <= 0x9f
}
