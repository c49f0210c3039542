import { once } from 'node:events'
import type { RawData, WebSocket } from 'ws'
import { pause } from './faults.ts'
import { readJson, type NoObject } from './json.ts'
import type { Behaviour } from './releases.ts'
import {
  contextProblem,
  mayUse,
  prune,
  visibleSessions,
  type RequestRecord,
  type Route,
  type ServerState,
} from './server.ts'
import type { ServerSession, TestOwner } from './session.ts'

/** Whether an orchestrator knows the policy of a route, if the route names one. */
export function policyFound(state: ServerState, { policyId }: Route): boolean {
  return policyId === undefined || state.knowsPolicy(policyId)
}

/** How a server closes a socket. */
interface Close {
  readonly code: number
  readonly reason: string
}

/** What no close frame can say: the connection just ends. */
export const SILENT_DROP = 1006
const LATE: Close = { code: 4001, reason: 'Auth timeout or invalid payload' }
const WRONG_KEY: Close = { code: 4001, reason: 'Invalid API key' }
const DROP: Close = { code: SILENT_DROP, reason: '' }
const CLOSES = { late: LATE, refuse: WRONG_KEY, drop: DROP }

/** A message: text as a string, binary as bytes. */
export type Frame = string | Uint8Array

/** Makes a frame of what `ws` tells of a message. */
export function decode(data: RawData, isBinary: boolean): Frame {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what it is unless binaryType says otherwise
  const bytes = data as Buffer
  return isBinary ? new Uint8Array(bytes) : bytes.toString()
}

/** Returns the session to attach to, or the code to close with. */
export async function findSession(
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
    state.touch(asking)
  }
  const [session] = prune(visibleSessions(state, asking).filter(({ id }) => id === route.sessionId))
  if (!session) {
    if (behaviour.unknownSession === 'drop') return { code: SILENT_DROP, reason: '' }
    await pause(4 * state.redialDelay, state.closing)
    return { code: 4003, reason: 'Terminal instance not reachable' }
  }
  if (behaviour.orchestrator) return session
  if (!mayUse(state, session, asking)) return { code: 4004, reason: 'Session not found' }
  if (behaviour.strictSessions && session.taken) return { code: 4009, reason: 'Session already connected' }
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
