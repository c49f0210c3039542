import { abortable, askBriefly } from './deadline.ts'
import { createTerminalSession, deleteTerminalSession } from './sessions.ts'
import type { UpstreamOptions } from './upstream.ts'

/** The session that a terminal runs in, and whose it is to end. */
export interface Lease {
  /** Returns the id, creating the session if there is none yet. */
  acquire(signal: AbortSignal): Promise<string>
  /** Resolves when the session has been deleted, or when that took too long; never rejects. */
  release(): Promise<void>
  /** The session is not, or no longer, ours: it will not be deleted. Returns whether it was. */
  disown(): boolean
}

// An orchestrator starts a container first, and what was asked for is made even when nobody waits for it any more.
const ORPHAN_PATIENCE = 30_000

/** A session of our own, deleted when the terminal ends, however it ends; or the caller's, which never is. */
export function leaseSession(options: UpstreamOptions, named: string | undefined): Lease {
  let owned: string | undefined

  async function remove(sessionId: string): Promise<void> {
    // Best effort: whoever ends a terminal cannot do anything about a server that does not answer.
    await askBriefly((signal) => deleteTerminalSession({ ...options, sessionId, signal })).catch(() => {})
  }

  return {
    async acquire(signal) {
      const known = named ?? owned
      if (known !== undefined) return known
      signal.throwIfAborted()
      // Not cancelled with the caller: the server would create the session all the same, and nobody would know its id.
      const patience = new AbortController()
      const creating = createTerminalSession({ ...options, signal: patience.signal })
      try {
        owned = (await abortable(creating, signal)).id
        return owned
      } catch (error) {
        const timer = setTimeout(() => patience.abort(), ORPHAN_PATIENCE)
        void creating
          .then(
            ({ id }) => remove(id),
            () => {},
          )
          .finally(() => clearTimeout(timer))
        throw error
      }
    },
    async release() {
      if (owned !== undefined) await remove(owned)
    },
    disown() {
      const was = owned !== undefined
      owned = undefined
      return was
    },
  }
}
