import type { ProbeOptions } from './context.ts'
import { probe, type ProbeReport } from './report.ts'

/**
 * Finds out what an upstream is, what it wants of a client, and what is wrong with it or with what is in between.
 *
 * For the person whose users see "connection closed", and for health checks: it looks at the connection, TLS, requests,
 * every shape of an attach, silence, and says what to do. It creates up to eight sessions, three at a time at most, and
 * deletes them; an orchestrator starts a container for `userId`. One of its attempts is with a wrong key. Use a chat
 * that nobody has open.
 *
 * The report holds everything that is wrong with the upstream; the promise rejects for wrong arguments and an abort.
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
 * @throws {TypeError} ERR_INVALID_ARG_TYPE or ERR_INVALID_ARG_VALUE when an option is of no use.
 * @throws {RangeError} ERR_OUT_OF_RANGE when a number is.
 * @throws The `reason` of `signal` when that aborts.
 * @see https://github.com/open-webui/terminals/blob/v0.2.2/terminals/routers/proxy.py `_validate_ws_auth`, and for the
 * oldest https://github.com/open-webui/terminals/blob/v0.0.2/terminals/routers/proxy.py `ws_terminal_proxy`
 */
export function probeUpstream(options: ProbeOptions): Promise<ProbeReport> {
  return probe(options, { started() {}, finished() {} })
}
