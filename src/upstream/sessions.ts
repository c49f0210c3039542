import { assertSegment } from '../lib/arguments.ts'
import type { AbortSignalLike } from '../lib/cancellation.ts'
import { withCallSite } from '../lib/call-site.ts'
import { withDeadline } from '../lib/deadline.ts'
import { request } from './renewed-credentials.ts'
import { isCut } from './failures.ts'
import type { RequestControl } from './http.ts'
import { asRecord, exchange, unexpected, type SessionReply } from './requests.ts'
import { knownOptions, readUpstream, resolveEndpoint, type RequestOptions, type UpstreamOptions } from './options.ts'

/** A shell on the server, with or without a client. */
export interface TerminalSession {
  /** The id of the session, one segment of its path. */
  readonly id: string
  /** The start of the shell, an ISO 8601 date. `''` if the server does not tell. */
  readonly createdAt: string
  /** The shell's process id on the server. 0 if the server does not tell. */
  readonly pid: number
}

/** {@link UpstreamOptions}, and the id of a session. */
export interface TerminalSessionOptions extends UpstreamOptions {
  /** The id that the server gave the session. */
  sessionId: string
}

/** {@link TerminalSessionOptions} whose signal may be one of our own. */
export interface SessionRequestOptions extends RequestOptions {
  readonly sessionId: string
}

/** Calls `act` with a copy of the options. */
function withOptions<T extends UpstreamOptions, R>(
  owner: string,
  options: T,
  act: (options: T) => Promise<R>,
): Promise<R> {
  return withCallSite(async () => act(knownOptions(owner, options)))
}

/**
 * Starts a shell on the server.
 *
 * Use it when another process attaches, or when you attach later; `connectTerminal` creates its own session. A session
 * counts against the server's limit of 16 until its shell ends or it is deleted, even if no client ever attaches.
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
  return withOptions('createTerminalSession', options, async (given) => (await createSession(given)).session)
}

/** A session that was created. */
export interface CreatedSession {
  readonly session: TerminalSession
  /** Whether an orchestrator has passed the answer on. */
  readonly isBehindOrchestrator: boolean
}

/** Starts a shell. `control` is that of the POST, and `parameter` is added to its query. */
export async function createSession(
  options: RequestOptions,
  control?: RequestControl,
  parameter?: string,
): Promise<CreatedSession> {
  // A copy: the caller may change its object while the key is asked for.
  const asked = readUpstream(options)
  const sentAt = performance.now()
  try {
    // PROTOCOL 2.1
    const answer = await request('create a terminal session', asked, { method: 'POST', control, parameter })
    return created(answer, parseSession(answer, answer.json))
  } catch (error) {
    const lost = isCut(error) && (await findLostSession(asked, sentAt).catch(() => undefined))
    if (lost) return lost
    throw error
  }
}

/**
 * Finds the session of a POST whose answer was lost. Without this, the session would take one of the server's 16 places
 * until the server restarts (PROTOCOL 2.10).
 *
 * It is the session if no other was created since the POST was sent. A server that shows every user's sessions to
 * everyone (PROTOCOL 2.8) does not tell whose it is; there, only a session whose id is the chat is safe to take.
 */
async function findLostSession(options: RequestOptions, sentAt: number): Promise<CreatedSession | undefined> {
  const answer = await request('list the terminal sessions', options, { method: 'GET' })
  // Times are compared by the server's clock only: the clock of this machine may differ.
  const sent = Date.parse(answer.header('date') ?? '') - (performance.now() - sentAt)
  // The date of an answer has whole seconds, so a session that was created just before the POST looks as new as one of
  // it.
  const mayBeLost = ({ id, createdAt }: TerminalSession): boolean =>
    Date.parse(createdAt) >= sent && (id === options.chatId || !answeredIds.has(id))
  const [session, ...others] = parseSessions(answer).filter(mayBeLost)
  if (!session || others.length > 0) return undefined
  if (session.id === options.chatId) return created(answer, session)
  const { headers, httpUrl } = await resolveEndpoint(options)
  const { 'X-User-Id': _, ...nameless } = headers
  const { status } = await exchange(httpUrl(session.id), { method: 'GET', headers: nameless, signal: options.signal })
  return status === 200 ? undefined : created(answer, session)
}

// The ids of the sessions that servers have answered with lately: those are not lost.
const answeredIds = new Set<string>()
const MOST_ANSWERED = 1_000

/** PROTOCOL 2.16: an orchestrator gives each answer an id. */
function created({ header }: SessionReply, session: TerminalSession): CreatedSession {
  if (answeredIds.size >= MOST_ANSWERED) answeredIds.clear()
  answeredIds.add(session.id)
  return { session, isBehindOrchestrator: header('x-request-id') !== undefined }
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
 * const sessions = await listTerminalSessions(upstream)
 * for (const { id } of sessions) await deleteTerminalSession({ ...upstream, sessionId: id })
 * ```
 *
 * @throws {TerminalError} ERR_TERMINAL_UNAUTHORIZED when the key is not accepted.
 * @throws {TerminalError} ERR_TERMINAL_UNAVAILABLE when the server cannot be reached.
 * @throws {TerminalError} ERR_TERMINAL_PROTOCOL when the answer is no list of sessions.
 */
export async function listTerminalSessions(options: UpstreamOptions): Promise<TerminalSession[]> {
  return withOptions('listTerminalSessions', options, listSessions)
}

/** Lists the sessions as {@link listTerminalSessions} does. */
export async function listSessions(options: RequestOptions): Promise<TerminalSession[]> {
  return parseSessions(await request('list the terminal sessions', options, { method: 'GET' }))
}

/**
 * Returns the session, or `undefined` when its shell has ended or it belongs to another user.
 *
 * Use it to find out whether a shell still runs without attaching to it.
 *
 * @example
 * ```ts
 * import { getTerminalSession } from 'terminal-upstream'
 *
 * const upstream = { base: 'http://127.0.0.1:8000', key: 'sk-1', userId: 'ada' }
 * const session = await getTerminalSession({ ...upstream, sessionId: '8f14e45f' })
 * console.log(session ? 'alive' : 'ended')
 * ```
 *
 * @throws {TerminalError} ERR_TERMINAL_UNAUTHORIZED when the key is not accepted.
 * @throws {TerminalError} ERR_TERMINAL_UNAVAILABLE when the server cannot be reached.
 * @throws {TypeError} ERR_INVALID_ARG_VALUE when the id cannot be a segment of a path.
 */
export async function getTerminalSession(options: TerminalSessionOptions): Promise<TerminalSession | undefined> {
  return withOptions('getTerminalSession', options, findSession)
}

async function findSession(options: SessionRequestOptions): Promise<TerminalSession | undefined> {
  const answer = await request('look up the terminal session', options, { method: 'GET', one: options })
  return answer.status === 404 ? undefined : parseSession(answer, answer.json)
}

/** Looks a session up as {@link getTerminalSession} does, for at most `ms`; `outer` cancels it earlier. */
export function lookUpSession(
  options: SessionRequestOptions,
  ms: number,
  outer: AbortSignalLike | undefined,
): Promise<TerminalSession | undefined> {
  return withDeadline(ms, outer, (signal) => findSession({ ...options, signal }))
}

/**
 * Ends the session and its shell. Returns `false` when the session was not there.
 *
 * Use it for sessions that you created yourself: an orchestrator leaves the shell running when a client disconnects.
 *
 * @example
 * ```ts
 * import { deleteTerminalSession } from 'terminal-upstream'
 *
 * const upstream = { base: 'http://127.0.0.1:8000', key: 'sk-1', userId: 'ada' }
 * const deleted = await deleteTerminalSession({ ...upstream, sessionId: '8f14e45f' })
 * console.log(deleted)
 * ```
 *
 * @throws {TerminalError} ERR_TERMINAL_UNAUTHORIZED when the key is not accepted.
 * @throws {TerminalError} ERR_TERMINAL_UNAVAILABLE when the server cannot be reached.
 * @throws {TypeError} ERR_INVALID_ARG_VALUE when the id cannot be a segment of a path.
 */
export async function deleteTerminalSession(options: TerminalSessionOptions): Promise<boolean> {
  return withOptions('deleteTerminalSession', options, (given) => deleteSession(given))
}

/** Ends a session. With `generation`, a gateway keeps it if another client has attached since (PROTOCOL 8.6). */
export async function deleteSession(
  options: SessionRequestOptions,
  { control, generation }: { readonly control?: RequestControl; readonly generation?: string | undefined } = {},
): Promise<boolean> {
  const parameter = generation === undefined ? undefined : `generation=${encodeURIComponent(generation)}`
  const plan = { method: 'DELETE', one: options, control, parameter } as const
  const answer = await request('delete the terminal session', options, plan)
  if (answer.status === 404) return false
  if (answer.json === undefined) throw unexpected(answer, 'the answer is no JSON')
  return true
}

function parseSessions(answer: SessionReply): TerminalSession[] {
  const { json } = answer
  if (!Array.isArray(json)) throw unexpected(answer, 'the answer is no list')
  return json.map((item: unknown) => parseSession(answer, item))
}

function parseSession(answer: SessionReply, json: unknown): TerminalSession {
  const { id, created_at: createdAt, pid } = asRecord(json)
  try {
    assertSegment('id', id)
  } catch {
    throw unexpected(answer, 'the answer is no session')
  }
  return { id, createdAt: typeof createdAt === 'string' ? createdAt : '', pid: typeof pid === 'number' ? pid : 0 }
}
