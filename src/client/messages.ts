import { LARGEST_SIZE, type TerminalSize } from '../upstream/protocol.ts'

/** A text frame of the client that is forwarded to the upstream. */
export interface Command {
  readonly forward: string
  /** The size of the window that it sets, which may be 0. Absent if it sets none. */
  readonly size?: TerminalSize
}

/** Bytes. A JWT has a few hundred, or a few thousand if it lists all groups of a large company's directory. */
export const LONGEST_TEXT = 65_536

/**
 * Reads a text frame as the server would. Returns `'dropped'` for a frame that would kill the shell (PROTOCOL 5.2 and
 * 5.4): JSON that is not an object, and a resize to anything but whole numbers. Returns `'auth'` for an auth frame, which
 * is for the proxy.
 *
 * @see https://github.com/open-webui/open-terminal/blob/v0.14.5/open_terminal/main.py `ws_terminal`
 */
export function readCommand(text: string): Command | 'dropped' | 'auth' {
  if (exceedsPythonLimits(text)) return 'dropped'
  // Python accepts these as numbers in JSON.
  const message = parseJson(text.replaceAll(/NaN|-?Infinity/g, 'null'))
  // The server ignores text that is not JSON.
  if (message === NOT_JSON) return { forward: text }
  if (!isObject(message)) return 'dropped'
  const { type, cols = 80, rows = 24 } = message
  if (type === 'auth') return 'auth'
  if (type !== 'resize') return { forward: text }
  if (!isSize(cols) || !isSize(rows)) return 'dropped'
  // JavaScript reads 80.0 as a whole number. Python does not.
  const forward = /\d[.eE]/.test(text) ? JSON.stringify({ type, cols, rows }) : text
  return { forward, size: { cols, rows } }
}

const NOT_JSON = Symbol('not JSON')

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return NOT_JSON
  }
}

// Beyond 4300 digits and about 1000 levels, of which half is a safe limit, Python's parser raises errors that the server does not catch, which kills the shell.
const MOST_DIGITS = 4300
const MOST_LEVELS = 500

function exceedsPythonLimits(text: string): boolean {
  let depth = 0
  let digits = 0
  let inString = false
  for (let index = 0; index < text.length; index += 1) {
    const character = text.charAt(index)
    if (character === '"') inString = !inString
    else if (inString && character === '\\') index += 1
    if (inString) continue
    if (character === '{' || character === '[') depth += 1
    else if (character === '}' || character === ']') depth -= 1
    digits = character >= '0' && character <= '9' ? digits + 1 : 0
    if (depth > MOST_LEVELS || digits > MOST_DIGITS) return true
  }
  return false
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isSize(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= LARGEST_SIZE
}

/** What a client says of itself in its first message, as Open WebUI's front end does. */
export interface ClientAuth {
  /** The token that the page sends, such as the user's JWT; `''` if it sends none. */
  readonly token: string
  /** The chat that the terminal belongs to. */
  readonly chatId?: string
}

/** A client's first message. */
export interface FirstMessage {
  readonly auth: ClientAuth
  /**
   * The offset in the output that the client wants to go on from, `null` if it has no output yet. Absent if the client
   * cannot resume a session (PROTOCOL 8.1).
   */
  readonly offset?: number | null
  /** What the client was told when it attached before (PROTOCOL 8.6). Absent if it has not, or cannot resume a session. */
  readonly generation?: string
}

/** Reads a client's first message (PROTOCOL 7.1). Returns `undefined` if it is not an auth frame. */
export function readFirstMessage(data: Buffer, isBinary: boolean): FirstMessage | undefined {
  if (isBinary || data.length > LONGEST_TEXT) return undefined
  const message = parseJson(data.toString())
  if (!isObject(message)) return undefined
  const { type, token, chat_id: chatId, offset, generation } = message
  if (type !== 'auth' || typeof token !== 'string') return undefined
  const auth = typeof chatId === 'string' && chatId !== '' ? { token, chatId } : { token }
  const isResumed = typeof generation === 'string' && generation !== ''
  return { auth, ...(isOffset(offset) && { offset }), ...(isResumed && { generation }) }
}

function isOffset(value: unknown): value is number | null {
  return value === null || Number.isSafeInteger(value)
}
