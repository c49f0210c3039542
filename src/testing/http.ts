import type { IncomingMessage, ServerResponse } from 'node:http'
import { strike, type TestOperation } from './faults.ts'
import {
  contextProblem,
  mayUse,
  openRecord,
  visibleSessions,
  type Route,
  type ServerState,
  type TestRequest,
} from './server.ts'
import type { ServerSession, TestOwner } from './session.ts'

const MAX_SESSIONS = 16

/** An answer: a status and what goes into the body as JSON. */
type Answer = readonly [status: number, body: unknown]

const NOT_FOUND: Answer = [404, { error: 'Session not found' }]
const NOT_ALLOWED: Answer = [405, { detail: 'Method Not Allowed' }]

/** Answers one HTTP request as the release would. */
export async function answerHttp(
  state: ServerState,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { record, route } = openRecord(state, 'http', request)
  request.resume()
  const fault = route && state.nextFault(operationOf(request.method, route))
  if (!(await strike(fault, request.socket, state.closing))) return
  if (typeof fault === 'object' && 'refuse' in fault) {
    record.status = fault.refuse
    response.writeHead(fault.refuse, fault.headers).end(fault.body)
    return
  }
  const [status, body] = route ? answer(state, record, route) : [404, { detail: 'Not Found' }]
  if (fault === 'drop') {
    request.socket.destroy()
    return
  }
  record.status = status
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

function operationOf(method: string | undefined, { sessionId }: Route): TestOperation {
  if (method === 'POST') return 'create'
  if (method === 'DELETE') return 'delete'
  return sessionId === undefined ? 'list' : 'get'
}

function answer(state: ServerState, { method, headers }: TestRequest, { policyId, sessionId }: Route): Answer {
  const { behaviour, key } = state
  const [scheme, token] = (headers['authorization'] ?? '').split(/ (.*)/s)
  if (key !== '' && (scheme?.toLowerCase() !== 'bearer' || token !== key)) {
    const missing = behaviour.orchestrator && headers['authorization'] === undefined
    return [401, { detail: missing ? 'Missing Authorization header' : 'Invalid API key' }]
  }
  const userId = headers['x-user-id']
  if (behaviour.orchestrator && userId === undefined) {
    return [422, { detail: [{ type: 'missing', loc: ['header', 'X-User-Id'], msg: 'Field required', input: null }] }]
  }
  if (policyId !== undefined && !state.knowsPolicy(policyId)) {
    return [404, { detail: `Policy '${policyId}' not found` }]
  }
  const contextId = (behaviour.contexts && headers['x-terminal-context-id']) || 'default'
  const problem = contextProblem(contextId)
  if (problem !== undefined) return [400, { detail: problem }]

  const asking: TestOwner = {
    userId: userId ?? '',
    chatId: headers['x-session-id'] ?? '',
    policyId: policyId ?? 'default',
    contextId,
  }
  const visible = visibleSessions(state, asking)
  if (sessionId === undefined) {
    if (method === 'POST') return create(state, asking, visible)
    if (method === 'GET') return [200, visible.filter((session) => mayUse(state, session, asking)).map(describe)]
    return NOT_ALLOWED
  }
  if (method !== 'GET' && method !== 'DELETE') return NOT_ALLOWED
  const session = visible.find(({ id }) => id === sessionId)
  if (!session || !mayUse(state, session, asking)) return NOT_FOUND
  if (method === 'GET') return [200, describe(session)]
  session.kill()
  return [200, { status: 'deleted' }]
}

function create(state: ServerState, owner: TestOwner, visible: readonly ServerSession[]): Answer {
  if (visible.length >= MAX_SESSIONS) {
    return [429, { error: `Maximum number of terminal sessions (${MAX_SESSIONS}) reached` }]
  }
  const session = state.create(owner)
  // Where the chat is the id, the new one takes the place of the old, whose shell runs on unseen.
  for (const { id, exit } of visible) if (id === session.id) exit()
  return [200, describe(session)]
}

function describe({ id, createdAt }: ServerSession): object {
  return { id, created_at: createdAt, pid: process.pid }
}
