import type { Writable } from 'node:stream'

const LONGEST_LINE_BYTES = 4095
// The kernel keeps about 280 pieces for a program that does not read, however small they are. With this size, it takes
// as much as a PTY does (PROTOCOL 9.11).
const PIECE_BYTES = 48

const ESCAPE = /\\(?:([0-7]{1,3})|x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|(.|$))/gs
const SIMPLE_ESCAPES: Readonly<Record<string, string>> = {
  '\\': '\\',
  "'": "'",
  '"': '"',
  '\n': '',
  a: '\u0007',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
}

/** Interprets backslash escapes as Python does. Returns `undefined` where Python raises an error. */
export function interpretEscapes(text: string): string | undefined {
  try {
    const interpreted = text.replaceAll(
      ESCAPE,
      (escape, octal?: string, x?: string, u?: string, U?: string, other = '') => {
        const code = octal === undefined ? parseInt(x ?? u ?? U ?? '', 16) : parseInt(octal, 8)
        if (!Number.isNaN(code)) return String.fromCodePoint(code)
        // Also at the end of the text, where nothing follows the backslash.
        if ('xuUN'.includes(other)) throw new RangeError('truncated escape')
        return SIMPLE_ESCAPES[other] ?? escape
      },
    )
    return /\p{Cs}/u.test(interpreted) ? undefined : interpreted
  } catch {
    return undefined
  }
}

const END_OF_TRANSMISSION = '\u0004'
// Ctrl-C, Ctrl-Z and Ctrl-\ are no input. As no process has the PTY for its own, they signal nobody.
const SIGNALS = ['\u0003', '\u001a', '\u001c']

/**
 * Returns the function that types into a command as into a PTY whose program has changed no mode: it echoes, delivers
 * whole lines, cuts long ones, and knows Ctrl-D. Its promise resolves with whether the program has room for the input.
 */
export function createCommandInput(stdin: Writable, echo: (text: string) => void): (text: string) => Promise<boolean> {
  let line = ''
  let lineBytes = 0
  // Writing to a command that has closed its input fails, which the promises say.
  stdin.on('error', () => {})

  function deliver(end: string): Promise<boolean> {
    const bytes = Buffer.from(line + end)
    line = ''
    lineBytes = 0
    let room = Promise.resolve(true)
    // After its end, input stays in the PTY, too.
    for (let start = 0; start < bytes.length && stdin.writable; start += PIECE_BYTES) {
      const piece = bytes.subarray(start, start + PIECE_BYTES)
      room = new Promise((resolve) => stdin.write(piece, (error) => resolve(!error)))
    }
    return room
  }

  return (text) => {
    let room = Promise.resolve(true)
    let shown = ''
    for (const character of text.replaceAll('\r', '\n')) {
      if (character === END_OF_TRANSMISSION && line === '') stdin.end()
      else if (character === END_OF_TRANSMISSION) room = deliver('')
      else {
        const isControl = character < ' ' && !'\n\t'.includes(character)
        shown += isControl ? `^${String.fromCharCode(character.charCodeAt(0) + 64)}` : character
        const bytes = Buffer.byteLength(character)
        if (character === '\n') room = deliver('\n')
        else if (!SIGNALS.includes(character) && lineBytes + bytes <= LONGEST_LINE_BYTES) {
          line += character
          lineBytes += bytes
        }
      }
    }
    echo(shown)
    return room
  }
}
