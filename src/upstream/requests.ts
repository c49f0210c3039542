import { throwIfAborted } from '../lib/cancellation.ts'
import { sendHttp } from '#http'
import { assertSegment } from '../lib/arguments.ts'
import { abortable } from '../lib/deadline.ts'
import { withoutSecrets } from '../lib/errors.ts'
import { evidenceOf } from './advice.ts'
import { failureError, isCut, statusError, terminalError } from './failures.ts'
import type { HttpAnswer, HttpRequest, RequestControl } from './http.ts'
import { resolveEndpoint, type RequestOptions } from './options.ts'
import { addQuery, withoutQuery } from './url.ts'

/** The answer to any request, of any status and with any body. */
export interface Reply extends Pick<HttpAnswer, 'status' | 'header'> {
  /** `undefined` when the body is no JSON. */
  readonly json: unknown
}

/** The answer to a request about sessions. */
export interface SessionReply extends Reply {
  /** The beginning of an error's message: what was asked, and where. */
  readonly action: string
}

interface RequestPlan {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** The session that the request is about. Without it, the request is about all sessions. */
  readonly one?: { readonly sessionId: string }
  readonly control?: RequestControl | undefined
  /** A parameter to add to the query, `name=value`. */
  readonly parameter?: string | undefined
}

/** Resolves with an answer of 200. For a request about one session, also with the server's own 404. */
export async function request(what: string, options: RequestOptions, plan: RequestPlan): Promise<SessionReply> {
  const { method, one, control, parameter } = plan
  const { headers, hasKey, redact, httpUrl } = await resolveEndpoint(options)
  // Without this check, a missing id would turn into a request about all sessions.
  if (one) assertSegment('sessionId', one.sessionId)
  const plain = httpUrl(one?.sessionId)
  const url = parameter === undefined ? plain : addQuery(plain, parameter)
  const action = `Cannot ${what} at ${withoutQuery(url)}`
  const { signal } = options
  let answer: SessionReply
  try {
    answer = { action, ...(await exchange(url, { method, headers, signal, control })) }
  } catch (error) {
    if (signal?.aborted) throw signal.reason
    throw failureError(action, withoutSecrets(error, redact))
  }
  const { status, json } = answer
  if (status === 200 || (one && isOwnNotFound(answer))) return answer
  // PROTOCOL 2.13: no server redirects a correct request. A browser hides the status and the target of a redirect that
  // it does not follow.
  if (status === 0 || (status >= 300 && status < 400)) {
    throw unexpected(answer, `redirected to ${oneWord(redact(answer.header('location') ?? 'elsewhere'))}`)
  }
  const says = serverMessage(json)
  const { contextId } = options
  const evidence = { step: method, says, hasKey, contextId, ...evidenceOf(answer.header) }
  throw statusError(action, status, evidence, redact(says))
}

/** Returns a foreign URL for a message, in which it cannot pass for words of ours. */
export function oneWord(url: string): string {
  return url.replaceAll(' ', '%20')
}

/**
 * Whether it is the terminal server that says that a session has ended (PROTOCOL 2.4). A reverse proxy that has lost
 * its server also answers 404, and so does an Open WebUI that has removed it from its list. The shell may still run
 * then.
 */
function isOwnNotFound({ status, json }: Reply): boolean {
  return status === 404 && asRecord(json)['error'] === 'Session not found'
}

/**
 * Sends a request and returns the answer, whatever its status. Rejects with the runtime's error, or the reason of
 * `signal`.
 *
 * A server may end a kept-alive connection right after an answer (PROTOCOL 2.9), and the next request on it then fails.
 * GET and DELETE are sent again, on a new connection. A repeated POST could create two sessions, so POST never uses a
 * kept-alive connection.
 */
export async function exchange(
  url: string,
  { signal, ...details }: Omit<HttpRequest, 'ownConnection'>,
): Promise<Reply> {
  throwIfAborted(signal)
  const send = (ownConnection: boolean): Promise<HttpAnswer> =>
    // The transport has the signal too, but some runtimes never settle a broken body.
    abortable(sendHttp(url, { ...details, signal, ownConnection }), signal)
  const isRepeatable = details.method !== 'POST'
  const { status, header, body } = await send(!isRepeatable).catch((error: unknown) => {
    if (!isRepeatable || signal?.aborted || !isCut(error)) throw error
    if (details.control) details.control.wasRepeated = true
    return send(true)
  })
  return { status, header, json: parseJson(body) }
}

/** Returns the value of a JSON text; `undefined` if it is none. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Returns the error for an answer that no terminal server gives. */
export function unexpected({ action, status, header }: SessionReply, problem: string): Error {
  return terminalError('ERR_TERMINAL_PROTOCOL', action, problem, { status, evidence: evidenceOf(header) })
}

/** Returns the reason that the server gave, or `''`. It is in `detail` or `error` (PROTOCOL 2.6). */
export function serverMessage(json: unknown): string {
  const { error, detail = error } = asRecord(json)
  return typeof detail === 'string' ? detail : ''
}

/** Returns the fields of an object, `{}` for anything else. */
export function asRecord(json: unknown): Record<string, unknown> {
  return typeof json === 'object' ? { ...json } : {}
}
