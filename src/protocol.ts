import { assertWhole } from './arguments.ts'
import { errorCode, TerminalError, type Redact, type TerminalErrorCode, type TerminalErrorOptions } from './errors.ts'

/** A window size, in character cells. */
export interface TerminalSize {
  /** Columns, a whole number from 1 to 65535. */
  readonly cols: number
  /** Rows, a whole number from 1 to 65535. */
  readonly rows: number
}

/** More than this in one frame, and Open Terminal up to 0.12.3 may drop the rest. */
export const MAX_INPUT_FRAME = 4096

/** Bytes that arrive faster than one full frame in this many ms may be dropped by the same releases. */
export const INPUT_INTERVAL = 4

/** Ignored by every release, and it crosses every hop, where a protocol ping ends at the first. */
export const HEARTBEAT = '{"type":"ping"}'

const LARGEST_SIZE = 65_535

/**
 * Returns the text frame that resizes. Anything but whole numbers in range kills the shell, so it throws a `RangeError`.
 *
 * @see https://github.com/open-webui/open-terminal/blob/v0.11.34/open_terminal/main.py `_do_resize`
 */
export function encodeResize(cols: number, rows: number): string {
  assertWhole('cols', cols, 1, LARGEST_SIZE)
  assertWhole('rows', rows, 1, LARGEST_SIZE)
  return JSON.stringify({ type: 'resize', cols, rows })
}

const ADVICE: Record<TerminalErrorCode, string> = {
  ERR_TERMINAL_INVALID_URL: 'Pass an absolute http(s) or ws(s) URL as `base`.',
  ERR_TERMINAL_UNAUTHORIZED: 'Check `key` and `authType`.',
  ERR_TERMINAL_FORBIDDEN: 'Check that the key may act for this `userId`, and who may use this terminal on the server.',
  ERR_TERMINAL_MISSING_USER: 'Check that nothing in between takes out the X-User-Id header or the query.',
  ERR_TERMINAL_NOT_FOUND:
    'Check `base` (without `/api/terminals`) and the ids; a session is there only for the `userId` and `chatId` that created it, and ends with its shell.',
  ERR_TERMINAL_IN_USE: 'Close the other connection first, or leave `sessionId` out to get a session of your own.',
  ERR_TERMINAL_LIMIT:
    'End sessions that nobody uses (listTerminalSessions, deleteTerminalSession); Open Terminal counts those of all users, and from 0.12.4 on lists only those of the `userId`.',
  ERR_TERMINAL_UNAVAILABLE: 'Check that the server runs and that `base` leads to it, or try again later.',
  ERR_TERMINAL_TIMEOUT: 'Try again later, or give it a longer `timeout`.',
  ERR_TERMINAL_PROTOCOL: 'Check that `base` leads to Open Terminal or Terminals, and what stands in between.',
  ERR_TERMINAL_CLOSED: 'Connect again for a new one.',
}

/** Builds an error in the one form that they all have: what failed, where and why; what to do. */
export function terminalError(
  code: TerminalErrorCode,
  failed: string,
  why: string,
  { advice = ADVICE[code], ...options }: TerminalErrorOptions & { advice?: string | undefined } = {},
): TerminalError {
  return new TerminalError(code, `${failed}: ${why}. ${advice}`, options)
}

/** Returns the error for an HTTP status that is not a success; `said` is what the server had to say, already redacted. */
export function statusError(failed: string, status: number, said = ''): TerminalError {
  const why = `HTTP ${status}${said === '' ? '' : `, "${said}"`}`
  return terminalError(codeForStatus(status), failed, why, { status })
}

function codeForStatus(status: number): TerminalErrorCode {
  if (status === 401) return 'ERR_TERMINAL_UNAUTHORIZED'
  if (status === 403) return 'ERR_TERMINAL_FORBIDDEN'
  if (status === 404) return 'ERR_TERMINAL_NOT_FOUND'
  if (status === 422) return 'ERR_TERMINAL_MISSING_USER'
  if (status === 429) return 'ERR_TERMINAL_LIMIT'
  return status >= 500 ? 'ERR_TERMINAL_UNAVAILABLE' : 'ERR_TERMINAL_PROTOCOL'
}

/** Whether a close says nothing: orchestrators turn every upstream close into a bare 1000, and 1005 and 1006 are no codes. */
export function isBareClose(closeCode: number): boolean {
  return closeCode === 1000 || closeCode === 1005 || closeCode === 1006
}

/** Returns the error for a close. */
export function closeError(
  failed: string,
  closeCode: number,
  reason: string,
  redact: Redact,
  advice?: string,
): TerminalError {
  const closeReason = redact(reason)
  const why =
    closeCode === 1006
      ? 'the connection dropped'
      : `closed with ${closeCode}${closeReason === '' ? '' : `, "${closeReason}"`}`
  return terminalError(codeForClose(closeCode, reason), failed, why, { closeCode, closeReason, advice })
}

// The server failed or is restarting. (1014 is a gateway's 502.)
const UNAVAILABLE_CLOSES = new Set([1000, 1001, 1005, 1006, 1011, 1012, 1013, 1014])
// Of the two things that 4003 says, the one that may pass: the container is not there yet.
const NOT_REACHABLE = /not reachable|failed to resolve terminal instance/i

function codeForClose(closeCode: number, closeReason: string): TerminalErrorCode {
  if (closeCode === 4001) return 'ERR_TERMINAL_UNAUTHORIZED'
  if (closeCode === 4002) return 'ERR_TERMINAL_MISSING_USER'
  if (closeCode === 4003) {
    return NOT_REACHABLE.test(closeReason) ? 'ERR_TERMINAL_UNAVAILABLE' : 'ERR_TERMINAL_FORBIDDEN'
  }
  if (closeCode === 4004) return 'ERR_TERMINAL_NOT_FOUND'
  if (closeCode === 4009) return 'ERR_TERMINAL_IN_USE'
  return UNAVAILABLE_CLOSES.has(closeCode) ? 'ERR_TERMINAL_UNAVAILABLE' : 'ERR_TERMINAL_PROTOCOL'
}

/**
 * Returns the error for what a runtime reports instead of an answer: either the network failed, or what came over it is
 * no HTTP or no WebSocket, for which the HTTP parser and ws have codes of their own.
 */
export function failureError(
  failed: string,
  cause: Error,
  withoutCode: TerminalErrorCode = 'ERR_TERMINAL_UNAVAILABLE',
): TerminalError {
  const reported = errorCode(cause)
  const code = reported === undefined ? withoutCode : codeForFailure(reported)
  return terminalError(code, failed, cause.message, { cause })
}

function codeForFailure(reported: string): TerminalErrorCode {
  return /^(?:WS_ERR|HPE)_/.test(reported) ? 'ERR_TERMINAL_PROTOCOL' : 'ERR_TERMINAL_UNAVAILABLE'
}

const PASSING_STATUSES = new Set([502, 503, 504])
const PASSING_CLOSES = new Set([1006, 1012, 1013, 4003])
const PASSING_FAILURES = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'])

/** Whether trying again may help: refused, reset, 502, 503, 504, 1012, 1013, and 4003 "not reachable". */
export function mayPass(error: unknown): boolean {
  if (!(error instanceof TerminalError) || error.code !== 'ERR_TERMINAL_UNAVAILABLE') return false
  const { status, closeCode } = error
  return (
    (status !== undefined && PASSING_STATUSES.has(status)) ||
    (closeCode !== undefined && PASSING_CLOSES.has(closeCode)) ||
    PASSING_FAILURES.has(errorCode(error.cause) ?? '')
  )
}
