import { nameOf, type Sequence } from './sequence.ts'

const namesOf = (list: string): ReadonlySet<number> => new Set(list.split(' ').map(nameOf))

// Escape sequences and control sequences that a terminal answers (DECID, DA, DSR, DECRQM, XTVERSION and others), or
// that move its window, print or test it.
const ANSWERED_ESCAPES = namesOf('Z')
const ANSWERED_CONTROLS = namesOf('c >c =c ?c n ?n $p ?$p >q ?u x *y $w $u &u "v \'| #R #| ?S ?m t i ?i y')

// OSC strings that change only what the window shows: titles, colours, hyperlinks, the working directory, marks of a
// shell.
const REPLAYED_STRINGS = namesOf(
  '0 1 2 4 5 7 8 10 11 12 13 14 15 16 17 18 19 104 105 110 111 112 113 114 115 116 117 118 119 133 633',
)
// Those that ask for a colour if a part of them is a question mark.
const COLOURS = namesOf('4 5 10 11 12 13 14 15 16 17 18 19')
const SIXELS = nameOf('q')

const SET_PRIVATE = nameOf('?h')
const RESET_PRIVATE = nameOf('?l')
// Private modes whose setting a terminal may answer at once: focus events and size reports.
const FOCUS_EVENTS = 1004
const SIZE_REPORTS = 2048

// ENQ, which a terminal answers, and BEL.
const NOT_REPLAYED_CONTROLS = namesOf('\x05 \x07')

/**
 * Whether a sequence of earlier output may be sent to a terminal again: whether no terminal answers it, and it does
 * nothing outside of the window, such as writing to the clipboard or ringing the bell.
 *
 * @see https://invisible-island.net/xterm/ctlseqs/ctlseqs.html
 */
export function mayReplay({ kind, name, asks, hasParts }: Sequence): boolean {
  if (kind === 'csi') {
    // A private mode with parts is none, but a terminal may set one.
    return !ANSWERED_CONTROLS.has(name) && !(hasParts && (name === SET_PRIVATE || name === RESET_PRIVATE))
  }
  if (kind === 'control') return !NOT_REPLAYED_CONTROLS.has(name)
  if (kind === 'escape') return !ANSWERED_ESCAPES.has(name)
  if (kind === 'osc') return REPLAYED_STRINGS.has(name) && !(asks && COLOURS.has(name))
  // Of the device control strings, only images in sixels.
  return kind === 'dcs' && name === SIXELS
}

/**
 * Returns a sequence that sets private modes without those that a terminal answers, `''` if no mode is left. Returns
 * `undefined` for any other sequence.
 */
export function withoutReports(sequence: Sequence): string | undefined {
  const { kind, name } = sequence
  if (kind !== 'csi' || (name !== SET_PRIVATE && name !== RESET_PRIVATE)) return undefined
  let kept: string | undefined
  let count = 0
  for (const mode of sequence.parameters) {
    if (mode === FOCUS_EVENTS || mode === SIZE_REPORTS) continue
    // A mode of 0 is written as one that is left out, so that what is sent is never longer than what was printed.
    const spelled = mode === 0 ? '' : String(mode)
    kept = kept === undefined ? spelled : `${kept};${spelled}`
    count += 1
  }
  if (count === sequence.parameters.length) return undefined
  return kept === undefined ? '' : `\x1b[?${kept}${name === SET_PRIVATE ? 'h' : 'l'}`
}
