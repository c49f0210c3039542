/**
 * Every code that a {@link TerminalError} can carry. Codes are API; messages are not.
 *
 * | code | when |
 * | --- | --- |
 * | `ERR_TERMINAL_INVALID_URL` | the base is no http(s) or ws(s) URL |
 * | `ERR_TERMINAL_UNAUTHORIZED` | 401, close 4001, or a handshake answered 401 or 403 while the session is there |
 * | `ERR_TERMINAL_FORBIDDEN` | 403 of a request, or a close 4003 that will not pass |
 * | `ERR_TERMINAL_MISSING_USER` | 422, close 4002 |
 * | `ERR_TERMINAL_NOT_FOUND` | 404, close 4004, or a handshake answered 403 while the session is not there |
 * | `ERR_TERMINAL_IN_USE` | close 4009 |
 * | `ERR_TERMINAL_LIMIT` | 429 |
 * | `ERR_TERMINAL_UNAVAILABLE` | refused, reset, DNS, TLS, 5xx, close 1012 or 1013, close 4003 "not reachable" |
 * | `ERR_TERMINAL_TIMEOUT` | `timeout` ran out |
 * | `ERR_TERMINAL_PROTOCOL` | an answer that no release gives: HTML instead of JSON, no id, a redirect |
 * | `ERR_TERMINAL_CLOSED` | the terminal was used after it closed |
 */
export type TerminalErrorCode =
  | 'ERR_TERMINAL_INVALID_URL'
  | 'ERR_TERMINAL_UNAUTHORIZED'
  | 'ERR_TERMINAL_FORBIDDEN'
  | 'ERR_TERMINAL_MISSING_USER'
  | 'ERR_TERMINAL_NOT_FOUND'
  | 'ERR_TERMINAL_IN_USE'
  | 'ERR_TERMINAL_LIMIT'
  | 'ERR_TERMINAL_UNAVAILABLE'
  | 'ERR_TERMINAL_TIMEOUT'
  | 'ERR_TERMINAL_PROTOCOL'
  | 'ERR_TERMINAL_CLOSED'

/** What a {@link TerminalError} carries beside its code and message. */
export interface TerminalErrorOptions {
  /** Why it failed, without what failed and what to do. Default: the message. */
  why?: string | undefined
  /** The HTTP status that was answered, if it was one that failed. */
  status?: number | undefined
  /** The close code that was received (RFC 6455, section 7.4), if it was a close that failed. */
  closeCode?: number | undefined
  /** The reason that came with the close code; secrets in it are the caller's to remove. */
  closeReason?: string | undefined
  /** What this error came from. */
  cause?: unknown
}

// A class per module format, and one per copy in node_modules: a registered symbol is the one thing they share.
const BRAND = Symbol.for('terminal-upstream.TerminalError')

/**
 * The one error class of this package: something between here and the terminal went wrong.
 *
 * Switch on `code`; show `message`, which says what failed, where and what to do, and never holds a key, token, cookie
 * or query string. `instanceof` holds across the ESM and the CJS build. Wrong arguments are a `TypeError` or
 * `RangeError` with Node's codes instead.
 *
 * @example
 * ```ts
 * import { connectTerminal, TerminalError } from 'terminal-upstream'
 *
 * try {
 *   await connectTerminal({ base: 'http://127.0.0.1:8000', key: 'wrong', userId: 'ada' })
 * } catch (error) {
 *   if (error instanceof TerminalError && error.code === 'ERR_TERMINAL_UNAUTHORIZED') console.error(error.message)
 *   else throw error
 * }
 * ```
 */
export class TerminalError extends Error {
  static {
    Object.assign(this.prototype, { name: 'TerminalError', [BRAND]: true })
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    // A class derived from it is recognized as any other.
    if (this !== TerminalError) return super[Symbol.hasInstance](value)
    return typeof value === 'object' && value !== null && BRAND in value
  }

  /** What happened; stable across versions. */
  readonly code: TerminalErrorCode
  /** Why it failed, for a sentence of your own: `message` without what failed and what to do. Holds no secret either. */
  declare readonly why: string
  // `declare`: an absent field is absent, so that a logged error shows only what is known.
  /** The HTTP status that was answered, if it was one that failed. */
  declare readonly status?: number
  /** The close code that was received, if it was a close that failed. */
  declare readonly closeCode?: number
  /** The reason that came with the close code. */
  declare readonly closeReason?: string

  /**
   * Made by this package; by you where something of this package asks your code for an error.
   *
   * @param code What happened.
   * @param message What failed, where and why, and what to do; no secrets.
   * @param options What else is known.
   */
  constructor(code: TerminalErrorCode, message: string, options: TerminalErrorOptions = {}) {
    const { why = message, status, closeCode, closeReason, cause } = options
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    // Not enumerable, as `message` is not: a logged error would say it twice.
    Object.defineProperty(this, 'why', { value: why })
    if (status !== undefined) this.status = status
    if (closeCode !== undefined) this.closeCode = closeCode
    if (closeReason !== undefined) this.closeReason = closeReason
  }
}

/** Whether an error is a {@link TerminalError} with this code. */
export function hasCode(error: unknown, code: TerminalErrorCode): error is TerminalError {
  return error instanceof TerminalError && error.code === code
}

/** Makes foreign text fit to be shown. */
export type Redact = (text: string) => string

const LONGEST_TEXT = 4096
const LONGEST_QUOTE = 200
// A close reason ends after 123 bytes, and a log line somewhere: the beginning of a secret is a secret, too.
const SHORTEST_PART = 8

/**
 * Returns a function that takes the secrets and every query string out of a foreign text, and cuts it
 * to a line that can be logged.
 */
export function createRedact(secrets: Iterable<string>): Redact {
  // Built for the first text: most requests need none, and a cookie has hundreds of values.
  let secretAt: ((text: string, start: number) => number) | undefined
  return (text) => {
    secretAt ??= createSearch(new Set([...secrets].flatMap(spellingsOf)))
    const decoded = visible(decodePercents(text.slice(0, LONGEST_TEXT)))
    let clean = ''
    for (let at = 0; at < decoded.length;) {
      const length = secretAt(decoded, at)
      clean += length === 0 ? decoded.charAt(at) : '[redacted]'
      at += length || 1
    }
    const line = clean
      .replaceAll(/\?[^\s"'<>]+/g, '?[redacted]')
      .replaceAll(/[\s\p{Cc}]+/gu, ' ')
      .trim()
    return line.length > LONGEST_QUOTE ? `${line.slice(0, LONGEST_QUOTE)}…` : line
  }
}

/** A secret as it is, in JSON, and in a form; percent-encodings have too many spellings, so the text is decoded. */
function spellingsOf(secret: string): string[] {
  return [secret, JSON.stringify(secret).slice(1, -1), secret.replaceAll(' ', '+')].flatMap((spelling) => [
    visible(spelling),
    visible(decodePercents(spelling)),
  ])
}

/** Returns a function that tells how many characters of a text, from a place on, are a secret or the beginning of one. */
function createSearch(spellings: Iterable<string>): (text: string, start: number) => number {
  // Grouped by their beginnings, so that a place is compared with few of them.
  const groups = new Map<string, string[]>()
  for (const spelling of spellings) {
    const beginning = spelling.slice(0, SHORTEST_PART)
    const group = groups.get(beginning)
    if (group) group.push(spelling)
    else groups.set(beginning, [spelling])
  }
  const lengths = new Set([...groups.keys()].map((beginning) => beginning.length))
  return (text, start) => {
    let longest = 0
    for (const beginning of lengths) {
      for (const spelling of groups.get(text.slice(start, start + beginning)) ?? []) {
        let length = Math.min(beginning, spelling.length)
        while (length < spelling.length && text[start + length] === spelling[length]) length += 1
        longest = Math.max(longest, length)
      }
    }
    return longest
  }
}

/** Removes invisible characters, which reorder or split the visible ones. */
function visible(text: string): string {
  return text.replaceAll(/\p{Cf}/gu, '')
}

function decodePercents(text: string): string {
  return text.replaceAll(/(?:%[\da-f]{2})+/gi, (encoded) => {
    try {
      return decodeURIComponent(encoded)
    } catch {
      return encoded
    }
  })
}

/** The part of an error that this package reads. `instanceof Error` is false for errors of another realm, as in Jest. */
interface ErrorLike {
  readonly message?: unknown
  readonly code?: unknown
  readonly cause?: unknown
  /** Of an `AggregateError`. */
  readonly errors?: unknown
}

function isErrorLike(value: unknown): value is ErrorLike {
  return typeof value === 'object' && value !== null
}

/** Returns the error that an error was made of: fetch hides it one level down, and a dual-stack dial one more. */
function reasonOf({ errors, cause }: ErrorLike): unknown {
  return Array.isArray(errors) ? errors[0] : cause
}

const DEEPEST = 10

/** Returns an error and the errors that it was made of, the outermost first; the chain may be a circle. */
function chainOf(error: unknown): ErrorLike[] {
  const chain: ErrorLike[] = []
  for (let next = error; isErrorLike(next) && chain.length < DEEPEST; next = reasonOf(next)) chain.push(next)
  return chain
}

/** The `code` of a Node or ws error, wherever the runtime put it. */
export function errorCode(error: unknown): string | undefined {
  return chainOf(error)
    .map(({ code }) => code)
    .find((code) => typeof code === 'string')
}

/**
 * Returns a bare copy of a foreign error for `cause`: runtimes hang requests, responses and sockets on theirs, and
 * those hold the credentials.
 */
export function withoutSecrets(error: unknown, redact: Redact): Error {
  const { message = String(error) } = chainOf(error).at(-1) ?? {}
  const copy = new Error(redact(String(message)))
  const code = errorCode(error)
  copy.stack = `${copy.name}: ${copy.message}`
  return code === undefined ? copy : Object.assign(copy, { code })
}
