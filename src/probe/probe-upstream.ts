import { withCallSite } from '../lib/call-site.ts'
import type { ProbeOptions } from './context.ts'
import { probe, type ProbeReport } from './report.ts'

/**
 * Finds out which server an upstream is, what it requires of a client, and what is wrong with it or with the proxies in
 * front of it.
 *
 * Use it when users see "connection closed", and for health checks: it checks the connection, TLS, requests, every shape
 * of an attach, and silence, and says what to do. It creates up to nine sessions, at most three at a time, and deletes
 * them; an orchestrator starts a container for `userId`. One attach has a wrong key. At an Open Terminal, one request and one
 * attach are those of a second user, `<userId>-probe`, who must not reach the first one's session; nothing is created for
 * them. Do not use a chat that a user has open.
 *
 * The report says everything that is wrong with the upstream; the promise rejects for wrong arguments and an abort.
 *
 * @example
 * ```ts
 * import { probeUpstream } from 'terminal-upstream/probe'
 *
 * const { ok, advice, checks } = await probeUpstream({ base: 'http://127.0.0.1:8000', key: 'sk-1', userId: 'ada', idle: 0 })
 * for (const { name, outcome, detail } of checks) console.log(name, outcome, detail)
 * if (!ok) console.error(advice)
 * ```
 *
 * @throws {TerminalError} ERR_TERMINAL_INVALID_URL when `base` is no absolute http(s) or ws(s) URL.
 * @throws {TypeError} ERR_INVALID_ARG_TYPE or ERR_INVALID_ARG_VALUE when an option is wrong.
 * @throws {RangeError} ERR_OUT_OF_RANGE when a number is out of range.
 * @throws The `reason` of `signal` when that aborts.
 * @see https://github.com/open-webui/terminals/blob/v0.2.2/terminals/routers/proxy.py `_validate_ws_auth`, and for
 * Terminals 0.0.2 https://github.com/open-webui/terminals/blob/v0.0.2/terminals/routers/proxy.py `ws_terminal_proxy`
 */
export function probeUpstream(options: ProbeOptions): Promise<ProbeReport> {
  return withCallSite(() => probe(options, { started() {}, finished() {} }))
}
