/**
 * The kinds of escape sequences (ECMA-48, section 5). `string` is one of SOS, PM and APC.
 *
 * @see https://vt100.net/emu/dec_ansi_parser
 */
export type SequenceKind = 'escape' | 'csi' | 'osc' | 'dcs' | 'string'

/** Is told what a {@link SequenceParser} has found, in order. */
export interface SequenceHandler {
  /** The bytes from `start` to `end` are text and control characters that begin no sequence. */
  onText?(data: Buffer, start: number, end: number): void
  /**
   * The bytes from `start` to `end` are a complete sequence, a string without its terminator unless that is BEL. `start` is
   * 0 if it began in an earlier call. `body` is what follows the introducer, as Latin-1, without the terminator, and only
   * its beginning if it is very long.
   */
  onSequence(kind: SequenceKind, body: string, data: Buffer, start: number, end: number): void
}

const BEL = 0x07
const CAN = 0x18
const SUB = 0x1a
const ESC = 0x1b
const DEL = 0x7f
// In UTF-8, the control characters from U+0080 to U+009F are this byte and one from 0x80 to 0x9F.
const C1_LEAD = 0xc2

// The control characters that begin a sequence, by their second byte in UTF-8.
const C1_KINDS: Partial<Record<number, SequenceKind>> = {
  0x90: 'dcs',
  0x98: 'string',
  0x9b: 'csi',
  0x9d: 'osc',
  0x9e: 'string',
  0x9f: 'string',
}

// What follows ESC, for the same.
const ESC_KINDS: Partial<Record<string, SequenceKind>> = {
  P: 'dcs',
  X: 'string',
  '[': 'csi',
  ']': 'osc',
  '^': 'string',
  _: 'string',
}

const BEGINNINGS: Record<SequenceKind | 'none', (body: string) => string> = {
  none: () => '',
  escape: (body) => `\x1b${body}`,
  csi: (body) => `\x1b[${body}`,
  osc: () => '\x1b]9999;',
  dcs: () => '\x1bP~',
  string: () => '\x1b^',
}

/** The most characters of a body that are kept. */
export const LONGEST_BODY = 4096

/**
 * Finds escape sequences in a terminal's output, which may come in parts of any size. Reads it as xterm.js does: UTF-8,
 * and any ESC, CAN or SUB ends the sequence before it.
 */
export class SequenceParser {
  // The kind of the unfinished sequence. Absent between sequences.
  #kind: SequenceKind | undefined
  // The body of the unfinished sequence so far.
  #body = ''
  // Whether the unfinished sequence contains characters that do not belong to it.
  #isBroken = false
  // Whether the last byte may be the first of a control character.
  #afterLead = false

  /** Returns a parser that is in the same place. */
  clone(): SequenceParser {
    const clone = new SequenceParser()
    clone.#kind = this.#kind
    clone.#body = this.#body
    clone.#isBroken = this.#isBroken
    clone.#afterLead = this.#afterLead
    return clone
  }

  /** The beginning of the unfinished sequence, `''` between sequences. A string becomes one that terminals ignore. */
  get beginning(): string {
    const { [this.#kind ?? 'none']: begin } = BEGINNINGS
    return begin(this.#body)
  }

  /** Reads the next part of the output. Returns where the unfinished sequence begins in it; its length if there is none. */
  feed(data: Buffer, handler: SequenceHandler): number {
    // Where the text, or the sequence, begins.
    let start = 0
    let at = 0
    if (this.#afterLead && data.length > 0) {
      this.#afterLead = false
      if (isC1(data[0])) {
        this.#begin(C1_KINDS[Number(data[0])])
        at = 1
      }
    }
    // Where the next C1_LEAD is, if it has been looked for.
    let lead = -1
    while (at < data.length) {
      if (!this.#kind) {
        const escape = indexOf(data, ESC, at)
        if (lead < at) lead = indexOf(data, C1_LEAD, at)
        at = Math.min(escape, lead)
        if (at === data.length) break
        const kind = at === escape ? 'escape' : C1_KINDS[Number(data[at + 1])]
        if (!kind) {
          at += 1
          this.#afterLead = at === data.length
          continue
        }
        if (start < at) handler.onText?.(data, start, at)
        start = at
        at += at === escape ? 1 : 2
        this.#begin(kind)
        continue
      }
      const byte = Number(data[at])
      if (byte === ESC) {
        this.#finishString(handler, data, start, at)
        start = at
        at += 1
        this.#begin('escape')
      } else if (byte === CAN || byte === SUB) {
        this.#begin(undefined)
        at += 1
        start = at
      } else if (byte === C1_LEAD && at + 1 === data.length) {
        this.#afterLead = true
        at += 1
      } else if (byte === C1_LEAD && isC1(data[at + 1])) {
        this.#finishString(handler, data, start, at)
        this.#begin(C1_KINDS[Number(data[at + 1])])
        start = at
        at += 2
        if (!this.#kind) start = at
      } else {
        at += 1
        const isLast = this.#take(byte)
        if (!this.#kind) start = at - 1
        if (!isLast) continue
        if (this.#kind && !this.#isBroken) handler.onSequence(this.#kind, this.#body, data, start, at)
        this.#begin(undefined)
        start = at
      }
    }
    if (this.#kind) return start
    const end = data.length - (this.#afterLead ? 1 : 0)
    if (start < end) handler.onText?.(data, start, end)
    return end
  }

  #begin(kind: SequenceKind | undefined): void {
    this.#kind = kind
    this.#body = ''
    this.#isBroken = false
  }

  /** Takes a byte of the unfinished sequence. Returns whether it is the last. */
  #take(byte: number): boolean {
    const kind = this.#kind
    const isString = kind !== 'csi' && kind !== 'escape'
    if (isString && !(byte === BEL && kind === 'osc')) {
      this.#append(byte)
      return false
    }
    if (isString) return true
    if (byte < 0x20 || byte >= DEL) {
      // A terminal runs a control character and goes on with the sequence, or ends it. Such a sequence is not reported.
      this.#isBroken = true
      if (byte > DEL) this.#begin(undefined)
      return false
    }
    const introduced = kind === 'escape' && this.#body === '' ? ESC_KINDS[String.fromCharCode(byte)] : undefined
    if (introduced) {
      this.#begin(introduced)
      return false
    }
    this.#append(byte)
    return byte >= (kind === 'csi' ? 0x40 : 0x30)
  }

  #append(byte: number): void {
    if (this.#body.length < LONGEST_BODY) this.#body += String.fromCharCode(byte)
    else if (this.#kind === 'csi' || this.#kind === 'escape') this.#isBroken = true
  }

  /** Reports a string that is ended by another sequence, usually ST. */
  #finishString(handler: SequenceHandler, data: Buffer, start: number, end: number): void {
    const kind = this.#kind
    if (kind === 'osc' || kind === 'dcs' || kind === 'string') handler.onSequence(kind, this.#body, data, start, end)
  }
}

function isC1(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x80 && byte <= 0x9f
}

/** Returns the index of a byte, the length if it is not there. */
function indexOf(data: Buffer, byte: number, from: number): number {
  const index = data.indexOf(byte, from)
  return index === -1 ? data.length : index
}
