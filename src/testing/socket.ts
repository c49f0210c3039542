import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { RawData, WebSocket, WebSocketServer } from 'ws'
import { pause, strike, type TestFault } from './faults.ts'
import { readJson, type NoObject } from './json.ts'
import type { Behaviour } from './releases.ts'
import {
  contextProblem,
  mayUse,
  openRecord,
  prune,
  visibleSessions,
  type RequestRecord,
  type Route,
  type ServerState,
} from './server.ts'
import { endClient, type Client, type ServerSession, type TestOwner } from './session.ts'

/** Answers one WebSocket handshake as the release would, and whatever follows it. */
export async function answerUpgrade(
  state: ServerState,
  wss: WebSocketServer,
  request: IncomingMessage,
  socket: Socket,
  head: Buffer,
): Promise<void> {
  const { record, route } = openRecord(state, 'websocket', request)
  const fault = state.nextFault('attach')
  if (!(await strike(fault, socket, state.closing))) return
  const admitted = admit(state, record, route, fault)
  if ('status' in admitted) {
    const { status, body = '', headers = {} } = admitted
    record.status = status
    const lines = Object.entries({ ...headers, 'content-length': Buffer.byteLength(body), connection: 'close' })
    const text = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')
    socket.end(`HTTP/1.1 ${status} Refused\r\n${text}\r\n${body}`)
    return
  }
  wss.handleUpgrade(request, socket, head, (ws) => {
    record.status = 101
    ws.on('error', () => {})
    ws.on('message', (...message) => record.frames.push(decode(...message)))
    const client = { ws, socket, record }
    if (fault === 'drop') endClient(client, SILENT_DROP)
    else if (typeof fault === 'object' && 'refuse' in fault) endClient(client, fault.refuse, fault.body)
    else void serve(state, client, record, admitted)
  })
}

interface Refused {
  readonly status: number
  readonly body?: string
  readonly headers?: Record<string, string>
}

// Everything that a server finds out before it accepts is an HTTP 403 to the client, whatever close code it gives.
const FORBIDDEN: Refused = { status: 403 }

/** Returns where the client is let in, or what it is told instead. */
function admit(
  state: ServerState,
  { query }: RequestRecord,
  route: Route | undefined,
  fault: TestFault | undefined,
): Refused | Route {
  const { behaviour, key } = state
  if (typeof fault === 'object' && 'refuse' in fault && fault.refuse < 1000) return { ...fault, status: fault.refuse }
  if (route?.sessionId === undefined) return FORBIDDEN
  if (!behaviour.orchestrator) {
    const named = [...state.sessions].filter(({ id, deleted }) => !deleted && id === route.sessionId)
    return prune(named).length > 0 ? route : FORBIDDEN
  }
  if (!behaviour.keyInHandshake) return route
  const isWelcome = (key === '' || query['token'] === key) && query['user_id'] && policyFound(state, route)
  return isWelcome ? route : FORBIDDEN
}

function policyFound(state: ServerState, { policyId }: Route): boolean {
  return policyId === undefined || state.knowsPolicy(policyId)
}

interface Close {
  readonly code: number
  readonly reason: string
}

const SILENT_DROP = 1006
const LONGEST_REASON = 123
const LATE: Close = { code: 4001, reason: 'Auth timeout or invalid payload' }
const WRONG_KEY: Close = { code: 4001, reason: 'Invalid API key' }
const DROP: Close = { code: SILENT_DROP, reason: '' }
const CLOSES = { late: LATE, refuse: WRONG_KEY, drop: DROP }

type Frame = string | Uint8Array

function decode(data: RawData, isBinary: boolean): Frame {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what it is unless binaryType says otherwise
  const bytes = data as Buffer
  return isBinary ? new Uint8Array(bytes) : bytes.toString()
}

async function serve(state: ServerState, client: Client, record: RequestRecord, route: Route): Promise<void> {
  const { behaviour } = state
  const { ws } = client
  // Whatever is sent while it is still being decided is part of the terminal's input.
  const early: Frame[] = []
  const keep = (data: RawData, isBinary: boolean): void => void early.push(decode(data, isBinary))
  ws.on('message', keep)
  const found = await findSession(state, record, route, ws, early)
  ws.off('message', keep)
  if (ws.readyState !== ws.OPEN) return
  if (!('id' in found)) {
    // A reason that does not fit into a close frame crashes the server.
    endClient(client, Buffer.byteLength(found.reason) > LONGEST_REASON ? SILENT_DROP : found.code, found.reason)
    return
  }
  // By its id, which may have become that of another.
  const forget = (): void => {
    for (const session of visibleSessions(state, found)) if (session.id === found.id) session.kill()
  }
  let crashed = false
  const receive = (frame: Frame): void => {
    // An orchestrator finds its leg gone when it has something to pass on, and does not say why.
    if (crashed) endClient(client, 1000)
    else if (typeof frame === 'string' ? poisons(found, frame) : found.deleted) {
      crashed = true
      forget()
      if (!behaviour.orchestrator) endClient(client, behaviour.announcesEnd ? 1000 : SILENT_DROP)
    } else if (typeof frame !== 'string') found.input(frame)
  }
  for (const frame of early) receive(frame)
  ws.on('message', (data, isBinary) => receive(decode(data, isBinary)))
  found.attach(client)
  // A server of one's own ends the shell with the connection; an orchestrator keeps its own leg open.
  if (!behaviour.orchestrator) ws.once('close', forget)
}

/** Returns the session to attach to, or the code to close with. */
async function findSession(
  state: ServerState,
  { query, headers }: RequestRecord,
  route: Route,
  ws: WebSocket,
  early: Frame[],
): Promise<ServerSession | Close> {
  const { behaviour, key } = state
  let chatInFrame = ''
  if (!behaviour.keyInHandshake && (behaviour.orchestrator || behaviour.strictSessions || key !== '')) {
    const message = await firstMessage(state, ws, early)
    const frame = typeof message === 'string' ? readJson(message) : message
    if (frame === undefined || frame === 'no JSON') return LATE
    if (frame instanceof Uint8Array || typeof frame === 'string') return oddAuth(behaviour, frame)
    if (frame['type'] !== 'auth') {
      return behaviour.orchestrator ? { code: 4001, reason: 'Expected auth message' } : WRONG_KEY
    }
    const { token = '', chat_id: chat = '' } = frame
    if (key !== '' && token !== key) return isAscii(token) ? WRONG_KEY : CLOSES[behaviour.oddToken]
    chatInFrame = String(chat)
  }
  const asking: TestOwner = {
    userId: (behaviour.orchestrator ? query['user_id'] : headers['x-user-id']) ?? '',
    chatId: headers['x-session-id'] ?? chatInFrame,
    policyId: route.policyId ?? 'default',
    contextId: (behaviour.contexts && (headers['x-terminal-context-id'] || query['context_id'])) || 'default',
  }
  if (behaviour.orchestrator) {
    if (asking.userId === '') return { code: 4002, reason: 'Missing user_id' }
    if (!policyFound(state, route)) return { code: 4004, reason: `Policy '${asking.policyId}' not found` }
    const problem = contextProblem(asking.contextId)
    if (problem !== undefined) return { code: 4004, reason: problem }
  }
  const [session] = prune(visibleSessions(state, asking).filter(({ id }) => id === route.sessionId))
  if (!session) {
    if (behaviour.unknownSession === 'drop') return { code: SILENT_DROP, reason: '' }
    await pause(4 * state.redialDelay, state.closing)
    return { code: 4003, reason: 'Terminal instance not reachable' }
  }
  if (!mayUse(state, session, asking)) return { code: 4004, reason: 'Session not found' }
  if (behaviour.strictSessions && session.attached > 0) return { code: 4009, reason: 'Session already connected' }
  return session
}

/** Waits for the first message; `undefined` if it does not come. */
async function firstMessage(state: ServerState, ws: WebSocket, early: Frame[]): Promise<Frame | undefined> {
  try {
    await once(ws, 'message', { signal: AbortSignal.timeout(state.authTimeout) })
    return early.shift()
  } catch {
    return undefined
  }
}

/** How a first message is answered that is no JSON object. */
function oddAuth({ orchestrator, strictSessions, oddAuth: habit }: Behaviour, frame: NoObject | Uint8Array): Close {
  if (orchestrator) return { code: 4001, reason: 'Auth failed' }
  if (frame === 'too deep') return strictSessions ? DROP : LATE
  if (frame === 'not an object') return habit === 'refuse' ? WRONG_KEY : LATE
  return habit === 'drop' && frame !== 'too long' ? DROP : LATE
}

function isAscii(value: unknown): boolean {
  return typeof value === 'string' && Buffer.byteLength(value) === value.length
}

/** Takes a text frame as Open Terminal does, and says whether that was its end. */
function poisons(session: ServerSession, text: string): boolean {
  const message = readJson(text)
  // Keystrokes sent as text vanish here.
  if (typeof message === 'string') return message !== 'no JSON'
  if (message['type'] !== 'resize') return false
  const { cols = 80, rows = 24 } = message
  if (session.deleted || !isUnsignedShort(cols) || !isUnsignedShort(rows)) return true
  session.resize(Number(cols), Number(rows))
  return false
}

// To Python, `true` is 1.
function isUnsignedShort(value: unknown): boolean {
  const number = typeof value === 'boolean' ? Number(value) : value
  return typeof number === 'number' && Number.isInteger(number) && number >= 0 && number <= 65_535
}
