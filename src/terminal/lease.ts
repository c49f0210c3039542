import { abortable, BRIEFLY, delay, withDeadline } from '../lib/deadline.ts'
import { TerminalError } from '../lib/errors.ts'
import { isCut } from '../upstream/protocol.ts'
import { createSession, deleteTerminalSession, type TerminalSessionOptions } from '../upstream/sessions.ts'
import type { UpstreamOptions } from '../upstream/resolve.ts'

/** The session that a terminal runs in, and the duty to end it. */
export interface Lease {
  /** Returns the id; creates the session if there is none yet. */
  acquire(upstream: UpstreamOptions, signal: AbortSignal): Promise<string>
  /** Whether the session was created here, so that it can be replaced, and is deleted in the end. */
  isOwned(): boolean
  /** Resolves when the session has been deleted, or when that took too long; never rejects. */
  release(): Promise<void>
  /** Gives the session up without deleting it. Returns whether it was owned. */
  disown(): boolean
}

// ms. An orchestrator starts a container first, and creates the session although the caller has given up.
const ORPHAN_PATIENCE = 30_000
// ms before the second try to delete a session; then it doubles.
const DELETE_DELAY = 250

/** Holds a session of our own, deleted when the terminal ends, however it ends; or the caller's, which never is. */
export function leaseSession(named: string | undefined): Lease {
  // The session that was created, and as whom: only the same user and chat may delete it.
  let owned: TerminalSessionOptions | undefined

  return {
    async acquire(upstream, signal) {
      const known = named ?? owned?.sessionId
      if (known !== undefined) return known
      signal.throwIfAborted()
      // Not cancelled with the caller: the server would create the session all the same, and its id would be lost.
      const patience = new AbortController()
      const background = new AbortController()
      const creating = createSession({ ...upstream, signal: patience.signal }, background.signal)
      try {
        const { id } = await abortable(creating, signal)
        owned = { ...upstream, sessionId: id }
        return id
      } catch (error) {
        background.abort()
        const timer = setTimeout(() => patience.abort(), ORPHAN_PATIENCE)
        // A silent server must not keep the process alive. (The timers of browsers are numbers.)
        Object(timer).unref?.()
        void creating
          .then(
            ({ id }) => remove({ ...upstream, sessionId: id }),
            () => {},
          )
          .finally(() => clearTimeout(timer))
        throw error
      }
    },
    isOwned: () => owned !== undefined,
    async release() {
      const session = owned
      owned = undefined
      if (session) await remove(session)
    },
    disown() {
      const was = owned !== undefined
      owned = undefined
      return was
    },
  }
}

/** Deletes a session; resolves when it is gone, or when that took too long. */
async function remove(session: TerminalSessionOptions): Promise<void> {
  await withDeadline(BRIEFLY, undefined, async (signal) => {
    for (let wait = DELETE_DELAY; ; wait *= 2) {
      try {
        await deleteTerminalSession({ ...session, signal })
        return
      } catch (error) {
        if (!mayPassSoon(error)) throw error
        await delay(wait, signal)
      }
    }
    // The caller has ended the terminal, and cannot do anything about a server that does not answer.
  }).catch(() => {})
}

/** Whether a reverse proxy answered instead of its server, which may be back in a moment, or the connection was cut. */
function mayPassSoon(error: unknown): boolean {
  return isCut(error) || (error instanceof TerminalError && [404, 502, 503, 504].includes(error.status ?? 0))
}
