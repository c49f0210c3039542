import { assertWhole } from '../lib/arguments.ts'

/** A window size, in character cells. */
export interface TerminalSize {
  /** Columns, a whole number from 1 to 65535. */
  readonly cols: number
  /** Rows, a whole number from 1 to 65535. */
  readonly rows: number
}

/** How fast input may be sent: so many bytes in so many ms. */
export interface Pace {
  readonly bytes: number
  readonly intervalMs: number
}

/** For servers that write all input to the PTY (PROTOCOL 5.5). */
export const PACE: Pace = { bytes: 4096, intervalMs: 4 }

/**
 * For servers that end a shell whose input nobody reads (PROTOCOL 5.9), while the output repeats it: 200 KB a second.
 */
export const PACE_OF_REPEATED: Pace = { bytes: 1024, intervalMs: 5 }

/** For such servers, while it does not: 50 KB a second. */
export const PACE_OF_SILENT: Pace = { bytes: 1024, intervalMs: 20 }

/** What a tty holds for a program, and repeats before the program reads them. */
export const TTY_BYTES = 4096

/** What may be unread on such a server. A little more in frames of 1024 bytes ends the shell (PROTOCOL 5.9). */
export const UNREAD_BYTES = 16_384

/** JSON that is no object: the text frame that ends the shell (PROTOCOL 5.4). */
export const END_OF_SHELL = '[]'

/** A text frame that every release ignores. It passes every proxy; a protocol ping ends at the first (PROTOCOL 5.3). */
export const HEARTBEAT = '{"type":"ping"}'

/** The largest message that a server takes (PROTOCOL 5.6). Nothing here takes a larger one. */
export const LARGEST_MESSAGE_BYTES = 16_777_216

/** The most columns, and the most rows, that a PTY can have. */
const LARGEST_SIZE = 65_535

/** Whether a value can be a number of columns or rows. */
export function isSize(value: unknown, least: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= least && value <= LARGEST_SIZE
}

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
