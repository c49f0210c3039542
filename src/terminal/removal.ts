import type { AbortSignalLike } from '../lib/cancellation.ts'
import { BRIEFLY_MS, delay, startDeadline, withDeadline } from '../lib/deadline.ts'
import { TerminalError } from '../lib/errors.ts'
import { isOwnRefusal, isUnavailable, retryAfter } from '../upstream/failures.ts'
import type { RequestControl } from '../upstream/http.ts'
import { deleteSession, type SessionRequestOptions } from '../upstream/sessions.ts'

// Before the second try. The delay doubles with each try.
const FIRST_DELAY_MS = 250
const LONGEST_DELAY_MS = 8_000
// An Open Terminal waits 3 s for a shell to end before it answers.
const TRY_TIMEOUT_MS = 15_000
// After that, the server keeps the session: it has refused to delete it all the time.
export const REMOVAL_PATIENCE_MS = 60_000

/** What is known of a session that is deleted. */
export interface Removal {
  /** Whether a server has opened a connection to it. Only then does a 404 say that it is gone. */
  readonly wasOpened: boolean
  /** The last generation that a gateway has named. It keeps a session that another client has now (PROTOCOL 8.6). */
  readonly generation?: string | undefined
}

/**
 * Deletes a session, on the word of the caller. Tries again if the DELETE was refused for a while. Resolves when it is
 * deleted, or after 3 s; then it goes on in the background, for a minute in all, and does not keep the process alive.
 */
export async function removeSession(session: SessionRequestOptions, removal: Removal): Promise<void> {
  // Where the chat is the id of the session (PROTOCOL 2.7), a later DELETE would end the next session of the chat.
  const patience = session.sessionId === session.chatId ? BRIEFLY_MS : REMOVAL_PATIENCE_MS
  const late = startDeadline(patience, undefined, () => new Error('The server does not delete the session'), true)
  const control: RequestControl = {}
  // Ignored: the caller has ended the terminal, and can do nothing about a server that does not answer.
  const removing = removeInTheEnd(session, removal, control, late).catch(() => {})
  void removing.then(() => late.stop())
  await withDeadline(BRIEFLY_MS, undefined, () => removing).catch(() => {
    control.isReleased = true
    control.release?.()
  })
}

async function removeInTheEnd(
  session: SessionRequestOptions,
  { wasOpened, generation }: Removal,
  control: RequestControl,
  late: AbortSignalLike,
): Promise<void> {
  let wait = FIRST_DELAY_MS
  for (let refusals = 0; ; wait = Math.min(2 * wait, LONGEST_DELAY_MS)) {
    let least = 0
    const limit = startDeadline(TRY_TIMEOUT_MS, late, () => new Error('No answer to the DELETE'), true)
    try {
      const wasThere = await deleteSession({ ...session, signal: limit }, { control, generation })
      // A 404 of a session that was never opened may come from another replica, which does not know it.
      if (wasThere || wasOpened) return
    } catch (error) {
      if (isOwnRefusal(error)) refusals += 1
      if (refusals > 1 || !mayPass(error)) throw error
      least = retryAfter(error)
    } finally {
      limit.stop()
    }
    await delay(Math.max(wait, least), late, true)
  }
}

/**
 * Whether another try may succeed: the server cannot be reached, or a proxy answered for it, or the key is no longer,
 * or could not be asked for.
 */
function mayPass(error: unknown): boolean {
  if (!(error instanceof TerminalError)) return true
  const { status = 0 } = error
  return isUnavailable(error) || [401, 404, 408].includes(status)
}
