import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { RawData, WebSocketServer } from 'ws'
import { decode, findSession, isPolicyKnown, SILENT_DROP, type Frame } from './attach.ts'
import { applyFault, resetForgotten, wait, type AppliedFault } from './faults.ts'
import { readJson } from './json.ts'
import type { Behaviour } from './releases.ts'
import { recordRequest, prune, visibleSessions, type RequestRecord, type Route, type ServerState } from './server.ts'
import { endClient, type ServerClient, type ServerSession } from './session.ts'

/** Answers a WebSocket handshake as the release does, and serves the client. */
export async function answerUpgrade(
  state: ServerState,
  wss: WebSocketServer,
  request: IncomingMessage,
  socket: Socket,
  head: Buffer,
): Promise<void> {
  if (resetForgotten(state.forgotten, socket)) return
  const { record, route } = recordRequest(state, 'websocket', request)
  const fault = state.nextFault('attach')
  if (!(await applyFault(fault, socket, state.closing))) return
  const admission = admit(state, record, route, fault)
  if ('status' in admission) {
    const { status, body = '', headers = {} } = admission
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
    const client = { ws, socket, record, innerEnded: false }
    if (fault === 'drop') endClient(client, SILENT_DROP)
    else if (typeof fault === 'object' && 'refuse' in fault) endClient(client, fault.refuse, fault.body)
    else void serveClient(state, client, record, admission)
  })
}

// ms until the inner server has refused the orchestrator's connection. Messages that arrive before that are lost.
const REFUSAL_TIME = 5
const LONGEST_REASON = 123

/** The answer to a handshake that the server refuses. */
interface HandshakeRefusal {
  readonly status: number
  readonly body?: string
  readonly headers?: Record<string, string>
}

// If a server closes before it accepts the handshake, the client gets an HTTP 403, whatever the close code.
const FORBIDDEN: HandshakeRefusal = { status: 403 }

/** Returns the route of an accepted handshake, or the refusal. */
function admit(
  state: ServerState,
  { query }: RequestRecord,
  route: Route | undefined,
  fault: AppliedFault | undefined,
): HandshakeRefusal | Route {
  const { behaviour, key } = state
  if (typeof fault === 'object' && 'refuse' in fault && fault.refuse < 1000) return { ...fault, status: fault.refuse }
  if (route?.sessionId === undefined) return FORBIDDEN
  if (!behaviour.orchestrator) {
    const named = [...state.sessions].filter(({ id, deleted }) => !deleted && id === route.sessionId)
    return prune(named).length > 0 ? route : FORBIDDEN
  }
  if (!behaviour.keyInHandshake) return route
  const isAllowed = (key === '' || query['token'] === key) && query['user_id'] && isPolicyKnown(state, route)
  return isAllowed ? route : FORBIDDEN
}

/** Authenticates a client, attaches it to its session, and handles its messages. */
async function serveClient(
  state: ServerState,
  client: ServerClient,
  record: RequestRecord,
  route: Route,
): Promise<void> {
  const { behaviour } = state
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
    endClient(client, Buffer.byteLength(found.reason) > LONGEST_REASON ? SILENT_DROP : found.code, found.reason)
    return
  }
  if (refusesInnerConnection(behaviour, found)) {
    await serveRefusedClient(state, client)
    return
  }
  // The server looks the session up by its id. Another session can have that id now.
  const endSession = (): void => {
    for (const session of visibleSessions(state, found)) if (session.id === found.id) session.kill()
  }
  const receive = (frame: Frame): void => {
    // All servers ignore an empty message, and orchestrators do not forward it.
    if (frame.length === 0) return
    // An orchestrator notices the end of its connection when it has a message to forward. It gives no reason.
    if (client.innerEnded) endClient(client, 1000)
    else if (typeof frame === 'string' ? handleText(found, frame) : found.deleted || !found.input(frame)) {
      client.innerEnded = true
      endSession()
      if (!behaviour.orchestrator) endClient(client, behaviour.announcesEnd ? 1000 : SILENT_DROP)
    }
  }
  for (const frame of early) receive(frame)
  ws.on('message', (data, isBinary) => receive(decode(data, isBinary)))
  found.attach(client)
  // An Open Terminal ends the shell with the connection. An orchestrator keeps its connection to the inner server open.
  if (!behaviour.orchestrator) ws.once('close', endSession)
}

/**
 * Returns whether the inner server refuses the orchestrator's connection to a session. The orchestrator never names a
 * chat when it attaches, even if the request that created the session named one.
 */
function refusesInnerConnection(
  { orchestrator, strictSessions }: Behaviour,
  { chatId, inUse }: ServerSession,
): boolean {
  return orchestrator && strictSessions && (chatId !== '' || inUse)
}

/** Serves a client that the inner server has refused: sends nothing, and closes at the first message after the refusal. */
async function serveRefusedClient({ closing }: ServerState, client: ServerClient): Promise<void> {
  client.ws.on('message', (data, isBinary) => {
    if (client.innerEnded && decode(data, isBinary).length > 0) endClient(client, 1000)
  })
  await wait(REFUSAL_TIME, closing)
  client.innerEnded = true
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
