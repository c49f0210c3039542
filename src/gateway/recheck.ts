import { Cancellation } from '../lib/cancellation.ts'
import type { TerminalClient } from '../client/authorize.ts'
import type { Client, ProxyEnd } from '../client/client.ts'
import { explainThrown } from '../client/closing.ts'
import { terminalError } from '../upstream/failures.ts'
import { answerForAuthorize } from './answers.ts'
import type { Session } from './session.ts'
import type { GatewayState } from './sessions.ts'

// So much earlier at most, so that clients that came together are not asked for together for ever.
const JITTER = 1 / 10

// The answers to what `authorize` has thrown: come with another token, and stay away.
const HTTP_UNAUTHORIZED = 401
const HTTP_FORBIDDEN = 403

/** Asks `authorize` again and again whether a client may stay, until it has left. */
export function recheck(
  client: Client,
  described: TerminalClient,
  session: Session,
  { authorizer, settings: { recheckEvery } }: GatewayState,
): void {
  const leaving = new Cancellation()
  let timer: ReturnType<typeof setTimeout>
  const ask = async (): Promise<void> => {
    try {
      const { owner } = await authorizer.ask(described, leaving)
      if (owner.userId !== session.owner.userId) {
        throw terminalError('ERR_TERMINAL_FORBIDDEN', 'Cannot go on with a session', 'it belongs to another user')
      }
    } catch (error) {
      const { status } = answerForAuthorize(error)
      if (status === HTTP_UNAUTHORIZED || status === HTTP_FORBIDDEN) {
        await revoke(client, session, { endedBy: 'proxy', ...explainThrown(error, true) }, status === HTTP_FORBIDDEN)
      }
    }
    if (!leaving.aborted) wait()
  }
  const wait = (): void => {
    timer = setTimeout(() => void ask(), recheckEvery * (1 - JITTER * Math.random()))
    timer.unref()
  }
  wait()
  void client.summary.promise.then(() => {
    leaving.abort()
    clearTimeout(timer)
  })
}

/**
 * On the word of `authorize`, a client may not stay. Whoever looks on loses only that. Otherwise the session is parked
 * for a client with a new token, or ends if it `isOver`. One whose session was taken over meanwhile has none to lose.
 */
async function revoke(client: Client, session: Session, end: ProxyEnd, isOver: boolean): Promise<void> {
  const isJoined = session.client?.client === client
  const mustEnd = isJoined && (isOver || session.settings.keepFor === 0)
  if (isJoined && !mustEnd) session.park(end.code)
  // First, so that the event says why.
  client.finish(end)
  if (mustEnd) await session.end(end.code, end.reason)
}
