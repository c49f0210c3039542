import { assertObject, assertSignal } from '../lib/arguments.ts'
import { buildUpstreamAuth, resolveCredential, type AuthType, type UpstreamAuth } from './auth.ts'
import { abortable } from '../lib/deadline.ts'
import { createRedact, type Redact } from '../lib/errors.ts'
import { buildUpstreamHttpUrl, buildUpstreamWsUrl, readBase } from './url.ts'

/** Which upstream, and as whom. */
export interface UpstreamOptions {
  /** The server, `http(s)` or `ws(s)`, with the path and query that lead to it. */
  base: string | URL
  /** How the connection authenticates. Default: `'bearer'`. */
  authType?: AuthType | undefined
  /**
   * The key, JWT or access token. A function is asked anew before every request and every dial, for tokens that do not
   * live long. Default: none.
   */
  key?: string | null | undefined | (() => string | null | undefined | Promise<string | null | undefined>)
  /**
   * Whose terminal it is: Open WebUI's user id, or where there is none any string of your own, always the same for the
   * same user. Characters up to U+00FF, no control characters, no blanks at the ends.
   */
  userId: string
  /** The orchestrator policy to run under. Default: the orchestrator's own. */
  policyId?: string | undefined
  /** The orchestrator context: `default`, `chat:…` or `automation:…`, at most 256 characters. Default: `default`. */
  contextId?: string | undefined
  /**
   * The chat that the terminal belongs to. Default: none.
   *
   * Open Terminal up to 0.11 makes it the id of the session, so there a second session of the same chat takes the place
   * of the first. Terminals up to 0.2.2 passes it on when a session is created but not when one is attached to, so
   * behind it Open Terminal from 0.12.4 on refuses every attach to a session that has one. `connectTerminal` then
   * replaces the session by one without a chat.
   */
  chatId?: string | undefined
  /** The user's `Cookie` header, sent on with `session` and `system_oauth`, ignored with the others. Default: none. */
  cookie?: string | undefined
  /**
   * Cancels the request, or the connecting; the promise rejects with its `reason`. Requests have no other limit in time:
   * give them `AbortSignal.timeout(ms)`. It has no effect once the terminal is open.
   */
  signal?: AbortSignal | undefined
}

/** The URLs and credentials of one request or one dial. All of them are derived here, so that they cannot differ. */
export interface Upstream extends UpstreamAuth {
  /** Whether there is a token that may go into the URL. */
  readonly tokenInUrl: boolean
  readonly redact: Redact
  readonly httpUrl: (sessionId?: string) => string
  readonly wsUrl: (sessionId: string, withToken: boolean) => string
}

/** Asks for the key and derives URLs, headers and auth frame from it. */
export async function resolveUpstream(options: UpstreamOptions): Promise<Upstream> {
  assertObject('options', options)
  const { authType = 'bearer', userId, cookie, signal } = options
  assertSignal(signal)
  // Before the wait for the key: the caller may change its URL meanwhile, and the key must not go to another server.
  const base = readBase(options.base)
  const key = typeof options.key === 'function' ? await abortable(Promise.resolve(options.key()), signal) : options.key
  const { headers, message } = buildUpstreamAuth({ ...options, authType, key })
  const { token, tokenInUrl } = resolveCredential(authType, key)
  const gateKeys = new URL(base).searchParams.values()
  return {
    headers,
    message,
    tokenInUrl,
    redact: createRedact([token, ...[...cookieValues(cookie), ...gateKeys].filter(isLong)]),
    httpUrl: (sessionId) => buildUpstreamHttpUrl(base, { ...options, sessionId }),
    wsUrl: (sessionId, withToken) =>
      buildUpstreamWsUrl(base, authType, withToken ? key : null, userId, { ...options, sessionId }),
  }
}

/** Whether it is long enough to be a secret: taking every `1` and `dark` out of a message only spoils it. */
function isLong(value: string): boolean {
  return value.length >= 6
}

function cookieValues(cookie = ''): string[] {
  return [cookie, ...cookie.split(/;\s*/).map((pair) => pair.slice(pair.indexOf('=') + 1))]
}
