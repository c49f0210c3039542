import { assertContext, assertObject, assertSegment, assertText, typeName } from '../lib/arguments.ts'
import { TerminalError } from '../lib/errors.ts'
import { trimSlashes } from '../lib/slashes.ts'
import { carries, readToken, type AuthType } from './auth.ts'

/** Which terminal of a server. Leave out every part that the base already names. */
export interface UpstreamTarget {
  /** The session to attach to. Appends `/api/terminals/{sessionId}` to the path. */
  sessionId?: string | undefined
  /** The orchestrator policy. Appends `/p/{policyId}` to the path, before the session. */
  policyId?: string | undefined
  /** The orchestrator context, in the query as `context_id`: `default`, `chat:…` or `automation:…`. */
  contextId?: string | undefined
}

// Set only from the arguments. Copies in the base are removed.
const OWN_PARAMETERS = ['user_id', 'context_id', 'token']

/**
 * Returns the WebSocket URL under which every release of Open Terminal and Terminals accepts the user and the key.
 *
 * Use it to open the WebSocket yourself, in a proxy or a test. Send the auth frame of {@link buildUpstreamAuth}
 * as well: only Terminals 0.0.1 and 0.0.2 read the token from the URL, and every other server reads it from the frame.
 * Pure: no I/O, no clock, no globals beyond `URL`.
 *
 * @param base The server, `http(s)` or `ws(s)`, with the path and query that lead to it. Its own path and parameters
 * are kept, but `user_id`, `context_id` and `token` are set from the arguments only. The fragment is dropped.
 * @param authType How the connection authenticates. Only `bearer` puts the key into the URL.
 * @param key The key. Blanks around it and a leading `Bearer ` are removed. `undefined`, `null`, `''`, blanks and a
 * bare `Bearer ` are no key: then the URL has no `token`.
 * @param userId The user of the terminal.
 * @param target Which terminal. Each id becomes one segment of the path.
 *
 * @example
 * ```ts
 * import { buildUpstreamWsUrl } from 'terminal-upstream'
 *
 * const url = buildUpstreamWsUrl('https://terminals.example', 'bearer', 'sk-1', 'ada', { sessionId: '8f14e45f' })
 * console.log(url) //=> wss://terminals.example/api/terminals/8f14e45f?user_id=ada&token=sk-1
 * ```
 *
 * @throws {TerminalError} ERR_TERMINAL_INVALID_URL when `base` is no absolute http(s) or ws(s) URL, or holds user info.
 * @throws {TypeError} ERR_INVALID_ARG_TYPE when another argument has the wrong type.
 * @throws {TypeError} ERR_INVALID_ARG_VALUE when `authType` is unknown, the key is not printable ASCII, or an id is
 * empty, `.` or `..`, or has control characters or lone surrogates.
 * @see https://github.com/open-webui/terminals/blob/v0.0.2/terminals/routers/proxy.py `ws_terminal_proxy`
 */
export function buildUpstreamWsUrl(
  base: string | URL,
  authType: AuthType,
  key: string | null | undefined,
  userId: string,
  target: UpstreamTarget = {},
): string {
  const token = readToken(authType, key)
  return wsUrlFor(base, carries(authType, 'key in URL') ? token : '', userId, target)
}

/** Returns what {@link buildUpstreamWsUrl} does for a token, `''` for none, that may go into the URL. */
export function wsUrlFor(base: string | URL, token: string, userId: string, target: UpstreamTarget): string {
  assertText('userId', userId)
  assertObject('target', target)
  const { contextId } = target
  if (contextId !== undefined) assertContext('contextId', contextId)

  const path = target.sessionId === undefined ? [] : terminalPath(target.sessionId)
  const url = locate(base, 'ws', target.policyId, path)
  // PROTOCOL 3.2, 3.7 and 3.3
  const own = parseQuery('')
  own.append('user_id', userId)
  if (contextId !== undefined) own.append('context_id', contextId)
  if (token !== '') own.append('token', token)
  return addQuery(url, String(own))
}

/** Adds parameters, which must not be none, to a URL that may have some. */
export function addQuery(url: string, query: string): string {
  return `${url}${url.includes('?') ? '&' : '?'}${query}`
}

/**
 * Returns the HTTP URL of one session, or without an id of all sessions, with `rest` as further segments of the path.
 * The user and the key go into the headers.
 */
export function buildUpstreamHttpUrl(base: string | URL, target: UpstreamTarget, rest: readonly string[] = []): string {
  return locate(base, 'http', target.policyId, [...terminalPath(target.sessionId), ...rest])
}

// PROTOCOL 2.5 and 3.1
function terminalPath(sessionId: string | undefined): string[] {
  if (sessionId === undefined) return ['api', 'terminals']
  assertSegment('sessionId', sessionId)
  return ['api', 'terminals', sessionId]
}

/** Returns the URL of a path below the base, or below a policy of it. */
export function locate(
  base: string | URL,
  scheme: 'ws' | 'http',
  policyId: string | undefined,
  path: readonly string[],
): string {
  const { url, query } = parseBase(base)
  const { protocol, host, pathname } = url
  if (!/^(?:http|ws)s?:/.test(protocol)) {
    invalidBase(`its scheme is \`${protocol}\`, perhaps because http:// is missing`)
  }
  if (policyId !== undefined) assertSegment('policyId', policyId)
  // PROTOCOL 2.11
  const segments = policyId === undefined ? path : ['p', policyId, ...path]
  const pathTo =
    segments.length === 0 ? pathname : [trimSlashes(pathname), ...segments.map(encodeURIComponent)].join('/')
  return `${protocol.replace(/http|ws/, scheme)}//${host}${pathTo}${query}`
}

/** Parses a query with URL, the only global that the builder may use. */
function parseQuery(query: string): URLSearchParams {
  return new URL(`http://query/?${query}`).searchParams
}

/**
 * Returns the parameters that are not ours, spelled as they are: some gateways sign theirs, and URLSearchParams
 * respells.
 */
function foreignParameters(search: string): string {
  const pairs = search.slice(1).split('&').filter(isNotOurs)
  return pairs.length === 0 ? '' : `?${pairs.join('&')}`
}

function isNotOurs(pair: string): boolean {
  const [name] = parseQuery(pair).keys()
  return name !== undefined && !OWN_PARAMETERS.includes(name)
}

/** A base that has been parsed. */
interface Base {
  /** The base as it was given, and as `url` spells it. */
  readonly spellings: readonly unknown[]
  readonly url: Readonly<URL>
  /** The parameters that are not ours, with the question mark, or `''`. */
  readonly query: string
}

// The base that was parsed last. A program has few of them, and an attach needs the same one eight times.
let lastParsed: Base | undefined

/** Parses a base. The scheme is checked where the URL is built. */
export function parseBase(base: string | URL): Base {
  if (lastParsed?.spellings.includes(base)) return lastParsed
  // JavaScript callers pass anything.
  const given: unknown = base
  if (typeof given !== 'string' && (typeof given !== 'object' || given === null)) {
    return invalidBase(`got ${typeName(given)}`)
  }
  let url: URL
  try {
    url = new URL(base)
  } catch {
    // Without a cause: the runtime's error quotes the input, which may hold a password or a token.
    return invalidBase('it cannot be parsed as one')
  }
  if (url.username !== '' || url.password !== '')
    return invalidBase('it holds a user name or password, which belong in `headers`')
  return (lastParsed = { spellings: [String(base), url.href], url, query: foreignParameters(url.search) })
}

/** Returns a base as a string, which stays the same when the caller changes its `URL`. */
export function readBase(base: string | URL): string {
  return parseBase(base).url.href
}

function invalidBase(why: string): never {
  const message = `\`base\` must be an absolute http(s) or ws(s) URL: ${why}`
  throw new TerminalError('ERR_TERMINAL_INVALID_URL', message, { why })
}

/** Returns a URL of these builders for a message: without the query, which may hold a key. */
export function withoutQuery(url: string): string {
  return url.replace(/[?#].*/s, '')
}
