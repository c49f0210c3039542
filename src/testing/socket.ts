import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { RawData, WebSocketServer } from 'ws'
import { decode, findSession, policyFound, SILENT_DROP, type Frame } from './attach.ts'
import { pause, resetForgotten, applyFault, type TestFault } from './faults.ts'
import { readJson } from './json.ts'
import type { Behaviour } from './releases.ts'
import { openRecord, prune, visibleSessions, type RequestRecord, type Route, type ServerState } from './server.ts'
import { endClient, type Client, type ServerSession } from './session.ts'

/** Answers one WebSocket handshake as the release would, and whatever follows it. */
export async function answerUpgrade(
  state: ServerState,
  wss: WebSocketServer,
  request: IncomingMessage,
  socket: Socket,
  head: Buffer,
): Promise<void> {
  if (resetForgotten(state.forgotten, socket)) return
  const { record, route } = openRecord(state, 'websocket', request)
  const fault = state.nextFault('attach')
  if (!(await applyFault(fault, socket, state.closing))) return
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
    const client = { ws, socket, record, legEnded: false }
    if (fault === 'drop') endClient(client, SILENT_DROP)
    else if (typeof fault === 'object' && 'refuse' in fault) endClient(client, fault.refuse, fault.body)
    else void serve(state, client, record, admitted)
  })
}

// ms that an inner server takes to refuse a leg. What a client sends meanwhile is lost.
const REFUSAL = 5
const LONGEST_REASON = 123

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

async function serve(state: ServerState, client: Client, record: RequestRecord, route: Route): Promise<void> {
  const { behaviour } = state
  const { ws } = client
  // Messages that come before the decision are part of the terminal's input.
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
  if (refusesLeg(behaviour, found)) {
    await serveRefused(state, client)
    return
  }
  // By its id, which may have become that of another.
  const forget = (): void => {
    for (const session of visibleSessions(state, found)) if (session.id === found.id) session.kill()
  }
  const receive = (frame: Frame): void => {
    // No server takes notice of an empty message, and no orchestrator passes one on.
    if (frame.length === 0) return
    // An orchestrator finds its leg gone when it has something to pass on, and does not say why.
    if (client.legEnded) endClient(client, 1000)
    else if (typeof frame === 'string' ? poisons(found, frame) : found.deleted) {
      client.legEnded = true
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

/**
 * Whether the Open Terminal behind an orchestrator refuses the orchestrator's leg to a session. The leg names no chat,
 * although the request that created the session has named one.
 */
function refusesLeg({ orchestrator, strictSessions }: Behaviour, { chatId, taken }: ServerSession): boolean {
  return orchestrator && strictSessions && (chatId !== '' || taken)
}

/** Serves a client whose leg is refused: sends nothing, and closes at the first message that finds the leg gone. */
async function serveRefused({ closing }: ServerState, client: Client): Promise<void> {
  client.ws.on('message', (data, isBinary) => {
    if (client.legEnded && decode(data, isBinary).length > 0) endClient(client, 1000)
  })
  await pause(REFUSAL, closing)
  client.legEnded = true
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
