/** What draws a screen, each byte as a character, and the sequence that moves the cursor to where DECRC takes it. */
interface Drawing {
  readonly text: string
  readonly saved: string
}

const NOTHING: Drawing = { text: '', saved: '' }

/** What a terminal shows. */
export interface Picture {
  readonly main: Drawing
  /** The alternate screen; nothing if that is not shown. */
  readonly other: Drawing
  /** Where the cursor is, from 0. The column is behind the last one if the next character wraps. */
  readonly row: number
  readonly column: number
  /** In that case, what draws the line of the cursor. */
  readonly line: string
}

/** What a terminal shows that has been reset. */
export const BLANK: Picture = { main: NOTHING, other: NOTHING, row: 0, column: 0, line: '' }

/** Returns what moves the cursor, from 0. */
function cursorTo(row: number, column: number): string {
  return `\x1b[${row + 1};${column + 1}H`
}

/** Returns what moves the cursor, from 0. What draws its line moves it behind the last column, and resets the pen. */
export function placeOf(row: number, column: number, line: string): string {
  return line === '' ? cursorTo(row, column) : cursorTo(row, 0) + line
}
