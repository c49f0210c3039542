import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { UnreadInput } from '../../src/terminal/unread-input.ts'

// Nothing is compared before a paste, or before so many bytes are unread, or one on a server that is known to be old.
const PASTE = 256
const COMPARE_FROM = 8192
// The most bytes that a terminal leaves unread, with those that it keeps for Ctrl-C.
const MOST_UNREAD = 16_384 + 512
const TTY_BYTES = 4096
// How many bytes before a proof may be repeated once more.
const MEMORY = 24_576
// How many characters after a proof eight are another one. Further on, it takes sixteen.
const NEAR = 256

/** Returns bytes, one for each character. */
const bytesOf = (text: string): Uint8Array => Buffer.from(text, 'latin1')

/** Returns the text without control characters. */
const charactersOf = (text: string): string => text.replaceAll(/[^ -~\u0080-\u00ff]/g, '')

/** Takes output of a server that may take all input. Returns whether it proves that more was read. */
const print = (unread: UnreadInput, text: string): boolean => unread.onOutput(bytesOf(text), false)

/** Does what `UnreadInput` does, slowly. It gets the output without escape sequences. */
class SlowUnreadInput {
  #all = ''
  // Where the input begins that output may repeat once more, and where that begins which it has not repeated.
  #start = 0
  #first = 0
  #isComparing = false
  #isProof = false
  #found = 0
  #inRow = 0
  #paste = 0
  #last = ''
  // The characters that output may repeat, and the offset after each.
  #kept = ''
  #ends: number[] = []
  #isIndexed = false

  get rest(): string {
    return this.#all.slice(this.#first)
  }

  get bytes(): number {
    return this.rest.length + Math.min(this.#first, TTY_BYTES)
  }

  push(text: string): void {
    if (text !== '') this.#start = Math.max(this.#start, this.#first - MEMORY)
    if (!this.#isComparing && text.length >= PASTE) [this.#isComparing, this.#paste] = [true, this.#all.length]
    this.#all += text
    this.#isIndexed = false
  }

  /** Returns whether more was read. */
  onOutput(text: string, isOld: boolean): boolean {
    this.#isComparing ||= this.rest.length >= (isOld ? 1 : COMPARE_FROM)
    if (!this.#isComparing) return false
    if (!this.#isIndexed) this.#index()
    const before = this.#first
    for (const character of charactersOf(text)) this.#compare(character)
    return this.#first > before
  }

  #index(): void {
    this.#isIndexed = true
    this.#kept = charactersOf(this.#all.slice(this.#start))
    this.#ends = Array.from(this.#all, (_, offset) => offset + 1).filter(
      (end) => end > this.#start && charactersOf(this.#all.charAt(end - 1)) !== '',
    )
  }

  #compare(character: string): void {
    this.#last = (this.#last + character).slice(-8)
    if (this.#isProof && charactersOf(this.rest.slice(0, 100)).startsWith(character)) {
      this.#first = Number(this.#ends.find((end) => end > this.#first))
      return
    }
    if (this.#isProof) this.#last = character
    const found = this.#last.length < 8 ? -1 : this.#kept.indexOf(this.#last)
    const end = found < 0 ? 0 : Number(this.#ends[found + 7])
    this.#inRow = end > 0 && this.#ends[found + 6] === this.#found ? this.#inRow + 1 : 1
    this.#found = end
    const distance = charactersOf(this.#all.slice(Math.max(this.#first, this.#paste), end)).length
    this.#isProof = distance > 0 && (distance <= NEAR || this.#inRow > 8)
    if (this.#isProof) this.#first = end
  }
}

// A small alphabet, so that much of the input is in several places.
const word = fc
  .string({ unit: fc.constantFrom('a', 'b', 'c', '\u00e9', '\r', '\u007f'), maxLength: 30 })
  .map((text) => `${text}d`)
const input = fc
  .tuple(fc.array(word, { minLength: 1, maxLength: 8 }), fc.integer({ min: 1, max: 16 }))
  .map(([words, count]) => ''.padEnd(600 * count, words.join('')))
/** A part of some output: of the input that is unread before it, noise, or an escape sequence. */
const outputPart = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(fc.nat(9_000), fc.nat(60)) },
  { weight: 1, arbitrary: fc.tuple(fc.nat(500), fc.nat(6_000)) },
  { weight: 2, arbitrary: word },
  { weight: 1, arbitrary: fc.constantFrom('\r\n', '\u0007') },
  { weight: 2, arbitrary: fc.constantFrom('\u001b[31m', '\u001b]0;aaaadddd\u0007', '\u001b(B', '\u001bPabc\u001b\\') },
)
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ input }) },
  { weight: 8, arbitrary: fc.record({ output: fc.array(outputPart, { maxLength: 6 }) }) },
  { weight: 1, arbitrary: fc.constantFrom('repeat all', 'clear') },
)
/** Where to cut a text, as lengths of the pieces, used in turn. */
const cuts = fc.array(fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 5_000 })), { minLength: 1 })

function pieces(text: string, lengths: readonly number[]): string[] {
  const cut: string[] = []
  for (let at = 0, index = 0; at < text.length; index += 1) {
    const length = Number(lengths[index % lengths.length])
    cut.push(text.slice(at, at + length))
    at += length
  }
  return cut
}

describe('UnreadInput', () => {
  it('agrees with a slow implementation, however input and output are cut into pieces', { timeout: 60_000 }, () => {
    let proofs = 0
    fc.assert(
      fc.property(fc.array(step, { minLength: 10, maxLength: 30 }), cuts, fc.boolean(), (steps, lengths, isOld) => {
        let unread = new UnreadInput()
        let slow = new SlowUnreadInput()
        let total = 0
        const takeOutput = (parts: readonly string[]): void => {
          const isText = parts.flatMap((part) => Array.from(part, () => !part.startsWith('\u001b')))
          for (const piece of pieces(parts.join(''), lengths)) {
            const shown = isText.splice(0, piece.length)
            const isProof = slow.onOutput(
              Array.from(piece)
                .filter((_, index) => shown[index])
                .join(''),
              isOld,
            )
            expect(unread.onOutput(bytesOf(piece), isOld)).toBe(isProof)
            proofs += Number(isProof)
          }
        }
        for (const action of steps) {
          if (action === 'clear') {
            unread = new UnreadInput()
            slow = new SlowUnreadInput()
            total = 0
          } else if (action === 'repeat all') {
            takeOutput([slow.rest])
          } else if ('input' in action) {
            const text = action.input.slice(0, MOST_UNREAD - slow.bytes)
            for (const piece of pieces(text, lengths)) {
              unread.push(bytesOf(piece))
              slow.push(piece)
            }
            total += text.length
          } else {
            const rest = (at: number, length: number): string => slow.rest.slice(at, at + length)
            takeOutput(action.output.map((part) => (typeof part === 'string' ? part : rest(...part))))
          }
          expect([unread.bytes, unread.unrepeated]).toEqual([slow.bytes, slow.rest.length])
          expect(unread.bytes).toBeGreaterThanOrEqual(unread.unrepeated)
          expect(unread.bytes).toBeLessThanOrEqual(total)
        }
      }),
      { numRuns: 30 },
    )
    // The law would say little if no output proved anything.
    expect(proofs).toBeGreaterThan(100)
  })

  it(
    'never takes code for read that only the tty has repeated, for a program that repeats each line again',
    { timeout: 60_000 },
    () => {
      const code = readFileSync(new URL('../../package-lock.json', import.meta.url), 'latin1').slice(0, 150_000)
      let best = 0
      const moment = fc.record({ ttyRepeats: fc.boolean(), lines: fc.nat({ max: 60 }) })
      fc.assert(
        fc.property(fc.array(moment, { minLength: 100, maxLength: 300 }), (moments) => {
          const unread = new UnreadInput()
          let [sent, repeated, read] = [0, 0, 0]
          // Close to the last proof, eight characters may be of two texts.
          const check = (): void => expect(unread.bytes + 4 * NEAR).toBeGreaterThanOrEqual(sent - read)
          for (const { ttyRepeats, lines } of moments) {
            while (sent < code.length && unread.bytes + 1024 <= MOST_UNREAD) {
              unread.push(bytesOf(code.slice(sent, sent + 1024)))
              sent = Math.min(sent + 1024, code.length)
            }
            if (ttyRepeats) {
              // No more than its line buffer takes.
              const end = Math.min(sent, read + TTY_BYTES)
              unread.onOutput(bytesOf(code.slice(repeated, end).replaceAll('\n', '\r\n')), true)
              repeated = Math.max(repeated, end)
              check()
            }
            for (let line = 0; line < lines; line += 1) {
              const end = code.indexOf('\n', read) + 1
              if (end === 0 || end > sent) break
              const output = `> ${code.slice(read, end - 1)}\r\n`
              read = end
              repeated = Math.max(repeated, read)
              unread.onOutput(bytesOf(output), true)
              check()
            }
          }
          best = Math.max(best, read)
        }),
        { numRuns: 20, endOnFailure: true },
      )
      expect(best).toBeGreaterThan(50_000)
    },
  )

  it.each([0, 1, 1_000, 1_024, 7_000])('stays right for 200 KB in steps of 1 KB, repeated %i bytes later', (delay) => {
    const unread = new UnreadInput()
    const lines = Array.from({ length: 20_000 }, (_, index) => `${String(index).padStart(8, '0')} ls\r`)
    const all = lines.join('').slice(0, 200 * 1024)
    unread.push(bytesOf(all.slice(0, COMPARE_FROM)))
    for (let sent = COMPARE_FROM, printed = 0; sent < all.length; sent += 1024) {
      unread.push(bytesOf(all.slice(sent, sent + 1024)))
      const end = sent - delay
      // The prompt ends the run of each line, and the next line needs another proof.
      const output = all.slice(printed, end).replaceAll('\r', '\r\n\u001b[K$ ')
      expect(print(unread, output)).toBe(true)
      printed = end
      const line = all.lastIndexOf('\r', end - 1) + 1
      const proved = end - line < 8 ? line - 1 : end
      expect(unread.unrepeated).toBe(sent + 1024 - proved)
      expect(unread.bytes).toBe(unread.unrepeated + Math.min(proved, TTY_BYTES))
    }
  })
})
