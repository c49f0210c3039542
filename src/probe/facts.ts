import type { Evidence } from '../upstream/advice.ts'
import type { AuthType } from '../upstream/auth.ts'

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
 * What a probe checks. `other-user` is whether a second user, `<userId>-probe`, can reach a session of the first; `cleanup` is
 * whether the probe could delete every session that it created.
 */
export type ProbeCheckName = 'reachable' | 'tls' | 'rest' | 'session' | ProbeShape | 'other-user' | 'idle' | 'cleanup'

/** Every check, in the order of the report. */
export const CHECKS: readonly ProbeCheckName[] = [
  'reachable',
  'tls',
  'rest',
  'session',
  'frame',
  'token+frame',
  'no-headers',
  'no-user',
  'wrong-key',
  'unknown-session',
  'unknown-policy',
  'token',
  'other-user',
  'idle',
  'cleanup',
]

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

/** Makes one check. Resolves with whether the outcome is good; rejects only after an abort. */
export type Check = (name: ProbeCheckName, act: () => Promise<Found>) => Promise<boolean>

/** Whether a handshake got the 403 of a terminal server, which has no body. Proxies add a body. */
export function isBare403(check: Partial<ProbeCheck> | undefined): boolean {
  return check?.status === 403 && check.detail === ''
}

/** The answer to the request that failed. */
export interface RejectedRequest {
  readonly status: number
  /** Whether the answer is a web page. */
  readonly html: boolean
  /** How a proxy in front wants a login, such as `Basic`. A terminal server wants none of these. */
  readonly login?: string | undefined
  /** The server's own reason, or from `createTerminalSession` the `why` of its error, which quotes that reason. */
  readonly reason: string
  /** What the table of causes reads. */
  readonly evidence: Evidence
  /** Where the answer redirects to, without a query; `base` if that is a list of sessions, as a terminal server has it. */
  readonly redirect?: { readonly base?: string; readonly place: string } | undefined
}

/** Everything that a verdict is based on. The checks fill it in. */
export interface Facts {
  /** The server: http(s), no query, no slash at the end of a path. */
  readonly url: URL
  readonly authType: AuthType
  readonly hasKey: boolean
  /** The page that the probe asks for. */
  readonly origin?: string | undefined
  readonly chatId: string | undefined
  readonly policyId: string | undefined
  readonly contextId: string | undefined
  readonly checks: Map<ProbeCheckName, ProbeCheck>
  /** The code of the network error that ended the checks. */
  code?: string | undefined
  rejected?: RejectedRequest
  /** Whether the server is an orchestrator: only orchestrators require X-User-Id of requests. Absent if it could not be told. */
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
}

/** Returns the outcome of a check; `undefined` if there was no such check. */
export function outcomeOf({ checks }: Facts, name: ProbeCheckName): ProbeOutcome['outcome'] | undefined {
  return checks.get(name)?.outcome
}

export const ok = (detail: string): ProbeOutcome => ({ outcome: 'ok', detail })
export const failed = (detail: string): ProbeOutcome => ({ outcome: 'failed', detail })
export const skipped = (detail: string): ProbeOutcome => ({ outcome: 'skipped', detail })

/** Returns a number and a noun, which is in the plural for every number but 1. */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}
