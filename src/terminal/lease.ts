import { Cancellation, throwIfAborted, type AbortSignalLike } from '../lib/cancellation.ts'
import { abortable } from '../lib/deadline.ts'
import type { RequestControl } from '../upstream/http.ts'
import type { RequestOptions } from '../upstream/options.ts'
import { createSession, type SessionRequestOptions } from '../upstream/sessions.ts'
import { removeSession } from './removal.ts'

// An orchestrator starts a container first, and creates the session even if the caller has given up (PROTOCOL 3.10).
const ORPHAN_TIMEOUT_MS = 30_000

// Asks a gateway for a session of its own, and not one that its user has left. Others ignore it.
const NEW_ONLY = 'resume=0'

interface Created {
  readonly sessionId: string
  readonly upstream: RequestOptions
  readonly isBehindOrchestrator: boolean
  /** Whether a server has opened a connection to it. */
  wasOpened: boolean
}

/**
 * Holds the session of a terminal. Deletes it at the end if that is wanted, because an orchestrator would keep its
 * shell (PROTOCOL 6.6). (A lease has no time limit here.)
 */
export class Lease {
  readonly #named: string | undefined
  // Whether the session is deleted when its terminal ends.
  #deleteAtEnd: boolean
  // The session that was created, with its user and chat: only they may delete it.
  #created: Created | undefined
  // The sessions that a server did not know right after they had been created. Another replica may have them.
  readonly #lost: Created[] = []

  /** Leases the session with this id, or creates one when it is first needed. */
  constructor(sessionId: string | undefined, deleteAtEnd: boolean) {
    this.#named = sessionId
    this.#deleteAtEnd = deleteAtEnd
  }

  /** Returns the session's id. Creates the session if there is none yet. */
  async acquire(upstream: RequestOptions, signal: AbortSignalLike): Promise<string> {
    const known = this.#named ?? this.#created?.sessionId
    if (known !== undefined) return known
    throwIfAborted(signal)
    // Not cancelled with the caller: the server would still create the session, and its id would be lost.
    const patience = new Cancellation()
    const control: RequestControl = {}
    const creating = createSession({ ...upstream, signal: patience }, control, NEW_ONLY)
    try {
      const { session, isBehindOrchestrator } = await abortable(creating, signal)
      this.#created = { sessionId: session.id, upstream, isBehindOrchestrator, wasOpened: false }
      return session.id
    } catch (error) {
      control.release?.()
      const timer = setTimeout(() => patience.abort(), ORPHAN_TIMEOUT_MS)
      // A silent server must not keep the process alive. (In browsers, a timer is a number.)
      Object(timer).unref?.()
      void creating
        .then(
          ({ session }) => removeSession({ ...upstream, sessionId: session.id }, { wasOpened: false }),
          () => {},
        )
        .finally(() => clearTimeout(timer))
      throw error
    }
  }

  /** Which session it is: one that was named, or one that was created by a server, or by an orchestrator. */
  get origin(): 'named' | 'server' | 'orchestrator' {
    if (!this.#created) return 'named'
    return this.#created.isBehindOrchestrator ? 'orchestrator' : 'server'
  }

  /**
   * Whether the end of the terminal has to end its shell over the connection: it is deleted, and an orchestrator may be
   * in between. Of a session that was named, nobody has told.
   */
  get endsShell(): boolean {
    return this.#deleteAtEnd && this.origin !== 'server'
  }

  /** Notes that a server has opened a connection to the session, so that it knows the session. */
  noteOpened(): void {
    if (this.#created) this.#created.wasOpened = true
  }

  /** The owner wants the session of an open terminal to stay. */
  keep(): void {
    this.#deleteAtEnd = false
  }

  /** Ends the lease of an open terminal. Deletes the session unless it is kept, as `release` does. */
  async end(session: SessionRequestOptions, generation?: string): Promise<void> {
    if (this.#deleteAtEnd) await removeSession(session, { wasOpened: true, generation })
  }

  /**
   * Deletes the session if it was created here. Resolves after that, or when it takes too long, with whether it was.
   * Never rejects.
   */
  async release(): Promise<boolean> {
    const created = this.#created
    await Promise.all([created && removeCreated(created), this.releaseLost()])
    return this.disown()
  }

  /** Deletes the sessions of {@link lose}, as `release` does. */
  async releaseLost(): Promise<void> {
    // Where the chat is the id of the session (PROTOCOL 2.7), the next one may have the same.
    const lost = this.#lost.splice(0).filter(({ sessionId }) => sessionId !== this.#created?.sessionId)
    await Promise.all(lost.map(removeCreated))
  }

  /** Sets a session that a server does not know aside for `releaseLost`. Returns whether it was created here. */
  lose(): boolean {
    // A server that has opened a connection to it has ended it.
    if (this.#created && !this.#created.wasOpened) this.#lost.push(this.#created)
    return this.disown()
  }

  /** Forgets the session without deleting it. Returns whether it was created here. */
  disown(): boolean {
    const wasOwned = this.#created !== undefined
    this.#created = undefined
    return wasOwned
  }
}

function removeCreated(created: Created): Promise<void> {
  return removeSession({ ...created.upstream, sessionId: created.sessionId }, created)
}
