import type { IncomingMessage, ServerResponse } from 'node:http'
import { finished } from 'node:stream'
import { Cancellation, type AbortSignalLike } from '../lib/cancellation.ts'
import { CLOSE_GOING_AWAY, CLOSE_NORMAL } from '../upstream/close-codes.ts'
import {
  answerForAuthorize,
  answerForUpstream,
  BUSY,
  CLOSING,
  FAILED,
  isAnswered,
  NOT_FOUND,
  refuse,
  REFUSED,
  sendAnswer,
  TAKEN_OVER,
  WrongReturn,
  type Refusal,
} from './answers.ts'
import { areUsers } from './access.ts'
import type { Authorization } from './authorization.ts'
import type { GatewaySettings } from './options.ts'
import type { Route } from './route.ts'
import type { Session } from './session.ts'
import type { GatewayState } from './state.ts'
import { ORIGIN_NOT_ALLOWED } from './upgrade.ts'
import { kindOf, type Warnings } from './warnings.ts'
import { describeClient, findForbiddenOrigin } from './visitor.ts'

// Bytes. No request needs a body.
const LONGEST_BODY = 64 * 1024

/** Answers a request about sessions as Open Terminal does (PROTOCOL 2.1 to 2.6). */
export function answerRequest(
  request: IncomingMessage,
  response: ServerResponse,
  route: Route,
  state: GatewayState,
): void {
  // What is thrown here would end the process.
  answer(request, response, route, state).catch((error: unknown) => refuse(response, FAILED, { error }))
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  route: Route,
  state: GatewayState,
): Promise<void> {
  const { settings, sessions } = state
  if (isAnswered(response) || !admitPage(request, response, settings)) return
  const methods = route.sessionId === undefined ? ['GET', 'POST'] : ['GET', 'DELETE']
  const { method = '' } = request
  if (method === 'OPTIONS') return preflight(response, methods)
  if (!methods.includes(method)) {
    response.setHeader('Allow', methods.join(', '))
    return refuse(response, { status: 405, body: { detail: 'Method Not Allowed' }, reason: 'bad-request' })
  }
  // A client that has left, or has been answered with 413, needs nothing.
  const leaving = new Cancellation()
  response.once('close', () => leaving.abort())
  const authorization = await authorize(request, response, route, leaving, state)
  if (!authorization || isAnswered(response)) return
  const { owner } = authorization
  if (method === 'POST') return create(response, authorization, leaving, state)
  if (route.sessionId === undefined) {
    return void sendAnswer(response, { status: 200, body: sessions.list(owner).map(toJson) })
  }
  if (method === 'DELETE') return end(request, response, route.sessionId, authorization, state)
  const session = sessions.find(route.sessionId, owner)
  if (!session?.isOpen) return refuse(response, NOT_FOUND, { userId: owner.userId })
  sendAnswer(response, { status: 200, body: toJson(session) })
}

async function end(
  request: IncomingMessage,
  response: ServerResponse,
  id: string,
  { owner }: Authorization,
  { sessions, deletions, warnings }: GatewayState,
): Promise<void> {
  const session = sessions.find(id, owner)
  const generation = new URL(String(request.url), 'http://gateway').searchParams.get('generation') || undefined
  const isOld = session?.generations.isOld(generation)
  // The client sleeps and is closed: its user has gone on with another one since.
  if (session?.isOpen && isOld) return refuse(response, TAKEN_OVER, { userId: owner.userId })
  const repeated = deletions.find(id, owner)
  const deletion = session?.isOpen ? deletions.add(session) : repeated
  // On the word of its owner, also if the shell has ended and only its last output is left.
  if (!isOld) await session?.end(CLOSE_NORMAL, 'Session deleted')
  if (!deletion) return refuse(response, NOT_FOUND, { userId: owner.userId })
  try {
    await deletion.access.assertGone(deletion.sessionId, deletion.chatId, deletion === repeated)
    deletions.delete(id)
  } catch (error) {
    // The lease of the terminal goes on to delete it.
    warnings.onRefusal(owner.base, Object(error).cause, deletion.access.credentials.areUsers)
    return refuse(response, answerForUpstream(error, false), { userId: owner.userId, error })
  }
  sendAnswer(response, { status: 200, body: { status: 'deleted' } })
}

/** Resolves with what the client may use, or with `undefined` if it is nothing. Then the client has its answer. */
async function authorize(
  request: IncomingMessage,
  response: ServerResponse,
  route: Route,
  leaving: AbortSignalLike,
  { authorizer, sessions, strangers }: GatewayState,
): Promise<Authorization | undefined> {
  if (!strangers.makeRoom()) {
    refuse(response, BUSY)
    return undefined
  }
  const letIn = strangers.enter(response)
  dropBody(request, response)
  try {
    const authorization = await authorizer.ask(describeClient(request, route), leaving)
    letIn()
    sessions.renew(authorization)
    return authorization
  } catch (error) {
    if (isAnswered(response)) return undefined
    // A stranger must not keep the connection with a body that never ends.
    if (!request.complete) response.setHeader('Connection', 'close')
    refuse(response, answerForAuthorize(error), { error })
    return undefined
  }
}

async function create(
  response: ServerResponse,
  { upstream, owner }: Authorization,
  leaving: AbortSignalLike,
  { settings, sessions, warnings }: GatewayState,
): Promise<void> {
  const error = `Maximum number of terminal sessions (${settings.sessionsPerUser}) reached`
  const { userId } = owner
  const tooMany: Refusal = { status: 429, body: { error }, reason: 'limit' }
  if (!sessions.mayOpen(owner)) return refuse(response, tooMany, { userId })
  let session: Session
  try {
    session = await sessions.open(upstream, owner, leaving)
  } catch (problem) {
    if (sessions.isClosing) return refuse(response, CLOSING, { userId })
    // The client has left before the upstream was asked.
    if (leaving.aborted && problem === undefined) return
    return refuseForUpstream(response, problem, { upstream, owner }, warnings)
  }
  if (!sessions.mayStay(session)) {
    // On the word of a limit that is documented: `sessionsPerUser`. Nobody knows the session.
    await session.end(CLOSE_GOING_AWAY, error)
    return refuse(response, tooMany, { userId })
  }
  const isSent = sendAnswer(response, { status: 200, body: toJson(session) })
  if (isSent && (await hasLeft(response))) return sessions.makeRoom(owner)
  // On the word of the client, which has left, or of the framework that has answered it: nobody knows the session.
  await session.end(CLOSE_GOING_AWAY, 'Nobody has been told of it')
}

/** Refuses a client whose upstream has failed, and warns the operator of what nobody else can mend. */
function refuseForUpstream(
  response: ServerResponse,
  error: unknown,
  { upstream, owner: { base, userId } }: Authorization,
  warnings: Warnings,
): void {
  const areOwn = areUsers(upstream)
  warnings.onRefusal(base, error, areOwn)
  const refusal = answerForUpstream(error, areOwn)
  if (refusal === REFUSED) warnings.onNotAccepted(base, error)
  if (refusal.reason !== 'unauthorized') return refuse(response, refusal, { userId, error })
  // What is no TerminalError comes from the function that `authorize` has returned as `key`.
  const wrong = new WrongReturn(`\`key\` has failed: ${kindOf(error)}`, error)
  warnings.warn('TERMINAL_GATEWAY_RETURNED', wrong.message, base)
  refuse(response, refusal, { userId, error: wrong })
}

/** Resolves with whether an answer has left, or the client before it. */
function hasLeft(response: ServerResponse): Promise<boolean> {
  return new Promise((resolve) => void finished(response, (error) => resolve(!error)))
}

function toJson({ id, since }: Session): object {
  // The process id is the business of the upstream.
  return { id, created_at: since.toISOString(), pid: 0 }
}

/** Answers a page that may not use the gateway. Sets the headers that allow the others to read the answer. */
function admitPage(request: IncomingMessage, response: ServerResponse, { origins }: GatewaySettings): boolean {
  const { origin } = request.headers
  response.setHeader('Vary', 'Origin')
  const compared = findForbiddenOrigin(request, origins)
  if (compared) {
    refuse(response, { status: 403, body: { detail: ORIGIN_NOT_ALLOWED }, reason: 'origin' }, compared)
    return false
  }
  if (origin !== undefined) response.setHeader('Access-Control-Allow-Origin', origin)
  return true
}

/** Answers the question of a browser whether a page of another origin may send a request. */
function preflight(response: ServerResponse, methods: readonly string[]): void {
  response.writeHead(204, {
    'Access-Control-Allow-Methods': methods.join(', '),
    'Access-Control-Allow-Headers': 'Authorization, Content-Type, X-User-Id, X-Session-Id, X-Terminal-Context-Id',
  })
  response.end()
}

/** Reads the body and drops it. Answers 413, and ends the connection, if it is too large. */
function dropBody(request: IncomingMessage, response: ServerResponse): void {
  let received = 0
  request.on('data', ({ length }: Buffer) => {
    received += length
    if (received <= LONGEST_BODY || isAnswered(response)) return
    response.setHeader('Connection', 'close')
    refuse(response, { status: 413, body: { detail: 'Content Too Large' }, reason: 'bad-request' })
  })
}
