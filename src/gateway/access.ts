import { isDeepStrictEqual } from 'node:util'
import { BRIEFLY, withDeadline } from '../lib/deadline.ts'
import type { Credentials, RenewedOptions } from '../upstream/credentials.ts'
import { terminalError } from '../upstream/failures.ts'
import type { UpstreamOptions } from '../upstream/resolve.ts'
import { deleteSession, lookUpSession } from '../upstream/sessions.ts'
import { keyOf, type Owner } from './owner.ts'

// A token may be renewed each few minutes, and a session lives for days.
const MOST = 4

/** The credentials that a user has come with, the newest first. All sessions of the user share them. */
export class UserCredentials {
  #list: readonly Credentials[]

  constructor(given: Credentials) {
    this.#list = [pick(given)]
  }

  readonly list = (): readonly Credentials[] => this.#list

  /** Whether they are the user's own. Otherwise they are the operator's. */
  get areUsers(): boolean {
    return areUsers(this.#list[0])
  }

  /** The user has come with these. */
  renew(given: Credentials): void {
    const newest = this.#list.find((each) => isSame(each, given)) ?? pick(given)
    this.#list = [newest, ...this.#list.filter((each) => each !== newest)].slice(0, MOST)
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

  /** Returns the credentials of a user who opens a session with these. */
  open(user: Owner, given: Credentials): UserCredentials {
    const key = keyOf(user)
    const known = this.#users.get(key)?.deref()
    known?.renew(given)
    if (known) return known
    const credentials = new UserCredentials(given)
    this.#users.set(key, new WeakRef(credentials))
    this.#registry.register(credentials, key)
    return credentials
  }
}

/** How a session reaches its upstream. Policy, context and chat stay what they were when it was opened. */
export class Access {
  /** The options for its requests. */
  readonly options: RenewedOptions
  readonly credentials: UserCredentials

  constructor(upstream: UpstreamOptions, credentials: UserCredentials) {
    this.options = { ...upstream, credentials: credentials.list }
    this.credentials = credentials
  }

  /**
   * Asks the upstream whether a session that was deleted is gone. With `isRepeated`, deletes it again first: its owner has
   * asked for that, perhaps with credentials that the upstream accepts by now.
   *
   * @throws {TerminalError} ERR_TERMINAL_UNAVAILABLE unless that is what it says.
   */
  async assertGone(sessionId: string, chatId: string | undefined, isRepeated: boolean): Promise<void> {
    const session = { ...this.options, sessionId, chatId }
    let cause: unknown
    try {
      if (isRepeated) await withDeadline(BRIEFLY, undefined, (signal) => deleteSession({ ...session, signal }))
      if (!(await lookUpSession(session, BRIEFLY, undefined))) return
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

function pick({ authType, key, cookie, headers }: Credentials): Credentials {
  return { authType, key, cookie, headers }
}

function isSame(one: Credentials, other: Credentials): boolean {
  return (
    one.authType === other.authType &&
    one.key === other.key &&
    one.cookie === other.cookie &&
    isDeepStrictEqual(one.headers, other.headers)
  )
}
