const BELL = 0x07
const CANCEL = 0x18
const ESCAPE = 0x1b

type Place = 'text' | 'escape' | 'control sequence' | 'string'

/**
 * Tells the text of a program's output from its escape sequences.
 *
 * @see https://invisible-island.net/xterm/ctlseqs/ctlseqs.html
 */
export class TextOfOutput {
  #place: Place = 'text'

  /** Takes the next byte. Returns whether it is part of the text. */
  has(byte: number): boolean {
    if (this.#place === 'text' && byte !== ESCAPE) return true
    this.#place = nextPlace(this.#place, byte)
    return false
  }
}

function nextPlace(place: Place, byte: number): Place {
  if (byte === ESCAPE) return 'escape'
  if (byte === CANCEL) return 'text'
  // A string, such as a title of the window, ends with BEL, or with ESC and a backslash.
  if (place === 'string') return byte === BELL ? 'text' : 'string'
  if (place === 'control sequence') return byte >= 0x40 ? 'text' : place
  if (byte === 0x5b) return 'control sequence'
  // ESC followed by P, X, ], ^ or _.
  if ([0x50, 0x58, 0x5d, 0x5e, 0x5f].includes(byte)) return 'string'
  return byte >= 0x30 ? 'text' : 'escape'
}
