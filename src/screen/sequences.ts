import { C1_KINDS, ESC_KINDS, extendName, INTRODUCERS, isC1, LONGEST_BODY_BYTES, NO_BYTES } from './sequence.ts'
import { Sequence, withoutControls, type SequenceKind } from './sequence.ts'

const BEL = 0x07
const CAN = 0x18
const SUB = 0x1a
const ESC = 0x1b
const SPACE = 0x20
const ZERO = 0x30
const NINE = 0x39
const COLON = 0x3a
const SEMICOLON = 0x3b
const QUESTION_MARK = 0x3f
const DEL = 0x7f
// In UTF-8, the control characters from U+0080 to U+009F are this byte and one from 0x80 to 0x9F.
const C1_LEAD = 0xc2

// The control characters within text that are no text: ENQ, BEL, SO and SI. Each is a bit.
const CONTROLS = (1 << 0x05) | (1 << BEL) | (1 << 0x0e) | (1 << 0x0f)

/** Is told what a {@link SequenceParser} has found, in order. */
export interface SequenceHandler {
  /** The bytes from `start` to `end` are text and most control characters that begin no sequence. */
  onText?(data: Buffer, start: number, end: number): void
  /**
   * The bytes from `start` to `end` are a complete sequence, a string without its terminator unless that is BEL.
   * `start` is 0 if it began in an earlier call. Control characters within a sequence come before it.
   */
  onSequence(sequence: Sequence, start: number, end: number): void
}

/**
 * Finds escape sequences in a terminal's output, which may come in parts of any size. Reads it as xterm.js does: UTF-8,
 * and any ESC, CAN or SUB ends the sequence before it. Looks at each byte once, because the output may be crafted to
 * take long.
 */
export class SequenceParser {
  // The unfinished sequence, if `#isOpen`; otherwise the one before.
  #sequence = new Sequence()
  readonly #control = new Sequence()
  #isOpen = false
  // What earlier calls got of the body of the unfinished escape or control sequence.
  #early: Buffer = NO_BYTES
  // The bytes of its body so far.
  #length = 0
  // Whether a terminal ignores it, or the name of a string is complete.
  #isBroken = false
  #isNamed = false
  // Whether the last byte may be the first of a control character.
  #afterLead = false

  /** Returns a parser that is in the same place. */
  clone(): SequenceParser {
    const clone = new SequenceParser()
    clone.#sequence = this.#sequence.clone()
    clone.#isOpen = this.#isOpen
    clone.#early = this.#early
    clone.#length = this.#length
    clone.#isBroken = this.#isBroken
    clone.#isNamed = this.#isNamed
    clone.#afterLead = this.#afterLead
    return clone
  }

  /** Whether control characters are between the bytes of the unfinished sequence. */
  get isSplit(): boolean {
    return this.#isOpen && this.#sequence.isSplit
  }

  /** The beginning of the unfinished sequence, `''` between sequences. A long string becomes one that does nothing. */
  get beginning(): string {
    if (!this.#isOpen) return ''
    const { kind } = this.#sequence
    if (kind === 'dcs') return '\x1bP~'
    if (kind === 'string') return '\x1b^'
    if (kind === 'osc' && this.#early.length === LONGEST_BODY_BYTES) return '\x1b]9999;'
    return INTRODUCERS[kind] + withoutControls(this.#early.toString('latin1'))
  }

  /**
   * Reads the next part of the output. Returns where the unfinished sequence begins in it; its length if there is none.
   */
  feed(data: Buffer, handler: SequenceHandler): number {
    const { length } = data
    // Where the text or the sequence begins, and where the body of the sequence does.
    let start = 0
    let body = 0
    let at = 0
    if (this.#afterLead && length > 0) {
      this.#afterLead = false
      if (isC1(data[0])) {
        // The lead is no part of the string that it ends.
        this.#early = this.#early.subarray(0, -1)
        this.#finish(handler, data, 0, 0, 0)
        this.#begin(C1_KINDS.get(data[0]))
        body = at = 1
        if (!this.#isOpen) start = 1
      }
    }
    while (at < length) {
      const byte = Number(data[at])
      if (byte >= SPACE && byte !== C1_LEAD && !this.#isOpen) at += 1
      else if (byte === ESC) {
        this.#finish(handler, data, start, body, at)
        start = at
        body = at += 1
        this.#begin('escape')
      } else if (byte === C1_LEAD && at + 1 === length) {
        this.#afterLead = true
        at += 1
      } else if (byte === C1_LEAD && isC1(data[at + 1])) {
        const kind = C1_KINDS.get(data[at + 1])
        const wasOpen = this.#isOpen
        at += 2
        // Within text, other control characters are text.
        if (!kind && !wasOpen) continue
        this.#finish(handler, data, start, body, at - 2)
        this.#begin(kind)
        start = kind ? at - 2 : at
        body = at
      } else if (!this.#isOpen) {
        at += 1
        if (byte >= SPACE || ((CONTROLS >> byte) & 1) === 0) continue
        if (start < at - 1) handler.onText?.(data, start, at - 1)
        this.#reportControl(handler, data, at)
        start = at
      } else if (byte === CAN || byte === SUB) {
        this.#isOpen = false
        at += 1
        start = at
      } else if (this.#sequence.kind === 'csi' || this.#sequence.kind === 'escape') {
        at += 1
        if (byte < SPACE) this.#reportControl(handler, data, at)
        const isLast = this.#take(byte)
        if (!this.#isOpen) start = at - 1
        if (this.#length === 0) body = at
        if (!isLast) continue
        if (!this.#isBroken) this.#report(handler, data, start, body, at, at)
        this.#isOpen = false
        start = at
      } else {
        at += 1
        if (byte === QUESTION_MARK) this.#sequence.asks = true
        if (!this.#isNamed) this.#name(byte)
        if (byte !== BEL || this.#sequence.kind !== 'osc') continue
        this.#report(handler, data, start, body, at, at - 1)
        this.#isOpen = false
        start = at
      }
    }
    if (this.#isOpen) {
      this.#keepBody(data.subarray(body))
      return start
    }
    const end = length - (this.#afterLead ? 1 : 0)
    if (start < end) handler.onText?.(data, start, end)
    return end
  }

  #begin(kind: SequenceKind | undefined): void {
    this.#isOpen = kind !== undefined
    if (kind) this.#sequence.begin(kind)
    this.#early = NO_BYTES
    this.#length = 0
    this.#isBroken = false
    this.#isNamed = false
  }

  /** Takes a byte of an escape or control sequence. Returns whether it is the last. */
  #take(byte: number): boolean {
    const isControl = this.#sequence.kind === 'csi'
    if (isControl && byte >= ZERO && byte <= SEMICOLON) {
      // A terminal ignores parameters after an intermediate character.
      if ((this.#sequence.name & 0xff) < ZERO && this.#sequence.name !== 0) this.#isBroken = true
      if (byte === COLON) this.#sequence.hasParts = true
      this.#length += 1
      return false
    }
    if (byte < SPACE || byte >= DEL) {
      // A terminal does what a control character says, and goes on with the sequence. Any other byte ends it.
      this.#sequence.isSplit = true
      if (this.#length > 0) this.#length += 1
      if (byte > DEL) this.#isOpen = false
      return false
    }
    const introduced = isControl || this.#length > 0 ? undefined : ESC_KINDS.get(byte)
    if (introduced) {
      const { isSplit } = this.#sequence
      this.#begin(introduced)
      this.#sequence.isSplit = isSplit
      return false
    }
    const isPrefix = isControl && byte > SEMICOLON && byte <= QUESTION_MARK
    // A terminal ignores a prefix in another place.
    if (isPrefix && this.#length > 0) this.#isBroken = true
    this.#sequence.name = extendName(this.#sequence.name, byte)
    this.#length += 1
    if (this.#length > LONGEST_BODY_BYTES) this.#isBroken = true
    return byte >= (isControl ? 0x40 : ZERO)
  }

  /** Takes a byte of a string, as long as its name is not complete. */
  #name(byte: number): void {
    const sequence = this.#sequence
    if (sequence.kind === 'dcs') {
      if ((byte >= ZERO && byte <= NINE) || byte === SEMICOLON) return
      sequence.name = byte
      this.#isNamed = true
    } else if (byte === SEMICOLON) this.#isNamed = true
    else if (byte >= SPACE) sequence.name = extendName(sequence.name, byte)
  }

  /** Reports the text before a sequence, or a string that is ended by another sequence, usually ST. */
  #finish(handler: SequenceHandler, data: Buffer, start: number, body: number, end: number): void {
    if (!this.#isOpen) {
      if (start < end) handler.onText?.(data, start, end)
    } else if (this.#sequence.kind !== 'csi' && this.#sequence.kind !== 'escape') {
      this.#report(handler, data, start, body, end, end)
    }
  }

  #report(handler: SequenceHandler, data: Buffer, start: number, body: number, end: number, bodyEnd: number): void {
    const sequence = this.#sequence
    const isWhole = this.#early.length === 0
    if (!isWhole) this.#keepBody(data.subarray(body, bodyEnd))
    sequence.body = isWhole ? data : this.#early
    sequence.from = isWhole ? body : 0
    sequence.to = isWhole ? bodyEnd : this.#early.length
    handler.onSequence(sequence, start, end)
    // It must not keep the output in memory.
    sequence.body = NO_BYTES
  }

  #reportControl(handler: SequenceHandler, data: Buffer, end: number): void {
    this.#control.begin('control')
    this.#control.name = Number(data[end - 1])
    handler.onSequence(this.#control, end - 1, end)
  }

  /** Keeps a part of the body of an unfinished sequence. */
  #keepBody(part: Buffer): void {
    const { kind } = this.#sequence
    const room = LONGEST_BODY_BYTES - this.#early.length
    if (kind === 'dcs' || kind === 'string' || room <= 0) return
    this.#early = Buffer.concat([this.#early, part.subarray(0, room)])
  }
}
