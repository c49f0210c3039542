import { TerminalError, type TerminalErrorCode } from '../errors.ts'

/** What to close a socket with. */
export interface Closing {
  /** `undefined` closes without a code, which arrives as 1005. */
  readonly code: number | undefined
  readonly reason: string
}

const NO_CODE = 1005

/**
 * Returns what one leg may be closed with when the other ended like this: some codes are no codes, and can only be
 * received.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6455#section-7.4
 */
export function passOn(code: number, reason: string, instead: number): Closing {
  // Without a code there can be no reason either.
  if (code === NO_CODE) return { code: undefined, reason: '' }
  return { code: maySend(code) ? code : instead, reason: cutReason(reason) }
}

function maySend(code: number): boolean {
  if (code >= 3000) return code < 5000
  return code >= 1000 && code <= 1014 && code !== 1004 && code !== NO_CODE && code !== 1006
}

const LONGEST_REASON = 123

/** Cuts a reason to the bytes that a close frame has room for, never within a character. */
export function cutReason(reason: string): string {
  const bytes = new TextEncoder().encode(reason)
  if (bytes.length <= LONGEST_REASON) return reason
  // A character that has been cut is incomplete, and a decoder that expects more to come keeps it back.
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes.subarray(0, LONGEST_REASON), { stream: true })
}

/** A code of Open WebUI's protocol, and what it means. */
export interface Refusal {
  readonly code: number
  readonly reason: string
}

const DENIED: Refusal = { code: 4003, reason: '' }

/** What a client is told, in Open WebUI's codes, of what its operator reads in full in the error. */
const REFUSALS: Record<TerminalErrorCode, Refusal> = {
  ERR_TERMINAL_UNAUTHORIZED: { code: 4001, reason: 'Not authorized' },
  ERR_TERMINAL_MISSING_USER: { code: 4002, reason: 'Missing user_id' },
  ERR_TERMINAL_FORBIDDEN: { code: 4003, reason: 'Access denied' },
  ERR_TERMINAL_NOT_FOUND: { code: 4004, reason: 'Session not found' },
  ERR_TERMINAL_IN_USE: { code: 4009, reason: 'Session already connected' },
  ERR_TERMINAL_LIMIT: { code: 4003, reason: 'Too many terminal sessions' },
  ERR_TERMINAL_UNAVAILABLE: { code: 4003, reason: 'Terminal instance not reachable' },
  ERR_TERMINAL_TIMEOUT: { code: 4003, reason: 'Terminal instance not reachable' },
  ERR_TERMINAL_PROTOCOL: { code: 4003, reason: 'Terminal instance not reachable' },
  ERR_TERMINAL_INVALID_URL: DENIED,
  ERR_TERMINAL_CLOSED: DENIED,
}

/** Returns what a client is told of an error: never its message, which names what is behind the proxy. */
export function refusalFor(error: unknown): Refusal {
  // Another copy of this package may know more codes.
  return error instanceof TerminalError && Object.hasOwn(REFUSALS, error.code) ? REFUSALS[error.code] : DENIED
}

// A URL; a name with a port, but not the time of day; an IPv4 or IPv6 address.
const ADDRESSES =
  /\w+:\/\/\S+|\b(?!\d+:)[\w.-]+:\d+\b|\b\d+(?:\.\d+){3}\b|\[?[\da-f]*:[\da-f]*:[\da-f:.]*\]?(?::\d+)?/gi

/** Takes out of a reason what it says about where the upstream is. */
export function withoutAddresses(reason: string, hostname: string): string {
  const name = new RegExp(hostname.replaceAll(/[^\w-]/g, String.raw`\$&`), 'gi')
  return reason.replaceAll(ADDRESSES, '[redacted]').replaceAll(name, '[redacted]')
}
