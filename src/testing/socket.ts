import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { RawData, WebSocket, WebSocketServer } from 'ws'
import { applyFault, resetForgotten, wait, type AppliedFault, type Refusal } from './faults.ts'
import { readJson, type JsonProblem } from './python-json.ts'
import type { Behaviour } from './releases.ts'
import { contextProblem, type Route } from './routes.ts'
import type { Frame, RequestRecord } from './requests.ts'
import { prune, type ServerState } from './server.ts'
import { endClient, SILENT_DROP, type ServerClient, type ServerSession, type TestOwner } from './session.ts'

/** Answers a WebSocket handshake as the release does, and serves the client. */
export async function answerUpgrade(
  state: ServerState,
  wss: WebSocketServer,
  request: IncomingMessage,
  socket: Socket,
  head: Buffer,
): Promise<void> {
  if (resetForgotten(state.forgotten, socket)) return
  await state.untilFree()
  const { record, route } = state.record('websocket', request)
  const fault = state.nextFault('attach')
  if (!(await applyFault(fault, socket, state.closing))) return
  const admission = admit(state, record, route, fault)
  if ('refuse' in admission) {
    const { refuse, body = '', headers = {} } = admission
    record.status = refuse
    const lines = Object.entries({ ...headers, 'content-length': Buffer.byteLength(body), connection: 'close' })
    const text = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')
    socket.end(`HTTP/1.1 ${refuse} Refused\r\n${text}\r\n${body}`)
    return
  }
  wss.handleUpgrade(request, socket, head, (ws) => {
    record.status = 101
    ws.on('error', () => {})
    ws.on('message', (...message) => record.frames.push(decode(...message)))
    const client = { ws, socket, record, innerEnded: false }
    if (fault === 'drop' || fault === 'drop-inner') endClient(client, SILENT_DROP)
    else if (typeof fault === 'object' && 'refuse' in fault) endClient(client, fault.refuse, fault.body)
    else void serveClient(state, client, record, admission)
  })
}

// How long it takes until the inner server has refused the orchestrator's connection.
const INNER_REFUSAL_MS = 5
const LONGEST_REASON_BYTES = 123

// If a server closes before it accepts the handshake, the client gets an HTTP 403, whatever the close code.
const FORBIDDEN: Refusal = { refuse: 403 }

/** Returns the route of an accepted handshake, or the refusal. */
function admit(
  state: ServerState,
  { query }: RequestRecord,
  route: Route | undefined,
  fault: AppliedFault | undefined,
): Refusal | Route {
  const { behaviour, key } = state
  if (typeof fault === 'object' && 'refuse' in fault && fault.refuse < 1000) return fault
  if (route?.sessionId === undefined) return FORBIDDEN
  if (!behaviour.orchestrator) {
    const named = [...state.sessions].filter(({ id, deleted }) => !deleted && id === route.sessionId)
    return prune(named).length > 0 ? route : FORBIDDEN
  }
  if (!behaviour.keyInHandshake) return route
  const isAllowed = (key === '' || query['token'] === key) && query['user_id'] && state.knowsPolicy(route.policyId)
  return isAllowed ? route : FORBIDDEN
}

function decode(data: RawData, isBinary: boolean): Frame {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a Buffer with the default binaryType
  const bytes = data as Buffer
  return isBinary ? new Uint8Array(bytes) : bytes.toString()
}

/** Authenticates a client, attaches it to its session, and handles its messages. */
async function serveClient(
  state: ServerState,
  client: ServerClient,
  record: RequestRecord,
  route: Route,
): Promise<void> {
  const { orchestrator, strictSessions, announcesEnd } = state.behaviour
  const { ws } = client
  // Messages that arrive before the client is attached are input of the terminal, once the auth frame is removed.
  const early: Frame[] = []
  const keep = (data: RawData, isBinary: boolean): void => void early.push(decode(data, isBinary))
  ws.on('message', keep)
  const found = await findSession(state, record, route, ws, early)
  ws.off('message', keep)
  if (ws.readyState !== ws.OPEN) return
  if (!('id' in found)) {
    // A server that closes with a longer reason than a close frame can carry crashes, which drops the connection.
    endClient(client, Buffer.byteLength(found.reason) > LONGEST_REASON_BYTES ? SILENT_DROP : found.code, found.reason)
    return
  }
  // The server looks the session up by its id. Another session can have that id now.
  const endSession = (): void => {
    for (const session of state.visibleTo(found)) if (session.id === found.id) session.kill()
  }
  const receive = (frame: Frame): void => {
    // All servers ignore an empty message, and orchestrators do not forward it.
    if (frame.length === 0) return
    // An orchestrator notices the end of its connection when it has a message to forward. It gives no reason.
    if (client.innerEnded) endClient(client, 1000)
    else if (typeof frame === 'string' ? handleText(found, frame) : found.deleted || !found.input(frame)) {
      client.innerEnded = true
      endSession()
      if (!orchestrator) endClient(client, announcesEnd ? 1000 : SILENT_DROP)
    }
  }
  // An orchestrator never names a chat when it attaches, even if the request that created the session named one.
  if (orchestrator && strictSessions && (found.chatId !== '' || found.inUse)) {
    // The inner server refuses the connection. Messages that arrive before that are lost.
    await wait(INNER_REFUSAL_MS, state.closing)
    client.innerEnded = true
  } else {
    for (const frame of early) receive(frame)
    found.attach(client)
  }
  ws.on('message', (data, isBinary) => receive(decode(data, isBinary)))
  // An Open Terminal ends the shell with the connection. An orchestrator keeps its connection to the inner server open.
  if (!orchestrator) ws.once('close', endSession)
}

/** The code and reason that a server closes a socket with. */
interface ServerClose {
  readonly code: number
  readonly reason: string
}

const LATE: ServerClose = { code: 4001, reason: 'Auth timeout or invalid payload' }
const WRONG_KEY: ServerClose = { code: 4001, reason: 'Invalid API key' }
const DROP: ServerClose = { code: SILENT_DROP, reason: '' }
const CLOSES = { late: LATE, refuse: WRONG_KEY, drop: DROP }

/**
 * Reads the auth frame, if the release wants one, and checks the credentials. Returns the session to attach to, or the
 * code to close with.
 */
async function findSession(
  state: ServerState,
  { query, headers }: RequestRecord,
  route: Route,
  ws: WebSocket,
  early: Frame[],
): Promise<ServerSession | ServerClose> {
  const { behaviour, key } = state
  let chatInFrame = ''
  if (!behaviour.keyInHandshake && (behaviour.orchestrator || behaviour.strictSessions || key !== '')) {
    // Without a message in time, there is none.
    await once(ws, 'message', { signal: AbortSignal.timeout(state.authTimeout) }).catch(() => {})
    const message = early.shift()
    const frame = typeof message === 'string' ? readJson(message) : message
    if (frame === undefined || frame === 'no JSON') return LATE
    if (frame instanceof Uint8Array || typeof frame === 'string') return closeForMalformed(behaviour, frame)
    if (frame['type'] !== 'auth') {
      return behaviour.orchestrator ? { code: 4001, reason: 'Expected auth message' } : WRONG_KEY
    }
    const { token = '', chat_id: chat = '' } = frame
    if (key !== '' && token !== key) return isAscii(token) ? WRONG_KEY : CLOSES[behaviour.unusableToken]
    chatInFrame = String(chat)
  }
  const requester: TestOwner = {
    userId: (behaviour.orchestrator ? query['user_id'] : headers['x-user-id']) ?? '',
    chatId: headers['x-session-id'] ?? chatInFrame,
    policyId: route.policyId ?? 'default',
    contextId: (behaviour.contexts && (headers['x-terminal-context-id'] || query['context_id'])) || 'default',
  }
  if (behaviour.orchestrator) {
    if (requester.userId === '') return { code: 4002, reason: 'Missing user_id' }
    if (!state.knowsPolicy(route.policyId)) return { code: 4004, reason: `Policy '${requester.policyId}' not found` }
    const problem = contextProblem(requester.contextId)
    if (problem !== undefined) return { code: 4004, reason: problem }
    state.touch(requester)
    await state.untilFree(requester)
  }
  const [session] = prune(state.visibleTo(requester).filter(({ id }) => id === route.sessionId))
  if (!session) {
    if (behaviour.unknownSession === 'drop') return DROP
    await wait(4 * state.redialDelay, state.closing)
    return { code: 4003, reason: 'Terminal instance not reachable' }
  }
  if (behaviour.orchestrator) return session
  if (!state.allows(requester, session)) return { code: 4004, reason: 'Session not found' }
  if (behaviour.strictSessions && session.inUse) return { code: 4009, reason: 'Session already connected' }
  return session
}

/** Returns the close for a first message that is not a JSON object. */
function closeForMalformed(behaviour: Behaviour, frame: JsonProblem | Uint8Array): ServerClose {
  const { orchestrator, strictSessions, malformedAuth } = behaviour
  if (orchestrator) return { code: 4001, reason: 'Auth failed' }
  if (frame === 'too deep') return strictSessions ? DROP : LATE
  if (frame === 'not an object') return malformedAuth === 'refuse' ? WRONG_KEY : LATE
  return malformedAuth === 'drop' && frame !== 'too long' ? DROP : LATE
}

function isAscii(value: unknown): boolean {
  return typeof value === 'string' && Buffer.byteLength(value) === value.length
}

/** Handles a text message as Open Terminal does. Returns whether the message ends the terminal. */
function handleText(session: ServerSession, text: string): boolean {
  const message = readJson(text)
  // Text that is not JSON, such as keystrokes sent as text, is dropped.
  if (typeof message === 'string') return message !== 'no JSON'
  if (message['type'] !== 'resize') return false
  const { cols = 80, rows = 24 } = message
  if (session.deleted || !isUnsignedShort(cols) || !isUnsignedShort(rows)) return true
  session.resize(Number(cols), Number(rows))
  return false
}

// For Python, `true` is 1.
function isUnsignedShort(value: unknown): boolean {
  const number = typeof value === 'boolean' ? Number(value) : value
  return typeof number === 'number' && Number.isInteger(number) && number >= 0 && number <= 65_535
}
