import {
  errorCode,
  hasCode,
  TerminalError,
  type Redact,
  type TerminalErrorCode,
  type TerminalErrorOptions,
} from '../lib/errors.ts'
import { adviceOn, type Evidence } from './advice.ts'
import {
  CLOSE_BAD_GATEWAY,
  CLOSE_DENIED,
  CLOSE_DROPPED,
  CLOSE_GOING_AWAY,
  CLOSE_IN_USE,
  CLOSE_MISSING_USER,
  CLOSE_NORMAL,
  CLOSE_NOT_FOUND,
  CLOSE_NO_CODE,
  CLOSE_RESTART,
  CLOSE_SERVER_ERROR,
  CLOSE_TRY_AGAIN,
  CLOSE_UNAUTHORIZED,
} from './close-codes.ts'

/** The codes of errors that a server or the network causes. */
type Failure = Exclude<TerminalErrorCode, 'ERR_TERMINAL_INVALID_URL'>

const ADVICE: Record<Failure, string> = {
  ERR_TERMINAL_UNAUTHORIZED: 'Check `key` and `authType`.',
  ERR_TERMINAL_FORBIDDEN: 'Check that the key may act for this `userId`.',
  ERR_TERMINAL_MISSING_USER: 'Check that every proxy on the way passes X-User-Id and the query on.',
  ERR_TERMINAL_NOT_FOUND:
    'Check `base` and the ids: a session is only for its own `userId` and `chatId`, and ends with its shell.',
  ERR_TERMINAL_IN_USE: 'Close the other connection first, or leave `sessionId` out.',
  ERR_TERMINAL_LIMIT: 'Delete unused sessions; Open Terminal counts those of all users.',
  ERR_TERMINAL_UNAVAILABLE: 'Check that the server runs and `base` leads to it, or try again later.',
  ERR_TERMINAL_TIMEOUT: 'Try again later, or with a longer `timeout`.',
  ERR_TERMINAL_PROTOCOL:
    'Check that `base` leads to Open Terminal or Terminals, and that every proxy on the way passes WebSockets on.',
  ERR_TERMINAL_INPUT_STALLED:
    'Open Terminal up to 0.12.3 ends a shell that does not read its input: run 0.12.4 or later, or press Ctrl-C.',
  ERR_TERMINAL_CLOSED: 'Connect again for a new one.',
  ERR_TERMINAL_RECONNECTING: 'Try again when `status` is open.',
}

/**
 * What a gateway says with 500 and 4003 when only its operator can mend what is wrong (PROTOCOL 8.8). It says nothing
 * of the client, or of its session.
 */
export const NOT_ACCEPTED = 'Not accepted by the terminal server'

// What is known of a failure and not shown by its error.
const evidenceByError = new WeakMap<object, Evidence>()

/** Returns an error whose message has the form "what failed and where: why. What to do." */
export function terminalError(
  code: Failure,
  action: string,
  why: string,
  { evidence, advice, ...options }: TerminalErrorOptions & { evidence?: Evidence; advice?: string | undefined } = {},
): TerminalError {
  const { status, closeCode } = options
  const known = { ...evidence, code, action, status, closeCode }
  const error = new TerminalError(code, `${action}: ${why}. ${advice ?? adviceOn(known) ?? ADVICE[code]}`, {
    why,
    ...options,
  })
  evidenceByError.set(error, known)
  return error
}

/** Returns what is known of the failure that an error stands for. */
export function evidenceIn(error: unknown): Evidence {
  return evidenceByError.get(Object(error)) ?? {}
}

/** Returns the error for an HTTP status (PROTOCOL 2.3). `shown` is what the server says, without secrets. */
export function statusError(
  action: string,
  status: number,
  evidence: Evidence = {},
  shown: string = evidence.says ?? '',
): TerminalError {
  const { says = '', step } = evidence
  const isFull = step === 'POST' && status === 429 && FULL.test(says)
  const otherwise = status >= 500 || status === 429 ? 'ERR_TERMINAL_UNAVAILABLE' : 'ERR_TERMINAL_PROTOCOL'
  const code = isFull ? 'ERR_TERMINAL_LIMIT' : NO_USER.test(says) ? STATUSES[422] : STATUSES[status]
  return terminalError(code ?? otherwise, action, `HTTP ${status}${afterComma(shown)}`, { status, evidence })
}

// What the servers themselves say with 401 (PROTOCOL 2.3). A proxy on the way, such as one of an SSO, says something
// else.
const REFUSALS = ['Invalid API key', 'Invalid token', 'Missing Authorization header']

/**
 * Whether it is the server itself that does not accept the key, by its answer or a close frame, and not a proxy on the
 * way.
 */
export function isOwnRefusal(error: unknown): boolean {
  if (!hasCode(error, 'ERR_TERMINAL_UNAUTHORIZED')) return false
  return error.closeCode !== undefined || REFUSALS.includes(evidenceIn(error).says ?? '')
}

// A server that wants a longer pause is asked more often.
const LONGEST_RETRY_AFTER_MS = 8_000

/** Returns the ms that the server wants a client to wait before it tries again, at most 8 000; 0 if it does not say. */
export function retryAfter(error: unknown): number {
  const { retryAfter: header = '' } = evidenceIn(error)
  const ms = /^\d+$/.test(header) ? Number(header) * 1_000 : Date.parse(header) - Date.now()
  return Math.min(Math.max(ms, 0) || 0, LONGEST_RETRY_AFTER_MS)
}

const STATUSES: Partial<Record<number, Failure>> = {
  401: 'ERR_TERMINAL_UNAUTHORIZED',
  403: 'ERR_TERMINAL_FORBIDDEN',
  404: 'ERR_TERMINAL_NOT_FOUND',
  // PROTOCOL 2.19
  409: 'ERR_TERMINAL_FORBIDDEN',
  422: 'ERR_TERMINAL_MISSING_USER',
}
// Any other 429 comes from a limit on requests, and passes.
const FULL = /^Maximum number of terminal sessions/
// PROTOCOL 2.18: it is 400.
const NO_USER = /^X-User-Id is required/

/** Returns what the server says in quotation marks, which it cannot end: what follows is our advice. */
function afterComma(message: string): string {
  return message === '' ? '' : `, "${message.replaceAll('"', "'")}"`
}

/**
 * Whether a close code does not tell why. Orchestrators turn every close into 1000 (PROTOCOL 6.2). 1005 and 1006 mean
 * that no code arrived.
 */
export function isBareClose(closeCode: number): boolean {
  return [CLOSE_NORMAL, CLOSE_NO_CODE, CLOSE_DROPPED].includes(closeCode)
}

/** Returns the error for a close (PROTOCOL 6.1). */
export function closeError(
  action: string,
  closeCode: number,
  reason: string,
  redact: Redact,
  evidence: Evidence = {},
): TerminalError {
  const closeReason = redact(reason)
  const why =
    closeCode === CLOSE_DROPPED ? 'the connection dropped' : `closed with ${closeCode}${afterComma(closeReason)}`
  return terminalError(codeForClose(closeCode, reason), action, why, {
    closeCode,
    closeReason,
    evidence: { ...evidence, says: reason },
  })
}

// Also described in PROTOCOL 6.1, in the table of TerminalErrorCode and in README. (No object: bundlers keep one with
// computed keys, also for a page that only builds URLs.)
const CLOSES: readonly (readonly [closeCode: number, Failure])[] = [
  [CLOSE_UNAUTHORIZED, 'ERR_TERMINAL_UNAUTHORIZED'],
  [CLOSE_MISSING_USER, 'ERR_TERMINAL_MISSING_USER'],
  [CLOSE_DENIED, 'ERR_TERMINAL_FORBIDDEN'],
  [CLOSE_NOT_FOUND, 'ERR_TERMINAL_NOT_FOUND'],
  [CLOSE_IN_USE, 'ERR_TERMINAL_IN_USE'],
]
// The server failed or is restarting. (1014 is a gateway's 502.)
const UNAVAILABLE_CLOSES = [
  CLOSE_NORMAL,
  CLOSE_GOING_AWAY,
  CLOSE_NO_CODE,
  CLOSE_DROPPED,
  CLOSE_SERVER_ERROR,
  CLOSE_RESTART,
  CLOSE_TRY_AGAIN,
  CLOSE_BAD_GATEWAY,
]
// PROTOCOL 6.3: 4003 with such a reason means that the container is not ready, not that access is denied.
export const NOT_REACHABLE: RegExp = /not reachable|failed to resolve/i

function codeForClose(closeCode: number, closeReason: string): Failure {
  const hasFailed =
    closeCode === CLOSE_DENIED ? NOT_REACHABLE.test(closeReason) : UNAVAILABLE_CLOSES.includes(closeCode)
  const known = CLOSES.find(([code]) => code === closeCode)
  return hasFailed ? 'ERR_TERMINAL_UNAVAILABLE' : (known?.[1] ?? 'ERR_TERMINAL_PROTOCOL')
}

/**
 * Returns the error for a request or handshake that got no answer. The HTTP parser and ws have codes for answers that
 * are no HTTP or no WebSocket; any other code means that the network failed.
 */
export function failureError(
  action: string,
  cause: Error,
  withoutCode: Failure = 'ERR_TERMINAL_UNAVAILABLE',
  evidence: Evidence = {},
): TerminalError {
  const reported = errorCode(cause)
  const known = /^(?:WS_ERR|HPE)_/.test(reported ?? '') ? 'ERR_TERMINAL_PROTOCOL' : 'ERR_TERMINAL_UNAVAILABLE'
  const failure = `${reported}: ${cause.message}`
  return terminalError(reported === undefined ? withoutCode : known, action, cause.message, {
    cause,
    evidence: { ...evidence, failure },
  })
}

// The codes of Node, undici and Bun for a connection that ended before the answer.
const CUT = ['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET', 'ConnectionClosed']

/** Whether a connection ended before the answer to a request. The server may have performed the request. */
export function isCut(error: unknown): boolean {
  const code = errorCode(error instanceof TerminalError ? error.cause : error)
  return code !== undefined && CUT.includes(code)
}

// HTTP statuses, close codes, and a code of the runtimes.
const TRANSIENT: unknown[] = [
  429,
  502,
  503,
  504,
  CLOSE_DROPPED,
  CLOSE_RESTART,
  CLOSE_TRY_AGAIN,
  CLOSE_DENIED,
  'ECONNREFUSED',
]

/**
 * Whether the server itself says that a session is gone. Its own 404 to a look-up is no error of that status: a 404 in
 * an error comes from a proxy.
 */
export function isGone(error: unknown): boolean {
  return hasCode(error, 'ERR_TERMINAL_NOT_FOUND') && error.status !== 404
}

/** Whether an error says that the server could not be reached or could not serve. */
export function isUnavailable(error: unknown): error is TerminalError {
  return hasCode(error, 'ERR_TERMINAL_UNAVAILABLE')
}

/** Whether trying again may help: refused, reset, 429, 502, 503, 504, 1012, 1013, and 4003 "not reachable". */
export function isTransient(error: unknown): boolean {
  if (!isUnavailable(error)) return false
  return (
    isCut(error) || [error.status, error.closeCode, errorCode(error.cause)].some((reason) => TRANSIENT.includes(reason))
  )
}
