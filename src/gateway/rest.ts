import type { IncomingMessage, ServerResponse } from 'node:http'
import { Cancellation } from '../lib/cancellation.ts'
import type { UpstreamOptions } from '../upstream/resolve.ts'
import { answerForAuthorize, answerForUpstream, NOT_FOUND, sendAnswer, type Answer } from './answers.ts'
import { publish } from './events.ts'
import type { GatewaySettings } from './options.ts'
import type { Route } from './route.ts'
import type { Owner, Session } from './session.ts'
import type { GatewayState } from './state.ts'
import { describeClient, isOriginAllowed } from './visitor.ts'

// Bytes. No request needs a body.
const LONGEST_BODY = 64 * 1024

/** Answers a request about sessions as Open Terminal does (PROTOCOL 2.1 to 2.6). */
export async function answerRequest(
  request: IncomingMessage,
  response: ServerResponse,
  route: Route,
  state: GatewayState,
): Promise<void> {
  const { authorizer, settings, sessions } = state
  if (!admitPage(request, response, settings)) return
  const methods = route.sessionId === undefined ? ['GET', 'POST'] : ['GET', 'DELETE']
  const { method = '' } = request
  if (method === 'OPTIONS') return preflight(response, methods)
  if (!methods.includes(method)) {
    response.setHeader('Allow', methods.join(', '))
    return refuse(response, { status: 405, body: { detail: 'Method Not Allowed' } })
  }
  dropBody(request, response)
  let upstream: UpstreamOptions
  let owner: Owner
  try {
    const client = describeClient(request, route)
    ;({ upstream, owner } = await authorizer.ask(client, undefined))
  } catch (error) {
    return refuse(response, answerForAuthorize(error), { error })
  }
  const { userId } = owner
  if (method === 'POST') return create(response, upstream, owner, state)
  if (route.sessionId === undefined) {
    return sendAnswer(response, { status: 200, body: sessions.list(owner).map(toJson) })
  }
  const session = sessions.find(route.sessionId, owner)
  if (!session) return refuse(response, NOT_FOUND, { userId })
  if (method === 'GET') return sendAnswer(response, { status: 200, body: toJson(session) })
  await session.end(1000, 'Session deleted')
  sendAnswer(response, { status: 200, body: { status: 'deleted' } })
}

async function create(
  response: ServerResponse,
  upstream: UpstreamOptions,
  owner: Owner,
  { settings, sessions }: GatewayState,
): Promise<void> {
  const { userId } = owner
  if (!sessions.makeRoom(owner)) {
    const error = `Maximum number of terminal sessions (${settings.sessionsPerUser}) reached`
    return refuse(response, { status: 429, body: { error } }, { userId })
  }
  // A client that has left, or has been answered with 413, needs no session.
  const leaving = new Cancellation()
  const onClose = (): void => leaving.abort()
  response.once('close', onClose)
  try {
    const session = await sessions.open(upstream, owner, leaving)
    sendAnswer(response, { status: 200, body: toJson(session) })
  } catch (error) {
    refuse(response, answerForUpstream(error), { userId, error })
  } finally {
    response.off('close', onClose)
  }
}

function toJson({ id, since }: Session): object {
  // The process id is the business of the upstream.
  return { id, created_at: since.toISOString(), pid: 0 }
}

function refuse(response: ServerResponse, answer: Answer, event: { userId?: string; error?: unknown } = {}): void {
  publish('refused', { ...event, code: answer.status })
  sendAnswer(response, answer)
}

/** Answers a page that may not use the gateway. Sets the headers that allow the others to read the answer. */
function admitPage(request: IncomingMessage, response: ServerResponse, { origins }: GatewaySettings): boolean {
  const { origin } = request.headers
  response.setHeader('Vary', 'Origin')
  if (!isOriginAllowed(request, origins)) {
    refuse(response, { status: 403, body: { detail: 'Origin not allowed' } })
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
    if (received <= LONGEST_BODY || response.headersSent) return
    response.setHeader('Connection', 'close')
    refuse(response, { status: 413, body: { detail: 'Content Too Large' } })
  })
}
