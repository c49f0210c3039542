import { assertWhole } from '../lib/arguments.ts'

/** A window size, in character cells. */
export interface TerminalSize {
  /** Columns, a whole number from 1 to 65535. */
  readonly cols: number
  /** Rows, a whole number from 1 to 65535. */
  readonly rows: number
}

/** Bytes that every release takes whole in one frame (PROTOCOL 5.5). */
export const MAX_INPUT_FRAME = 4096

/** ms between two full frames that every release takes whole (PROTOCOL 5.5). */
export const INPUT_INTERVAL = 4

/** A text frame that every release ignores. It passes every proxy; a protocol ping ends at the first (PROTOCOL 5.3). */
export const HEARTBEAT = '{"type":"ping"}'

/** The most columns, and the most rows, that a PTY can have. */
export const LARGEST_SIZE = 65_535

/**
 * Returns the text frame that sets the window size. Throws a `RangeError` for numbers that would kill the shell
 * (PROTOCOL 5.2).
 *
 * @see https://github.com/open-webui/open-terminal/blob/v0.11.34/open_terminal/main.py `_do_resize`
 */
export function encodeResize(cols: number, rows: number): string {
  assertWhole('cols', cols, 1, LARGEST_SIZE)
  assertWhole('rows', rows, 1, LARGEST_SIZE)
  return JSON.stringify({ type: 'resize', cols, rows })
}
