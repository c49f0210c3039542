import type { AbortSignalLike } from '../lib/cancellation.ts'
import { abortable } from '../lib/deadline.ts'
import { CLOSE_GOING_AWAY } from '../upstream/close-codes.ts'
import { isFull } from './answers.ts'
import { isSameUser, keyOf, type Owner } from './owner.ts'
import type { Session } from './session.ts'

// The reason for the upstream, with the end of a parked session.
export const MADE_ROOM = 'Ended to make room for another session'

// How long it is remembered that the end of a parked session has not helped. Limits and servers change.
const MEMORY_MS = 300_000

/** Makes room on upstreams that are full by ending parked sessions. */
export class Room {
  /** Whether no session goes for another any more. */
  isClosed = false
  readonly #sessions: ReadonlyMap<string, Session>
  readonly #openings: Iterable<{ readonly owner: Owner }>
  // The last turn at each upstream that has one.
  readonly #turns = new Map<string, Promise<unknown>>()
  // When the end of a session made no room: keyed by the user if it was the user's own, otherwise by the
  // upstream.
  readonly #useless = new Map<string, number>()

  /** Gets all sessions of a gateway, and those that are being opened. */
  constructor(sessions: ReadonlyMap<string, Session>, openings: Iterable<{ readonly owner: Owner }>) {
    this.#sessions = sessions
    this.#openings = openings
  }

  /**
   * Opens a session. If the upstream is full, ends one parked session and tries once more, in turn with all others: a
   * place that was made for one is not taken by another.
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
    const parked = this.isClosed ? undefined : this.#choose(owner)
    if (!parked) throw full
    const since = performance.now()
    // On the word of a limit: the upstream's own, whose place must be free before it can be taken.
    await parked.end(CLOSE_GOING_AWAY, MADE_ROOM)
    try {
      return await attach()
    } catch (error) {
      // Nothing follows if somebody else has got the place.
      const isTaken = this.#at(owner).some(({ createdAt }) => createdAt >= since)
      if (isFull(error) && !isTaken) this.#useless.set(limitOf(parked.owner, owner), performance.now())
      throw error
    }
  }

  /**
   * Returns the session to end for a user: the one that the user has left first. If there is none, the one that was
   * left first of the user with the most sessions, if that user has more than the one who comes would have.
   */
  #choose(owner: Owner): Session | undefined {
    const there = this.#at(owner)
    const parked = there.filter((session) => session.parkedAt !== undefined).sort(byTime)
    const own = parked.find((session) => isSameUser(session.owner, owner))
    const wanted = [...there, ...this.#openings].filter((each) => isSameUser(each.owner, owner)).length
    const count = ({ owner: { userId } }: Session): number =>
      there.filter((session) => session.owner.userId === userId).length
    // The sort is stable: of users with as many, the session that was left first.
    const [others] = [...parked].sort((one, other) => count(other) - count(one))
    const chosen = own ?? (others && count(others) > wanted ? others : undefined)
    return chosen && this.#mayHelp(limitOf(chosen.owner, owner)) ? chosen : undefined
  }

  /** Returns the sessions that hold a place of the user's upstream. */
  #at({ base }: Owner): Session[] {
    return [...this.#sessions.values()].filter((session) => session.isOpen && session.owner.base === base)
  }

  #mayHelp(key: string): boolean {
    for (const [name, at] of this.#useless) if (performance.now() - at >= MEMORY_MS) this.#useless.delete(name)
    return !this.#useless.has(key)
  }
}

/** Orders sessions by when they were left. */
export function byTime(one: Session, other: Session): number {
  return Number(one.parked?.at) - Number(other.parked?.at)
}

/** What is remembered: an upstream's limit may be one for each user, and then only one's own sessions take a place. */
function limitOf(ended: Owner, user: Owner): string {
  return isSameUser(ended, user) ? keyOf(user) : user.base
}
