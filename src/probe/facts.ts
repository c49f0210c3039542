import type { AuthType } from '../upstream/auth.ts'

/**
 * The ways to attach that a probe tries, by what they carry or lack:
 * - `frame`: `user_id` in the URL, then the auth frame;
 * - `token+frame`: `user_id` and `token` in the URL, then the auth frame;
 * - `token`: `user_id` and, where there is one to send, `token` in the URL, and no auth frame;
 * - `no-user`: all that is known to work, but for `user_id`;
 * - `no-headers`: the same but for headers, as browsers have to, and as Open WebUI up to 0.11.3 does;
 * - `wrong-key`, `unknown-session`, `unknown-policy`: the same, but with that in it.
 */
export type ProbeShape =
  'frame' | 'token+frame' | 'token' | 'no-user' | 'no-headers' | 'wrong-key' | 'unknown-session' | 'unknown-policy'

/** What a probe checks; `cleanup` is whether it could delete every session that it had created. */
export type ProbeCheckName = 'reachable' | 'tls' | 'rest' | 'session' | ProbeShape | 'idle' | 'cleanup'

/** In the order in which they are made, and shown. */
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
  'idle',
  'cleanup',
]

/** What came of a check. */
export interface ProbeOutcome {
  /**
   * - `ok`: as it should be;
   * - `attached`: of a shape, that the terminal answered;
   * - `refused`: the handshake was answered with an HTTP status other than 101;
   * - `closed`: the handshake succeeded, and then the server closed;
   * - `silence`: neither output nor a close came, not even in answer to the Enter key;
   * - `failed`: not as it should be; of a shape, that there was no answer at all;
   * - `skipped`: there was no way, or no need, to find out.
   */
  readonly outcome: 'ok' | 'attached' | 'refused' | 'closed' | 'silence' | 'failed' | 'skipped'
  /** The HTTP status, where one says more than the outcome. */
  readonly status?: number
  /** The close code (RFC 6455, section 7.4), 1006 when there was no close frame. */
  readonly closeCode?: number
  /** More in words, fit to be shown: the close reason, what was found, why it failed or was skipped. */
  readonly detail: string
}

/** One line of what a probe has found out. */
export interface ProbeCheck extends ProbeOutcome {
  readonly name: ProbeCheckName
  /** ms that it took. */
  readonly ms: number
}

/** Whether a handshake got the 403 of the server itself: others have something to say to it. */
export function isBare403(check: ProbeCheck | undefined): boolean {
  return check?.status === 403 && check.detail === ''
}

/** What a request that failed was answered with. */
export interface Answer {
  readonly status: number
  /** Whether it is a web page. */
  readonly html: boolean
  /** What the server gave as its reason. */
  readonly said: string
  /** Where it redirects to: the base of another server, or some other place, without a query. */
  readonly redirect?: { readonly base?: string; readonly place: string } | undefined
}

/** All that a verdict is based on; filled while the probe goes on. */
export interface Facts {
  readonly url: URL
  readonly authType: AuthType
  readonly hasKey: boolean
  readonly chatId: string | undefined
  readonly policyId: string | undefined
  readonly contextId: string | undefined
  readonly checks: Map<ProbeCheckName, ProbeCheck>
  /** The code of what failed on the way to the server. */
  code?: string | undefined
  /** Of the request that failed. */
  answer?: Answer
  /** Whether it is an orchestrator: those want X-User-Id. */
  orchestrator?: boolean
  /** Whether the orchestrator knows contexts. */
  contexts?: boolean
  /** What it says of itself. */
  version?: string | undefined
  /** Whether it says that it has no terminals. */
  terminalsOff?: boolean
  /** Whether the chat has a session already, which another would take the place of. */
  chatIsOpen?: boolean
  /** Whether a session was there when it had just been created, or an attach to it been refused. */
  alive?: boolean | undefined
  /** Why a session for one of the shapes could not be created. */
  sessionless?: string
}

export const ok = (detail: string): ProbeOutcome => ({ outcome: 'ok', detail })
export const failed = (detail: string): ProbeOutcome => ({ outcome: 'failed', detail })
export const skipped = (detail: string): ProbeOutcome => ({ outcome: 'skipped', detail })

/** A number of things. */
export function count(number: number, thing: string): string {
  return `${number} ${thing}${number === 1 ? '' : 's'}`
}
