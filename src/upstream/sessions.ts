import { assertObject, assertSegment } from '../lib/arguments.ts'
import { withDeadline } from '../lib/deadline.ts'
import { isCut } from './protocol.ts'
import { asRecord, exchange, request, unexpected, type Answer } from './requests.ts'
import { resolveUpstream, type UpstreamOptions } from './resolve.ts'
import { readBase } from './url.ts'

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
 * limit of 16 until its shell ends or it is deleted, even if no client ever attaches.
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
export function createTerminalSession(options: UpstreamOptions): Promise<TerminalSession> {
  return createSession(options)
}

/** The same; once `background` aborts, the request no longer keeps the process alive. */
export async function createSession(options: UpstreamOptions, background?: AbortSignal): Promise<TerminalSession> {
  assertObject('options', options)
  // The caller may change its object while the key is asked for.
  const asked = { ...options, base: readBase(options.base) }
  const sentAt = performance.now()
  try {
    const answer = await request('create a terminal session', asked, { method: 'POST', background })
    return parseSession(answer, answer.json)
  } catch (error) {
    const lost = isCut(error) && (await findLostSession(asked, sentAt).catch(() => undefined))
    if (lost) return lost
    throw error
  }
}

/**
 * Finds the session that a request has created although its answer was lost. Without this, the session would take one
 * of 16 places until the server restarts.
 *
 * The session is the only one that was created since then. Open Terminal up to 0.11 shows the sessions of every user to
 * every user, and there only the chat, which is the id, tells whose a session is.
 */
async function findLostSession(options: UpstreamOptions, sentAt: number): Promise<TerminalSession | undefined> {
  const answer = await request('list the terminal sessions', options, { method: 'GET' })
  // By the server's clock only: that of this machine may differ.
  const sent = Date.parse(answer.header('date') ?? '') - (performance.now() - sentAt)
  const [session, ...others] = parseSessions(answer).filter(({ createdAt }) => Date.parse(createdAt) >= sent)
  if (!session || others.length > 0) return undefined
  if (session.id === options.chatId) return session
  const { headers, httpUrl } = await resolveUpstream(options)
  const { 'X-User-Id': _, ...nameless } = headers
  const { status } = await exchange(httpUrl(session.id), { method: 'GET', headers: nameless, signal: options.signal })
  return status === 200 ? undefined : session
}

/**
 * Lists the sessions that the user has on the server.
 *
 * Use it to find unused sessions when the limit is reached. Open Terminal up to 0.11 lists the sessions of all users.
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
  return parseSessions(await request('list the terminal sessions', options, { method: 'GET' }))
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
  const answer = await request('look up the terminal session', options, { method: 'GET', one: options })
  return answer.status === 404 ? undefined : parseSession(answer, answer.json)
}

/** The same with a limit of `ms`, and with `outer` as the signal. */
export function lookUpSession(
  options: TerminalSessionOptions,
  ms: number,
  outer: AbortSignal | undefined,
): Promise<TerminalSession | undefined> {
  return withDeadline(ms, outer, (signal) => getTerminalSession({ ...options, signal }))
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
  const answer = await request('delete the terminal session', options, { method: 'DELETE', one: options })
  if (answer.status === 404) return false
  if (answer.json === undefined) throw unexpected(answer, 'the answer is no JSON')
  return true
}

function parseSessions(answer: Answer): TerminalSession[] {
  const { json } = answer
  if (!Array.isArray(json)) throw unexpected(answer, 'the answer is no list')
  return json.map((item: unknown) => parseSession(answer, item))
}

function parseSession(answer: Answer, json: unknown): TerminalSession {
  const { id, created_at: createdAt = '', pid = 0 } = asRecord(json)
  try {
    assertSegment('id', id)
  } catch {
    throw unexpected(answer, 'the answer is no session')
  }
  return { id, createdAt: String(createdAt), pid: Number(pid) }
}
