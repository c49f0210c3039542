/**
 * The kinds of escape sequences (ECMA-48, section 5). `string` is one of SOS, PM and APC.
 *
 * @see https://vt100.net/emu/dec_ansi_parser
 */
export type SequenceKind = 'escape' | 'csi' | 'osc' | 'dcs' | 'string'

// All names of more than three characters: nobody asks for one.
const UNNAMED = -1
// As in xterm.js.
const LARGEST_PARAMETER = 0x7fffffff

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
   * string; the final character of a device control string.
   */
  name = 0
  /** Whether a string contains a question mark. */
  asks = false
  /** Whether a parameter has parts, which are separated by colons. */
  hasParts = false
  /** Holds the body of an escape or control sequence, from `from` to before `to`. */
  body: Buffer = NO_BYTES
  from = 0
  to = 0
  #parameters: number[] | undefined

  begin(kind: SequenceKind): void {
    this.kind = kind
    this.name = 0
    this.asks = false
    this.hasParts = false
    this.#parameters = undefined
  }

  clone(): Sequence {
    const { kind, name, asks, hasParts, body, from, to } = this
    return Object.assign(new Sequence(), { kind, name, asks, hasParts, body, from, to })
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
      else if (byte === 0x3b) {
        parameters.push(parameter)
        parameter = 0
      }
    }
    parameters.push(parameter)
    return (this.#parameters = parameters)
  }
}
