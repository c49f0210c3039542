import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SequenceParser } from '../../src/screen/sequences.ts'
import { ScreenState } from '../../src/screen/state.ts'
import { buildTail } from '../../src/screen/tail.ts'
import { tailOf } from '../support/tails.ts'
import { Witness } from '../support/witness.ts'

// How a tail begins that does not follow all the output before it.
const RESET = '\x18\x1bc\x1b[?25h'

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1')

const LINES = Array.from({ length: 100 }, (_, number) => `line ${number}\r\n`).join('')

describe('the tail of output', () => {
  // What a program prints, and what of it is in the tail when all of it is kept.
  it.each([
    ['text', 'plain grüße €', 'plain grüße €'],
    ['colours', '\x1b[1;31mred\x1b[0m', '\x1b[1;31mred\x1b[0m'],
    ['colours whose parts are separated by colons', '\x1b[38:2::255:0:0mred', '\x1b[38:2::255:0:0mred'],
    ['a private mode with parts, which some terminals take for one', 'a\x1b[?1000:1hb\x1b[?1004:1lc', 'abc'],
    ['DA1', 'a\x1b[cb\x1b[0cc', 'abc'],
    ['DA2 and DA3', 'a\x1b[>cb\x1b[=0cc', 'abc'],
    ['DECID', 'a\x1bZb', 'ab'],
    ['DSR', 'a\x1b[5nb\x1b[6nc\x1b[?6nd', 'abcd'],
    ['DECRQM', 'a\x1b[?2026$pb\x1b[4$pc', 'abc'],
    ['DECREQTPARM', 'a\x1b[xb', 'ab'],
    ['XTVERSION', 'a\x1b[>0qb\x1b[>qc', 'abc'],
    ['the cursor style', 'a\x1b[5 qb', 'a\x1b[5 qb'],
    ['Kitty flags asked for', 'a\x1b[?ub', 'ab'],
    ['Kitty flags pushed', 'a\x1b[>1ub\x1b[<uc', 'a\x1b[>1ub\x1b[<uc'],
    ['window reports', 'a\x1b[14tb\x1b[18tc\x1b[8;50;100td', 'abcd'],
    ['key modes asked for', 'a\x1b[?4mb\x1b[>4;2mc', 'ab\x1b[>4;2mc'],
    ['printing', 'a\x1b[5ib', 'ab'],
    ['ENQ', 'a\x05b', 'ab'],
    ['a title of 5 000 letters', `\x1b]0;${'a'.repeat(5_000)}\x07b`, `\x1b]0;${'a'.repeat(5_000)}\x07b`],
    ['a colour of 5 000 letters', `\x1b]11;${'a'.repeat(5_000)};?\x07b`, 'b'],
    ['the first byte of a C1 control character before ENQ', latin1('a\xc2\x05\x9bc'), latin1('a\x9bc')],
    ['a title', '\x1b]0;title\x07a', '\x1b]0;title\x07a'],
    ['a hyperlink', '\x1b]8;;http://h\x1b\\a\x1b]8;;\x1b\\', '\x1b]8;;http://h\x1b\\\x1b\\a\x1b]8;;\x1b\\\x1b\\'],
    ['the clipboard, written and read', 'a\x1b]52;c;aGk=\x07b\x1b]52;c;?\x1b\\c', 'ab\x1b\\c'],
    ['colours asked for', 'a\x1b]10;?\x07b\x1b]11;?\x07c\x1b]4;1;?\x07d\x1b]010;?\x07e', 'abcde'],
    ['colours set', '\x1b]11;#000000\x07a', '\x1b]11;#000000\x07a'],
    ['a notification', 'a\x1b]9;done\x07b\x1b]777;notify;a;b\x07c', 'abc'],
    ['an image in sixels', '\x1bP0;1q#0~\x1b\\a', '\x1bP0;1q#0~\x1b\\\x1b\\a'],
    ['DECRQSS and XTGETTCAP', 'a\x1bP$qm\x1b\\b\x1bP+q544e\x1b\\c', 'a\x1b\\b\x1b\\c'],
    ['an APC string, such as a Kitty image', 'a\x1b_Gi=1,a=q;AAAA\x1b\\b', 'a\x1b\\b'],
    ['PM and SOS strings', 'a\x1b^x\x1b\\b\x1bXy\x1b\\c', 'a\x1b\\b\x1b\\c'],
    ['sequences of C1 control characters', 'a\u009bcb\u009d52;c;?\u009cc\u0090$qm\u009cd', 'abcd'],
    ['other C1 control characters', 'a\u0085b', 'a\u0085b'],
    ['a query in a sequence that is not finished', 'a\x1b[6\x1b[cnb', 'anb'],
    ['a query with control characters in it', 'a\x1b[6\n\x07nb', 'a\nb'],
    ['a sequence with control characters in it', 'a\x1b[3\r\x07\x7f1mb', 'a\r\x1b[31mb'],
    ['an escape sequence with control characters in it', 'a\x1b\n\x07=b\x1b\n]0;c\x07d', 'a\n\x1b=b\n\x1b]0;c\x1b\\d'],
    ['a sequence with control characters in it that goes on', 'a\x1b[3\n\x071', 'a\n\x1b[31'],
    ['bells', 'a\x07b\x07\x1b]0;c\x07\x07', 'ab\x1b]0;c\x07'],
    ['a query of 5 000 digits', `a\x1b[${'0'.repeat(5_000)}6nb`, 'ab'],
    ['a sequence that is cancelled', 'a\x1b[6\x18nb', 'anb'],
    ['a sequence that a character ends', 'a\x1b[6éb', 'aéb'],
    ['focus events, on and off again', 'a\x1b[?1000;1004hb\x1b[?1004lc', 'a\x1b[?1000hbc'],
    ['focus events that are off, with another mode', 'a\x1b[?1004;25lb', 'a\x1b[?25lb'],
    ['focus events that are on', 'a\x1b[?1004hb', 'ab\x1b[?1004h'],
    ['a sequence that goes on in the live output', 'a\x1b[3', 'a\x1b[3'],
    ['a character that goes on in the live output', latin1('a\xe2\x82'), latin1('a\xe2\x82')],
    ['such a character after focus events', latin1('\x1b[?1004ha\xe2\x82'), latin1('a\x1b[?1004h\xe2\x82')],
  ])('treats %s as it should', (_, output, tail) => {
    expect(tailOf(output, 10_000).toString('latin1')).toBe(Buffer.from(tail as string).toString('latin1'))
  })

  it.each([
    ['the alternate screen', '\x1b[?1049h', '\x1b[?1049h'],
    ['the alternate screen, left', '\x1b[?1049h\x1b[?1049l', ''],
    ['mouse reports of SGR', '\x1b[?1000h\x1b[?1002;1006h', '\x1b[?1002;1006h'],
    ['mouse reports, off again', '\x1b[?1000h\x1b[?1002h\x1b[?1002l', ''],
    ['an encoding of mouse reports, off again', '\x1b[?1006h\x1b[?1006l', ''],
    ['bracketed paste', '\x1b[?2004h', '\x1b[?2004h'],
    ['cursor keys and keypad', '\x1b[?1h\x1b=', '\x1b=\x1b[?1h'],
    ['keypad, off again', '\x1b=\x1b>', ''],
    ['the hidden cursor', '\x1b[?25l', '\x1b[?25l'],
    ['the cursor, shown again', '\x1b[?25l\x1b[?25h', ''],
    ['a scroll region', '\x1b[2;23r', '\x1b[2;23r'],
    ['a scroll region, off again', '\x1b[2;23r\x1b[r', ''],
    ['the cursor style', '\x1b[5 q', '\x1b[5 q'],
    ['the cursor style, the default again', '\x1b[5 q\x1b[0 q', ''],
    ['insert mode', '\x1b[4h', '\x1b[4h'],
    ['insert mode, off again', '\x1b[4h\x1b[4l', ''],
    ['Kitty flags', '\x1b[>1u\x1b[=4;2u\x1b[>8u', '\x1b[>5u\x1b[>8u'],
    ['Kitty flags that are removed', '\x1b[>7u\x1b[=2;3u', '\x1b[>5u'],
    ['Kitty flags that are set without a push', '\x1b[=2u', '\x1b[>2u'],
    ['Kitty flags of both screens', '\x1b[>1u\x1b[?1049h\x1b[>2u', '\x1b[>1u\x1b[?1049h\x1b[>2u'],
    ['Kitty flags of the alternate screen, left', '\x1b[?47h\x1b[>2u\x1b[?47l', '\x1b[?47h\x1b[>2u\x1b[?47l'],
    ['Kitty flags, popped', '\x1b[>1u\x1b[>2u\x1b[<2u', ''],
    ['the last 16 levels of Kitty flags', `${'\x1b[>1u'.repeat(20)}\x1b[>2u`, `${'\x1b[>1u'.repeat(15)}\x1b[>2u`],
    ['modifyOtherKeys', '\x1b[>4;2m', '\x1b[>4;2m'],
    ['modifyOtherKeys, off again', '\x1b[>4;2m\x1b[>4m', ''],
    ['other resources of keys', '\x1b[>1;2m\x1b[>2;3m\x1b[>1m', '\x1b[>2;3m'],
    ['resources of keys, the default again', '\x1b[>1;2m\x1b[>4;2m\x1b[>m', ''],
    ['everything before a reset', '\x1b[?1049;2004h\x1b[4h\x1b=\x1bc', ''],
    ['what a soft reset leaves', '\x1b[?1049;1;1002;2004h\x1b[?25l\x1b[4h\x1b[!p', '\x1b[?1049h\x1b[?1002h'],
    ['a saved cursor and size reports, which are none', '\x1b[?1048;2048;3h', ''],
    ['a mode set by a C1 control character', '\u009b?2004h', '\x1b[?2004h'],
    [
      'at most 64 modes',
      Array.from({ length: 100 }, (_, mode) => `\x1b[?${mode + 3000}h`).join(''),
      `\x1b[?${Array.from({ length: 64 }, (_, mode) => mode + 3000).join(';')}h`,
    ],
    ['no other mode of ECMA-48', '\x1b[5h', ''],
    ['no mode within a string', '\x1b]9;\u001f[?2004h\x07\x1bP0q[?2004h\x1b\\', ''],
  ])('begins with %s', (_, set, restored) => {
    const tail = tailOf(set + LINES, 300).toString()
    expect(tail.slice(0, tail.indexOf('line'))).toBe(RESET + restored)
  })

  it.each([
    ['from before the last size', 'y\x1b[5;20rx', 8],
    ['of the whole window', 'y\x1b[1;24rx', 0],
    ['of more', 'y\x1b[0;99rx', 0],
  ])('has no scroll region %s: the window of the client may be larger', (_, output, sizedAt) => {
    const before = new ScreenState()
    before.push([Buffer.from('\x1b[1;24r')])
    expect(buildTail(Buffer.from(output), before, { rows: 24, sizedAt }).toString()).toBe(`${RESET}y\x1b[rx`)
    const only = buildTail(Buffer.from('x'), before, { rows: 24, sizedAt })
    expect(only.toString()).toBe(`${RESET}x`)
  })

  it('has a scroll region that is smaller than the window, and set in it', () => {
    const before = new ScreenState()
    before.push([Buffer.from('\x1b[1;23r')])
    expect(buildTail(Buffer.from('x\x1b[2;24r'), before, { rows: 24 }).toString()).toBe(`${RESET}\x1b[1;23rx\x1b[2;24r`)
  })

  it('begins at a line if the first half has the end of one, and otherwise at the first whole character', () => {
    const begun = (output: string, kept: number): string => tailOf(output, kept).toString().replace(RESET, '')
    expect(begun('one two\nthree four', 15)).toBe('three four')
    expect(begun('one two three\nfour', 10)).toBe('three\nfour')
    expect(begun('€€€€', 5)).toBe('€')
    expect(begun('one\x1b[31mtwo', 6)).toBe('\x1b[31mtwo')
    expect(begun('one\x1b]9;a\nb\x07two three', 16)).toBe('\x1b]0;a\nb\x07two three'.slice(-9))
    expect(begun('one two\x1b]0;a\nb\x07three four', 21)).toBe('two\x1b]0;a\nb\x07three four'.slice(-21))
    expect(begun('one\x1b]2;a long title\x07two', 10)).toBe('\x1b]2;a long title\x1b\\two')
    expect(begun('one\x1b]9;a\nlong title\x07two\nthree', 25)).toBe('three')
  })

  it.each([
    ['an OSC string', '\x1b]52;c;aGVsbG8gd29ybGQgaGVsbG8gd29ybGQ', '\x07after'],
    ['a DCS string', '\x1bP$qaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'm\x1b\\after'],
    ['an APC string', '\x1b_Gaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', '\x1b\\after'],
    ['a control sequence', `\x1b[${'0;'.repeat(40)}`, '1mafter'],
    ['an escape sequence', `${'a'.repeat(40)}\x1b(`, 'Bafter'],
  ])('that ends within %s shows nothing of its rest', async (_, output, live) => {
    for (const kept of [0, 1, 10]) {
      const screen = new Witness()
      await screen.show(tailOf(output, kept))
      await screen.show(live)
      expect(screen.lines[0]?.replaceAll(/^a*/g, '')).toBe('after'.replace(/^a*/, ''))
      expect(screen.typed).toBe('')
    }
  })

  describe('after a flood that was not read', () => {
    // More than is read at once.
    const flood = 'a line of a flood = 100 % > 99 %?\r\n'.repeat(200_000)

    const tailOfFlood = (output: string, kept: number): string => tailOf(output, kept, 65_536).toString()

    it('begins with the private modes, and with what was set beside them', () => {
      const tail = tailOfFlood(`${flood}\x1b[?1049h\x1b[?1h\x1b=\x1b[2;10r${flood}\x1b[?25l${flood}`, 1_000)
      expect(tail.startsWith(`${RESET}\x1b[?1049h\x1b[2;10r\x1b=\x1b[?1h\x1b[?25la line of a flood`)).toBe(true)
    })

    it('begins with a private mode that is near another one', () => {
      for (let distance = 110; distance < 130; distance += 1) {
        const near = `\x1b[?2004h${'y'.repeat(distance)}\x1b[?1h`
        const tail = tailOfFlood(`${flood}${near}${flood}`, 1_000)
        expect(tail.slice(0, tail.indexOf('a line'))).toBe(`${RESET}\x1b[?2004;1h`)
      }
    })

    it('begins with the charset and the colour at its end', () => {
      const tail = tailOfFlood(`${flood}\x1b)0\x0e\x1b[31m${'a line'.repeat(200)}`, 1_140)
      expect(tail.slice(0, tail.indexOf('a line'))).toBe(`${RESET}\x1b)0\x0e\x1b[31m`)
    })

    it('shows nothing of a string in which it begins', () => {
      const tail = tailOfFlood(`${flood}\x1bP0q${'#0~-\n'.repeat(1_000)}\x1b\\after`, 2_000)
      expect(tail).toBe(`${RESET}\x1b\\after`)
    })

    it('begins as always if the first sequence in it ends no string', () => {
      const tail = tailOfFlood(`${flood}line\n\x1b[31mred\n\x1b\\line`, 19)
      expect(tail).toBe(`${RESET}\x1b[31mred\n\x1b\\line`)
    })
  })

  // ESC is written as ␛, CSI as ⌬, OSC as ⌭, ST as ⌮, CAN as ⌯, BEL as ♪, ENQ as ¿, and a lone first byte of these as
  // ‡.
  const pieces = [
    '␛[c ␛[6n ␛[?6n ␛[>q ␛[?1$p ␛[18t ␛]10;?♪ ␛]52;c;aGk=♪ ␛P$qm␛\\ ␛[ ␛] ␛P ␛_ ⌬ ⌭ ⌮ ‡ ⌯ ♪ ␛\\ ¿ 6n c 5 €',
    '␛[?1049h ␛[?1049l ␛[?2004h ␛[?1h ␛[?25l ␛[?1003;1006h ␛[?1000l ␛[?1004h ␛= ␛c ␛[!p ␛[2;10r ␛[4h ␛[31m line\r\n',
  ]
  const bytesOf = (text: string): Buffer => {
    if (text === '‡') return Buffer.from([0xc2])
    return Buffer.from(
      text.replaceAll(/[␛⌬⌭⌮⌯♪¿]/gu, (sign) => '\x1b\x9b\x9d\x9c\x18\x07\x05'.charAt('␛⌬⌭⌮⌯♪¿'.indexOf(sign))),
    )
  }
  const piece = fc.oneof(
    { weight: 4, arbitrary: fc.uint8Array({ maxLength: 30 }) },
    { weight: 6, arbitrary: fc.constantFrom(...pieces.join(' ').split(' ')).map(bytesOf) },
  )
  const output = fc.array(piece, { maxLength: 60 }).map((parts) => Buffer.concat(parts))

  it('types nothing into the shell, whatever the output is and wherever it is cut', async () => {
    await fc.assert(
      fc.asyncProperty(output, fc.nat(400), async (bytes, kept) => {
        const screen = new Witness()
        await screen.show(tailOf(bytes, kept))
        expect(screen.typed).toBe('')
        screen.terminal.dispose()
      }),
      { numRuns: 1_000 },
    )
  })

  const sequences = [
    '␛[?1049h ␛[?1049l ␛[?2004h ␛[?2004l ␛[?1h ␛[?1l ␛[?25l ␛[?25h ␛[?1000h ␛[?1003;1006h ␛[?1002l ␛= ␛> ␛[?1004h ␛[?6h',
    '␛[?6l ␛[4h ␛[4l ␛[?7l ␛[?7h ␛c ␛[!p ␛]0;title♪ ␛[6n line\r\n ␛P0q#0~␛\\ € a ␛[1;31m ␛[?45h ␛_G␛\\',
  ]
  const program = fc
    .array(fc.constantFrom(...sequences.join(' ').split(' ')).map(bytesOf), { maxLength: 80 })
    .map((parts) => Buffer.concat(parts))

  it('leaves a terminal in the modes of one that has shown everything, also after the live output', async () => {
    await fc.assert(
      fc.asyncProperty(program, program, fc.nat(600), async (bytes, live, kept) => {
        const [screen, witness] = [new Witness(), new Witness()]
        const cut = fc.sample(fc.nat(bytes.length), 1)[0] ?? 0
        await witness.show(bytes)
        await screen.show(tailOf(bytes.subarray(0, cut), kept))
        await screen.show(bytes.subarray(cut))
        expect(screen.terminal.modes).toEqual(witness.terminal.modes)
        expect(screen.terminal.buffer.active.type).toBe(witness.terminal.buffer.active.type)
        await witness.show(live)
        await screen.show(live)
        expect(screen.terminal.modes).toEqual(witness.terminal.modes)
      }),
      { numRuns: 300 },
    )
  })
})

/** Returns what a parser finds in the parts of some output, and where, and what it says of an unfinished sequence. */
function parse(parts: readonly string[]): [found: string, beginning: string] {
  const found: string[] = []
  const parser = new SequenceParser()
  for (const part of parts) {
    parser.feed(Buffer.from(part, 'latin1'), {
      onText: (_data, start, end) => found.push(`text ${start}-${end}`),
      onSequence({ kind, name, parameters, hasParts, asks }, start, end) {
        // A name is up to three characters in one number.
        const letters = [name >> 16, (name >> 8) & 0xff, name & 0xff].filter((code) => code > 0)
        if (kind === 'control') letters.splice(0, 1, 0x5e, name + 0x40)
        const value =
          kind === 'csi' ? `${String(parameters)}${hasParts ? ' parts' : ''}` : kind === 'control' ? '' : asks
        found.push(`${kind} ${String.fromCharCode(...letters)} ${value} ${start}-${end}`)
      },
    })
  }
  return [found.join(', '), parser.clone().beginning]
}

describe('SequenceParser', () => {
  it.each<[string[], found: string, beginning: string]>([
    [['ab\x1b[6n', 'c'], 'text 0-2, csi n 6 2-6, text 0-1', ''],
    [['\xc2', '\x9b6n'], 'csi n 6 0-3', ''],
    [['a\xc2', '', '\x9b6n'], 'text 0-1, csi n 6 0-3', ''],
    [['\x1b]0;\xc2', '\xa9?\x07'], 'osc 0 true 0-3', ''],
    [['ab\xc2\x9b6n'], 'text 0-2, csi n 6 2-6', ''],
    [['ab\xc2\x85c'], 'text 0-5', ''],
    [['\x1b]0;\xc2\xa0\xc2\x7f\x07'], 'osc 0 false 0-9', ''],
    [['\x1b[1\xc2\x85m'], 'text 5-6', ''],
    [['\x1b]0;a\xc2\x80m'], 'osc 0 false 0-5, text 7-8', ''],
    [['\x1b[1', ';2', 'H'], 'csi H 1,2 0-1', ''],
    [['\x1b[', '?', '1;;20', '04h'], 'csi ?h 1,0,2004 0-3', ''],
    [['\x1b', '[1', '\n0m'], 'control ^J  0-1, csi m 10 0-3', ''],
    [['\x1b[1\n0\x7f ', '3'], 'control ^J  3-4', '\x1b[10 3'],
    [
      ['a\x07b\x05\x0e\x0f\r'],
      'text 0-1, control ^G  1-2, text 2-3, control ^E  3-4, control ^N  4-5, control ^O  5-6, text 6-7',
      '',
    ],
    [['\x1b\n[\r1m'], 'control ^J  1-2, control ^M  3-4, csi m 1 0-6', ''],
    [['\x1b]0;\xc2', '\x9ca'], 'osc 0 false 0-0, text 1-2', ''],
    [['\x1b[1\x18ma'], 'text 4-6', ''],
    [['\x1b[1\x1ama'], 'text 4-6', ''],
    [['\x1b[1\x7fma'], 'csi m 1 0-5, text 5-6', ''],
    [['\x1b[1\x80ma'], 'text 3-6', ''],
    [['\x1b[1?h\x1b[ 1q\x1b[?1h'], 'csi ?h 1 10-15', ''],
    [['\x1b[99999999999m\x1b[2@\x1b[3~'], 'csi m 2147483647 0-14, csi @ 2 14-18, csi ~ 3 18-22', ''],
    [['\x1b[4:3m'], 'csi m 43 parts 0-6', ''],
    [['\x1b([\x1b0\x1b#8\x1b/', ' '], 'escape ([ false 0-3, escape 0 false 3-5, escape #8 false 5-8', '\x1b/ '],
    [['\x1b]1', '1;a', '?\x07'], 'osc 11 true 0-2', ''],
    [['\x1b]1234;\x07'], 'osc \xff\xff false 0-8', ''],
    [['\x1b]0;a\x1b\\'], 'osc 0 false 0-5, escape \\ false 5-7', ''],
    [['\x1bP1;', '2q', '#0'], '', '\x1bP~'],
    [['\x1bP09;8q#?\x1b\\'], 'dcs q true 0-9, escape \\ false 9-11', ''],
    [['\x1b_a\x07b?', ';c\x1b\\'], 'string ab? true 0-2, escape \\ false 2-4', ''],
    [['\x1bX'], '', '\x1b^'],
    [['\x1b^'], '', '\x1b^'],
    [['\x1b'], '', '\x1b'],
    [['\x1b['], '', '\x1b['],
    [['\xc2\x90'], '', '\x1bP~'],
    [['\xc2\x98'], '', '\x1b^'],
    [['\xc2\x9b1'], '', '\x1b[1'],
    [['\xc2\x9d'], '', '\x1b]'],
    [['\xc2\x9e'], '', '\x1b^'],
    [['\xc2\x9f'], '', '\x1b^'],
    [['\xc2\x80a\xc2\x9f'], 'text 0-3', '\x1b^'],
  ])('finds in the parts %j: %s, and the beginning %j', (parts, found, beginning) => {
    expect(parse(parts)).toEqual([found, beginning])
  })

  it('ignores a control sequence of more than 4096 bytes, and keeps no more of it', () => {
    expect(parse([`\x1b[${'0'.repeat(4095)}m`])).toEqual(['csi m 0 0-4098', ''])
    expect(parse([`\x1b[${'0'.repeat(4096)}m`])).toEqual(['', ''])
    const ones = '1'.repeat(4000)
    expect(parse([`\x1b[${ones}`, '2'.repeat(200), '3'])).toEqual(['', `\x1b[${ones}${'2'.repeat(96)}`])
  })
})

const KIB = 1024

/** Counts the bytes that are read of some output, and the calls of its methods. */
function counted(output: Buffer): { output: Buffer; cost: { bytes: number; calls: number } } {
  const cost = { bytes: 0, calls: 0 }
  const proxy = new Proxy(output, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name)
      if (typeof name === 'string' && /^\d+$/.test(name)) cost.bytes += 1
      if (typeof value !== 'function') return value
      return (...parameters: unknown[]) => {
        const result: unknown = value.apply(target, parameters)
        cost.calls += 1
        // A search reads up to what it finds; everything else at most all of what it returns or copies.
        const from = name === 'indexOf' ? Number(parameters[1] ?? 0) : 0
        if (name === 'indexOf') cost.bytes += (result === -1 ? target.length : Number(result)) - from
        else if (typeof result === 'number') cost.bytes += result
        return result
      }
    },
  })
  return { output: proxy, cost }
}

const crafted: Array<[name: string, unit: string]> = [
  ['text', 'a line of text\n'],
  ['first bytes of control characters', '\xc2'],
  ['the branches of `tree`', '\xe2\x94\x9c\xe2\x94\x80\xe2\x94\x80\xc2\xa0src\n'],
  ['continuations of a character', '\x80'],
  ['enquiries', '\x05'],
  ['enquiries between letters', 'a\x05'],
  ['ESC', '\x1b'],
  ['short escape sequences', '\x1bc'],
  ['escape sequences that are left out', '\x1bZ'],
  ['short control sequences', '\x1b[m'],
  ['letters between control sequences', 'a\x1b[m'],
  ['focus events', '\x1b[?1004h'],
  ['focus events beside a mode', '\x1b[?1;1004h'],
  ['many modes at once', `\x1b[?${'9;1;1004;'.repeat(400)}h`],
  ['strings that are not ended', '\x1b]0'],
  ['questions for colours', '\x1b]11;?\x07'],
  ['queries', '\x1b[c'],
  ['lines within strings', '\x1bP0q\n'],
  ['broken sequences', '\x1b[1\n'],
  ['a long string', `\x1b]0;${'a'.repeat(20 * KIB)}`],
]

describe.each([
  ['output that begins with a line', 'line\n'],
  ['output without the end of a line', ''],
])('the cost of the tail of %s', (_, beginning) => {
  it.each(crafted)('is linear for %s', (_name, unit) => {
    const [one, four] = [16 * KIB, 64 * KIB].map((size) => {
      const { output, cost } = counted(
        Buffer.from((beginning + unit.repeat(Math.ceil(size / unit.length))).slice(0, size), 'latin1'),
      )
      buildTail(output, new ScreenState())
      // A copy of a piece that is shorter would cost more than its bytes.
      expect(cost.calls).toBeLessThan(size / 32)
      expect(cost.bytes).toBeLessThan(size * 6)
      return cost.bytes
    })
    expect(four).toBeLessThan(4.4 * Number(one))
  })
})
