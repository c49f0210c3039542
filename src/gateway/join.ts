import type { IncomingMessage } from 'node:http'
import type { AbortSignalLike } from '../lib/cancellation.ts'
import type { TerminalError } from '../lib/errors.ts'
import { receiveAuth, type TerminalClient } from '../client/authorize.ts'
import type { Client, JoinedSession } from '../client/client.ts'
import { explainThrown } from '../client/closing.ts'
import type { FirstMessage } from '../client/messages.ts'
import { terminalError } from '../upstream/failures.ts'
import { answerForAuthorize, isRefused, WrongReturn } from './answers.ts'
import { endOfWrongReturn, NOT_NOW, TAKEN_OVER } from './ends.ts'
import { ClientReport } from './events.ts'
import type { Owner } from './owner.ts'
import { recheck } from './recheck.ts'
import { clientOf, type Route } from './route.ts'
import type { GatewayState } from './sessions.ts'
import { Watchers } from './watchers.ts'

/** Authorizes a client, finds its session, and joins it. */
export async function joinSession(
  client: Client,
  signal: AbortSignalLike,
  request: IncomingMessage,
  route: Route,
  state: GatewayState,
): Promise<JoinedSession | undefined> {
  const report = new ClientReport(client)
  const authorized = await authorize(report, signal, request, route, state)
  if (!authorized) return undefined
  const { owner, offset, generation, described } = authorized
  state.strangers.delete(client)
  report.userId = owner.userId
  client.admit(state.settings.keepAlive, state.settings.maxBuffered)
  const session = state.sessions.find(String(route.sessionId), owner)
  report.refusal = 'not-found'
  if (!session) throw notFound()
  let joined: JoinedSession | undefined
  if (report.watcher) {
    if (!session.isOpen) throw notFound()
    session.watchers ??= new Watchers(session)
    joined = session.watchers.join(report, offset ?? null)
    if (!joined) return undefined
  } else if (session.admission.renew(generation)) {
    joined = await session.admission.enter(signal, () => {
      if (session.isEnding) throw notFound()
      return session.attach(report, offset)
    })
  }
  if (joined && described) recheck(client, described, session, state)
  if (joined) return joined
  // On the word of the owner, who has gone on with another client: since this one had the session, or while it waited.
  report.refusal = 'forbidden'
  client.finish(TAKEN_OVER)
  return undefined
}

/** A client that `authorize` has let in. */
interface Authorized extends Omit<FirstMessage, 'auth'> {
  readonly owner: Owner
  /** What it has said of itself. Absent unless `authorize` is asked again. */
  readonly described?: TerminalClient
}

function notFound(): TerminalError {
  const why = 'the user has no session with this id'
  return terminalError('ERR_TERMINAL_NOT_FOUND', 'Cannot join a client to its session', why)
}

/**
 * Waits for the auth frame, and asks `authorize` for the owner of the client's sessions. Resolves with `undefined` if
 * it has not answered: then the client has been told to come again. A function of its own, so that nothing that lives
 * as long as the client keeps the handshake in memory.
 */
async function authorize(
  report: ClientReport,
  signal: AbortSignalLike,
  request: IncomingMessage,
  route: Route,
  { authorizer, settings, strangers }: GatewayState,
): Promise<Authorized | undefined> {
  const { client } = report
  strangers.add(client)
  const { auth, ...resumed } = await receiveAuth(client.connection, client.input, settings.authTimeout, signal)
  const described = clientOf(request, route, auth)
  strangers.setAsking(client, true)
  if (auth.watch) report.watcher = { watch: true }
  try {
    const { owner, watchedBy } = await authorizer.ask(described, signal)
    if (auth.watch && watchedBy !== undefined) report.watcher = { watch: true, watchedBy }
    return { owner, ...resumed, ...(settings.recheckEvery > 0 && { described }) }
  } catch (error) {
    report.refusal = answerForAuthorize(error).reason
    if (WrongReturn.is(error)) client.finish(endOfWrongReturn(error))
    else if (isRefused(error)) throw error
    // `authorize` has said nothing about the client, so its connection ends, and nothing else.
    else client.finish({ ...NOT_NOW, error: explainThrown(error, false).error })
    return undefined
  } finally {
    strangers.setAsking(client, false)
  }
}
