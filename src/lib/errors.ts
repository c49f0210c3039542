/**
 * Every code that a {@link TerminalError} can carry. Codes are API; messages are not.
 *
 * | code | when |
 * | --- | --- |
 * | `ERR_TERMINAL_INVALID_URL` | `base` is no http(s) or ws(s) URL |
 * | `ERR_TERMINAL_UNAUTHORIZED` | 401, close 4001, or a handshake answered 401 or 403 while the session is there |
 * | `ERR_TERMINAL_FORBIDDEN` | a request answered 403 or 409, a close 4003 that denies access, `write` with `watch` |
 * | `ERR_TERMINAL_MISSING_USER` | 422, 400 "X-User-Id is required", close 4002 |
 * | `ERR_TERMINAL_NOT_FOUND` | 404, close 4004, or a handshake answered 403 while the session is not there |
 * | `ERR_TERMINAL_IN_USE` | close 4009 |
 * | `ERR_TERMINAL_LIMIT` | the server's own 429 to a POST |
 * | `ERR_TERMINAL_UNAVAILABLE` | no connection, DNS, TLS, 5xx, any other 429, close 1012, 1013, 4003 "not reachable" |
 * | `ERR_TERMINAL_TIMEOUT` | `timeout` ran out |
 * | `ERR_TERMINAL_PROTOCOL` | an answer that no release gives, such as HTML or a redirect; no watchers, with `watch` |
 * | `ERR_TERMINAL_INPUT_STALLED` | on an old server, input was refused because no program reads it |
 * | `ERR_TERMINAL_CLOSED` | a terminal was used after it closed |
 * | `ERR_TERMINAL_RECONNECTING` | a terminal was used while its connection is being restored |
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
  | 'ERR_TERMINAL_INPUT_STALLED'
  | 'ERR_TERMINAL_CLOSED'
  | 'ERR_TERMINAL_RECONNECTING'

/** The fields of a {@link TerminalError} beside its code and message. */
export interface TerminalErrorOptions {
  /**
   * Why it failed, without what failed and what to do.
   * @defaultValue the message
   */
  why?: string | undefined
  /** The HTTP status of the answer, if an answer was the failure. */
  status?: number | undefined
  /** The close code that was received (RFC 6455, section 7.4), if a close was the failure. */
  closeCode?: number | undefined
  /**
   * The reason that came with the close code. The caller of the constructor removes secrets from it. Without a close
   * code, in an error that the `authorize` of a proxy or gateway throws: the reason that its client is told.
   */
  closeReason?: string | undefined
  /** The error that led to this one. */
  cause?: unknown
}

// The ESM build, the CJS build and each copy in node_modules have a class of their own. They share a registered symbol.
const BRAND = Symbol.for('terminal-upstream.TerminalError')

/**
 * The error of this package for everything that goes wrong between the caller and the terminal.
 *
 * Switch on `code`, and show `message`: it says what failed, where, why and what to do, and never holds a key, token,
 * cookie, query string or a value of `headers`. `instanceof` works across the ESM and the CJS build. A wrong argument
 * is a `TypeError` or `RangeError` with Node's codes instead.
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
    // Derived classes keep the usual meaning of `instanceof`.
    // (The build renames a class that names itself, and `console.log` shows the name: hence `this`.)
    if (!Object.hasOwn(this.prototype, BRAND)) return super[Symbol.hasInstance](value)
    return BRAND in Object(value)
  }

  /** What went wrong; stable across versions. */
  readonly code: TerminalErrorCode
  /** The reason alone, for a sentence of your own: `message` without what failed and what to do. Holds no secret. */
  declare readonly why: string
  // `declare` creates no field, so that a logged error shows only the known ones.
  /** The HTTP status of the answer, if an answer was the failure. */
  declare readonly status?: number
  /** The close code that was received, if a close was the failure. */
  declare readonly closeCode?: number
  /** The reason that came with the close code. */
  declare readonly closeReason?: string

  /**
   * Creates an error. Your code needs it only where this package asks for one, as in `authorize` of a proxy.
   *
   * @param code What went wrong.
   * @param message What failed, where, why, and what to do. No secrets.
   * @param options The other fields.
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

/** Removes secrets from a foreign text, and makes it one short line. */
export type Redact = (text: string) => string

const LONGEST_TEXT_CHARS = 4096
const LONGEST_QUOTE_CHARS = 200
// A text may be cut within a secret, as close reasons are after 123 bytes. So the first 8
// characters of a secret count as the secret.
const SHORTEST_PART_CHARS = 8

/** Returns a function that removes the secrets and every query string from a foreign text, and cuts it to one line. */
export function createRedact(secrets: Iterable<string>): Redact {
  // The spellings by their beginnings, and how long those are. Created for the first text: most requests have none to
  // redact.
  let spellings: Map<string, string[]> | undefined
  let sizes: Set<number>
  return (text) => {
    if (!spellings) {
      spellings = groupByBeginning(new Set([...secrets].flatMap(spellingsOf)))
      sizes = new Set([...spellings.keys()].map(({ length }) => length))
    }
    const decoded = visible(decodePercents(text.slice(0, LONGEST_TEXT_CHARS)))
    let clean = ''
    // Reads no place twice for the same secret: a user may choose both the text and hundreds of secrets.
    for (let at = 0; at < decoded.length;) {
      let length = 0
      for (const size of sizes) {
        for (const spelling of spellings.get(decoded.slice(at, at + size)) ?? []) {
          let same = size
          while (same < spelling.length && decoded[at + same] === spelling[same]) same += 1
          length = Math.max(length, same)
        }
      }
      clean += length > 0 ? '[redacted]' : decoded.charAt(at)
      at += length || 1
    }
    const line = clean
      .replaceAll(/\?[^\s"'<>]+/g, '?[redacted]')
      .replaceAll(/[\s\p{Cc}]+/gu, ' ')
      .trim()
    return line.length > LONGEST_QUOTE_CHARS ? `${line.slice(0, LONGEST_QUOTE_CHARS)}…` : line
  }
}

function groupByBeginning(spellings: Iterable<string>): Map<string, string[]> {
  const groups = new Map<string, string[]>()
  for (const spelling of spellings) {
    const beginning = spelling.slice(0, SHORTEST_PART_CHARS)
    const group = groups.get(beginning)
    if (group) group.push(spelling)
    else if (beginning !== '') groups.set(beginning, [spelling])
  }
  return groups
}

/** Returns the spellings of a secret as text, in JSON and in a form. Percent-encodings are decoded in the text. */
function spellingsOf(secret: string): string[] {
  return [secret, JSON.stringify(secret).slice(1, -1), secret.replaceAll(' ', '+')].flatMap((spelling) => [
    visible(spelling),
    visible(decodePercents(spelling)),
  ])
}

/** Removes invisible characters, which can reorder or split the visible ones. */
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

/** The fields of an error that this package reads. `instanceof Error` is false for errors of another realm. */
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

/** Returns the error behind an error: fetch has it in `cause`, a dial to several addresses in `errors`. */
function reasonOf({ errors, cause }: ErrorLike): unknown {
  return Array.isArray(errors) ? errors[0] : cause
}

const DEEPEST = 10

/** Returns an error and those behind it, the outermost first. At most {@link DEEPEST}: the chain may be a circle. */
function chainOf(error: unknown): ErrorLike[] {
  const chain: ErrorLike[] = []
  for (let next = error; isErrorLike(next) && chain.length < DEEPEST; next = reasonOf(next)) chain.push(next)
  return chain
}

/** Returns the first `code` of an error and the errors behind it. */
export function errorCode(error: unknown): string | undefined {
  return chainOf(error)
    .map(({ code }) => code)
    .find((code) => typeof code === 'string')
}

// OpenSSL surrounds the reason with file names and numbers.
const OPENSSL = /^.*:SSL routines:[^:]*:([^:]+):.*$/s

/**
 * Returns a copy of a foreign error for `cause`, with a message and a code only. Runtimes attach requests, responses
 * and sockets to their errors, and those hold credentials.
 */
export function withoutSecrets(error: unknown, redact: Redact): Error {
  const { message = String(error) } = chainOf(error).at(-1) ?? {}
  const copy = new Error(redact(String(message).replace(OPENSSL, '$1')))
  const code = errorCode(error)
  copy.stack = `${copy.name}: ${copy.message}`
  return code === undefined ? copy : Object.assign(copy, { code })
}
