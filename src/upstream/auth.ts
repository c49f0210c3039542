import {
  assertContext,
  assertHeaderValue,
  assertObject,
  assertSegment,
  wrongType,
  wrongValue,
} from '../lib/arguments.ts'

/**
 * How a connection authenticates, by Open WebUI's names.
 *
 * | type | `key` is | HTTP `Authorization` | cookies | token in the URL | token in the auth frame |
 * | --- | --- | --- | --- | --- | --- |
 * | `bearer` | the upstream's API key | when there is a key | never | when there is a key | the key, or `""` |
 * | `session` | the signed-in user's JWT | when there is a key | forwarded | never | the JWT, or `""` |
 * | `system_oauth` | an OAuth access token | when there is a key | forwarded | never | the token, or `""` |
 * | `none` | ignored | never | never | never | `""` |
 */
export type AuthType = 'bearer' | 'session' | 'system_oauth' | 'none'

/** What sets a type apart: most send the key, none but one in the URL, and some the cookies. */
interface Carrier {
  readonly sendsKey?: false
  readonly keyInUrl?: true
  readonly sendsCookie?: true
}

const carriers: Record<AuthType, Carrier> = {
  bearer: { keyInUrl: true },
  session: { sendsCookie: true },
  system_oauth: { sendsCookie: true },
  none: { sendsKey: false },
}

/** What one auth type makes of one key. */
export interface Credential {
  /** The bare token, `''` when there is none. */
  readonly token: string
  readonly tokenInUrl: boolean
  readonly sendsCookie: boolean
}

/** Returns which token goes where; a key of blanks or a bare `Bearer ` is no key. */
export function resolveCredential(authType: AuthType, key: string | null | undefined): Credential {
  if (typeof authType !== 'string') throw wrongType('authType', 'a string', authType)
  if (!Object.hasOwn(carriers, authType)) {
    throw wrongValue('authType', `must be one of ${Object.keys(carriers).join(', ')}`)
  }
  if (key !== null && key !== undefined && typeof key !== 'string') throw wrongType('key', 'a string', key)
  const { sendsKey = true, keyInUrl = false, sendsCookie = false } = carriers[authType]
  const token = sendsKey ? bareToken(key ?? '') : ''
  return { token, tokenInUrl: keyInUrl && token !== '', sendsCookie }
}

function bareToken(key: string): string {
  const token = key.trim().replace(/^(?:bearer(?:\s+|$))+/i, '')
  // Servers compare tokens with functions that crash on anything else.
  if (!/^[\x20-\x7e]*$/.test(token)) throw wrongValue('key', 'must be printable ASCII')
  return token
}

/** What {@link buildUpstreamAuth} is given. */
export interface UpstreamAuthOptions {
  /** How the connection authenticates. */
  authType: AuthType
  /** The key, JWT or access token; blanks around it and a leading `Bearer ` are removed. */
  key?: string | null | undefined
  /** The user of the terminal. */
  userId: string
  /** The chat that the terminal belongs to. */
  chatId?: string | undefined
  /** The context that the terminal belongs to: `default`, `chat:…` or `automation:…`. */
  contextId?: string | undefined
  /** The user's `Cookie` header, sent on with `session` and `system_oauth`, ignored with the others. */
  cookie?: string | undefined
}

/** What {@link buildUpstreamAuth} returns. */
export interface UpstreamAuth {
  /** For the HTTP requests and, where the runtime has them, for the WebSocket handshake. */
  headers: Record<string, string>
  /** The auth frame: the first message on the socket, a text frame, owed within 10 s even when there is no key. */
  message: string
}

/**
 * Returns the credentials that do not travel in the URL: the headers and the auth frame.
 *
 * For those who dial for themselves; `connectTerminal` uses the same. Pure: no I/O, no clock.
 *
 * @example
 * ```ts
 * import { buildUpstreamAuth } from 'terminal-upstream'
 *
 * const { headers, message } = buildUpstreamAuth({ authType: 'bearer', key: 'sk-1', userId: 'ada' })
 * console.log(headers) //=> { 'X-User-Id': 'ada', Authorization: 'Bearer sk-1' }
 * console.log(message) //=> {"type":"auth","token":"sk-1"}
 * ```
 *
 * @throws {TypeError} ERR_INVALID_ARG_TYPE when an argument has the wrong type.
 * @throws {TypeError} ERR_INVALID_ARG_VALUE when an id is empty or cannot be a header, when the key is not printable
 * ASCII, or when `authType` is unknown.
 * @see https://github.com/open-webui/terminals/blob/v0.2.2/terminals/routers/proxy.py `_validate_ws_auth`
 */
export function buildUpstreamAuth(options: UpstreamAuthOptions): UpstreamAuth {
  assertObject('options', options)
  const { authType, key, userId, chatId, contextId, cookie } = options
  const { token, sendsCookie } = resolveCredential(authType, key)
  const headers: Record<string, string> = {}
  const carry = (header: string, name: string, value: unknown): void => {
    assertHeaderValue(name, value)
    headers[header] = value
  }
  carry('X-User-Id', 'userId', userId)
  if (token !== '') headers['Authorization'] = `Bearer ${token}`
  if (chatId !== undefined) {
    // Open Terminal up to 0.11 makes it the id of the session, and so a part of the path.
    assertSegment('chatId', chatId)
    carry('X-Session-Id', 'chatId', chatId)
  }
  if (contextId !== undefined) {
    assertContext('contextId', contextId)
    carry('X-Terminal-Context-Id', 'contextId', contextId)
  }
  if (cookie !== undefined) {
    assertHeaderValue('cookie', cookie)
    if (sendsCookie) headers['Cookie'] = cookie
  }
  // JSON.stringify leaves an undefined chat_id out.
  return { headers, message: JSON.stringify({ type: 'auth', token, chat_id: chatId }) }
}
