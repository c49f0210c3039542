import { assertContext, assertObject, assertSegment, assertText, typeName } from '../lib/arguments.ts'
import { resolveCredential, type AuthType } from './auth.ts'
import { TerminalError } from '../lib/errors.ts'
import { trimSlashes } from '../lib/slashes.ts'

/** Which terminal behind a base: none of it is needed where the base already names it. */
export interface UpstreamTarget {
  /** The session to attach to; `/api/terminals/{sessionId}` is appended to the path. */
  sessionId?: string | undefined
  /** The orchestrator policy; `/p/{policyId}` is put before it. */
  policyId?: string | undefined
  /** The orchestrator context, the query's `context_id`: `default`, `chat:…` or `automation:…`. */
  contextId?: string | undefined
}

// Set only from the arguments. Copies in the base are removed.
const OWN_PARAMETERS = ['user_id', 'context_id', 'token']

/**
 * Returns the WebSocket URL under which every release of Open Terminal and Terminals accepts the user and the key.
 *
 * Use it where you dial for yourself, in a proxy or a test; {@link connectTerminal} uses it too. The auth frame of
 * {@link buildUpstreamAuth} is owed as well: only Terminals 0.0.1 and 0.0.2 read the token from the URL, and only the
 * later ones read it from the frame. Pure: no I/O, no clock, no globals beyond `URL`.
 *
 * @param base The server, `http(s)` or `ws(s)`, with the path and query that lead to it. Its own path and parameters
 * are kept, except that `user_id`, `context_id` and `token` come from the arguments alone; the fragment is dropped.
 * @param authType How the connection authenticates; only `bearer` puts the key into the URL.
 * @param key The key; blanks around it and a leading `Bearer ` are removed. `undefined`, `null`, `''`, blanks and a bare
 * `Bearer ` are no key, and then there is no `token`.
 * @param userId The user of the terminal.
 * @param target Which terminal, each id as one opaque segment of the path.
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
  const { token, tokenInUrl } = resolveCredential(authType, key)
  assertText('userId', userId)
  assertObject('target', target)
  const { contextId } = target
  if (contextId !== undefined) assertContext('contextId', contextId)

  const path = target.sessionId === undefined ? [] : terminalPath(target.sessionId)
  const url = locate(base, 'ws', target.policyId, path)
  const own = parseQuery('')
  own.append('user_id', userId)
  if (contextId !== undefined) own.append('context_id', contextId)
  if (tokenInUrl) own.append('token', token)
  url.search = url.search === '' ? `?${own}` : `${url.search}&${own}`
  return url.href
}

/** The same place for HTTP: one session, or without an id all of them. Who is asking goes into the headers. */
export function buildUpstreamHttpUrl(base: string | URL, target: UpstreamTarget): string {
  return locate(base, 'http', target.policyId, terminalPath(target.sessionId)).href
}

function terminalPath(sessionId: string | undefined): string[] {
  if (sessionId === undefined) return ['api', 'terminals']
  assertSegment('sessionId', sessionId)
  return ['api', 'terminals', sessionId]
}

function locate(base: string | URL, scheme: 'ws' | 'http', policyId: string | undefined, path: readonly string[]): URL {
  const url = parseBase(base)
  if (!/^(?:http|ws)s?:$/.test(url.protocol)) {
    invalidBase(`its scheme is \`${url.protocol}\`, perhaps because http:// is missing`)
  }
  // Between special schemes the setter never refuses.
  url.protocol = url.protocol.replace(/^(?:http|ws)/, scheme)
  if (policyId !== undefined) assertSegment('policyId', policyId)
  const segments = policyId === undefined ? path : ['p', policyId, ...path]
  if (segments.length > 0) {
    url.pathname = [trimSlashes(url.pathname), ...segments.map(encodeURIComponent)].join('/')
  }
  url.search = foreignParameters(url.search)
  url.hash = ''
  return url
}

/** As they are spelled: going through URLSearchParams would respell them, and some gateways sign theirs. */
function foreignParameters(search: string): string {
  const pairs = search.slice(1).split('&').filter(isForeign)
  // With its question mark: setting `search` would take one out of the first name.
  return pairs.length === 0 ? '' : `?${pairs.join('&')}`
}

/** URLSearchParams by way of URL, the one global that this file may use. */
function parseQuery(query: string): URLSearchParams {
  return new URL(`http://query/?${query}`).searchParams
}

function isForeign(pair: string): boolean {
  const [name] = parseQuery(pair).keys()
  return name !== undefined && !OWN_PARAMETERS.includes(name)
}

/** Parses a base; its scheme is looked at where the URL is built. */
export function parseBase(base: string | URL): URL {
  // JavaScript callers pass anything.
  const given: unknown = base
  if (typeof given !== 'string' && (typeof given !== 'object' || given === null)) {
    return invalidBase(`got ${typeName(given)}`)
  }
  let url: URL
  try {
    url = new URL(base)
  } catch {
    // Not as the cause: the runtime's error quotes the input, and that may hold a password or a token.
    return invalidBase('it cannot be parsed as one')
  }
  if (url.username !== '' || url.password !== '') return invalidBase('it holds a user name or password')
  return url
}

/** Returns a base as a string that does not change when the caller changes its `URL`. */
export function readBase(base: string | URL): string {
  return parseBase(base).href
}

function invalidBase(why: string): never {
  const message = `\`base\` must be an absolute http(s) or ws(s) URL: ${why}`
  throw new TerminalError('ERR_TERMINAL_INVALID_URL', message, { why })
}

/** Where a URL leads, fit for a message: never the query. */
export function whereOf(url: string): string {
  const { protocol, host, pathname } = new URL(url)
  return `${protocol}//${host}${pathname}`
}
