import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { trimSlashes } from '../lib/slashes.ts'
import { ERROR, readObject, requiredString, type RestAnswer } from './answers.ts'
import { answerCommand } from './execute.ts'
import { applyFault, FULL, MAX_SESSIONS, resetForgotten, type TestOperation } from './faults.ts'
import { contextProblem, findRoute, type Route } from './routes.ts'
import type { RequestRecord, TestRequest } from './requests.ts'
import { prune, type ServerState } from './server.ts'
import type { ServerSession, TestOwner } from './session.ts'

const NOT_FOUND: RestAnswer = [404, { error: 'Session not found' }]

// Terminals 0.2.2 sends a request five times before it answers that its connection to the container fails.
const TRIES = 5
const LOST: RestAnswer = [502, { error: 'Upstream connection failed' }]

/** Answers an HTTP request as the release does. */
export async function answerHttp(
  state: ServerState,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { socket, method = '' } = request
  if (resetForgotten(state.forgotten, socket)) return
  const { record, route } = state.record('http', request)
  const heldUp = state.untilFree()
  if (heldUp) await heldUp
  if (answerCors(request, response)) {
    request.resume()
    record.status = response.statusCode
    return
  }
  const operation = route?.operations[method]
  const body = operation && HAVE_BODY.has(operation) ? await readBody(request) : Buffer.alloc(0)
  request.resume()
  // The client has gone before its request was complete.
  if (!body) return
  if (operation === 'execute' || operation === 'input' || operation === 'type') record.body = body.toString()
  // A request whose body has no length cannot be sent again.
  const tries = state.behaviour.repeats && request.headers['transfer-encoding'] === undefined ? TRIES : 1
  for (let count = 1; ; count += 1) {
    const fault = operation && state.nextFault(operation)
    if (!(await applyFault(fault, socket, state.closing))) return
    if (typeof fault === 'object' && 'refuse' in fault) {
      record.status = fault.refuse
      response.writeHead(fault.refuse, fault.headers).end(fault.body)
      return
    }
    const own = route ? answerRoute(state, record, route, body) : answerUnknownPath(state, request)
    let answer = own instanceof Promise ? await own : own
    if (fault === 'drop-inner' && state.behaviour.orchestrator) {
      if (count < tries) continue
      answer = state.behaviour.repeats ? LOST : ERROR
    } else if (fault === 'drop' || fault === 'drop-inner') {
      socket.destroy()
      return
    }
    send(state, record, response, answer)
    if (fault === 'expire') state.forgotten.add(socket)
    return
  }
}

function send(
  { behaviour }: ServerState,
  record: RequestRecord,
  response: ServerResponse,
  [status, body, headers]: RestAnswer,
): void {
  record.status = status
  if (typeof body === 'string') response.setHeader('content-type', 'text/plain; charset=utf-8')
  else if (body !== undefined) response.setHeader('content-type', 'application/json')
  // Each answer of an orchestrator has an id of its own (PROTOCOL 2.16).
  if (behaviour.orchestrator) response.setHeader('x-request-id', randomUUID())
  response.writeHead(status, headers).end(typeof body === 'string' ? body : JSON.stringify(body))
}

const HAVE_BODY: ReadonlySet<TestOperation> = new Set(['execute', 'input', 'type', 'upload'] as const)

/** Resolves with the body of a request, or `undefined` if its connection ends before the body does. */
async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Uint8Array[] = []
  try {
    for await (const chunk of request as AsyncIterable<Uint8Array>) chunks.push(chunk)
    return Buffer.concat(chunks)
  } catch {
    return undefined
  }
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

/** The operations that need an account of the user in multi-user mode. */
const NEED_USER: ReadonlySet<TestOperation> = new Set(['create', 'execute', 'upload', 'remove'] as const)
const OF_SESSIONS: ReadonlySet<TestOperation> = new Set(['create', 'list', 'get', 'delete', 'output', 'type'] as const)

function answerRoute(
  state: ServerState,
  record: RequestRecord,
  route: Route,
  body: Buffer,
): RestAnswer | Promise<RestAnswer> {
  const { method, headers } = record
  const { policyId, sessionId, operations } = route
  const { behaviour, key, multiUser } = state
  const operation = operations[method]
  const notAllowed: RestAnswer = [405, { detail: 'Method Not Allowed' }, { allow: String(Object.keys(operations)[0]) }]
  // An orchestrator forwards unknown methods too, and checks the credentials before that.
  if (!operation && !behaviour.orchestrator) return notAllowed
  const [scheme, token] = (headers['authorization'] ?? '').split(/ (.*)/s)
  if (key !== '' && (scheme?.toLowerCase() !== 'bearer' || token !== key)) {
    const missing = behaviour.orchestrator && headers['authorization'] === undefined
    return [401, { detail: missing ? 'Missing Authorization header' : 'Invalid API key' }]
  }
  const userId = headers['x-user-id']
  if (behaviour.orchestrator && userId === undefined) {
    return [422, { detail: [{ type: 'missing', loc: ['header', 'X-User-Id'], msg: 'Field required', input: null }] }]
  }
  if (multiUser && !userId && operation && NEED_USER.has(operation)) {
    return [400, { detail: 'X-User-Id is required in multi-user mode' }]
  }
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
  const answer = (): RestAnswer | Promise<RestAnswer> => {
    if (!operation) return notAllowed
    if (!OF_SESSIONS.has(operation)) return answerCommand(state, requester, record, route, body)
    return answerSession(state, requester, operation, sessionId, headers, body)
  }
  return state.untilFree(requester)?.then(answer) ?? answer()
}

function answerSession(
  state: ServerState,
  requester: TestOwner,
  operation: TestOperation,
  sessionId: string | undefined,
  headers: TestRequest['headers'],
  body: Buffer,
): RestAnswer {
  const visible = state.visibleTo(requester)
  if (operation === 'create') return answerCreate(state, requester, prune(visible))
  const own = visible.filter((session) => state.allows(requester, session))
  if (operation === 'output' || operation === 'type') {
    if (!state.behaviour.strictSessions) return [404, { detail: 'Not Found' }]
    const input = operation === 'type' ? readObject(headers, body) : undefined
    return answerUserShell(own.filter(({ alive, inUse }) => alive && inUse).at(-1), input)
  }
  if (operation === 'list') return [200, prune(own).map(bodyOf)]
  const named = own.filter(({ id }) => id === sessionId)
  const [session] = operation === 'get' ? prune(named) : named
  if (!session) return NOT_FOUND
  if (operation === 'get') return [200, bodyOf(session)]
  session.kill()
  return [200, { status: 'deleted' }]
}

/** Answers with the output of the user's newest shell that a client is attached to, or types (PROTOCOL 2.17, 2.23). */
function answerUserShell(
  session: ServerSession | undefined,
  input: ReturnType<typeof readObject> | undefined,
): RestAnswer {
  const problems = Array.isArray(input) ? input : input ? requiredString(input, 'input') : []
  if (problems.length > 0) return [422, { detail: problems }]
  if (!session) return [404, { detail: 'No connected user shell' }]
  if (!input) return [200, { output: session.recentOutput.toString() }]
  session.input(Buffer.from(String(Object(input).input)))
  return [200, { status: 'ok' }]
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
