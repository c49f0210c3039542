import { sendHttp } from '#http'
import { assertSegment } from '../lib/arguments.ts'
import { abortable } from '../lib/deadline.ts'
import { withoutSecrets } from '../lib/errors.ts'
import type { HttpAnswer, HttpRequest } from './http.ts'
import { failureError, isCut, statusError, terminalError } from './protocol.ts'
import { resolveUpstream, type UpstreamOptions } from './resolve.ts'
import { whereOf } from './url.ts'

/** The answer of a server, of any status and with any body. */
export interface Reply extends Pick<HttpAnswer, 'status' | 'header'> {
  /** `undefined` when the body is no JSON. */
  readonly json: unknown
}

/** An answer to a request about sessions. */
export interface Answer extends Reply {
  /** What was asked and where, to begin a message with. */
  readonly action: string
}

interface RequestPlan {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** The session that the request is about; without it, the request is about all of them. */
  readonly one?: { readonly sessionId: string }
  readonly background?: AbortSignal | undefined
}

/** Resolves with an answer of 200, or where the request is about one session, with the server's own 404. */
export async function request(what: string, options: UpstreamOptions, plan: RequestPlan): Promise<Answer> {
  const { method, one, background } = plan
  const { headers, redact, httpUrl } = await resolveUpstream(options)
  // A forgotten id must not turn into a request for all of them.
  if (one) assertSegment('sessionId', one.sessionId)
  const url = httpUrl(one?.sessionId)
  const action = `Cannot ${what} at ${whereOf(url)}`
  const { signal } = options
  let answer: Answer
  try {
    answer = { action, ...(await exchange(url, { method, headers, signal, background })) }
  } catch (error) {
    if (signal?.aborted) throw signal.reason
    throw failureError(action, withoutSecrets(error, redact))
  }
  const { status, json } = answer
  if (status === 200 || (one && isOwnNotFound(answer))) return answer
  // A browser does not tell the status, nor the target, of a redirect that it was told not to follow.
  if (status === 0 || (status >= 300 && status < 400)) {
    throw unexpected(answer, `redirected to ${redact(answer.header('location') ?? 'elsewhere')}`)
  }
  throw statusError(action, status, redact(serverMessage(json)), 'Authorization' in headers)
}

/**
 * Whether it is a terminal server that says 404: it gives a reason in JSON. A reverse proxy that has lost its server
 * says 404, too, and that is not the end of a shell.
 */
function isOwnNotFound({ status, json }: Reply): boolean {
  return status === 404 && serverMessage(json) !== ''
}

/**
 * Sends a request and reads the answer without judging it; rejects as the runtime does, and with the reason of `signal`.
 *
 * A server may end a kept-alive connection right after an answer, and the next request on it fails. GET and DELETE are
 * then sent again, on a connection of their own. POST cannot be repeated, so it never uses a kept-alive connection.
 */
export async function exchange(
  url: string,
  { signal, ...details }: Omit<HttpRequest, 'ownConnection'>,
): Promise<Reply> {
  signal?.throwIfAborted()
  const send = (ownConnection: boolean): Promise<HttpAnswer> =>
    // The transport knows the signal, too, but some runtimes never settle a body that is broken.
    abortable(sendHttp(url, { ...details, signal, ownConnection }), signal)
  const isRepeatable = details.method !== 'POST'
  const { status, header, body } = await send(!isRepeatable).catch((error: unknown) => {
    if (!isRepeatable || signal?.aborted || !isCut(error)) throw error
    return send(true)
  })
  return { status, header, json: parseJson(body) }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Returns the error for an answer that no terminal server gives. */
export function unexpected({ action, status }: Answer, problem: string): Error {
  return terminalError('ERR_TERMINAL_PROTOCOL', action, problem, { status })
}

/** Returns the reason that the server gave, or `''`. FastAPI says `detail`, Open Terminal says `error`. */
export function serverMessage(json: unknown): string {
  const { error, detail = error } = asRecord(json)
  return typeof detail === 'string' ? detail : ''
}

/** Returns the fields of an object, `{}` for anything else. */
export function asRecord(json: unknown): Record<string, unknown> {
  return typeof json === 'object' ? { ...json } : {}
}
