import { TextDecoder } from 'node:util'
import { TerminalError, type TerminalErrorCode } from '../lib/errors.ts'
import {
  CLOSE_BAD_GATEWAY,
  CLOSE_DENIED,
  CLOSE_DROPPED,
  CLOSE_IN_USE,
  CLOSE_MISSING_USER,
  CLOSE_NORMAL,
  CLOSE_NOT_FOUND,
  CLOSE_NO_CODE,
  CLOSE_UNAUTHORIZED,
} from '../upstream/close-codes.ts'

/** The code and reason of a close frame. */
export interface CloseFrame {
  /** `undefined` closes without a code, which arrives as 1005. */
  readonly code: number | undefined
  readonly reason: string
}

/**
 * Returns the close frame for one side after the other side has ended with `code` and `reason`, with `substitute`
 * instead of a code that can only be received.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6455#section-7.4
 */
export function relayClose(code: number, reason: string, substitute: number): CloseFrame {
  // A close frame without a code has no reason.
  if (code === CLOSE_NO_CODE) return { code: undefined, reason: '' }
  return { code: maySendCode(code) ? code : substitute, reason: cutReason(reason) }
}

function maySendCode(code: number): boolean {
  if (code >= 3000) return code < 5000
  return code >= CLOSE_NORMAL && code <= CLOSE_BAD_GATEWAY && code !== 1004 && code !== CLOSE_DROPPED
}

// A control frame carries at most 125 bytes (RFC 6455, section 5.5), and the code takes two.
const LONGEST_REASON_BYTES = 125 - 2

/** Cuts a reason to the bytes that fit into a close frame, and never within a character. */
export function cutReason(reason: string): string {
  const bytes = Buffer.from(reason).subarray(0, LONGEST_REASON_BYTES)
  // With `stream`, the decoder leaves an incomplete character at the end out.
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes, { stream: true })
}

/** The close frame for a client that gets no terminal. */
export interface ClientRefusal extends CloseFrame {
  /** A close code of Open WebUI. */
  readonly code: number
}

const DENIED: ClientRefusal = { code: CLOSE_DENIED, reason: '' }

// The codes and reasons that Open WebUI's page knows, and shows (PROTOCOL 7.3).
const REFUSALS: Record<TerminalErrorCode, ClientRefusal> = {
  ERR_TERMINAL_UNAUTHORIZED: { code: CLOSE_UNAUTHORIZED, reason: 'Not authorized' },
  ERR_TERMINAL_MISSING_USER: { code: CLOSE_MISSING_USER, reason: 'Missing user_id' },
  ERR_TERMINAL_FORBIDDEN: { code: CLOSE_DENIED, reason: 'Access denied' },
  ERR_TERMINAL_NOT_FOUND: { code: CLOSE_NOT_FOUND, reason: 'Session not found' },
  ERR_TERMINAL_IN_USE: { code: CLOSE_IN_USE, reason: 'Session already connected' },
  ERR_TERMINAL_LIMIT: { code: CLOSE_DENIED, reason: 'Too many terminal sessions' },
  ERR_TERMINAL_UNAVAILABLE: { code: CLOSE_DENIED, reason: 'Terminal instance not reachable' },
  ERR_TERMINAL_TIMEOUT: { code: CLOSE_DENIED, reason: 'Terminal instance not reachable' },
  ERR_TERMINAL_PROTOCOL: { code: CLOSE_DENIED, reason: 'Terminal instance not reachable' },
  ERR_TERMINAL_INVALID_URL: DENIED,
  ERR_TERMINAL_INPUT_STALLED: DENIED,
  ERR_TERMINAL_CLOSED: DENIED,
  ERR_TERMINAL_RECONNECTING: DENIED,
}

/** Returns the close frame for an error. It never quotes the message, which names the upstream. */
export function refusalFor(error: unknown): ClientRefusal {
  // A TerminalError of another copy of this package may have a code that is unknown here.
  return error instanceof TerminalError && Object.hasOwn(REFUSALS, error.code) ? REFUSALS[error.code] : DENIED
}

/**
 * Returns the close frame for the client and the error for the operator, for anything that was thrown. Never throws.
 *
 * @param mayQuote Whether the error comes from `authorize`. Then its `closeReason` is meant for the client, unless
 * there is a `closeCode`, too: a server has said both.
 */
export function explainThrown(thrown: unknown, mayQuote: boolean): ClientRefusal & { readonly error: Error } {
  try {
    const { code, reason } = refusalFor(thrown)
    const isMeant = mayQuote && thrown instanceof TerminalError && thrown.closeCode === undefined
    const quote = isMeant ? thrown.closeReason : undefined
    return { code, reason: typeof quote === 'string' ? cutReason(quote) : reason, error: toError(thrown) }
  } catch {
    // A hostile value throws when its properties are read.
    return { ...DENIED, error: new Error('A value was thrown whose properties cannot be read: throw an Error') }
  }
}

/** Returns an error unchanged, and puts any other value into an error as its cause. */
function toError(thrown: unknown): Error {
  return isError(thrown)
    ? thrown
    : new Error('The thrown value (see `cause`) is no Error: throw one', { cause: thrown })
}

// Not `instanceof`: an error may be of another realm.
function isError(value: unknown): value is Error {
  return typeof value === 'object' && value !== null && 'message' in value && typeof value.message === 'string'
}
