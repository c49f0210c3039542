import { LARGEST_SIZE } from '../upstream/protocol.ts'

/** A text frame of the client's that is sent on. */
export interface Command {
  readonly forward: string
  readonly isResize: boolean
}

/** Bytes. A JWT has a few hundred, with every group of a large company's directory a few thousand. */
export const LONGEST_TEXT = 65_536

/**
 * Reads a text frame as the server would. Returns `'dropped'` for what would kill the shell: JSON that is no object, and
 * a resize to anything but whole numbers. Returns `'auth'` for an auth frame, which is for the proxy.
 *
 * @see https://github.com/open-webui/open-terminal/blob/v0.14.5/open_terminal/main.py `ws_terminal`
 */
export function readCommand(text: string): Command | 'dropped' | 'auth' {
  if (isTooMuch(text)) return 'dropped'
  // Python takes these for numbers.
  const message = parse(text.replaceAll(/NaN|-?Infinity/g, 'null'))
  if (message === NO_JSON) return { forward: text, isResize: false }
  if (!isObject(message)) return 'dropped'
  const { type, cols = 80, rows = 24 } = message
  if (type === 'auth') return 'auth'
  if (type !== 'resize') return { forward: text, isResize: false }
  if (!isSize(cols) || !isSize(rows)) return 'dropped'
  // 80.0 is a whole number here, and none in Python.
  const forward = /\d[.eE]/.test(text) ? JSON.stringify({ type, cols, rows }) : text
  return { forward, isResize: true }
}

// The server drops it without harm.
const NO_JSON = Symbol('no JSON')

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return NO_JSON
  }
}

// Python's parser gives up on more with errors that the server does not expect.
const LONGEST_INTEGER = 4300
const DEEPEST = 500

function isTooMuch(text: string): boolean {
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
    if (depth > DEEPEST || digits > LONGEST_INTEGER) return true
  }
  return false
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isSize(value: unknown): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= LARGEST_SIZE
}

/** What a client says of itself in its first message, as Open WebUI's front end does. */
export interface ClientAuth {
  /** The token that the page sends, such as the user's JWT; `''` if it sends none. */
  readonly token: string
  /** The chat that the terminal belongs to. */
  readonly chatId?: string
}

/** Returns what a client's first message says, or `undefined` if it is no auth frame. */
export function readAuth(data: Buffer, isBinary: boolean): ClientAuth | undefined {
  if (isBinary || data.length > LONGEST_TEXT) return undefined
  const message = parse(data.toString())
  if (!isObject(message)) return undefined
  const { type, token, chat_id: chatId } = message
  if (type !== 'auth' || typeof token !== 'string') return undefined
  return typeof chatId === 'string' && chatId !== '' ? { token, chatId } : { token }
}
