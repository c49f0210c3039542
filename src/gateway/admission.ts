import type { AbortSignalLike } from '../lib/cancellation.ts'
import { abortable } from '../lib/deadline.ts'
import type { Client } from '../client/client.ts'

// While a replay is made, all sessions wait. So those of one session take at most this part of the time.
const SHARE = 1 / 20
const LONGEST_WAIT_MS = 1_000

// How long a session is kept for the client that has got it in the answer to its POST.
const RESERVED_MS = 30_000
// How long that client alone may attach. Two windows that open at once get two shells. People who open a terminal again
// because it has failed need longer, and get the same one.
const ATTACH_PATIENCE_MS = 2_000

/** A parked session that may be kept for a client. */
interface ReservedSession {
  readonly admission: Admission
  readonly reservation: Reservation | undefined
  readonly timer: { readonly left: number } | undefined
  wait(ms: number, reservation?: Reservation): void
}

/** Keeps a session for the client that has got it in the answer to its POST. `keepFor` stands still meanwhile. */
export class Reservation {
  readonly #since = performance.now()
  readonly #session: ReservedSession
  /** How much was left of `keepFor`, in ms. */
  readonly left: number

  private constructor(session: ReservedSession) {
    this.#session = session
    this.left = session.reservation?.left ?? Number(session.timer?.left)
  }

  /** Keeps a session for a client, or for another one than before. */
  static make(session: ReservedSession): void {
    if (session.reservation) session.admission.supersededAt = performance.now()
    session.wait(RESERVED_MS, new Reservation(session))
  }

  /** Whether another client may have the session: the one that has got it does not come. */
  get isStale(): boolean {
    return performance.now() - this.#since >= ATTACH_PATIENCE_MS
  }

  /** The client does not come. The session waits for any, unless it is kept for another one by now. */
  giveBack(): void {
    if (this.#session.reservation === this) this.#session.wait(this.left)
  }
}

/** Lets the clients of one session in, one after another. */
export class Admission {
  #generation = 0
  /** When another client has got a reservation instead of the one before, as `performance.now()`. */
  supersededAt: number = -Infinity
  // When the next client may attach, as `performance.now()`.
  #freeAt = 0
  // How many clients have come, and what wakes the last one if it waits.
  #count = 0
  #wake: (() => void) | undefined
  // The last client that has left, or whose session was taken over, while its connection is closing.
  #former: Client | undefined

  /**
   * What a client that has attached is told, and hands back when it comes again (PROTOCOL 8.6). So a page that wakes
   * does not take back what its user has taken over elsewhere.
   */
  get generation(): string {
    return String(this.#generation)
  }

  /** Whether a DELETE may be that of a client whose reservation another one has got: it has never attached. */
  get expectsLateDelete(): boolean {
    return performance.now() - this.supersededAt < RESERVED_MS
  }

  /** Whether another client has come since this generation was handed out. */
  isOld(generation: string | undefined): boolean {
    return generation !== undefined && generation !== this.generation
  }

  /** Lets a client begin the next generation if it has none. Returns `false` if another one has come since its own. */
  renew(generation: string | undefined): boolean {
    if (this.isOld(generation)) return false
    if (generation === undefined) this.#generation += 1
    return true
  }

  /**
   * Calls `attach` as soon as a client may attach: at once if nobody has done so lately, and otherwise so late that
   * clients that do it in a loop take little time and memory. Resolves with `undefined` if another client
   * comes meanwhile: that one would take over.
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
      this.#freeAt = now + Math.min(LONGEST_WAIT_MS, (now - since) / SHARE)
    }
  }

  /**
   * A client has left, or its session was taken over. If it does not read, its socket holds a replay until it has
   * closed. No session holds more than one of these: the connection of the one before is ended, which has no session
   * any more.
   */
  dismiss(client: Client): void {
    if (this.#former && this.#former.socket.bufferedAmount > 0) this.#former.socket.terminate()
    this.#former = client
    void client.summary.promise.then(() => {
      if (this.#former === client) this.#former = undefined
    })
  }
}
