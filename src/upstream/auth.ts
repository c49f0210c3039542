import {
  assertContext,
  assertHeaderValue,
  assertKnown,
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

// What each auth type carries (PROTOCOL 4.1 to 4.4).
const CARRIED: Record<AuthType, ReadonlyArray<'key' | 'key in URL' | 'cookie'>> = {
  bearer: ['key', 'key in URL'],
  session: ['key', 'cookie'],
  system_oauth: ['key', 'cookie'],
  none: [],
}

/** Whether an auth type carries the key in headers and the auth frame, the key in the URL, or the user's cookies. */
export function carries(authType: AuthType, what: 'key' | 'key in URL' | 'cookie'): boolean {
  if (typeof authType !== 'string') throw wrongType('authType', 'a string', authType)
  if (Object.hasOwn(CARRIED, authType)) return CARRIED[authType].includes(what)
  throw wrongValue('authType', `must be one of ${Object.keys(CARRIED).join(', ')}`)
}

/**
 * Returns the token of a key, `''` if there is none or the auth type carries none: a key of blanks or a bare `Bearer `
 * is none.
 */
export function readToken(authType: AuthType, key: string | null | undefined, expected = 'a string'): string {
  const isCarried = carries(authType, 'key')
  if (key !== null && key !== undefined && typeof key !== 'string') throw wrongType('key', expected, key)
  return isCarried ? bareToken(key ?? '') : ''
}

// Set by this package or the runtime, or anew by each server on the way.
const RESERVED =
  /^(?:content-|proxy-|sec-|(?:x-(?:user|session|terminal-context)-id|host|origin|connection|upgrade|keep-alive|te|trailer|transfer-encoding|expect)$)/
// RFC 9110, section 5.6.2.
const HEADER_NAME = /^[\w!#$%&'*+.^`|~-]+$/

/** Returns a copy of the headers of the caller, each of which was read once. Throws for those that may not be sent. */
export function readHeaders(given: unknown, authType: AuthType = 'bearer'): Record<string, string> | undefined {
  if (given === undefined) return undefined
  assertObject('headers', given)
  // The entries of an array, a Map or a Headers are not its properties, and would be lost.
  if (Symbol.iterator in given) throw wrongValue('headers', 'must be a plain object')
  const names = new Set<string>()
  const headers = Object.entries<unknown>({ ...given }).map(([name, value]): [string, string] => {
    // Not quoted: it may be a whole header, with its secret.
    if (!HEADER_NAME.test(name)) throw refusal('a name that is no token of RFC 9110')
    const lower = name.toLowerCase()
    if (lower === 'authorization' && carries(authType, 'key')) {
      throw refusal(`${name}, which carries \`key\`: take one of the two off this path, or use \`authType\` 'none'`)
    }
    const isSet = RESERVED.test(lower) || (lower === 'cookie' && carries(authType, 'cookie'))
    if (isSet) throw refusal(`${name}, which is set for you`)
    if (names.has(lower)) throw refusal(`${name} twice`)
    names.add(lower)
    assertHeaderValue(`headers.${name}`, value)
    return [name, value]
  })
  // Not assigned one by one, which would lose a header called `__proto__`.
  return Object.fromEntries(headers)
}

function refusal(what: string): TypeError {
  return wrongValue('headers', `must not have ${what}`)
}

/** Returns a key without the blanks and the `Bearer ` that people paste with it (PROTOCOL 4.5). */
function bareToken(key: string): string {
  const token = key.trim().replace(/^(?:bearer(?:\s+|$))+/i, '')
  // PROTOCOL 3.5: some releases crash on any other token.
  if (!/^[\x20-\x7e]*$/.test(token)) throw wrongValue('key', 'must be printable ASCII')
  return token
}

/** The options of {@link buildUpstreamAuth}. */
export interface UpstreamAuthOptions {
  /** How the connection authenticates. */
  authType: AuthType
  /** The key, JWT or access token. Blanks around it and a leading `Bearer ` are removed. */
  key?: string | null | undefined
  /** The user of the terminal. */
  userId: string
  /** The chat that the terminal belongs to. */
  chatId?: string | undefined
  /** The context that the terminal belongs to: `default`, `chat:…` or `automation:…`. */
  contextId?: string | undefined
  /** The user's `Cookie` header. Only `session` and `system_oauth` send it. */
  cookie?: string | undefined
  /** Further headers, for what stands in front of the server: see `headers` of {@link UpstreamOptions}. */
  headers?: Record<string, string> | undefined
}

/** The names of all options of an upstream. {@link buildUpstreamAuth} takes all: functions may share one object. */
export const UPSTREAM_OPTIONS: readonly string[] = [
  'base',
  'authType',
  'key',
  'userId',
  'policyId',
  'contextId',
  'chatId',
  'cookie',
  'headers',
  'signal',
]

/** The result of {@link buildUpstreamAuth}. */
export interface UpstreamAuth {
  /** The headers of HTTP requests, and of the WebSocket handshake if the runtime can send headers there. */
  headers: Record<string, string>
  /** The auth frame, a text frame. Send it first, within 10 s, even without a key. */
  message: string
}

/**
 * Returns the credentials that are not in the URL: the headers and the auth frame.
 *
 * Use it when you open the WebSocket yourself; `connectTerminal` uses the same function. Pure: no I/O, no clock.
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
 * ASCII, when `authType` is unknown, when one of `headers` may not be sent, or when there is no such option.
 * @see https://github.com/open-webui/terminals/blob/v0.2.2/terminals/routers/proxy.py `_validate_ws_auth`
 */
export function buildUpstreamAuth(options: UpstreamAuthOptions): UpstreamAuth {
  assertObject('options', options)
  assertKnown('buildUpstreamAuth', options, UPSTREAM_OPTIONS)
  const { authType, key } = options
  return authFor(readToken(authType, key), { ...options, headers: readHeaders(options.headers, authType) })
}

/** Returns what {@link buildUpstreamAuth} does for a token, `''` for none, and headers that have been read. */
export function authFor(token: string, options: Omit<UpstreamAuthOptions, 'key'>): UpstreamAuth {
  const { authType, userId, chatId, contextId, cookie } = options
  // PROTOCOL 2.2
  const headers: Record<string, string> = { ...options.headers }
  const carry = (header: string, name: string, value: unknown): void => {
    assertHeaderValue(name, value)
    headers[header] = value
  }
  carry('X-User-Id', 'userId', userId)
  if (token !== '') headers['Authorization'] = `Bearer ${token}`
  if (chatId !== undefined) {
    // PROTOCOL 2.7: some releases make the chat the id of the session, and so a part of the path.
    assertSegment('chatId', chatId)
    carry('X-Session-Id', 'chatId', chatId)
  }
  if (contextId !== undefined) {
    assertContext('contextId', contextId)
    carry('X-Terminal-Context-Id', 'contextId', contextId)
  }
  if (cookie !== undefined) {
    assertHeaderValue('cookie', cookie)
    if (carries(authType, 'cookie')) headers['Cookie'] = cookie
  }
  // PROTOCOL 3.4 and 3.6. JSON.stringify leaves an undefined chat_id out.
  return { headers, message: JSON.stringify({ type: 'auth', token, chat_id: chatId }) }
}
