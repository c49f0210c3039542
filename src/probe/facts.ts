import type { Evidence } from '../upstream/advice.ts'
import type { AuthType } from '../upstream/auth.ts'
import { CLOSE_MISSING_USER, CLOSE_NOT_FOUND, CLOSE_UNAUTHORIZED } from '../upstream/close-codes.ts'

/**
 * The ways to attach that a probe tries:
 * - `frame`: `user_id` in the URL, then the auth frame;
 * - `token+frame`: `user_id` and `token` in the URL, then the auth frame;
 * - `token`: `user_id` in the URL, `token` as well if there is one to send, and no auth frame.
 *
 * The others are a way that works, with one change:
 * - `no-user`: without `user_id`;
 * - `no-headers`: without headers but those of the option `headers`, as browsers have to dial, and as Open WebUI up to
 *   0.11.3 does;
 * - `wrong-key`, `unknown-session`, `unknown-policy`: with a wrong key, or the id of no session or policy.
 */
export type ProbeShape =
  'frame' | 'token+frame' | 'token' | 'no-user' | 'no-headers' | 'wrong-key' | 'unknown-session' | 'unknown-policy'

/**
 * What a probe checks. `other-user` is whether a second user, `<userId>-probe`, can reach a session of the first;
 * `cleanup` is whether the probe could delete every session that it created.
 */
export type ProbeCheckName = 'reachable' | 'tls' | 'rest' | 'session' | ProbeShape | 'other-user' | 'idle' | 'cleanup'

/** Every check in words, in the order of the report. */
export const CHECKS: Readonly<Record<ProbeCheckName, string>> = {
  reachable: 'reachable',
  tls: 'TLS',
  rest: 'REST auth',
  session: 'session created',
  frame: 'user_id, then auth frame',
  'token+frame': 'user_id and token, then auth frame',
  'no-headers': 'the same without any header',
  'no-user': 'the same without user_id',
  'wrong-key': 'the same with a wrong key',
  'unknown-session': 'to a session that is not there',
  'unknown-policy': 'to a policy that is not there',
  token: 'without the auth frame',
  'other-user': 'from another user',
  idle: 'left silent',
  cleanup: 'sessions deleted',
}

/** The result of a check. */
export interface ProbeOutcome {
  /**
   * - `ok`: nothing is wrong;
   * - `attached`: the terminal answered to this shape;
   * - `refused`: the answer to the handshake was an HTTP status other than 101;
   * - `closed`: the handshake succeeded, and then the server closed the connection;
   * - `silence`: the server sent neither output nor a close, not even in answer to the Enter key;
   * - `failed`: something is wrong; with a shape, the handshake got no answer;
   * - `skipped`: the check was not possible, or not needed.
   */
  readonly outcome: 'ok' | 'attached' | 'refused' | 'closed' | 'silence' | 'failed' | 'skipped'
  /** The HTTP status, where it says more than the outcome. */
  readonly status?: number
  /** The close code (RFC 6455, section 7.4), 1006 when there was no close frame. */
  readonly closeCode?: number
  /** More in words, without secrets: the close reason, the finding, or why the check failed or was skipped. */
  readonly detail: string
}

/** One line of the report. */
export interface ProbeCheck extends ProbeOutcome {
  readonly name: ProbeCheckName
  /** How long the check took, in ms. */
  readonly ms: number
}

/** An outcome; `ms` if the time of the check is not the time from its start to its end. */
export type Found = ProbeOutcome & { readonly ms?: number }

export const ok = (detail: string): ProbeOutcome => ({ outcome: 'ok', detail })
export const failed = (detail: string): ProbeOutcome => ({ outcome: 'failed', detail })
export const skipped = (detail: string): ProbeOutcome => ({ outcome: 'skipped', detail })

/** The answer to the request that failed. */
export interface Rejection {
  /** What the table of causes reads. */
  readonly evidence: Evidence
  /** The server's own reason, or from `createTerminalSession` the `why` of its error, which quotes that reason. */
  readonly reason: string
  /** Where the answer redirects to, without a query; with the `base` of a server if it is the list of its sessions. */
  readonly redirect?: { readonly base?: string; readonly place: string } | undefined
}

/** Whether the content type is that of a web page. */
export function isHtml({ type = '' }: Evidence): boolean {
  return /^text\/html/i.test(type)
}

/** Returns which login an answer wants, if a browser would ask for it. */
export function loginOf({ challenge = '' }: Evidence): string | undefined {
  return ['Basic', 'Digest', 'Negotiate', 'NTLM'].find((scheme) => new RegExp(`^${scheme}\\b`, 'i').test(challenge))
}

/** Everything that a verdict is based on. The checks fill it in. */
export interface Facts {
  /** The server: http(s), no query, no slash at the end of a path. */
  readonly url: URL
  readonly authType: AuthType
  readonly hasKey: boolean
  /** The page that the probe asks for. */
  readonly origin?: string | undefined
  readonly chatId?: string | undefined
  readonly checks: { [name in ProbeCheckName]?: ProbeCheck }
  /** The code of the network error that ended the checks. */
  code?: string | undefined
  rejected?: Rejection
  /** Whether the server is an orchestrator: only those require X-User-Id of requests. Absent if it cannot be told. */
  orchestrator?: boolean | undefined
  /** Whether a gateway of this package answers. */
  isGateway?: boolean
  /** Whether the server gives the output of the user's shell, as Open Terminal from 0.12.4 on does. */
  knowsUserShell?: boolean | undefined
  /** The version of the Open WebUI in front of the server. */
  openWebUi?: string | undefined
  /** Whether the same request, or handshake, succeeds without the page's `Origin`. */
  worksWithoutOrigin?: boolean
  /** Why a page of another site cannot read the answers. */
  hiddenFromPages?: string | undefined
  /** Whether the orchestrator knows contexts. */
  contexts?: boolean
  /** The version that the server says it has. */
  version?: string | undefined
  /** Whether the server says that its terminals are turned off. */
  terminalsOff?: boolean
  /** Whether the chat has a session, which the session of a probe would replace. */
  chatIsOpen?: boolean
  /** Whether the server found a session right after it was created, or after it refused a handshake for it. */
  sessionFound?: boolean | undefined
  /** Why a session for one of the shapes could not be created. */
  sessionFailure?: string
  /** Whether a proxy's limit on the rate of requests has kept a session from being created or deleted. */
  isRateLimited?: boolean
}

/** A range of releases that require the same of a client; `gateway` is one of this package. */
export type ProbeFamily =
  | 'terminals@<=0.0.2'
  | 'terminals@>=0.0.3 <0.2.0'
  | 'terminals@>=0.2.0'
  | 'open-terminal@<=0.12.3'
  | 'open-terminal@>=0.12.4'
  | 'open-webui'
  | 'gateway'

/** Returns the family that the server behaves as. Where that does not tell, the version that it says counts. */
export function familyOf(facts: Facts): ProbeFamily | undefined {
  const { orchestrator, contexts, version, checks } = facts
  const { frame, token } = checks
  if (facts.isGateway) return 'gateway'
  if (isBehindOpenWebUI(facts)) return 'open-webui'
  // Only Terminals up to 0.0.2 check the key during the handshake, and only they do not wait for the auth frame.
  const readsUrl = orchestrator || checks['token+frame']?.outcome === 'attached'
  if (isBare403(frame) && readsUrl) return 'terminals@<=0.0.2'
  if (orchestrator && token?.outcome === 'attached') return 'terminals@<=0.0.2'
  if (contexts) return 'terminals@>=0.2.0'
  // A proxy may add the user to the headers of every request and hide the orchestrator. It does not change the query.
  if (orchestrator || checks['no-user']?.closeCode === CLOSE_MISSING_USER) {
    return token?.closeCode === CLOSE_UNAUTHORIZED ? 'terminals@>=0.0.3 <0.2.0' : undefined
  }
  if (separatesUsers(facts)) return 'open-terminal@>=0.12.4'
  const attachesWithoutHeaders = checks['no-headers']?.outcome === 'attached'
  const isOld = version !== undefined || (orchestrator === false && attachesWithoutHeaders)
  return isOld ? 'open-terminal@<=0.12.3' : undefined
}

/** Whether a handshake got the 403 of a terminal server, which has no body. Proxies add a body. */
export function isBare403(check: ProbeCheck | undefined): boolean {
  return check?.status === 403 && check.detail === ''
}

/** The end of a URL at which Open WebUI passes requests to a terminal server: the server's id, perhaps a chat. */
export const SERVER_PATH: RegExp = /\/api\/v1\/terminals\/.+$/

/** Whether Open WebUI passes the requests on. */
export function isBehindOpenWebUI({ url }: Facts): boolean {
  return SERVER_PATH.test(url.pathname)
}

/** Whether an orchestrator is in between: then each user has a container, which any request starts. */
export function isOrchestrator(facts: Facts): boolean {
  const isTerminals = familyOf(facts)?.startsWith('terminals') ?? false
  return isTerminals || facts.orchestrator === true || facts.checks['no-user']?.closeCode === CLOSE_MISSING_USER
}

/** Whether the server is an Open Terminal that keeps users apart, and so wants them in a header of the handshake. */
export function separatesUsers({ checks, knowsUserShell = false, version = '0' }: Facts): boolean {
  const wantsHeaders = checks['no-headers']?.closeCode === CLOSE_NOT_FOUND
  return wantsHeaders || knowsUserShell || isAtLeast(version, '0.12.4')
}

/** Whether a version is the same as another, or later. */
export function isAtLeast(version: string, other: string): boolean {
  return version.localeCompare(other, 'en', { numeric: true }) >= 0
}
