import type { IncomingMessage } from 'node:http'
import type { AbortSignalLike } from '../lib/cancellation.ts'
import type { TerminalError } from '../lib/errors.ts'
import { receiveAuth } from '../client/authorize.ts'
import type { ClientSession, JoinedTerminal, ProxyEnd } from '../client/client.ts'
import { explainThrown } from '../client/closing.ts'
import type { FirstMessage } from '../client/messages.ts'
import { CLOSE_TRY_AGAIN } from '../upstream/close-codes.ts'
import { terminalError } from '../upstream/failures.ts'
import { answerForAuthorize, isRefused, WrongReturn } from './answers.ts'
import { endOfWrongReturn, TAKEN_OVER } from './ends.ts'
import type { Owner } from './owner.ts'
import type { Route } from './route.ts'
import type { GatewayState } from './state.ts'
import { Visit } from './visit.ts'
import { describeClient } from './visitor.ts'

const NOT_NOW: ProxyEnd = { endedBy: 'proxy', code: CLOSE_TRY_AGAIN, reason: 'Not authorized, try again later' }

/** Authorizes a client, finds its session, and joins it. */
export async function joinSession(
  client: ClientSession,
  signal: AbortSignalLike,
  request: IncomingMessage,
  route: Route,
  state: GatewayState,
): Promise<JoinedTerminal | undefined> {
  const visit = new Visit(client)
  const authorized = await authorize(visit, signal, request, route, state)
  if (!authorized) return undefined
  const { owner, offset, generation } = authorized
  state.strangers.delete(client)
  visit.userId = owner.userId
  client.isAuthorized = true
  const session = state.sessions.find(String(route.sessionId), owner)
  visit.refusal = 'not-found'
  if (!session) throw notFound()
  // On the word of the owner, who has gone on with another client since: this one may have slept meanwhile.
  if (!session.generations.enter(generation)) {
    visit.refusal = 'forbidden'
    client.finish(TAKEN_OVER)
    return undefined
  }
  const { leg, uplink } = client
  const { maxBuffered, keepAlive } = state.settings
  leg.limitBytes(undefined)
  leg.keepAlive(keepAlive)
  leg.deliverTo(uplink)
  uplink.startReading(maxBuffered)
  const joined = await session.admission.enter(signal, () => {
    if (session.isEnding) throw notFound()
    return session.attach(visit, offset)
  })
  // Another client of the owner takes the terminal over, also from one that has not got it yet.
  if (!joined) {
    visit.refusal = 'forbidden'
    client.finish(TAKEN_OVER)
  }
  return joined
}

function notFound(): TerminalError {
  const why = 'the user has no session with this id'
  return terminalError('ERR_TERMINAL_NOT_FOUND', 'Cannot join a client to its session', why)
}

/**
 * Waits for the auth frame, and asks `authorize` for the owner of the client's sessions. Resolves with `undefined` if it has
 * not answered: then the client has been told to come again. A function of its own, so that
 * nothing that lives as long as the client keeps the handshake in memory.
 */
async function authorize(
  visit: Visit,
  signal: AbortSignalLike,
  request: IncomingMessage,
  route: Route,
  { authorizer, sessions, settings, strangers }: GatewayState,
): Promise<(Omit<FirstMessage, 'auth'> & { owner: Owner }) | undefined> {
  const { client } = visit
  const { leg, uplink } = client
  strangers.add(client)
  const { auth, ...resumed } = await receiveAuth(leg, uplink, settings.authTimeout, signal)
  const visitor = describeClient(request, route, auth)
  strangers.setAsking(client, true)
  try {
    const authorization = await authorizer.ask(visitor, signal)
    sessions.renew(authorization)
    return { owner: authorization.owner, ...resumed }
  } catch (error) {
    visit.refusal = answerForAuthorize(error).reason
    if (WrongReturn.is(error)) {
      client.finish(endOfWrongReturn(error))
      return undefined
    }
    if (isRefused(error)) throw error
    // `authorize` has said nothing about the client, so its connection ends, and nothing else.
    client.finish({ ...NOT_NOW, error: explainThrown(error, false).error })
    return undefined
  } finally {
    strangers.setAsking(client, false)
  }
}
