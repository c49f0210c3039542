import { assertSegment } from './arguments.ts'
import { withoutSecrets } from './errors.ts'
import { failureError, statusError, terminalError } from './protocol.ts'
import { resolveUpstream, type UpstreamOptions } from './upstream.ts'
import { whereOf } from './url.ts'

/** A shell on the server, attached to or not. */
export interface TerminalSession {
  /** Names it in the path. */
  readonly id: string
  /** When the shell was started, an ISO 8601 date; `''` from a server that does not tell. */
  readonly createdAt: string
  /** The shell's process id on the server; 0 from a server that does not tell. */
  readonly pid: number
}

/** {@link UpstreamOptions}, and which session. */
export interface TerminalSessionOptions extends UpstreamOptions {
  /** The id that the server gave the session. */
  sessionId: string
}

/**
 * Starts a shell on the server.
 *
 * For those who attach elsewhere or later; `connectTerminal` creates its own. A session counts against the server's
 * limit of 16 until its shell ends or somebody deletes it, also when nobody ever attaches.
 *
 * @example
 * ```ts
 * import { createTerminalSession } from 'terminal-upstream'
 *
 * const session = await createTerminalSession({ base: 'http://127.0.0.1:8000', key: 'sk-1', userId: 'ada' })
 * console.log(session.id)
 * ```
 *
 * @throws {TerminalError} ERR_TERMINAL_LIMIT when the server has as many sessions as it allows.
 * @throws {TerminalError} ERR_TERMINAL_UNAUTHORIZED when the key is not accepted.
 * @throws {TerminalError} ERR_TERMINAL_UNAVAILABLE when the server cannot be reached or has no PTY to give.
 * @throws {TerminalError} ERR_TERMINAL_INVALID_URL, ERR_TERMINAL_FORBIDDEN, ERR_TERMINAL_MISSING_USER,
 * ERR_TERMINAL_NOT_FOUND or ERR_TERMINAL_PROTOCOL when {@link TerminalErrorCode} says so.
 * @see https://github.com/open-webui/open-terminal/blob/v0.11.34/open_terminal/main.py `create_terminal`
 */
export async function createTerminalSession(options: UpstreamOptions): Promise<TerminalSession> {
  const answer = await request('create a terminal session', options, 'POST')
  return parseSession(answer, answer.json)
}

/**
 * Lists the sessions that the user has on the server.
 *
 * Use it to find those that nobody needs when the limit is reached. Open Terminal up to 0.11 lists everybody's.
 *
 * @example
 * ```ts
 * import { deleteTerminalSession, listTerminalSessions } from 'terminal-upstream'
 *
 * const upstream = { base: 'http://127.0.0.1:8000', key: 'sk-1', userId: 'ada' }
 * for (const { id } of await listTerminalSessions(upstream)) await deleteTerminalSession({ ...upstream, sessionId: id })
 * ```
 *
 * @throws {TerminalError} ERR_TERMINAL_UNAUTHORIZED when the key is not accepted.
 * @throws {TerminalError} ERR_TERMINAL_UNAVAILABLE when the server cannot be reached.
 * @throws {TerminalError} ERR_TERMINAL_PROTOCOL when the answer is no list of sessions.
 */
export async function listTerminalSessions(options: UpstreamOptions): Promise<TerminalSession[]> {
  const answer = await request('list the terminal sessions', options, 'GET')
  const { json } = answer
  if (!Array.isArray(json)) throw unexpected(answer, 'the answer is no list')
  return json.map((item: unknown) => parseSession(answer, item))
}

/**
 * Returns the session, or `undefined` once its shell has ended or when it is not this user's.
 *
 * The way to find out, without being attached, that a shell has ended.
 *
 * @example
 * ```ts
 * import { getTerminalSession } from 'terminal-upstream'
 *
 * const session = await getTerminalSession({ base: 'http://127.0.0.1:8000', key: 'sk-1', userId: 'ada', sessionId: '8f14e45f' })
 * console.log(session ? 'alive' : 'ended')
 * ```
 *
 * @throws {TerminalError} ERR_TERMINAL_UNAUTHORIZED when the key is not accepted.
 * @throws {TerminalError} ERR_TERMINAL_UNAVAILABLE when the server cannot be reached.
 * @throws {TypeError} ERR_INVALID_ARG_VALUE when the id cannot be a segment of a path.
 */
export async function getTerminalSession(options: TerminalSessionOptions): Promise<TerminalSession | undefined> {
  const answer = await request('look up the terminal session', options, 'GET', options)
  return answer.status === 404 ? undefined : parseSession(answer, answer.json)
}

/**
 * Ends the session and its shell; `false` when it was not there.
 *
 * A client that merely disconnects from an orchestrator leaves its shell running: this is what ends it.
 *
 * @example
 * ```ts
 * import { deleteTerminalSession } from 'terminal-upstream'
 *
 * const deleted = await deleteTerminalSession({ base: 'http://127.0.0.1:8000', key: 'sk-1', userId: 'ada', sessionId: '8f14e45f' })
 * console.log(deleted)
 * ```
 *
 * @throws {TerminalError} ERR_TERMINAL_UNAUTHORIZED when the key is not accepted.
 * @throws {TerminalError} ERR_TERMINAL_UNAVAILABLE when the server cannot be reached.
 * @throws {TypeError} ERR_INVALID_ARG_VALUE when the id cannot be a segment of a path.
 */
export async function deleteTerminalSession(options: TerminalSessionOptions): Promise<boolean> {
  const answer = await request('delete the terminal session', options, 'DELETE', options)
  if (answer.status === 404) return false
  if (answer.json === undefined) throw unexpected(answer, 'the answer is no JSON')
  return true
}

/** What a server answered, whatever it was. */
export interface Reply {
  readonly status: number
  readonly headers: Headers
  /** `undefined` when the body is no JSON. */
  readonly json: unknown
}

interface Answer extends Reply {
  /** What was asked and where, to begin a message with. */
  readonly failed: string
}

/** Resolves with an answer of 200, or where it is about one session, of 404. */
async function request(
  what: string,
  options: UpstreamOptions,
  method: string,
  one?: { sessionId: string },
): Promise<Answer> {
  const { headers, redact, httpUrl } = await resolveUpstream(options)
  // A forgotten id must not turn into a request for all of them.
  if (one) assertSegment('sessionId', one.sessionId)
  const url = httpUrl(one?.sessionId)
  const failed = `Cannot ${what} at ${whereOf(url)}`
  const signal = options.signal ?? null
  let answer: Answer
  try {
    answer = { failed, ...(await exchange(url, { method, headers, signal })) }
  } catch (error) {
    if (signal?.aborted) throw signal.reason
    throw failureError(failed, withoutSecrets(error, redact))
  }
  const { status, json } = answer
  if (status === 200 || (one && status === 404)) return answer
  // A browser does not tell the status, nor the target, of a redirect that it was told not to follow.
  if (status === 0 || (status >= 300 && status < 400)) {
    throw unexpected(answer, `redirected to ${redact(answer.headers.get('location') ?? 'elsewhere')}`)
  }
  throw statusError(failed, status, redact(said(json)))
}

/** Asks without judging the answer; rejects as fetch does. */
export async function exchange(url: string, init: RequestInit): Promise<Reply> {
  const response = await fetch(url, { ...init, redirect: 'manual' })
  return { status: response.status, headers: response.headers, json: await readJson(response) }
}

// A list of 16 sessions is 2 KB; an error page that does not end must not fill the memory.
const LONGEST_ANSWER = 1024 * 1024

async function readJson(response: Response): Promise<unknown> {
  const reader = response.body?.getReader()
  const decoder = new TextDecoder()
  let text = ''
  for (let part; text.length < LONGEST_ANSWER && (part = await reader?.read()) && !part.done;) {
    text += decoder.decode(part.value, { stream: true })
  }
  await reader?.cancel()
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function parseSession(answer: Answer, json: unknown): TerminalSession {
  const { id, created_at: createdAt = '', pid = 0 } = fieldsOf(json)
  try {
    assertSegment('id', id)
  } catch {
    throw unexpected(answer, 'the answer is no session')
  }
  return { id, createdAt: String(createdAt), pid: Number(pid) }
}

function unexpected({ failed, status }: Answer, problem: string): Error {
  return terminalError('ERR_TERMINAL_PROTOCOL', failed, problem, { status })
}

/** What the server gave as its reason: FastAPI says `detail`, Open Terminal says `error`. */
export function said(json: unknown): string {
  const { error, detail = error } = fieldsOf(json)
  return typeof detail === 'string' ? detail : ''
}

/** Of an object whatever it has, of anything else nothing. */
function fieldsOf(json: unknown): Record<string, unknown> {
  return typeof json === 'object' ? { ...json } : {}
}
