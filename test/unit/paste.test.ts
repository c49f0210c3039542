import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BracketedPaste, PASTE_END } from '../../src/terminal/paste.ts'

const ON = '\u001b[?2004h'
const OFF = '\u001b[?2004l'
const START = '\u001b[200~'
const END = '\u001b[201~'

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

/** Returns the state after a program has printed the outputs. */
function after(...outputs: readonly string[]): BracketedPaste {
  const paste = new BracketedPaste()
  for (const output of outputs) paste.onOutput(bytesOf(output))
  return paste
}

/** Returns whether a paste is open after a program has asked for pastes, and the inputs were sent. */
function isOpenAfter(...inputs: readonly string[]): boolean {
  const paste = after(ON)
  for (const input of inputs) paste.onInput(bytesOf(input))
  return paste.isOpen
}

/** Returns a text in two pieces, once for each place where it can be cut. */
function cutsOf(text: string): Array<[string, string]> {
  return Array.from({ length: text.length + 1 }, (_, at) => [text.slice(0, at), text.slice(at)])
}

describe('a program', () => {
  it.each<[output: string, isWanted: boolean]>([
    ['', false],
    ['output', false],
    [ON, true],
    [`login: ${ON}$ `, true],
    [OFF, false],
    // The last word wins.
    [ON + OFF, false],
    [OFF + ON, true],
    [`${ON}$ ${OFF}\r\n${ON}$ `, true],
    [`${ON}$ ${OFF}\r\n`, false],
    [`${ON}${'x'.repeat(5_000)}${OFF}${'x'.repeat(5_000)}`, false],
    // Other sequences change nothing.
    [`${ON}\u001b[?2004`, true],
    [`${ON}\u001b[?2004\u001b[?2004x`, true],
    [`${ON}\u001b[?2005l\u001b[2004l\u001b?2004l[?2004l\u001b[?20044l`, true],
    ['\u001b[?\u001b[?2004\u001b[?2004h', true],
    ['\u001b\u001b[?2004h', true],
  ])('that prints %j wants pastes in brackets: %s', (output, isWanted) => {
    expect(after(output).isWanted).toBe(isWanted)
    for (const pieces of cutsOf(output)) expect(after(...pieces).isWanted).toBe(isWanted)
    expect(after(...output.split('')).isWanted).toBe(isWanted)
  })

  it('has news only when it wants pastes and has not wanted them before', () => {
    const paste = after()
    const outputs = ['$ ', ON, ON, '$ ', OFF, OFF, OFF + ON, ON + OFF, '\u001b[?20', '04', 'h', '$ ', `${ON}${ON}`]
    const news = outputs.filter((output) => paste.onOutput(bytesOf(output)))
    expect(news).toEqual([ON, OFF + ON, 'h'])
  })
})

describe('input', () => {
  it.each<[input: string, isOpen: boolean]>([
    ['', false],
    ['ls\r', false],
    [START, true],
    [`ls ${START}text`, true],
    [START + END, false],
    [`${START}text${END}ls\r`, false],
    [`${START}text${END}${START}`, true],
    // Within a paste, only its end counts; outside, only a start.
    [`${START}${START}text${END}`, false],
    [END, false],
    [`${END}${START}`, true],
    [`${START}${END}${END}`, false],
    // A marker that is not complete is none.
    ['\u001b[200', false],
    ['\u001b[200\u001b~', false],
    ['\u001b[20\u001b[200~', true],
    ['\u001b\u001b[200~', true],
    ['[200~', false],
    ['\u001b[200 ~', false],
    [`${START}\u001b[201`, true],
    [`${START}\u001b[20\u001b[201~`, false],
  ])('of %j leaves a paste open: %s', (input, isOpen) => {
    expect(isOpenAfter(input)).toBe(isOpen)
    for (const pieces of cutsOf(input)) expect(isOpenAfter(...pieces)).toBe(isOpen)
    expect(isOpenAfter(...input.split(''))).toBe(isOpen)
  })

  it('begins no paste that the program does not want', () => {
    for (const paste of [after(), after(ON, OFF)]) {
      paste.onInput(bytesOf(`${START}text`))
      expect(paste.isOpen).toBe(false)
    }
  })

  it('is no paste any more once bracketed paste is off', () => {
    const paste = after(ON)
    paste.onInput(bytesOf(`${START}text`))
    paste.onOutput(bytesOf(OFF))
    expect(paste.isOpen).toBe(false)
    paste.onOutput(bytesOf(ON))
    expect(paste.isOpen).toBe(false)
    paste.onInput(bytesOf(START))
    expect(paste.isOpen).toBe(true)
    paste.onInput(PASTE_END)
    expect(paste.isOpen).toBe(false)
  })

  // A known fault: the `1` of the end counts as the second `0` of a start.
  it('begins no paste with the end of one, if the program has wanted none in between', () => {
    const paste = after(ON)
    paste.onInput(bytesOf(`${START}text\u001b[201`))
    paste.onOutput(bytesOf(OFF + ON))
    paste.onInput(bytesOf('~ls\r'))
    expect(paste.isOpen).toBe(false)
  })
})

describe('partOf', () => {
  const paste = `${START}text${END}`

  it.each<[name: string, data: string, start: number, isPaste: boolean, length: number]>([
    ['nothing', '', 0, false, 0],
    ['the end of the data', 'ls\r', 3, false, 0],
    ['keys', 'ls\r', 0, false, 3],
    ['some of the keys', 'ls\r', 2, false, 1],
    ['keys before a paste', `ls ${paste}`, 0, false, 3],
    ['the last key before a paste', `ls ${paste}`, 2, false, 1],
    ['a paste', paste, 0, true, 16],
    ['a paste after keys', `ls ${paste}`, 3, true, 16],
    ['a paste before keys', `${paste}ls`, 0, true, 16],
    ['keys after a paste', `${paste}ls`, 16, false, 2],
    ['a paste before a paste', paste + paste, 0, true, 16],
    ['a paste after a paste', paste + paste, 16, true, 16],
    ['a paste with a start in it', START + paste, 0, true, 22],
    ['an empty paste', START + END, 0, true, 12],
    ['a paste without an end', `${START}text`, 0, true, 10],
    ['a paste with a part of its end', `${START}text\u001b[20`, 0, true, 14],
    ['escape sequences', '\u001b[A\u001b[20~\u001b[200', 0, false, 13],
    ['an end without a paste', `${END}ls`, 0, false, 8],
  ])('finds %s: %j from %i on', (_name, data, start, isPaste, length) => {
    expect(after(ON).partOf(bytesOf(data), start, 1024)).toEqual({ isPaste, length })
    // In a paste that no program wants, there are only keys.
    for (const unwanted of [after(), after(ON, OFF)]) {
      expect(unwanted.partOf(bytesOf(data), start, 1024).isPaste).toBe(false)
    }
  })

  it.each<[name: string, data: string, start: number, isPaste: boolean, length: number]>([
    ['text', 'text', 0, true, 4],
    ['some of the text', 'text', 1, true, 3],
    ['text and the end', `text${END}ls`, 0, true, 10],
    ['the end', `${END}ls`, 0, true, 6],
    ['another start', `${START}text`, 0, true, 10],
    ['text and the end of the first of two pastes', `text${END}${paste}`, 0, true, 10],
  ])('finds, in an open paste, %s: %j from %i on', (_name, data, start, isPaste, length) => {
    const open = after(ON)
    open.onInput(bytesOf(START))
    expect(open.partOf(bytesOf(data), start, 1024)).toEqual({ isPaste, length })
    open.onOutput(bytesOf(OFF))
    expect(open.partOf(bytesOf(data), start, 1024).isPaste).toBe(false)
  })

  // A known fault: the keys after an end that is cut, as frames are, count as a paste.
  it('finds the end of a paste after its first bytes were sent', () => {
    const data = bytesOf(`${paste}ls\r`)
    for (let rest = 5; rest > 0; rest -= 1) {
      const open = after(ON)
      open.onInput(data.subarray(0, paste.length - rest))
      expect(open.partOf(data, paste.length - rest, 1024)).toEqual({ isPaste: true, length: rest })
    }
  })

  it('finds every byte once, and each paste whole', () => {
    const token = fc.constantFrom(START, END, paste, 'a', '\r', '\u001b', '\u001b[20', '~')
    fc.assert(
      fc.property(fc.array(token), fc.boolean(), (tokens, isWanted) => {
        const data = bytesOf(tokens.join(''))
        const state = isWanted ? after(ON) : after()
        let found = ''
        const pastes: string[] = []
        while (found.length < data.length) {
          const { isPaste, length } = state.partOf(data, found.length, 1024)
          expect(length).toBeGreaterThan(0)
          const part = data.subarray(found.length, found.length + length)
          state.onInput(part)
          found += Buffer.from(part).toString()
          if (isPaste) pastes.push(Buffer.from(part).toString())
        }
        expect(found).toBe(tokens.join(''))
        const [start, end] = [START, END].map((marker) => marker.replace('[', '\\['))
        const expected = found.match(new RegExp(`${start}[^]*?(?:${end}|$)`, 'g')) ?? []
        expect(pastes).toEqual(isWanted ? expected : [])
      }),
    )
  })
})

describe('BracketedPaste', () => {
  const output = fc.array(fc.constantFrom(ON, OFF, '\u001b[?2004', '\u001b[?20', '04', 'h', 'l', '$ ', 'x'.repeat(20)))
  const input = fc.array(fc.constantFrom(START, END, '\u001b', '\u001b[20', '0~', '1~', 'text'))
  const step = fc.oneof(
    output.map((texts) => ({ output: texts.join('') })),
    input.map((texts) => ({ input: texts.join('') })),
  )
  /** The lengths of the pieces that a text is cut into, used in turn. */
  const lengths = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1 })

  function pieces(text: string, sizes: readonly number[]): string[] {
    const cut: string[] = []
    for (let at = 0; at < text.length; at += String(cut.at(-1)).length) {
      cut.push(text.slice(at, at + Number(sizes[cut.length % sizes.length])))
    }
    return cut
  }

  it('does the same however input and output are cut into pieces', () => {
    fc.assert(
      fc.property(fc.array(step), lengths, (steps, sizes) => {
        const [cut, whole] = [after(), after()]
        let printed = ''
        for (const action of steps) {
          if ('input' in action) {
            for (const piece of pieces(action.input, sizes)) cut.onInput(bytesOf(piece))
            whole.onInput(bytesOf(action.input))
          } else {
            const isNew = ['', ...pieces(action.output, sizes)].map((piece) => cut.onOutput(bytesOf(piece)))
            expect(whole.onOutput(bytesOf(action.output))).toBe(isNew.includes(true))
            printed += action.output
          }
          expect(cut).toMatchObject({ isWanted: whole.isWanted, isOpen: whole.isOpen })
          expect(cut.isWanted).toBe(printed.lastIndexOf(ON) > printed.lastIndexOf(OFF))
        }
      }),
      { numRuns: 500 },
    )
  })
})
