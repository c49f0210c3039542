import { TerminalError, type TerminalErrorCode } from '../lib/errors.ts'

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

/** Returns what a client and its operator are told of something that was thrown. Never throws. */
export function explainThrown(thrown: unknown, mayQuote: boolean): Refusal & { readonly error: Error } {
  try {
    const { code, reason } = refusalFor(thrown)
    const quote = mayQuote && thrown instanceof TerminalError ? thrown.closeReason : undefined
    return { code, reason: typeof quote === 'string' ? cutReason(quote) : reason, error: toError(thrown) }
  } catch {
    // A value that throws when it is looked at.
    return { ...DENIED, error: new Error('A value that cannot be read was thrown') }
  }
}

/** Returns an error as it is, of whichever realm; the operator wants a message of anything else, too. */
function toError(thrown: unknown): Error {
  return isError(thrown) ? thrown : new Error('A value that is no Error was thrown', { cause: thrown })
}

function isError(value: unknown): value is Error {
  return typeof value === 'object' && value !== null && 'message' in value && typeof value.message === 'string'
}

// A word, a short number or a time of day, in quotes or brackets, before a mark. Host names, paths and addresses have
// other characters inside, or more digits.
const PLAIN = /^["'(]*(?:[\p{L}\p{M}\p{Sc}\p{So}]+(?:['’]\p{L}+)*|\d{1,4}|\d\d?:\d\d|user_id|context_id)?[)"',.;:!?]*$/u

/** Takes out of a reason what it may say about where the upstream is: only plain words are left. */
export function withoutAddresses(reason: string, hostname: string): string {
  const isAddress = /^[\d.]*$|:/.test(hostname)
  const names = new Set(['localhost', ...(isAddress ? [] : hostname.toLowerCase().split('.'))])
  let isName = false
  return reason
    .split(' ')
    .map((word) => {
      const bare = word.toLowerCase().replaceAll(/[^\p{L}\d-]/gu, '')
      const isHidden = isName || names.has(bare) || !PLAIN.test(word)
      // As in "Cannot connect to host postgres".
      isName = ['host', 'hostname'].includes(bare)
      return isHidden && word !== '' ? '[redacted]' : word
    })
    .join(' ')
}
