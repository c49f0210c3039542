import type { AbortSignalLike } from '../lib/cancellation.ts'
import { abortable } from '../lib/deadline.ts'
import type { ClientSession } from '../client/client.ts'

// While a replay is made, all sessions wait. So those of one session take at most this part of the time.
const SHARE = 1 / 20
// ms that a client waits at most.
const LONGEST_WAIT = 1_000

/** Lets the clients of one session attach, so that those who do so in a loop take no more than a share of time and memory. */
export class Admission {
  // When the next client may attach, as `performance.now()`.
  #freeAt = 0
  // How many clients have come, and what wakes the last one if it waits.
  #count = 0
  #wake: (() => void) | undefined
  // The last client that has left, or whose terminal was taken over, while its connection is closing.
  #former: ClientSession | undefined

  /**
   * Calls `attach` as soon as a client may attach, at once if nobody has done so lately. Resolves with `undefined` if another
   * client comes meanwhile: that one would take over.
   */
  async enter<T>(signal: AbortSignalLike, attach: () => T): Promise<T | undefined> {
    const number = (this.#count += 1)
    this.#wake?.()
    for (let ms; (ms = this.#freeAt - performance.now()) > 0;) {
      let timer: ReturnType<typeof setTimeout> | undefined
      const turn = new Promise<void>((resolve) => {
        this.#wake = resolve
        timer = setTimeout(resolve, ms)
      })
      await abortable(turn, signal).finally(() => clearTimeout(timer))
      if (this.#count !== number) return undefined
    }
    this.#wake = undefined
    return attach()
  }

  /** Makes a replay, which the clients after it have to wait for. */
  spend<T>(make: () => T): T {
    const since = performance.now()
    try {
      return make()
    } finally {
      const now = performance.now()
      this.#freeAt = now + Math.min(LONGEST_WAIT, (now - since) / SHARE)
    }
  }

  /**
   * A client has left, or its terminal was taken over. If it does not read, its socket holds a replay until it has closed.
   * No session holds more than one of these: the connection of the one before is ended, which has no session any more.
   */
  dismiss(client: ClientSession): void {
    if (this.#former && this.#former.client.bufferedAmount > 0) this.#former.leg.onLost()
    this.#former = client
    void client.summary.promise.then(() => {
      if (this.#former === client) this.#former = undefined
    })
  }
}
