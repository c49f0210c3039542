import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { plainText } from '../../src/screen/plain-text.ts'
import { SequenceParser } from '../../src/screen/sequences.ts'

describe('plainText', () => {
  it.each([
    ['lines', 'one\r\ntwo', 'one\ntwo'],
    ['colours and titles', '\x1b]0;title\x07\x1b[1;31mred\x1b[0m \x1bP$q\x1b\\text', 'red text'],
    ['progress', '10%\r 50%\r100%', '100%'],
    ['a shorter line over a longer one', 'longer\rshort', 'shortr'],
    ['what a shell erases', 'longer\r\x1b[Kshort', 'short'],
    ['a letter taken back', 'cat\b\bu', 'cut'],
    ['tabs', 'a\tb', 'a       b'],
    ['a screen that was cleared', 'old\r\n\x1b[H\x1b[2Jnew', 'new'],
    ['a terminal that was reset', 'old\x1bcnew', 'new'],
    ['characters of several bytes', 'äöü€😀', 'äöü€😀'],
    ['other control characters', 'a\x00\x07\x0e\x7f\u009cb', 'ab'],
    ['a sequence that is not finished', 'text\x1b[3', 'text'],
    ['blanks at the end', 'text   \r\n', 'text\n'],
  ])('reads %s', (_, output, text) => {
    expect(plainText(Buffer.from(output), 24)).toBe(text)
  })

  it('returns as many lines as fit, the last ones', () => {
    expect(plainText(Buffer.from('1\n2\n3\n4'), 2)).toBe('3\n4')
  })

  it.each([
    ['from a line on', `${'old\n'.repeat(20_000)}new`, ['old', 'new']],
    ['if that is no whole line', 'x'.repeat(100_000), ['x'.repeat(64 * 1024)]],
    ['and nothing of a title that is cut', `\x1b]0;${'title'.repeat(20_000)}\x07\nnew`, ['new']],
  ])('reads the last 64 KiB, %s', (_, output, last) => {
    expect(plainText(Buffer.from(output), 24).split('\n').slice(-2)).toEqual(last)
  })

  it('knows that the output begins within a sequence', () => {
    const parser = new SequenceParser()
    parser.feed(Buffer.from('\x1b]0;ti'), { onSequence() {} })
    expect(plainText(Buffer.from('tle\x07text'), 24, parser)).toBe('text')
  })

  it('returns no control character, whatever was printed', () => {
    const printed = fc.array(
      fc.constantFrom('\x1b[', '\x1b]', '\x1b', '\x07', '\x9c', 'K', '2J', '5', '\r', '\b', 'a', '\xc2'),
    )
    fc.assert(
      fc.property(printed, (parts) => {
        const text = plainText(Buffer.from(parts.join(''), 'latin1'), 24)
        expect(text.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u)
      }),
      { seed: 1 },
    )
  })
})
