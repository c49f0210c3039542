import { LONGEST_BODY, type SequenceKind } from './sequence-parser.ts'

// Control sequences, by their prefix, intermediate and final bytes, that a terminal answers (DA, DSR, DECRQM, XTVERSION
// and others), or that move its window, print or test it.
const ANSWERED_CONTROLS = new Set('c >c =c ?c n ?n $p ?$p >q ?u x *y $w $u &u "v \'| #R #| ?S ?m t i ?i y'.split(' '))

// OSC strings that change only what the window shows: titles, colours, hyperlinks, the working directory, marks of a shell.
const REPLAYED_STRINGS = new Set(
  '0 1 2 4 5 7 8 10 11 12 13 14 15 16 17 18 19 104 105 110 111 112 113 114 115 116 117 118 119 133 633'.split(' '),
)
// Those that ask for a colour if a part of them is a question mark.
const COLOURS = /^(?:4|5|1\d);/

// Private modes whose setting a terminal may answer at once: focus events and size reports.
const REPORTING_MODES = new Set([1004, 2048])

/**
 * Whether a sequence of earlier output may be sent to a terminal again: whether no terminal answers it, and it does nothing
 * outside of the window, such as writing to the clipboard.
 *
 * @see https://invisible-island.net/xterm/ctlseqs/ctlseqs.html
 */
export function mayReplay(kind: SequenceKind, body: string): boolean {
  if (kind === 'escape') return body !== 'Z'
  if (kind === 'csi') return !ANSWERED_CONTROLS.has(body.replaceAll(/[\d;:]/g, ''))
  if (kind === 'osc') return mayReplayString(body)
  // Of the device control strings, only images in sixels.
  return kind === 'dcs' && /^[\d;]*q/.test(body)
}

function mayReplayString(body: string): boolean {
  const [number = ''] = body.split(';', 1)
  if (!REPLAYED_STRINGS.has(number)) return false
  return !COLOURS.test(body) || (body.length < LONGEST_BODY && !body.includes('?'))
}

/**
 * Returns a sequence that sets private modes without those that a terminal answers, `''` if no mode is left. Returns
 * `undefined` for any other sequence.
 */
export function withoutReports(kind: SequenceKind, body: string): string | undefined {
  const [, list = '', final = ''] = (kind === 'csi' && /^\?([\d;:]*)([hl])$/.exec(body)) || []
  const modes = list.split(';')
  const kept = modes.filter((mode) => !REPORTING_MODES.has(Number.parseInt(mode, 10)))
  if (kept.length === modes.length) return undefined
  return kept.length === 0 ? '' : `\x1b[?${kept.join(';')}${final}`
}
