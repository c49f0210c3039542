import { HEARTBEAT, isSize, type TerminalSize } from '../upstream/protocol.ts'

/** A text frame for the upstream. */
export interface Command {
  readonly text: string
  /** The size of the window that it sets, which may be 0. Absent if it sets none. */
  readonly size?: TerminalSize
}

/** A JWT has a few hundred bytes, or a few thousand if it lists all groups of a large company's directory. */
export const LONGEST_TEXT_BYTES = 65_536

/**
 * Reads a text frame of a client. Only a size of the window and a heartbeat are passed on, in words of our own. Returns
 * `'dropped'` for all else: a server ignores it, or it ends the shell (PROTOCOL 5.2 to 5.4). Returns `'auth'` for an
 * auth frame, which is not for the upstream.
 *
 * @see https://github.com/open-webui/open-terminal/blob/v0.14.5/open_terminal/main.py `ws_terminal`
 */
export function readCommand(text: string): Command | 'dropped' | 'auth' {
  const { type, cols = 80, rows = 24 } = parseObject(text)
  if (type === 'auth') return 'auth'
  if (type === 'ping') return { text: HEARTBEAT }
  if (type !== 'resize' || !isSize(cols, 0) || !isSize(rows, 0)) return 'dropped'
  return { text: JSON.stringify({ type, cols, rows }), size: { cols, rows } }
}

/** Returns the fields of an object in JSON; none for any other text. */
function parseObject(text: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(text))
  } catch {
    return {}
  }
}

/** What a client says of itself in its first message, as Open WebUI's front end does. */
export interface ClientAuth {
  /** The token that the page sends, such as the user's JWT; `''` if it sends none. */
  readonly token: string
  /** The chat that the terminal belongs to. */
  readonly chatId?: string
  /** The client only looks on (PROTOCOL 8.12). */
  readonly watch?: true
}

/** A client's first message. */
export interface FirstMessage {
  readonly auth: ClientAuth
  /**
   * The offset in the output that the client wants to go on from, `null` if it has no output yet. Absent if the client
   * cannot resume a session (PROTOCOL 8.1).
   */
  readonly offset?: number | null
  /**
   * What the client was told when it attached before (PROTOCOL 8.6). Absent if it has not, or cannot resume a session.
   */
  readonly generation?: string
}

/** Reads a client's first message (PROTOCOL 7.1). Returns `undefined` if it is not an auth frame. */
export function readFirstMessage(data: Buffer, isBinary: boolean): FirstMessage | undefined {
  if (isBinary || data.length > LONGEST_TEXT_BYTES) return undefined
  const { type, token, chat_id: chatId, offset, generation, watch } = parseObject(data.toString())
  if (type !== 'auth' || typeof token !== 'string') return undefined
  const hasChat = typeof chatId === 'string' && chatId !== ''
  const auth = { token, ...(hasChat && { chatId }), ...(watch === true && { watch: true as const }) }
  const isResumed = typeof generation === 'string' && generation !== ''
  return { auth, ...(isOffset(offset) && { offset }), ...(isResumed && { generation }) }
}

function isOffset(value: unknown): value is number | null {
  return value === null || Number.isSafeInteger(value)
}
