import { abortable } from '../lib/deadline.ts'
import type { AbortSignalLike } from '../lib/cancellation.ts'
import { Deferred } from '../lib/deferred.ts'

interface Waiter {
  readonly most: number
  readonly turn: Deferred
}

/** What runs at a server at once, and who waits for a place, first come, first served. */
class Places {
  readonly #waiters: Waiter[] = []
  #taken = 0

  get isEmpty(): boolean {
    return this.#taken === 0 && this.#waiters.length === 0
  }

  /** Resolves when fewer than `most` places are taken, and takes one; rejects when the signal aborts. */
  async take(most: number, signal: AbortSignalLike | undefined): Promise<void> {
    const waiter = { most, turn: new Deferred() }
    this.#waiters.push(waiter)
    this.#next()
    try {
      await abortable(waiter.turn.promise, signal)
    } catch (error) {
      const index = this.#waiters.indexOf(waiter)
      if (index === -1) this.leave()
      else this.#waiters.splice(index, 1)
      this.#next()
      throw error
    }
  }

  leave(): void {
    this.#taken -= 1
    this.#next()
  }

  #next(): void {
    for (let first; (first = this.#waiters[0]) && this.#taken < first.most;) {
      this.#waiters.shift()
      this.#taken += 1
      first.turn.resolve()
    }
  }
}

const byServer = new Map<string, Places>()

/**
 * Calls `act` when fewer than `most` calls for the same server are under way in this process: a server with as many
 * commands as it has threads answers nobody (PROTOCOL 9.14).
 */
export async function withPlace<T>(
  server: string,
  most: number,
  signal: AbortSignalLike | undefined,
  act: () => Promise<T>,
): Promise<T> {
  const places = byServer.get(server) ?? new Places()
  byServer.set(server, places)
  try {
    await places.take(most, signal)
    try {
      return await act()
    } finally {
      places.leave()
    }
  } finally {
    if (places.isEmpty) byServer.delete(server)
  }
}
