/** Follows what programs do to the terminal, to undo what one leaves behind that is cut off. */
export interface Modes {
  /** Looks at output on its way to the terminal. */
  readonly see: (chunk: Uint8Array) => void
  /** Returns what undoes it. */
  readonly undo: () => string
}

const ESC = '\u001b'
// What spoils a shell: private modes (alternate screen, mouse reports, bracketed paste, hidden cursor…), insert mode, a
// scroll region, colours, keys that are reported at length (kitty's way and xterm's), the keypad, and a reset of it all.
const SEQUENCES = new RegExp(
  `${ESC}(?:\\[\\?[\\d;]*[hl]|\\[4[hl]|\\[[\\d;]*r|\\[[\\d;:]*m|\\[[<=>][\\d;]*u|\\[>4[\\d;]*m|[=>c])`,
  'g',
)
// What may still become one.
const UNFINISHED = new RegExp(`${ESC}(?:\\[[?<=>]?[\\d;:]{0,32})?$`)
// A terminal wraps lines and shows the cursor when it is switched on.
const ON_AT_FIRST = ['7', '25']

/** @see https://invisible-island.net/xterm/ctlseqs/ctlseqs.html */
export function createModes(): Modes {
  // What would undo each change, in the order of the changes.
  const undoing = new Set<string>()
  let unfinished = ''

  function change(isDone: boolean, undo: string): void {
    if (isDone) undoing.add(undo)
    else undoing.delete(undo)
  }

  function apply(sequence: string): void {
    const body = sequence.slice(1)
    const final = body.slice(-1)
    const parameters = body.slice(2, -1).split(';')
    if (body === 'c') undoing.clear()
    else if (body.length === 1) change(body === '=', `${ESC}>`)
    else if (final === 'u') change(body[1] !== '<' && parameters[0] !== '0', `${ESC}[=0u`)
    else if (final === 'm' && body[1] === '>') change(Number(parameters[1] ?? 0) > 0, `${ESC}[>4m`)
    else if (final === 'm') change(/[1-9]/.test(body), `${ESC}[0m`)
    // That moves the cursor, so it is put back.
    else if (final === 'r') change(body !== '[r', `${ESC}7${ESC}[r${ESC}8`)
    else if (body[1] === '4') change(final === 'h', `${ESC}[4l`)
    else {
      for (const mode of parameters) {
        const isOnAtFirst = ON_AT_FIRST.includes(mode)
        change((final === 'l') === isOnAtFirst, `${ESC}[?${mode}${isOnAtFirst ? 'h' : 'l'}`)
      }
    }
  }

  return {
    see(chunk) {
      const text = unfinished + Buffer.from(chunk).toString('latin1')
      for (const [sequence] of text.matchAll(SEQUENCES)) apply(sequence)
      unfinished = UNFINISHED.exec(text)?.[0] ?? ''
    },
    undo() {
      let sequences = ''
      for (const undo of undoing) sequences = undo + sequences
      return sequences
    },
  }
}
