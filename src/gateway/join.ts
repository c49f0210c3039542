import type { IncomingMessage } from 'node:http'
import type { AbortSignalLike } from '../lib/cancellation.ts'
import { askToAuthorize, receiveAuth } from '../proxy/authorize.ts'
import type { ClientSession, ProxySummary } from '../proxy/client-session.ts'
import { Downlink } from '../proxy/downlink.ts'
import type { OpenTerminal } from '../terminal/attach.ts'
import { terminalError } from '../upstream/failures.ts'
import { publish } from './events.ts'
import type { Route } from './route.ts'
import type { Owner, Session } from './session.ts'
import { ownerOf } from './sessions.ts'
import type { GatewayState } from './state.ts'
import { describeClient } from './visitor.ts'

/** Authorizes a client, finds its session, and joins it. */
export async function joinSession(
  client: ClientSession,
  signal: AbortSignalLike,
  request: IncomingMessage,
  route: Route,
  state: GatewayState,
): Promise<OpenTerminal<Downlink>> {
  const visit = new Visit()
  void client.summary.promise.then((summary) => visit.report(summary))
  const owner = await authorize(client, signal, request, route, state)
  visit.userId = owner.userId
  client.isAuthorized = true
  const session = state.sessions.find(String(route.sessionId), owner)
  const action = 'Cannot join a client to its session'
  if (!session) throw terminalError('ERR_TERMINAL_NOT_FOUND', action, 'the user has no session with this id')
  if (session.client) throw terminalError('ERR_TERMINAL_IN_USE', action, 'another client is joined to it')
  visit.sessionId = session.id
  const terminal = connect(client, session, state)
  publish('attached', { userId: owner.userId, sessionId: session.id, ms: visit.attach() })
  return terminal
}

/**
 * Waits for the auth frame, and asks `authorize` for the owner of the client's sessions. A function of its own, so that
 * nothing that lives as long as the client keeps the handshake in memory.
 */
async function authorize(
  { leg, uplink }: ClientSession,
  signal: AbortSignalLike,
  request: IncomingMessage,
  route: Route,
  state: GatewayState,
): Promise<Owner> {
  const { authTimeout } = state.settings
  state.waiting += 1
  try {
    const auth = await receiveAuth(leg, uplink, authTimeout, signal)
    const visitor = describeClient(request, route, auth)
    const upstream = await askToAuthorize(authTimeout, signal, () => state.settings.authorize(visitor))
    return ownerOf(upstream)
  } finally {
    state.waiting -= 1
  }
}

/** Connects both directions of a client to a session. */
function connect(client: ClientSession, session: Session, { settings }: GatewayState): OpenTerminal<Downlink> {
  const { leg, uplink, counters } = client
  const { maxBuffered, keepAlive } = settings
  const { core } = session
  leg.limitBytes(undefined)
  leg.keepAlive(keepAlive)
  leg.deliverTo(uplink)
  uplink.startReading(maxBuffered)
  uplink.startSending(core)
  const sink = session.attach(client, (source) => new Downlink(client.client, maxBuffered, source, counters, leg))
  return { core, sink }
}

/** What the events say of a client. */
class Visit {
  // Absent until the client is authorized.
  userId: string | undefined
  // Absent until it has joined its session.
  sessionId: string | undefined
  // When the client came, and then when it joined.
  #since = performance.now()

  /** The client has joined its session. Returns how many ms that took. */
  attach(): number {
    const since = this.#since
    this.#since = performance.now()
    return this.#since - since
  }

  /** Tells the operator how the client was served. */
  report({ endedBy, code, error, bytesToClient, bytesToUpstream }: ProxySummary): void {
    const { userId, sessionId } = this
    const event = { ...(userId !== undefined && { userId }), code, ...(error && { error }) }
    if (sessionId !== undefined) {
      publish('closed', { ...event, sessionId, bytesToClient, bytesToUpstream, ms: performance.now() - this.#since })
    } else if (endedBy === 'proxy') publish('refused', event)
  }
}
