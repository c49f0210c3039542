import { isDeepStrictEqual } from 'node:util'
import { BRIEFLY_MS, withDeadline } from '../lib/deadline.ts'
import { REMOVAL_PATIENCE_MS } from '../terminal/removal.ts'
import type { Credentials, RenewedOptions } from '../upstream/renewed-credentials.ts'
import { terminalError } from '../upstream/failures.ts'
import type { UpstreamOptions } from '../upstream/options.ts'
import { deleteSession, lookUpSession } from '../upstream/sessions.ts'

/** The owner of a session: only a client with the same owner finds it. */
export interface Owner {
  readonly base: string
  readonly userId: string
  readonly chatId: string | undefined
}

export function isSameUser(one: Owner, other: Owner): boolean {
  return one.base === other.base && one.userId === other.userId
}

/** Whether a client may use a session of the owner. One with a chat is found only with this chat. */
export function mayUse(client: Owner, owner: Owner): boolean {
  return isSameUser(client, owner) && (owner.chatId === undefined || owner.chatId === client.chatId)
}

/** Returns a text that is the same for the same user of the same upstream only. */
export function keyOf({ base, userId }: Owner): string {
  return JSON.stringify([base, userId])
}

// A token may be renewed each few minutes, and a session lives for days.
const MOST_CREDENTIALS = 4

/** The credentials that a user has come with, the newest first. All sessions of the user share them. */
class UserCredentials {
  #list: readonly Credentials[] = []

  readonly list = (): readonly Credentials[] => this.#list

  /** The user has come with these. */
  renew({ authType, key, cookie, headers }: Credentials): void {
    const given = { authType, key, cookie, headers }
    // Each stays the same object: that is how a request knows which it has tried.
    const newest = this.#list.find((each) => isDeepStrictEqual(each, given)) ?? given
    this.#list = [newest, ...this.#list.filter((each) => each !== newest)].slice(0, MOST_CREDENTIALS)
  }
}

/** The credentials of all users who have a session, also one that is being opened or ended. */
export class Keyring {
  // Weak, because a DELETE that is tried again in the background needs them after its session, and ends unnoticed.
  readonly #users = new Map<string, WeakRef<UserCredentials>>()
  readonly #registry = new FinalizationRegistry<string>((key) => {
    if (!this.#users.get(key)?.deref()) this.#users.delete(key)
  })

  /** A user has come with these. They are kept if the user has a session. */
  renew(user: Owner, given: Credentials): void {
    this.#users.get(keyOf(user))?.deref()?.renew(given)
  }

  /** Returns how a session is reached that a user opens with these options. */
  open(user: Owner, upstream: UpstreamOptions): Access {
    const key = keyOf(user)
    let credentials = this.#users.get(key)?.deref()
    if (!credentials) {
      credentials = new UserCredentials()
      this.#users.set(key, new WeakRef(credentials))
      this.#registry.register(credentials, key)
    }
    credentials.renew(upstream)
    return new Access(upstream, credentials)
  }
}

/** How a session reaches its upstream. Policy, context and chat stay what they were when it was opened. */
export class Access {
  /** The options for its requests. */
  readonly options: RenewedOptions
  readonly #credentials: UserCredentials

  constructor(upstream: UpstreamOptions, credentials: UserCredentials) {
    this.options = { ...upstream, credentials: credentials.list }
    this.#credentials = credentials
  }

  /** Whether the newest credentials are the user's own. */
  get areUsers(): boolean {
    return areUsers(this.#credentials.list()[0])
  }

  /**
   * Asks the upstream whether a session that was deleted is gone. With `isRepeated`, deletes it again first: its owner
   * has asked for that, perhaps with credentials that the upstream accepts by now.
   *
   * @throws {TerminalError} ERR_TERMINAL_UNAVAILABLE unless that is what it says.
   */
  async assertGone(sessionId: string, chatId: string | undefined, isRepeated: boolean): Promise<void> {
    const session = { ...this.options, sessionId, chatId }
    let cause: unknown
    try {
      if (isRepeated) await withDeadline(BRIEFLY_MS, undefined, (signal) => deleteSession({ ...session, signal }))
      if (!(await lookUpSession(session, BRIEFLY_MS, undefined))) return
    } catch (error) {
      cause = error
    }
    const why = 'the upstream has not said that it is gone'
    throw terminalError('ERR_TERMINAL_UNAVAILABLE', 'Cannot delete the session', why, { cause })
  }
}

/** Whether credentials are the user's own token, which the user can renew. Otherwise they are the operator's. */
export function areUsers({ authType = 'bearer' }: Credentials = {}): boolean {
  return authType === 'session' || authType === 'system_oauth'
}

/** A session that its owner has deleted, and of which the upstream has not said yet that it is gone. */
interface Deletion {
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

  add(
    id: string,
    owner: Owner,
    access: Access,
    { sessionId, chatId }: Pick<Deletion, 'sessionId' | 'chatId'>,
  ): Deletion {
    const deletion = { owner, access, sessionId, chatId, until: performance.now() + REMOVAL_PATIENCE_MS }
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
