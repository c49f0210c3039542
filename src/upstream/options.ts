import { assertKnown, assertObject, assertSignal } from '../lib/arguments.ts'
import type { AbortSignalLike } from '../lib/cancellation.ts'
import { abortable } from '../lib/deadline.ts'
import { createRedact, type Redact } from '../lib/errors.ts'
import { authFor, carries, readHeaders, readToken, UPSTREAM_OPTIONS, type AuthType, type UpstreamAuth } from './auth.ts'
import { buildUpstreamHttpUrl, parseBase, readBase, wsUrlFor } from './url.ts'

/** Which server, which user and which credentials. */
export interface UpstreamOptions {
  /** The server, `http(s)` or `ws(s)`, with the path and query that lead to it. */
  base: string | URL
  /**
   * How the connection authenticates.
   * @defaultValue `'bearer'`
   */
  authType?: AuthType | undefined
  /**
   * The key, JWT or access token. A function is called before every request and every dial, for tokens that expire
   * soon.
   * @defaultValue none
   */
  key?: string | null | undefined | (() => string | null | undefined | Promise<string | null | undefined>)
  /**
   * The user who owns the terminal: Open WebUI's user id, or any string of your own that is always the same for the
   * same user. Characters up to U+00FF, no control characters, no blanks at the ends.
   */
  userId: string
  /**
   * The orchestrator policy to run under.
   * @defaultValue the orchestrator's own
   */
  policyId?: string | undefined
  /**
   * The orchestrator context: `default`, `chat:…` or `automation:…`, at most 256 characters.
   * @defaultValue `'default'`
   */
  contextId?: string | undefined
  /**
   * The chat that the terminal belongs to, sent as `X-Session-Id`, which is not the id of the session.
   *
   * Open Terminal up to 0.11 makes it the id of the session, so a second session of the same chat replaces the first.
   * Terminals up to 0.2.2 sends the chat to its Open Terminal when it creates a session, but not when it attaches. Open
   * Terminal from 0.12.4 on then refuses the attach, and `connectTerminal` replaces the session by one without a chat.
   * @defaultValue none
   */
  chatId?: string | undefined
  /**
   * The user's `Cookie` header. Only `session` and `system_oauth` send it.
   * @defaultValue none
   */
  cookie?: string | undefined
  /**
   * Headers of every request and handshake, for what stands in front of the server: Cloudflare Access, an SSO proxy,
   * basic auth. Their values count as secrets, as the key does.
   *
   * Not allowed, in any case of letters: `Authorization` (but with the auth type `none`), `Cookie` with `session` and
   * `system_oauth`, `X-User-Id`, `X-Session-Id`, `X-Terminal-Context-Id`, `Content-*`, `Host`, `Origin`, `Connection`,
   * `Upgrade`, `Keep-Alive`, `TE`, `Trailer`, `Transfer-Encoding`, `Expect`, `Proxy-*`, `Sec-*`. A page or a worker
   * cannot connect a terminal with them, because its WebSocket cannot send them.
   * @defaultValue none
   */
  headers?: Record<string, string> | undefined
  /**
   * Cancels a request or connecting: the promise rejects with the signal's `reason`. Requests have no time limit of
   * their own: use `AbortSignal.timeout(ms)`. The signal has no effect on an open terminal.
   * @defaultValue none
   */
  signal?: AbortSignal | undefined
}

/** The names of the options that only `connectTerminal` has. */
export const CONNECT_OPTIONS: readonly string[] = [
  'sessionId',
  'createIfGone',
  'deleteOnClose',
  'size',
  'tokenInUrl',
  'timeout',
  'retry',
  'reconnect',
  'settle',
  'keepAlive',
  'maxBuffered',
  'watch',
  'WebSocket',
]

/**
 * Returns a copy of the options of `owner`. Throws for an option that is neither among `more` nor an option of
 * `connectTerminal`: all functions may share one object.
 */
export function knownOptions<T extends UpstreamOptions>(owner: string, options: T, more: readonly string[] = []): T {
  assertObject('options', options)
  const given = { ...options }
  assertKnown(owner, given, [...UPSTREAM_OPTIONS, ...CONNECT_OPTIONS, ...more])
  return given
}

/** {@link UpstreamOptions} whose signal may be one of our own. */
export interface RequestOptions extends Omit<UpstreamOptions, 'signal'> {
  readonly signal?: AbortSignalLike | undefined
}

/** Options that ask as a page does. */
export interface PageOptions extends RequestOptions {
  /** The `Origin` that the page's browser sends. */
  readonly origin?: string | undefined
}

/** The URLs and credentials of one request or one dial. All of them are derived here, so that they cannot differ. */
export interface Endpoint extends UpstreamAuth {
  readonly hasKey: boolean
  /** Whether the key may go into the URL. */
  readonly keyMayBeInUrl: boolean
  readonly redact: Redact
  readonly httpUrl: (sessionId?: string, ...rest: string[]) => string
  readonly wsUrl: (sessionId: string, keyInUrl: boolean) => string
}

/** Returns a copy of options that stays the same when the caller changes its URL or its headers. */
export function readUpstream<T extends RequestOptions>(options: T): T & { readonly base: string } {
  const { base, headers, authType } = options
  return { ...options, base: readBase(base), headers: readHeaders(headers, authType) }
}

/** Asks for the key, and derives the URLs, the headers and the auth frame from it. */
export async function resolveEndpoint(options: PageOptions): Promise<Endpoint> {
  assertObject('options', options)
  const { authType = 'bearer', userId, cookie, signal, origin } = options
  assertSignal(signal)
  // Read before the wait for the key: a caller that changes its URL meanwhile must not send the key to another server.
  const { url } = parseBase(options.base)
  const headers = readHeaders(options.headers, authType)
  const base = url.href
  const key = typeof options.key === 'function' ? await abortable(Promise.resolve(options.key()), signal) : options.key
  const token = readToken(authType, key, 'a string, or a function that returns one')
  const urlToken = carries(authType, 'key in URL') ? token : ''
  const secrets = [cookie ?? '', ...Object.values({ ...headers })].flatMap(secretsIn)
  secrets.push(...url.searchParams.values())
  const auth = authFor(token, { ...options, authType, headers })
  if (origin) auth.headers['Origin'] = origin
  return {
    ...auth,
    hasKey: token !== '',
    keyMayBeInUrl: urlToken !== '',
    redact: createRedact([token, ...secrets.filter(mayBeSecret)]),
    httpUrl: (sessionId, ...rest) => buildUpstreamHttpUrl(base, { ...options, sessionId }, rest),
    wsUrl: (sessionId, keyInUrl) => wsUrlFor(base, keyInUrl ? urlToken : '', userId, { ...options, sessionId }),
  }
}

/** Whether a value is long enough to be a secret. Removing every `1` or `dark` would only spoil messages. */
function mayBeSecret(value: string): boolean {
  return value.length >= 6
}

/** Returns the value of a header, the values of its cookies if it has any, and what stands after `Basic`. */
function secretsIn(header: string): string[] {
  const cookies = header.split(/;\s*/).map((pair) => pair.slice(pair.indexOf('=') + 1))
  return [header, header.replace(/^\w+ /, ''), ...cookies]
}
