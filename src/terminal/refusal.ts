import { throwIfAborted } from '../lib/cancellation.ts'
import { hasCode, TerminalError, withoutSecrets } from '../lib/errors.ts'
import {
  adviceOnKey,
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
import type { Ending } from './ending.ts'
import { sendsHeaders } from './websocket.ts'

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

const REPLICAS =
  'The session was just created. Perhaps several servers answer at `base`: lead all requests of a user to the same one.'

// ms. A server without REST, such as a bare WebSocket server, may never answer.
const LOOK_UP_TIMEOUT = 2_000

/** Finds out why an attempt failed. Asks for the session where the failure does not say why (PROTOCOL 6.4). */
export async function explainRefusal(failure: DialFailure, attempt: Attempt): Promise<Refusal> {
  if (failure === 'session gone') return sessionGone(attempt)
  if (saysWhy(failure, attempt)) {
    const isElsewhere = failure.status === 404 && attempt.origin !== 'named'
    return { error: errorFor(failure, attempt), remedy: isElsewhere && 'another replica' }
  }
  const { session } = attempt
  const { opened, code, status } = failure
  const addKey = canAddKey(attempt) && !opened && 'key in URL'
  try {
    const found = await lookUpSession(session, LOOK_UP_TIMEOUT, session.signal)
    if (!found) return sessionGone(attempt, status)
    // PROTOCOL 3.3 and 3.8: an Open Terminal answers so only if it does not know the session, and needs no key in the URL.
    if (status === 403 && attempt.origin === 'server')
      return { error: elsewhere(attempt, status), remedy: 'another replica' }
    // PROTOCOL 3.11: this is how an orchestrator closes when its own connection was refused.
    const dropChat = opened && code === 1000 && session.chatId !== undefined && 'no chat'
    return {
      error: errorFor(failure, attempt, ', although the session exists'),
      remedy: (!wasCut(failure) && addKey) || dropChat,
    }
  } catch (problem) {
    throwIfAborted(session.signal)
    const remedy = !hasCode(problem, 'ERR_TERMINAL_UNAUTHORIZED') && addKey
    // A server that cuts handshakes and answers requests with an error of its own is no terminal server.
    if (wasCut(failure)) return { error: errorFor(failure, attempt), remedy: wasAnswered(problem) && remedy }
    if (problem instanceof TerminalError) return { error: problem, remedy }
    return { error: errorFor(failure, attempt, ', and no answer about the session'), remedy }
  }
}

function elsewhere({ action }: Attempt, status: number): TerminalError {
  const why = `HTTP ${status} to the handshake, although the session exists`
  return terminalError('ERR_TERMINAL_UNAVAILABLE', action, why, { status, advice: REPLICAS })
}

function sessionGone({ action, origin }: Attempt, status?: number): Refusal {
  const why = 'the session does not exist, or has ended'
  const error = terminalError('ERR_TERMINAL_NOT_FOUND', action, why, {
    status,
    advice: origin === 'named' ? undefined : REPLICAS,
  })
  return { error, remedy: 'another session' }
}

/** Whether another attempt may put the key into the URL. */
function canAddKey({ settings, upstream, keyInUrl }: Attempt): boolean {
  return settings.tokenInUrl === 'fallback' && upstream.keyMayBeInUrl && !keyInUrl
}

/** Whether a request was answered by a server that is not just restarting. */
function wasAnswered(problem: unknown): boolean {
  return problem instanceof TerminalError && problem.status !== undefined && problem.status < 500
}

/** Whether the connection ended before the answer to the handshake. */
function wasCut({ opened, failure }: Ending): boolean {
  return !opened && isCut(failure)
}

// How servers refuse a handshake without a key. The terminal servers answer 403 (PROTOCOL 3.3).
const KEY_REFUSALS = [400, 401, 403]

function saysWhy(ending: Ending, attempt: Attempt): boolean {
  const { code, status, failure } = ending
  if (status !== undefined) return !KEY_REFUSALS.includes(status)
  if (failure !== undefined) return !(canAddKey(attempt) && wasCut(ending))
  // PROTOCOL 3.8: Terminals 0.2.2 says "not reachable" also of a session that does not exist.
  return !isBareClose(code) && !(code === 4003 && isUnavailable(errorFor(ending, attempt)))
}

/** Returns the error for an ending; `found` completes the reason with the result of the look-up. */
function errorFor({ code, reason, status, retryAfter, failure }: Ending, attempt: Attempt, found = ''): TerminalError {
  const { action, upstream, keyInUrl } = attempt
  if (status === 401 || status === 403) {
    const advice = keyInUrl
      ? 'Check `key`, and that every proxy on the way passes WebSockets on, with the key in the URL.'
      : 'Terminals up to 0.0.2 wants a `bearer` key in the URL: check `key`, `authType` and `tokenInUrl`.'
    const why = `HTTP ${status} to the handshake${found}`
    return terminalError('ERR_TERMINAL_UNAUTHORIZED', action, why, { status, advice })
  }
  if (status !== undefined) return statusError(action, status, { retryAfter })
  // ws has no code for an answer that is no handshake.
  if (failure !== undefined) {
    return failureError(action, withoutSecrets(failure, upstream.redact), 'ERR_TERMINAL_PROTOCOL')
  }
  return closeError(action, code, reason, upstream.redact, adviceOnClose(code, attempt))
}

function adviceOnClose(code: number, { settings, upstream }: Attempt): string | undefined {
  if (code === 4001) return adviceOnKey(upstream.hasKey)
  if (code === 1000) {
    return 'Behind an orchestrator, another client has the session, or it has a `chatId`: leave `sessionId` out.'
  }
  // PROTOCOL 3.2
  if (code !== 4004 || sendsHeaders(settings.Socket)) return undefined
  return 'Open Terminal from 0.12.4 on wants X-User-Id, which cannot be sent by this WebSocket: connect from a server.'
}
