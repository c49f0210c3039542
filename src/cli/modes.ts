/** Reads output before the terminal gets it. */
export type ReadOutput = (chunk: Uint8Array) => void

/** Tracks what programs change on the terminal, so that the rest can be undone when a program is cut off. */
export interface ModeTracker {
  readonly track: ReadOutput
  /** Returns the sequences that undo every change that is left, the latest change first. */
  readonly undo: () => string
}

const ESC = '\u001b'
// What would spoil the user's own shell. The patterns are for sequences without their ESC. `kind` finds a
// sequence. If it also matches `sets`, it makes the change, and otherwise it ends the change.
const CHANGES: ReadonlyArray<readonly [kind: RegExp, sets: RegExp, undo: string]> = [
  // Insert mode.
  [/^\[4[hl]$/, /h$/, `${ESC}[4l`],
  // The scroll region. To reset it moves the cursor, so the cursor is saved and restored.
  [/^\[[\d;]*r$/, /[\d;]/, `${ESC}7${ESC}[r${ESC}8`],
  // Colours.
  [/^\[[\d;:]*m$/, /[1-9]/, `${ESC}[0m`],
  // The kitty keyboard protocol.
  [/^\[[<=>][\d;]*u$/, /[=>](?!0[;u])/, `${ESC}[=0u`],
  // xterm's modifyOtherKeys.
  [/^\[>4[\d;]*m$/, /^\[>\d*;0*[1-9]/, `${ESC}[>4m`],
  // The application keypad.
  [/^[=>]$/, /=/, `${ESC}>`],
]
// The alternate screen, mouse reports, bracketed paste, a hidden cursor and others.
const PRIVATE_MODES = /^\[\?([\d;]*)([hl])$/
// Terminals start with these private modes set: wrapped lines and a visible cursor.
const SET_AT_START = ['7', '25']

const SEQUENCE = new RegExp(`${ESC}(\\[[?<=>]?[\\d;:]*[a-z]|[=>c])`, 'g')
// The beginning of a sequence at the end of a chunk.
const UNFINISHED = new RegExp(`${ESC}(?:\\[[?<=>]?[\\d;:]{0,32})?$`)

/** @see https://invisible-island.net/xterm/ctlseqs/ctlseqs.html */
export function createModeTracker(): ModeTracker {
  // The sequences that would undo the changes, in the order of the changes.
  const undoing = new Set<string>()
  // A sequence may be split between two chunks.
  let unfinished = ''

  function note(isSet: boolean, undo: string): void {
    if (isSet) undoing.add(undo)
    else undoing.delete(undo)
  }

  function apply(sequence: string): void {
    // A full reset.
    if (sequence === 'c') undoing.clear()
    for (const [kind, sets, undo] of CHANGES) {
      if (kind.test(sequence)) note(sets.test(sequence), undo)
    }
    const [, modes = '', final] = PRIVATE_MODES.exec(sequence) ?? []
    for (const [mode] of modes.matchAll(/\d+/g)) {
      const undo = SET_AT_START.includes(mode) ? 'h' : 'l'
      note(final !== undo, `${ESC}[?${mode}${undo}`)
    }
  }

  return {
    track(chunk) {
      const text = unfinished + Buffer.from(chunk).toString('latin1')
      for (const [, sequence = ''] of text.matchAll(SEQUENCE)) apply(sequence)
      unfinished = UNFINISHED.exec(text)?.[0] ?? ''
    },
    undo: () => [...undoing].reduceRight((all, undo) => all + undo, ''),
  }
}
