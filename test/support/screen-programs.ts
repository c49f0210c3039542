import fc from 'fast-check'
import { randomness } from './random.ts'

const ESC = '\x1b'
const colour = fc.nat(255)
const rgb = fc.tuple(colour, colour, colour)

/** A colour in SGR after 38, 48 or 58, in the spellings that programs use. */
const extendedColour = fc.oneof(
  colour.map((index) => `;5;${index}`),
  colour.map((index) => `:5:${index}`),
  rgb.map((parts) => `;2;${parts.join(';')}`),
  rgb.map((parts) => `:2::${parts.join(':')}`),
  rgb.map((parts) => `:2:${parts.join(':')}`),
)
const attribute = fc.oneof(
  fc.constantFrom(...'0 1 2 3 5 7 8 9 22 23 25 27 28 29 39 49 53 55 30 37 41 46 90 97 100 107'.split(' '), ''),
  fc.tuple(fc.constantFrom('38', '48'), extendedColour).map((parts) => parts.join('')),
)
const underline = fc.oneof(
  fc.constantFrom('4', '4:0', '4:1', '4:2', '4:3', '4:4', '4:5', '21', '24'),
  extendedColour.map((parts) => `58${parts}`),
)
const sgr = (parameter: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.array(parameter, { maxLength: 3 }).map((parameters) => `${ESC}[${parameters.join(';')}m`)

const spec = fc.oneof(
  rgb.map((parts) => `#${parts.map((part) => part.toString(16).padStart(2, '0')).join('')}`),
  rgb.map((parts) => `rgb:${parts.map((part) => part.toString(16).padStart(2, '0')).join('/')}`),
  fc.constantFrom('#fff', '#123456789abc', 'rgb:f/0/8', 'RGB:FFFF/0000/8000', 'nothing', ''),
)
const osc = (body: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.tuple(body, fc.constantFrom('\x07', `${ESC}\\`, '\u009c')).map(([text, end]) => `${ESC}]${text}${end}`)

// Of an underline and a hyperlink, xterm.js saves only whether there is one, and of the charsets only the one in use.
// What is before and after these makes this invisible.
const CLEAN = `${ESC}[24m${ESC}]8;;\x07`
const saving = (sequence: string): string => CLEAN + sequence
const restoring = (sequence: string): string[] =>
  ['\x0e', '\x0f'].map((shift) => `${CLEAN}${sequence}${ESC}[58;5;1m${shift}`)
const csi = (bodies: string): string[] => bodies.split(' ').map((body) => `${ESC}[${body}`)

/** What programs print, by kind: sequences, text, and control characters. */
const PIECES = {
  text: fc.constantFrom('a', 'lqqqqk', 'x y', 'grüße', '€', '漢字', '#', '\r\n', '\n', '\r', '\b', '\t'),
  lines: fc.nat(90).map((length) => `${'line of text '.repeat(8).slice(0, length)}\r\n`),
  cursor: fc.constantFrom(...csi('H 5;10H 24;80H A 3B 20C D 40G 7d J 1J 2J K 1K L M P @ X S T'), `${ESC}M`, `${ESC}D`),
  pen: fc.oneof(sgr(attribute), sgr(attribute), sgr(underline), fc.constantFrom(...csi('m m 0m 1"q 0"q 2"q'))),
  charsets: fc.constantFrom(
    ...'(0 (B )0 )B *0 +A -0 .K (A (Z /0 n o | } ~ %G'.split(' ').map((body) => ESC + body),
    '\x0e',
    '\x0f',
  ),
  modes: fc.constantFrom(
    ...csi('?1h ?1l ?2h ?6h ?6l ?7h ?7l ?12h ?12l ?25h ?25l ?45h ?45l ?66h ?66l ?2004h ?2004l ?1004h ?1004l'),
    ...csi('?9h ?1000h ?1002h ?1003l ?1005h ?1005l ?1006h ?1006l ?1015h ?1016h ?1016l ?25;1006h 4h 4l 20h 20l'),
    `${ESC}=`,
    `${ESC}>`,
  ),
  regions: fc.constantFrom(...csi('r 2;10r 5r 5;5r 9;3r ;12r 1;24r 0;0r 3;99r')),
  cursorStyle: fc.nat(8).map((style) => `${ESC}[${style || ''} q`),
  screens: fc.constantFrom(...csi('?1049h ?47h ?1047h ?47l ?1047l').map(saving), ...restoring(`${ESC}[?1049l`)),
  saved: fc.constantFrom(
    ...[`${ESC}7`, `${ESC}[s`, `${ESC}[?1048h`].map(saving),
    ...[`${ESC}8`, `${ESC}[u`, `${ESC}[?1048l`].flatMap(restoring),
  ),
  titles: osc(
    fc.tuple(fc.constantFrom('0', '1', '2'), fc.constantFrom('', 'vim', 'grüße', 'a;b')).map((t) => t.join(';')),
  ),
  palette: osc(
    fc.oneof(
      fc.array(fc.tuple(fc.nat(300), spec), { maxLength: 3 }).map((pairs) => ['4', ...pairs.flat()].join(';')),
      fc.tuple(fc.constantFrom('10', '11', '12'), spec).map((parts) => parts.join(';')),
      spec.map((text) => `10;${text};${text}`),
      fc.constantFrom('104', '104;1;2', '110', '111', '112', '104;', '4', '10;?'),
    ),
  ),
  links: osc(fc.constantFrom('8;;', '8;;http://a', '8;id=1;http://b;c', '8;id=1;', '8;')),
  tabs: fc.constantFrom(
    ...csi('3g g').map((body) => `\r${body}`),
    ...csi('5G 13G H').flatMap((move) => [`${move}${ESC}H`, `${move}${ESC}[g`]),
    `\r${ESC}[3g${`    ${ESC}H`.repeat(5)}\r`,
  ),
  resets: fc.constantFrom(`${ESC}c`, `${ESC}[!p`),
  strings: fc.constantFrom(
    `${ESC}P0q#0~${ESC}\\`,
    `${ESC}_Ga=T;AAAA${ESC}\\`,
    `${ESC}]133;A\x07`,
    `${ESC}]52;c;aGk=\x07`,
  ),
  queries: fc.constantFrom(
    ...csi('c >c 6n ?6n ?1$p 18t >q x'),
    '\x05',
    `${ESC}Z`,
    `${ESC}P$qm${ESC}\\`,
    `${ESC}]11;?\x07`,
  ),
  bells: fc.constantFrom('\x07', `${ESC}[3\x071m`, `a\x07b\x07`),
  // Control characters within a sequence, sequences that are cancelled, or not finished.
  broken: fc.constantFrom(
    ...csi('3\n1m 3\0;1m \x7f4m 1\x0em 2\x0fm 3\r2m 31\x18 1\x1a'),
    `${ESC}\n7`.replace('7', '='),
    `${ESC}[1`,
    `${ESC}]2;a\x18`,
    `${ESC}]0\n;b\x07`,
    `${ESC}[1?25l`,
    ESC,
  ),
} satisfies Record<string, fc.Arbitrary<string>>

/** How often each kind comes. Kinds that are left out do not come. */
export type Weights = Partial<Record<keyof typeof PIECES, number>>

/** Makes the output of random programs: pieces of the kinds that have a weight, which may then be split anywhere. */
export function programs(weights: Weights, maxLength = 120): fc.Arbitrary<string> {
  const kinds = Object.keys(weights) as (keyof typeof PIECES)[]
  const piece = fc.oneof(...kinds.map((kind) => ({ weight: Number(weights[kind]), arbitrary: PIECES[kind] })))
  return fc.array(piece, { maxLength, size: 'max' }).map((pieces) => pieces.join(''))
}

/** What settings are made of. */
export const SETTINGS: Weights = {
  text: 6, lines: 8, cursor: 2, pen: 5, charsets: 4, modes: 6, regions: 2, cursorStyle: 1, screens: 2, saved: 2,
  titles: 1, palette: 2, links: 2, tabs: 1, resets: 1, strings: 1, queries: 2, bells: 2, broken: 2,
} // prettier-ignore

const { seconds, seed } = randomness('SCREEN', 27)

/** How long a test of random programs may take, in ms. */
export const RANDOM_TIMEOUT_MS = (seconds + 60) * 1_000

/** Returns how many programs to try from a fixed seed; with SCREEN_SECONDS, as many as there is time for, from any. */
export function randomRuns(numRuns: number): { seed: number; numRuns: number; interruptAfterTimeLimit?: number } {
  return seconds > 0
    ? { seed, numRuns: Number.MAX_SAFE_INTEGER, interruptAfterTimeLimit: seconds * 1_000 }
    : { seed, numRuns }
}
