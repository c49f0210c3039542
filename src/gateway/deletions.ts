import { PATIENCE } from '../terminal/removal.ts'
import type { Access } from './access.ts'
import { mayUse, type Owner } from './owner.ts'
import type { Session } from './session.ts'

/** A session that its owner has deleted, and of which the upstream has not said yet that it is gone. */
export interface Deletion {
  readonly owner: Owner
  readonly access: Access
  /** The ids at the upstream. */
  readonly sessionId: string
  readonly chatId: string | undefined
  /** When its terminal gives up deleting it, as `performance.now()`. */
  readonly until: number
}

/** The deletions that are not done. An owner who asks for one again must not be told that it is. */
export class Deletions {
  readonly #deletions = new Map<string, Deletion>()

  add({ id, owner, access, core: { sessionId, chatId } }: Session): Deletion {
    const deletion = { owner, access, sessionId, chatId, until: performance.now() + PATIENCE }
    // Where the chat is the id of the session (PROTOCOL 2.7), another DELETE could end the next session of the chat.
    if (sessionId !== chatId) this.#deletions.set(id, deletion)
    return deletion
  }

  /** Returns the deletion of a session, for its owner only. */
  find(id: string, owner: Owner): Deletion | undefined {
    const now = performance.now()
    // The server keeps them: it has refused to delete them all the time.
    for (const [old, { until }] of this.#deletions) if (until <= now) this.#deletions.delete(old)
    const deletion = this.#deletions.get(id)
    return deletion && mayUse(owner, deletion.owner) ? deletion : undefined
  }

  /** The upstream has said that the session is gone. */
  delete(id: string): void {
    this.#deletions.delete(id)
  }
}
