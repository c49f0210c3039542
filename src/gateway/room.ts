import type { AbortSignalLike } from '../lib/cancellation.ts'
import { abortable } from '../lib/deadline.ts'
import { hasCode } from '../lib/errors.ts'
import { CLOSE_GOING_AWAY } from '../upstream/close-codes.ts'
import { isSameUser, keyOf, type Owner } from './owner.ts'
import type { Session } from './session.ts'

// The reason for the upstream, with the end of a parked session.
export const MADE_ROOM = 'Ended to make room for another session'

// ms for which it is remembered that the end of a parked session has not helped. Limits and servers change.
const MEMORY = 300_000

/**
 * Whether an upstream has no place for another session: only its own words count (PROTOCOL 2.3). Any proxy on the way may
 * answer 429, too, because of the rate of the requests.
 */
export function isFull(error: unknown): boolean {
  return (
    hasCode(error, 'ERR_TERMINAL_LIMIT') &&
    error.status === 429 &&
    /maximum number of terminal sessions/i.test(error.why)
  )
}

/** What the room of an upstream is made from. */
export interface Places {
  /** The sessions that hold a place of an upstream. */
  readonly sessions: Iterable<Session>
  /** The sessions that are being opened. */
  readonly openings: Iterable<{ readonly owner: Owner }>
}

/** Makes room on upstreams that are full, by the end of parked sessions. */
export class Room {
  readonly #places: () => Places
  // The last turn at each upstream that has one.
  readonly #turns = new Map<string, Promise<unknown>>()
  // What has not helped, and when it was tried: the end of one's own session, by the user; of another's, by the upstream.
  readonly #useless = new Map<string, number>()

  constructor(places: () => Places) {
    this.#places = places
  }

  /**
   * Opens a session. If the upstream is full, ends one parked session and tries once more, in turn with all others: a place
   * that was made for one is not taken by another.
   */
  async open<T>(owner: Owner, signal: AbortSignalLike, attach: () => Promise<T>): Promise<T> {
    const { base } = owner
    const before = this.#turns.get(base)
    let full: unknown
    if (!before) {
      try {
        return await attach()
      } catch (error) {
        if (!isFull(error)) throw error
        full = error
      }
    }
    // Another turn may have begun meanwhile. After that, what the upstream has said is old.
    const last = this.#turns.get(base)
    const turn = (async () => {
      if (last) await abortable(last, signal)
      return this.#take(owner, attach, last ? undefined : full)
    })()
    // A client that leaves does not end the turn before.
    const settled = Promise.allSettled([last, turn])
    this.#turns.set(base, settled)
    try {
      return await turn
    } finally {
      if (this.#turns.get(base) === settled) this.#turns.delete(base)
    }
  }

  /** `full` is the error with which the upstream has just said that it is full; absent if it has not been asked. */
  async #take<T>(owner: Owner, attach: () => Promise<T>, full: unknown): Promise<T> {
    try {
      if (full === undefined) return await attach()
    } catch (error) {
      if (!isFull(error)) throw error
      full = error
    }
    const parked = this.#choose(owner)
    if (!parked) throw full
    const since = performance.now()
    // On the word of a limit: the upstream's own, whose place must be free before it can be taken.
    await parked.end(CLOSE_GOING_AWAY, MADE_ROOM)
    try {
      return await attach()
    } catch (error) {
      // Nothing follows if somebody else has got the place.
      const isTaken = [...this.#places().sessions].some(
        (session) => session.owner.base === owner.base && session.createdAt >= since,
      )
      if (isFull(error) && !isTaken) this.#useless.set(limitOf(parked.owner, owner), performance.now())
      throw error
    }
  }

  /**
   * Returns the session to end for a user: the one that the user has left first. If there is none, the one that was left
   * first of the user with the most sessions, if that user has more than the one who comes would have.
   */
  #choose(owner: Owner): Session | undefined {
    const { sessions, openings } = this.#places()
    const there = [...sessions].filter((session) => session.owner.base === owner.base)
    const parked = there.filter((session) => session.parkedAt !== undefined).sort(byTime)
    const own = parked.find((session) => isSameUser(session.owner, owner))
    const wanted = [...there, ...openings].filter((each) => isSameUser(each.owner, owner)).length
    const count = ({ owner: { userId } }: Session): number =>
      there.filter((session) => session.owner.userId === userId).length
    // The sort is stable: of users with as many, the session that was left first.
    const [others] = [...parked].sort((one, other) => count(other) - count(one))
    const chosen = own ?? (others && count(others) > wanted ? others : undefined)
    return chosen && this.#mayHelp(limitOf(chosen.owner, owner)) ? chosen : undefined
  }

  #mayHelp(key: string): boolean {
    for (const [name, at] of this.#useless) if (performance.now() - at >= MEMORY) this.#useless.delete(name)
    return !this.#useless.has(key)
  }
}

/** Orders sessions by when they were left. */
export function byTime(one: Session, other: Session): number {
  return Number(one.parkedAt) - Number(other.parkedAt)
}

/** What is remembered: an upstream's limit may be one for each user, so that only one's own sessions take one's places. */
function limitOf(ended: Owner, user: Owner): string {
  return isSameUser(ended, user) ? keyOf(user) : user.base
}
