import { throwIfAborted } from '../lib/cancellation.ts'
import { hasCode, TerminalError, withoutSecrets } from '../lib/errors.ts'
import { evidenceOf, type Evidence } from '../upstream/advice.ts'
import { CLOSE_DENIED, CLOSE_NORMAL, CLOSE_UNAUTHORIZED } from '../upstream/close-codes.ts'
import {
  closeError,
  failureError,
  isBareClose,
  isCut,
  isUnavailable,
  statusError,
  terminalError,
} from '../upstream/failures.ts'
import { lookUpSession } from '../upstream/sessions.ts'
import type { Attempt, DialFailure } from './dial.ts'
import type { SocketEnd } from './socket.ts'
import { sendsHeaders } from './socket-class.ts'

/** What a failed attempt means, and what may help. */
export interface Refusal {
  readonly error: unknown
  /**
   * - `another session`: the server says that the session does not exist;
   * - `key in URL`: the server may have refused the handshake because the key was not in the URL;
   * - `another replica`: the session was just created, and perhaps another server behind the same URL has it;
   * - `no chat`: the terminal may open without the chat.
   */
  readonly remedy?: 'another session' | 'another replica' | 'key in URL' | 'no chat' | false
}

const THERE = ', although the session exists'

// A server without REST, such as a bare WebSocket server, may never answer.
const LOOK_UP_TIMEOUT_MS = 2_000

/** Finds out why an attempt failed. Asks for the session where the failure does not say why (PROTOCOL 6.4). */
export async function explainRefusal(failure: DialFailure, attempt: Attempt): Promise<Refusal> {
  if (failure === 'session gone') return sessionGone(attempt)
  if (failure === 'no watchers') return { error: noWatchers(attempt) }
  // Whoever looks on may not own the session, and then a look-up says that there is none.
  if (attempt.settings.watch || saysWhy(failure, attempt)) {
    const isElsewhere = failure.status === 404 && attempt.lease.origin !== 'named'
    return { error: errorFor(failure, attempt), remedy: isElsewhere && 'another replica' }
  }
  const { sessionOptions } = attempt
  const { opened, code, status } = failure
  const addKey = canAddKey(attempt) && !opened && 'key in URL'
  try {
    const found = await lookUpSession(sessionOptions, LOOK_UP_TIMEOUT_MS, sessionOptions.signal)
    if (!found) return sessionGone(attempt, status)
    // PROTOCOL 3.3 and 3.8: an Open Terminal answers so only if it does not know the session, and needs no key in the
    // URL.
    if (status === 403 && attempt.lease.origin === 'server') {
      // PROTOCOL 3.13: a proxy that allows no WebSockets.
      const isProxys = failure.header && failure.header('content-length') !== '0'
      if (isProxys) return { error: errorFor(failure, attempt, THERE) }
      return { error: elsewhere(attempt, failure), remedy: 'another replica' }
    }
    // PROTOCOL 3.11: this is how an orchestrator closes when its own connection was refused.
    const dropChat = opened && code === CLOSE_NORMAL && sessionOptions.chatId !== undefined && 'no chat'
    return {
      error: errorFor(failure, attempt, THERE),
      remedy: (!wasCut(failure) && addKey) || dropChat,
    }
  } catch (problem) {
    throwIfAborted(sessionOptions.signal)
    const remedy = !hasCode(problem, 'ERR_TERMINAL_UNAUTHORIZED') && addKey
    // A server that cuts handshakes and answers requests with an error of its own is no terminal server.
    if (wasCut(failure)) return { error: errorFor(failure, attempt), remedy: wasAnswered(problem) && remedy }
    if (problem instanceof TerminalError) return { error: problem, remedy }
    return { error: errorFor(failure, attempt, ', and no answer about the session'), remedy }
  }
}

function noWatchers({ action }: Attempt): TerminalError {
  const advice = 'Only a gateway of terminal-upstream lets a client look on: leave `watch` out.'
  return terminalError('ERR_TERMINAL_PROTOCOL', action, 'the server does not know about `watch`', { advice })
}

function elsewhere({ action }: Attempt, { status, reason }: SocketEnd): TerminalError {
  const why = `HTTP ${status} to the handshake${THERE}`
  const evidence = { isElsewhere: true, says: reason }
  return terminalError('ERR_TERMINAL_UNAVAILABLE', action, why, { status, evidence })
}

function sessionGone({ action, lease }: Attempt, status?: number): Refusal {
  const why = 'the session does not exist, or has ended'
  const evidence = { isElsewhere: lease.origin !== 'named' }
  const error = terminalError('ERR_TERMINAL_NOT_FOUND', action, why, { status, evidence })
  return { error, remedy: 'another session' }
}

/** Whether another attempt may put the key into the URL. */
function canAddKey({ settings, endpoint, keyInUrl }: Attempt): boolean {
  return settings.tokenInUrl === 'fallback' && endpoint.keyMayBeInUrl && !keyInUrl
}

/** Whether a request was answered by a server that is not just restarting. */
function wasAnswered(problem: unknown): boolean {
  return problem instanceof TerminalError && problem.status !== undefined && problem.status < 500
}

/** Whether the connection ended before the answer to the handshake. */
function wasCut({ opened, failure }: SocketEnd): boolean {
  return !opened && isCut(failure)
}

// How servers refuse a handshake without a key. The terminal servers answer 403 (PROTOCOL 3.3).
const KEY_REFUSALS = [400, 401, 403]

function saysWhy(end: SocketEnd, attempt: Attempt): boolean {
  const { code, status, failure, reason } = end
  if (status !== undefined) return !KEY_REFUSALS.includes(status)
  if (failure !== undefined) return !(canAddKey(attempt) && wasCut(end))
  // PROTOCOL 2.22: "Invalid token" may also mean that Terminals cannot check the token now.
  if (code === CLOSE_UNAUTHORIZED) return !reason.startsWith('Invalid token')
  // PROTOCOL 3.8: Terminals 0.2.2 says "not reachable" also of a session that does not exist.
  return !isBareClose(code) && !(code === CLOSE_DENIED && isUnavailable(errorFor(end, attempt)))
}

/** Returns the error for an ending; `found` completes the reason with the result of the look-up. */
function errorFor(
  end: SocketEnd,
  { action, endpoint, sessionOptions, keyInUrl, lease, settings }: Attempt,
  found = '',
): TerminalError {
  const { code, reason, status, header, failure, opened } = end
  const evidence: Evidence = {
    ...(header && evidenceOf(header)),
    step: 'handshake',
    hasKey: endpoint.hasKey,
    keyInUrl,
    chatId: sessionOptions.chatId,
    isNew: lease.origin !== 'named',
    isThere: found === THERE && !opened,
    sendsHeaders: sendsHeaders(settings.Socket),
  }
  if (status === 401 || status === 403) {
    // The phrase of a gateway's answer says why (PROTOCOL 8.9).
    const says = { ...evidence, says: reason }
    const why = `HTTP ${status} to the handshake${found}`
    return terminalError('ERR_TERMINAL_UNAUTHORIZED', action, why, { status, evidence: says })
  }
  if (status !== undefined) return statusError(action, status, evidence)
  // ws has no code for an answer that is no handshake.
  if (failure !== undefined) {
    return failureError(action, withoutSecrets(failure, endpoint.redact), 'ERR_TERMINAL_PROTOCOL', evidence)
  }
  return closeError(action, code, reason, endpoint.redact, evidence)
}
