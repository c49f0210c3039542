import type { ScreenBuffer, ScreenTerminal } from './classes.ts'

/** A place of a cursor, from 0. The column is behind the last one if the next character wraps. */
interface Place {
  readonly row: number
  readonly column: number
}

/** Whether a line goes on in the next one as text does: other characters must be where it has ended and goes on. */
export function isContinued(buffer: ScreenBuffer, row: number, cols: number): boolean {
  const [line, next] = [buffer.getLine(row), buffer.getLine(row + 1)]
  const first = next?.getCell(0)
  // In a window that has become narrower, a line of the alternate screen keeps what nobody sees at its end.
  if (!line || line.length > cols || !next?.isWrapped || !first?.getChars()) return false
  const isFilled = (column: number): boolean => {
    const cell = line.getCell(column)
    // The second half of a character may be all that is left of it.
    return cell?.getChars() !== '' || (cell.getWidth() === 0 && line.getCell(column - 1)?.getWidth() === 2)
  }
  // There is no place in the last column for a character that takes two.
  return isFilled(line.length - 1) || (first.getWidth() === 2 && isFilled(line.length - 2))
}

/** Returns where DECRC takes the cursor on a screen. xterm.js tells nobody but itself. */
export function savedPlace(terminal: ScreenTerminal, screen: 'normal' | 'alternate'): Place {
  const buffers: unknown = Reflect.get(Object(Reflect.get(terminal, '_core')), 'buffers')
  const buffer = Object(Reflect.get(Object(buffers), screen === 'normal' ? 'normal' : 'alt'))
  const numberOf = (key: string): number => Number(Reflect.get(buffer, key)) || 0
  return { row: Math.max(0, numberOf('savedY') - numberOf('ybase')), column: numberOf('savedX') }
}
