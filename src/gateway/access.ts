import { isDeepStrictEqual } from 'node:util'
import { BRIEFLY, withDeadline } from '../lib/deadline.ts'
import type { Credentials, RenewedOptions } from '../upstream/credentials.ts'
import { terminalError } from '../upstream/failures.ts'
import type { UpstreamOptions } from '../upstream/resolve.ts'
import { deleteSession, lookUpSession } from '../upstream/sessions.ts'
import type { Owner } from './owner.ts'

// A token may be renewed each few minutes, and a session lives for days.
const MOST = 4

/** How a session reaches its upstream: with the credentials that its owner has come with last, or a few before. */
export class Access {
  readonly owner: Owner
  /** The options for its requests. */
  readonly options: RenewedOptions
  #credentials: readonly Credentials[]

  constructor(upstream: UpstreamOptions, owner: Owner) {
    this.owner = owner
    this.#credentials = [pick(upstream)]
    this.options = { ...upstream, credentials: () => this.#credentials }
  }

  /** The owner has come with these. Policy, context and chat of the session stay what they are. */
  renew(given: Credentials): void {
    const newest = this.#credentials.find((each) => isSame(each, given)) ?? pick(given)
    this.#credentials = [newest, ...this.#credentials.filter((each) => each !== newest)].slice(0, MOST)
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
