import { connect, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { withCallSite } from '../lib/call-site.ts'
import { throwIfAborted, type AbortSignalLike } from '../lib/cancellation.ts'
import { abortable, withDeadline } from '../lib/deadline.ts'
import { errorCode, TerminalError } from '../lib/errors.ts'
import { evidenceIn } from '../upstream/failures.ts'
import { checkShapes, type Check } from './attaches.ts'
import { createContext, deleteLeftovers, describeFailure, isSessionFound, openSession, useSession } from './context.ts'
import type { Context, ProbeOptions } from './context.ts'
import { failed, ok, skipped, type Facts, type Found, type ProbeCheck, type ProbeOutcome } from './facts.ts'
import { checkRequests, countSessions } from './requests.ts'
import { conclude, type ProbeReport } from './verdict.ts'

/** Follows a probe: hears of each check when it starts, and when it has an outcome. */
export interface ProbeListener {
  started(name: ProbeCheck['name']): void
  finished(check: ProbeCheck): void
}

/**
 * Finds out which server an upstream is, what it requires of a client, and what is wrong with it or with the proxies in
 * front of it.
 *
 * Use it when users see "connection closed", and for health checks: it checks the connection, TLS, requests, every way
 * to attach, and silence, and says what to do. It creates up to nine sessions, at most three at a time, and deletes
 * them; an orchestrator starts a container for `userId`. One attach has a wrong key. At an Open Terminal, one request
 * and one attach are those of a second user, `<userId>-probe`, who must not reach the first one's session; nothing is
 * created for them. Do not use a chat that a user has open.
 *
 * The report says everything that is wrong with the upstream; the promise rejects for wrong arguments and an abort.
 *
 * @example
 * ```ts
 * import { probeUpstream } from 'terminal-upstream/probe'
 *
 * const base = 'http://127.0.0.1:8000'
 * const { ok, advice, checks } = await probeUpstream({ base, key: 'sk-1', userId: 'ada', idle: 0 })
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

/** Probes an upstream. The listener follows the checks. */
export async function probe(options: ProbeOptions, listener: ProbeListener): Promise<ProbeReport> {
  const context = await createContext(options)
  await makeChecks(context, createCheck(context, listener))
  return conclude(context.facts)
}

/** Makes the checks, until one fails that the rest needs. Deletes every session that it creates. */
async function makeChecks(context: Context, check: Check): Promise<void> {
  const { url } = context.facts
  const endpoint = endpointOf(url)
  const connecting = (how: typeof reach) => async () =>
    ok(await withDeadline(context.timeout, context.signal, (limit) => how(endpoint, limit)))
  const canAttach =
    (await check('reachable', connecting(reach))) &&
    (url.protocol === 'http:' || (await check('tls', connecting(shakeHands)))) &&
    (await check('rest', () => checkRequests(context))) &&
    (await check('session', () => checkSession(context)))
  const isClean = await deleteLeftovers(context)
  // Where sessions cannot be deleted, the shapes would only add more of them.
  if (canAttach && isClean) await checkShapes(context, check)
  if (canAttach || !isClean) await check('cleanup', () => checkCleanup(context, isClean))
}

function createCheck(context: Context, listener: ProbeListener): Check {
  const { facts, signal } = context
  return async (name, act) => {
    throwIfAborted(signal)
    listener.started(name)
    const began = performance.now()
    const found: Found = await act().catch((error: unknown) => {
      throwIfAborted(signal)
      noteError(facts, error)
      return failed(describeFailure(context, error))
    })
    const check = { name, ...found, ms: found.ms ?? Math.round(performance.now() - began) }
    facts.checks[name] = check
    listener.finished(check)
    return ['ok', 'attached'].includes(found.outcome)
  }
}

/** Keeps the part of an error that the verdict reads. */
function noteError(facts: Facts, error: unknown): void {
  facts.code = errorCode(error instanceof TerminalError ? (error.cause ?? error) : error)
  if (!(error instanceof TerminalError) || error.status === undefined) return
  facts.rejected = { evidence: evidenceIn(error), reason: error.why }
}

/** Returns the host and port of an http(s) URL, as `net.connect` takes them. */
export function endpointOf({ hostname, port, protocol }: URL): { readonly host: string; readonly port: number } {
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) || (protocol === 'https:' ? 443 : 80) }
}

/** Opens a TCP connection and closes it. Resolves with the address of the server. */
function reach(endpoint: ReturnType<typeof endpointOf>, signal: AbortSignalLike): Promise<string> {
  return openOnce(connect(endpoint), 'connect', signal, ({ remoteAddress = endpoint.host }) => remoteAddress)
}

/** Makes a TLS handshake and closes the connection. Resolves with a description; rejects as an HTTPS request does. */
function shakeHands(endpoint: ReturnType<typeof endpointOf>, signal: AbortSignalLike): Promise<string> {
  // An IP address must not be sent as the server name (RFC 6066, section 3).
  const servername = /^[\d.]+$|:/.test(endpoint.host) ? {} : { servername: endpoint.host }
  const socket = connectTls({ ...endpoint, ...servername, ALPNProtocols: ['http/1.1'] })
  return openOnce(socket, 'secureConnect', signal, describeTls)
}

function describeTls(socket: TLSSocket): string {
  const until = Date.parse(socket.getPeerCertificate().valid_to)
  const days = Math.floor((until - Date.now()) / 86_400_000)
  return `${socket.getProtocol()}, certificate valid for ${days} more days`
}

/** Waits for the event that tells that the connection is open, and closes the socket. */
function openOnce<S extends Socket>(
  socket: S,
  event: string,
  signal: AbortSignalLike,
  describe: (socket: S) => string,
): Promise<string> {
  const opened = new Promise<string>((resolve, reject) => {
    socket.once(event, () => resolve(describe(socket)))
    socket.on('error', reject)
  })
  return abortable(opened, signal).finally(() => socket.destroy())
}

async function checkSession(context: Context): Promise<ProbeOutcome> {
  const { facts } = context
  if (facts.chatIsOpen) return skipped('a terminal of this chat is open')
  const sessionId = await openSession(context)
  facts.sessionFound = await useSession(context, sessionId, false, () => isSessionFound(context, sessionId))
  return facts.sessionFound === false ? failed('created, but not found afterwards') : ok('created')
}

/** Says whether all sessions are deleted. Tries once more, unless that has just failed. */
async function checkCleanup(context: Context, triesAgain: boolean): Promise<ProbeOutcome> {
  if (triesAgain) await deleteLeftovers(context)
  const { created, leftovers } = context
  const [leftover] = leftovers.values()
  return leftover === undefined
    ? ok(`${countSessions(created)} created and deleted`)
    : failed(`${leftovers.size} of ${countSessions(created)} could not be deleted: ${leftover.why}`)
}
