import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { trimSlashes } from '../lib/slashes.ts'
import { applyFault, FULL, MAX_SESSIONS, resetForgotten, type TestOperation } from './faults.ts'
import type { Behaviour } from './releases.ts'
import { contextProblem, findRoute, prune, type Route, type ServerState, type TestRequest } from './server.ts'
import type { ServerSession, TestOwner } from './session.ts'

/** The answer to a REST request: the status, the body before it becomes JSON, and headers. */
type RestAnswer = readonly [status: number, body: unknown, headers?: Record<string, string>]

const NOT_FOUND: RestAnswer = [404, { error: 'Session not found' }]

/** Answers an HTTP request as the release does. */
export async function answerHttp(
  state: ServerState,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (resetForgotten(state.forgotten, request.socket)) return
  const { record, route } = state.record('http', request)
  request.resume()
  if (answerCors(request, response)) {
    record.status = response.statusCode
    return
  }
  const fault = route && state.nextFault(operationOf(request.method, route))
  if (!(await applyFault(fault, request.socket, state.closing))) return
  if (typeof fault === 'object' && 'refuse' in fault) {
    record.status = fault.refuse
    response.writeHead(fault.refuse, fault.headers).end(fault.body)
    return
  }
  const [status, body, headers] = route ? answerRoute(state, record, route) : answerUnknownPath(state, request)
  if (fault === 'drop') {
    request.socket.destroy()
    return
  }
  record.status = status
  if (body !== undefined) response.setHeader('content-type', 'application/json')
  // Each answer of an orchestrator has an id of its own (PROTOCOL 2.16).
  if (state.behaviour.orchestrator) response.setHeader('x-request-id', randomUUID())
  response.writeHead(status, headers).end(JSON.stringify(body))
  if (fault === 'expire') state.forgotten.add(request.socket)
}

const CORS_METHODS = ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'QUERY']

/**
 * Allows requests from pages of every origin, as the real servers do by default. Returns whether the request was a CORS
 * preflight; this function has then answered it.
 */
function answerCors({ method, headers }: IncomingMessage, response: ServerResponse): boolean {
  const { origin } = headers
  if (origin !== undefined) {
    response.setHeader('access-control-allow-origin', origin)
    response.setHeader('access-control-allow-credentials', 'true')
  }
  response.setHeader('vary', 'Origin')
  const requestedMethod = headers['access-control-request-method']
  if (method !== 'OPTIONS' || origin === undefined || requestedMethod === undefined) return false
  const requestedHeaders = headers['access-control-request-headers']
  if (requestedHeaders !== undefined) response.setHeader('access-control-allow-headers', requestedHeaders)
  response.setHeader('access-control-allow-methods', CORS_METHODS.join(', '))
  response.setHeader('access-control-max-age', '600')
  response.setHeader('content-type', 'text/plain; charset=utf-8')
  response.statusCode = CORS_METHODS.includes(requestedMethod) ? 200 : 400
  response.end(response.statusCode === 200 ? 'OK' : 'Disallowed CORS method')
  return true
}

/** Returns a redirect if the path is known without the slashes at its end, otherwise a 404. */
function answerUnknownPath({ behaviour }: ServerState, { url = '', headers }: IncomingMessage): RestAnswer {
  const path = url.replace(/\?.*/s, '')
  const shorter = trimSlashes(path)
  return shorter !== path && !behaviour.orchestrator && findRoute(behaviour, shorter)
    ? [307, undefined, { location: `http://${headers.host}${shorter}${url.slice(path.length)}` }]
    : [404, { detail: 'Not Found' }]
}

function operationOf(method: string | undefined, { sessionId, isOutput }: Route): TestOperation {
  if (isOutput) return 'output'
  if (method === 'POST') return 'create'
  if (method === 'DELETE') return 'delete'
  return sessionId === undefined ? 'list' : 'get'
}

function answerRoute(state: ServerState, { method, headers }: TestRequest, route: Route): RestAnswer {
  const { policyId, sessionId, isOutput } = route
  const { behaviour, key, multiUser } = state
  const [allowed, other] = isOutput ? ['GET'] : sessionId === undefined ? ['POST', 'GET'] : ['GET', 'DELETE']
  const isAllowed = method === allowed || method === other
  const notAllowed: RestAnswer = [405, { detail: 'Method Not Allowed' }, { allow: allowed }]
  // An orchestrator forwards unknown methods too, and checks the credentials before that.
  if (!isAllowed && !behaviour.orchestrator) return notAllowed
  const [scheme, token] = (headers['authorization'] ?? '').split(/ (.*)/s)
  if (key !== '' && (scheme?.toLowerCase() !== 'bearer' || token !== key)) {
    const missing = behaviour.orchestrator && headers['authorization'] === undefined
    return [401, { detail: missing ? 'Missing Authorization header' : 'Invalid API key' }]
  }
  const userId = headers['x-user-id']
  if (behaviour.orchestrator && userId === undefined) {
    return [422, { detail: [{ type: 'missing', loc: ['header', 'X-User-Id'], msg: 'Field required', input: null }] }]
  }
  if (multiUser && method === 'POST' && !userId) return [400, { detail: 'X-User-Id is required in multi-user mode' }]
  if (!state.knowsPolicy(policyId)) return [404, { detail: `Policy '${policyId}' not found` }]
  const contextId = (behaviour.contexts && headers['x-terminal-context-id']) || 'default'
  const problem = contextProblem(contextId)
  if (problem !== undefined) return [400, { detail: problem }]

  const requester: TestOwner = {
    userId: userId ?? '',
    chatId: headers['x-session-id'] ?? '',
    policyId: policyId ?? 'default',
    contextId,
  }
  state.touch(requester)
  if (!isAllowed) return notAllowed
  const visible = state.visibleTo(requester)
  if (method === 'POST') return answerCreate(state, requester, prune(visible))
  if (isOutput) return answerOutput(behaviour, visible, requester)
  const own = visible.filter((session) => state.allows(requester, session))
  if (sessionId === undefined) return [200, prune(own).map(bodyOf)]
  const named = own.filter(({ id }) => id === sessionId)
  const [session] = method === 'GET' ? prune(named) : named
  if (!session) return NOT_FOUND
  if (method === 'GET') return [200, bodyOf(session)]
  session.kill()
  return [200, { status: 'deleted' }]
}

/** Answers with the output of the user's newest shell that a client is attached to (PROTOCOL 2.17). */
function answerOutput(
  { strictSessions, orchestrator }: Behaviour,
  visible: readonly ServerSession[],
  { userId }: TestOwner,
): RestAnswer {
  if (!strictSessions) return [404, { detail: 'Not Found' }]
  // An orchestrator does not pass the user on: everything in the container is the user's.
  const own = visible.filter((each) => each.attached > 0 && (orchestrator || each.userId === userId))
  const session = own.at(-1)
  return session ? [200, { output: session.recentOutput.toString() }] : [404, { detail: 'No connected user shell' }]
}

function answerCreate(state: ServerState, owner: TestOwner, visible: readonly ServerSession[]): RestAnswer {
  if (visible.length >= MAX_SESSIONS) return [429, FULL]
  const session = state.create(owner)
  // Two sessions have the same id where the chat is the id. Requests then find the new one only; the shell and the
  // client of the old one go on.
  for (const old of visible) if (old.id === session.id) state.sessions.delete(old)
  return [200, bodyOf(session)]
}

function bodyOf({ id, createdAt }: ServerSession): object {
  return { id, created_at: createdAt, pid: process.pid }
}
