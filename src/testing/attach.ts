import { once } from 'node:events'
import type { RawData, WebSocket } from 'ws'
import { wait } from './faults.ts'
import { readJson, type JsonProblem } from './json.ts'
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

/** Returns whether an orchestrator knows the policy of a route. A route without a policy is always known. */
export function isPolicyKnown(state: ServerState, { policyId }: Route): boolean {
  return policyId === undefined || state.knowsPolicy(policyId)
}

/** The code and reason that a server closes a socket with. */
interface ServerClose {
  readonly code: number
  readonly reason: string
}

/** The close code of a connection that ends without a close frame. */
export const SILENT_DROP = 1006
const LATE: ServerClose = { code: 4001, reason: 'Auth timeout or invalid payload' }
const WRONG_KEY: ServerClose = { code: 4001, reason: 'Invalid API key' }
const DROP: ServerClose = { code: SILENT_DROP, reason: '' }
const CLOSES = { late: LATE, refuse: WRONG_KEY, drop: DROP }

/** A WebSocket message: text as a string, binary as bytes. */
export type Frame = string | Uint8Array

/** Converts a message of `ws`. */
export function decode(data: RawData, isBinary: boolean): Frame {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a Buffer with the default binaryType
  const bytes = data as Buffer
  return isBinary ? new Uint8Array(bytes) : bytes.toString()
}

/**
 * Reads the auth frame, if the release wants one, and checks the credentials. Returns the session to attach to, or the
 * code to close with.
 */
export async function findSession(
  state: ServerState,
  { query, headers }: RequestRecord,
  route: Route,
  ws: WebSocket,
  early: Frame[],
): Promise<ServerSession | ServerClose> {
  const { behaviour, key } = state
  let chatInFrame = ''
  if (!behaviour.keyInHandshake && (behaviour.orchestrator || behaviour.strictSessions || key !== '')) {
    const message = await firstMessage(state, ws, early)
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
    if (!isPolicyKnown(state, route)) return { code: 4004, reason: `Policy '${requester.policyId}' not found` }
    const problem = contextProblem(requester.contextId)
    if (problem !== undefined) return { code: 4004, reason: problem }
    state.touch(requester)
  }
  const [session] = prune(visibleSessions(state, requester).filter(({ id }) => id === route.sessionId))
  if (!session) {
    if (behaviour.unknownSession === 'drop') return { code: SILENT_DROP, reason: '' }
    await wait(4 * state.redialDelay, state.closing)
    return { code: 4003, reason: 'Terminal instance not reachable' }
  }
  if (behaviour.orchestrator) return session
  if (!mayUse(state, session, requester)) return { code: 4004, reason: 'Session not found' }
  if (behaviour.strictSessions && session.inUse) return { code: 4009, reason: 'Session already connected' }
  return session
}

/** Resolves with the first message, or with `undefined` if it does not arrive in time. */
async function firstMessage(state: ServerState, ws: WebSocket, early: Frame[]): Promise<Frame | undefined> {
  try {
    await once(ws, 'message', { signal: AbortSignal.timeout(state.authTimeout) })
    return early.shift()
  } catch {
    return undefined
  }
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
