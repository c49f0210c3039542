import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FrameReader } from '../../src/command/frames.ts'

interface Read {
  readonly stdout: string
  readonly stderr: string
  readonly reader: FrameReader
}

/** Reads pieces of output; `null` stands for a log that was cut. */
function read(pieces: ReadonlyArray<string | null>): Read {
  const text = { stdout: '', stderr: '' }
  const reader = new FrameReader(({ stream, data }) => (text[stream] += Buffer.from(data).toString('latin1')))
  for (const piece of pieces) {
    if (piece === null) reader.restart()
    else reader.push(piece)
  }
  return { ...text, reader }
}

describe('the output of a command', () => {
  it.each([
    ['is empty', ['o0.\r\ne0.\r\nx0\r\n'], '', '', 0, false],
    ['has both streams', ['o0:4:aGk=\r\ne0:4:bm8=\r\no1.\r\ne1.\r\nx3\r\n'], 'hi', 'no', 3, false],
    ['comes in pieces', ['o0:4:a', 'Gk=\r', '\no1.\r\ne0.', '\r\nx1', '43\r\n'], 'hi', '', 143, false],
    [
      'comes twice, as a log does that is read again',
      ['o0:4:aGk=\n', null, 'o0:4:aGk=\no1.\ne0.\nx0\n'],
      'hi',
      '',
      0,
      false,
    ],
    ['misses a part', ['o0:4:aGk=\no2:4:bm8=\no3.\ne0.\nx0\n'], 'hino', '', 0, true],
    ['misses the last part', ['o0:4:aGk=\no2.\ne0.\nx0\n'], 'hi', '', 0, true],
    ['misses the end of a part', ['o0:4:aGo1:4:bm8=\no2.\ne0.\nx0\n'], '', '', 0, true],
    ['misses the middle of a part', ['o0:4:aG\no1.\ne0.\nx0\n'], '', '', 0, true],
    ['begins within a part', ['aGk=\no1:4:bm8=\no2.\ne0.\nx0\n'], 'no', '', 0, true],
    ['goes on elsewhere after a cut', ['o0:4:aG', null, 'o1:4:bm8=\no2.\ne0.\nx0\n'], 'no', '', 0, true],
    ['has no end', ['o0:4:aGk=\n'], 'hi', '', undefined, true],
    ['has words of somebody else', ['sh: warning\r\nx\r\nxy\r\no0.\r\ne0.\r\nx0\r\n'], '', '', 0, false],
  ] as const)('%s', (_title, pieces, stdout, stderr, exitCode, isTruncated) => {
    const { reader, ...streams } = read(pieces)
    expect({ ...streams, exitCode: reader.exitCode, isTruncated: reader.isTruncated }).toEqual({
      stdout,
      stderr,
      exitCode,
      isTruncated,
    })
  })

  it('is the same in a runtime without Buffer', () => {
    const { Buffer } = globalThis
    let data: Uint8Array | undefined
    const reader = new FrameReader((output) => (data = output.data))
    Reflect.deleteProperty(globalThis, 'Buffer')
    try {
      reader.push('o0:8:AIB/gP8=\n')
    } finally {
      globalThis.Buffer = Buffer
    }
    expect([...(data ?? [])]).toEqual([0, 128, 127, 128, 255])
  })

  it('forgets a line that is longer than any of its own', () => {
    expect(read(['o0:1:' + 'A'.repeat(200_000), '\no0:4:aGk=\no1.\ne0.\nx0\n'])).toMatchObject({ stdout: 'hi' })
  })

  it('says why a command has not run', () => {
    expect(read(['!twin\r\n']).reader.failure).toBe('twin')
  })

  it('arrives byte for byte, wherever it is cut', () => {
    const bytes = fc.uint8Array({ maxLength: 40, minLength: 1 })
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom('o', 'e'), bytes)), fc.array(fc.nat(30)), (parts, sizes) => {
        const counts = { o: 0, e: 0 }
        let text = ''
        for (const [letter, data] of parts as [['o' | 'e', Uint8Array]]) {
          const base64 = Buffer.from(data).toString('base64')
          text += `${letter}${counts[letter]++}:${base64.length}:${base64}\r\n`
        }
        text += `o${counts.o}.\r\ne${counts.e}.\r\nx7\r\n`
        const pieces = sizes.map((size) => {
          const piece = text.slice(0, size)
          text = text.slice(size)
          return piece
        })
        const { stdout, stderr, reader } = read([...pieces, text])
        const whole = (wanted: string): string =>
          Buffer.concat(parts.flatMap(([letter, data]) => (letter === wanted ? [data] : []))).toString('latin1')
        expect([stdout, stderr, reader.exitCode, reader.isTruncated]).toEqual([whole('o'), whole('e'), 7, false])
      }),
    )
  })

  it('never has a part that was not printed, whichever pieces are lost', () => {
    const parts = Array.from({ length: 6 }, (_part, index) => Buffer.from(`part ${index} `.repeat(index + 1)))
    const lines = parts.map((part, index) => {
      const base64 = part.toString('base64')
      return `o${index}:${base64.length}:${base64}\r\n`
    })
    const text = `${lines.join('')}o6.\r\ne0.\r\nx0\r\n`
    fc.assert(
      fc.property(fc.nat(text.length), fc.nat(80), (from, length) => {
        const { stdout, reader } = read([text.slice(0, from), null, text.slice(from + length)])
        const known = parts.map(String)
        let rest = stdout
        for (const part of known) if (rest.startsWith(part)) rest = rest.slice(part.length)
        expect(rest).toBe('')
        expect(reader.isTruncated || stdout === known.join('')).toBe(true)
      }),
    )
  })
})
