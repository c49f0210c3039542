import { describe, expect, it } from 'vitest'
import { showsInterrupt } from '../../src/terminal/input-window.ts'
import { UnreadInput } from '../../src/terminal/unread-input.ts'

// Nothing is compared before so many bytes are unread.
const COMPARE_FROM = 8192
// How many bytes before a proof may be repeated once more.
const MEMORY = 24_576
// Control characters, which no output can repeat: enough unread bytes for a comparison.
const FILLER = '\0'.repeat(COMPARE_FROM)

/** Returns bytes, one for each character. */
const bytesOf = (text: string): Uint8Array => Buffer.from(text, 'latin1')

/** Takes output of a server that may take all input. Returns whether it proves that more was read. */
const print = (unread: UnreadInput, text: string): boolean => unread.onOutput(bytesOf(text), false)

/** Sends input, then takes the outputs. Returns how many bytes of the input they prove to be read. */
function provedBy(input: string, ...outputs: readonly string[]): number {
  const [unread, old] = [new UnreadInput(), new UnreadInput()]
  unread.push(bytesOf(input + FILLER))
  old.push(bytesOf(input))
  for (const output of outputs) {
    print(unread, output)
    old.onOutput(bytesOf(output), true)
  }
  // On an old server, the comparison needs no filler.
  expect(old.unrepeated).toBe(unread.unrepeated - FILLER.length)
  return input.length - old.unrepeated
}

describe('output', () => {
  it.each<[input: string, outputs: string[], proved: number]>([
    ['abcdefgh', ['other output'], 0],
    ['abcdefgh', ['abcdefg'], 0],
    ['abcdefgh', ['abcdefgh'], 8],
    ['abcdefghij', ['abcdefgh'], 8],
    // What was sent before was read before.
    ['abcdefghij', ['cdefghij'], 10],
    ['ls\rabcdefgh', ['$ abcdefgh'], 11],
    // The characters may arrive in pieces, but in a row.
    ['abcdefghij', ['abcd', 'efgh'], 8],
    ['abcdefghij', ['a', 'b', 'c', 'd', 'e', '', 'f', 'g', 'h', 'i'], 9],
    ['abcdefghij', ['abcd-efghij'], 0],
    ['abcdefghij', ['abcd', '-', 'efghij'], 0],
    ['abcdefghij', ['abcdeabcdefgh'], 8],
    // The run goes on until another character comes.
    ['abcdefghijkl', ['abcdefgh', 'ij', 'k'], 11],
    ['abcdefghijkl', ['abcdefghi-jkl'], 9],
    ['abcdefghijkl', ['abcdefghi', '-', 'jkl'], 9],
    ['abcdefghijklmnopqr', ['abcdefghi-klmnopqr'], 18],
    ['abcdefgh', ['abcdefghijklmnop'], 8],
    // Control characters do not count, on either side.
    ['abcd\r\nefgh', ['abcdefgh'], 10],
    ['abcdefgh', ['ab\u0007cd\r\ne\bf\u007fgh'], 8],
    ['\u0003ab\u007fcdefgh', ['abcdefgh'], 10],
    ['abcdefgh\r', ['abcdefgh\r\n'], 8],
    ['abcdefgh\ri', ['abcdefgh\r\ni'], 10],
    ['abcdefgh\r\t\ni\r', ['abcdefgh', '\r', '\ni'], 12],
    ['a b c d ', ['a b c d '], 8],
    // The first of several places is the only sure one, and a program may repeat what was repeated before, also often.
    ['abcdefgh--abcdefgh', ['abcdefgh'], 8],
    ['abcdefgh--abcdefgh', ['abcdefgh', '=', 'abcdefgh'], 8],
    ['abcdefgh--abcdefgh', ['abcdefgh', '=', 'abcdefgh', '=', 'abcdefgh'], 8],
    ['abcdefgh--abcdefgh', ['abcdefgh-', '=', 'abcdefgh--a'], 11],
    ['abcdefghijkl', ['abcdefghij', '=', 'cdefghijkl'], 12],
    ['abcdefghabcdefgh', ['abcdefgh', '\r\n', 'abcdefgh'], 16],
    ['abcdefgh--abcdefgh--abcdefgh', ['abcdefgh$abcdefgh$abcdefgh$abcdefgh'], 8],
    ['aaaaaaaaaaaa', ['aaaaaaaaaa'], 10],
    // The characters of a run are used up.
    ['abcdefghbcdefghi', ['abcdefghi'], 8],
    // What was proved to be read can not be repeated again.
    ['abcdefghijklmnop', ['ijklmnop', '-', 'abcdefgh'], 16],
    // A character of UTF-8 counts as its bytes.
    ['\u00c3\u00a9\u00c3\u00a9\u00c3\u00a9\u00c3\u00a9', ['\u00c3\u00a9\u00c3\u00a9\u00c3\u00a9\u00c3\u00a9'], 8],
    ['\u0080\u00ff~~~~~~', ['\u0080\u00ff~~~~~~'], 8],
    // Only all 8 bits are the same character.
    ['abcdefgh', ['\u00e1bcdefgh', '\u00e1\u00e2\u00e3\u00e4\u00e5\u00e6\u00e7\u00e8'], 0],
  ])('to the input %j, which is %j, proves that %i bytes were read', (input, outputs, proved) => {
    expect(provedBy(input, ...outputs)).toBe(proved)
    expect(provedBy(input, ...outputs.join('').split(''))).toBe(proved)
  })

  const sequences = [
    '\u001b[m',
    '\u001b[31;1m',
    '\u001b[?2004h',
    '\u001b[>c',
    '\u001b[2 q',
    '\u001b[6~',
    '\u001b]0;title\u0007',
    '\u001b]0;title\u001b\\',
    '\u001bPq#0\u001b\\',
    '\u001bXtext\u001b\\',
    '\u001b^text\u001b\\',
    '\u001b_text\u001b\\',
    '\u001b(B',
    '\u001b#8',
    '\u001b7',
    '\u001b=',
    '\u001bM',
    // Cancelled, or replaced by another sequence.
    '\u001b[31\u0018',
    '\u001b]0;title\u0018',
    '\u001b[31\u001b[m',
    '\u001b\u001b[m',
  ]
  it.each(sequences)('may have the escape sequence %j between the characters, cut at any place', (sequence) => {
    const output = `abcd${sequence}efgh`
    for (let cut = 0; cut <= output.length; cut += 1) {
      expect(provedBy('abcdefghij', output.slice(0, cut), output.slice(cut))).toBe(8)
    }
    expect(provedBy('abcdefghij', `abcdefgh${sequence}`, 'i', sequence, 'j')).toBe(10)
  })

  it.each([
    ['abcdefgh', '\u001b]0;abcdefgh\u0007'],
    ['abcdefgh', '\u001b]0;\n\rabcdefgh\u001b\\'],
    ['abcdefgh', '\u001bPabcdefgh\u001b\\'],
    ['12345678', '\u001b[12345678m'],
    ['12345678', '\u001b[1234\r5678m'],
    ['abcdefgh', '\u001b7a\u001b7b\u001b7c\u001b7d\u001b7e\u001b7f\u001b7g\u001b7-h'],
  ])('proves nothing about the input %j inside the sequence %j', (input, output) => {
    expect(provedBy(input, output)).toBe(0)
  })

  it('says whether it proves anything', () => {
    const unread = new UnreadInput()
    unread.push(bytesOf(`abcdefghij${FILLER}`))
    const answers = ['abcdefg', 'h', 'i', '-', 'j', ''].map((output) => print(unread, output))
    expect(answers).toEqual([false, true, true, false, false, false])
  })
})

describe('the comparison', () => {
  /** Types text, which is never so much at once as a paste. */
  function typeInto(unread: UnreadInput, text: string): void {
    for (let at = 0; at < text.length; at += 255) unread.push(bytesOf(text.slice(at, at + 255)))
  }

  it.each([0, 1])('begins with 8192 unread bytes: %i less', (less) => {
    const unread = new UnreadInput()
    typeInto(unread, 'abcdefgh'.padEnd(COMPARE_FROM - less, '-'))
    expect(print(unread, 'abcdefgh')).toBe(less === 0)
    expect(unread.unrepeated).toBe(less === 0 ? COMPARE_FROM - 8 : COMPARE_FROM - 1)
    expect(unread.bytes).toBe(COMPARE_FROM - less)
  })

  it('begins with a paste of 256 bytes, and what was typed before it proves nothing', () => {
    const unread = new UnreadInput()
    typeInto(unread, 'abcdefgh'.padEnd(1_000, '-'))
    unread.push(bytesOf('ijklmnop'.padEnd(256, '=')))
    expect(print(unread, 'abcdefgh')).toBe(false)
    expect(print(unread, '\r\nijklmnop')).toBe(true)
    expect(unread.unrepeated).toBe(256 - 8)
  })

  it('begins with the first byte on a server that is known to be old', () => {
    const unread = new UnreadInput()
    expect(unread.onOutput(bytesOf('abcdefgh'), true)).toBe(false)
    unread.push(bytesOf('abcdefghi'))
    expect(unread.onOutput(bytesOf('abcdefgh'), true)).toBe(true)
    expect([unread.unrepeated, unread.bytes]).toEqual([1, 9])
  })

  it('does not remember the output before it', () => {
    const unread = new UnreadInput()
    unread.push(bytesOf('abcdefgh'))
    print(unread, 'abcd')
    unread.push(bytesOf(FILLER))
    expect(print(unread, 'efgh')).toBe(false)
  })

  it('keeps up with numbered lines that are alike otherwise, however late their program begins to repeat them', () => {
    const unread = new UnreadInput()
    typeInto(unread, 'head -c 20000 | tee copy\r')
    const lines = Array.from({ length: 250 }, (_, index) => `${index} ${'0123456789'.repeat(6)}\n`)
    for (const size of [1, 20, 100, 129]) {
      const next = lines.splice(0, size).join('')
      for (let at = 0; at < next.length; at += 1024) unread.push(bytesOf(next.slice(at, at + 1024)))
      print(unread, next)
      expect(unread.unrepeated).toBeLessThan(100)
    }
  })

  it('goes on after it has begun, also when fewer bytes are unread', () => {
    const unread = new UnreadInput()
    unread.push(bytesOf(`${FILLER}-abcdefghijklmnop`))
    expect(print(unread, '-abcdefg')).toBe(true)
    expect(unread.unrepeated).toBe(9)
    unread.push(bytesOf('qr'))
    expect(print(unread, '--ijklmnopqr')).toBe(true)
    expect(unread.unrepeated).toBe(0)
  })

  it('finds input that was sent after it has begun', () => {
    const unread = new UnreadInput()
    unread.push(bytesOf(FILLER))
    print(unread, '-')
    for (const key of 'abcdefgh') unread.push(bytesOf(key))
    expect(print(unread, 'abcdefgh')).toBe(true)
    expect(unread.unrepeated).toBe(0)
  })
})

describe('output like what was repeated before', () => {
  /** Repeats input whose first 8 bytes come again, and then these bytes. Returns how many of them may be unread. */
  function leftOf(distance: number): number {
    const unread = new UnreadInput()
    const first = 'abcdefgh'.padEnd(distance, '-')
    unread.push(bytesOf(first))
    print(unread, first)
    unread.push(bytesOf(`abcdefgh${FILLER}`))
    print(unread, '=abcdefgh')
    return unread.unrepeated - FILLER.length
  }

  it('proves nothing as far as a program may repeat it once more', () => {
    expect(leftOf(MEMORY)).toBe(8)
    expect(leftOf(MEMORY + 1)).toBe(0)
  })

  it('proves nothing, although it stands in the input once more', () => {
    const [first, second] = ['"dev": true,\n', '"license": "MIT",\n']
    const unread = new UnreadInput()
    unread.push(bytesOf(`{ 1 }\n${first}{ 2 }\n${second}${second}{ 3 }\n${'.'.repeat(3_000)}${first}{ 4 }\n`))
    const sent = unread.unrepeated
    // The tty repeats six lines. Then the program repeats the first two, and has read no more.
    unread.onOutput(bytesOf(`{ 1 }\n${first}{ 2 }\n${second}`), true)
    unread.onOutput(bytesOf(`> ${second}> { 3 }\n`), true)
    const read = sent - unread.unrepeated
    unread.onOutput(bytesOf(`> { 1 }\n> ${first}> `), true)
    expect(sent - unread.unrepeated).toBe(read)
    expect(read).toBeLessThan(100)
  })
})

describe('output that has left out much of the input', () => {
  it.each([
    ['abcdefgh', 255, true],
    ['abcdefgh', 257, false],
    ['abcdefghijklmno', 257, false],
    ['abcdefghijklmnop', 257, true],
    // The end of one text, and the beginning of another that was repeated before.
    ['>abcdefg------', 257, false],
  ])('%j after %i characters more: %s', (output, distance, isProof) => {
    const unread = new UnreadInput()
    unread.push(bytesOf('abcdefg------'))
    unread.onOutput(bytesOf('abcdefg------'), true)
    unread.push(bytesOf(`${'.'.repeat(distance - 8)}${output.slice(0, 8)}ijklmnop`))
    expect(unread.onOutput(bytesOf(`\r\n${output}`), true)).toBe(isProof)
  })
})

describe('showsInterrupt', () => {
  it.each([
    ['^C', true],
    ['$ sleep 9\r\n^Z', true],
    ['2^8 ^\\', true],
    ['2^8', false],
    ['^D', false],
    ['^', false],
    ['C', false],
  ])('%j: %s', (output, shows) => {
    expect(showsInterrupt(bytesOf(output))).toBe(shows)
  })
})
