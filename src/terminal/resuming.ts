import { Cancellation, type AbortSignalLike } from '../lib/cancellation.ts'
import { delay } from '../lib/deadline.ts'
import { TerminalError } from '../lib/errors.ts'
import { CLOSE_DENIED } from '../upstream/close-codes.ts'
import { isGone, isOwnRefusal, NOT_ACCEPTED, retryAfter } from '../upstream/failures.ts'
import { delayAfter } from './attach.ts'

/** For one try to resume. */
export const TRY_TIMEOUT_MS = 10_000
// Before a second try, also if the first comes at once.
const LEAST_DELAY_MS = 100
// A timer is so late after a sleep. Browsers delay those of hidden pages by up to 60 s.
const LATE_MS = 65_000

/** The tries to resume a session after a cut: when the next one is made, and whether there is one. */
export class Resuming {
  readonly #firstDelay: number
  #tries = 0
  // How often in a row the server itself has refused the key.
  #refusals = 0
  // When it is too late, by `performance.now()`.
  #end: number
  #wait = 0
  #attachedAt = 0

  /** Begins with a cut. The tries go on for `timeout` ms, and the first comes after `firstDelay` ms. */
  constructor(firstDelay: number, timeout: number) {
    this.#firstDelay = firstDelay
    this.#end = performance.now() + timeout
  }

  /**
   * Whether a connection that was cut after `attached` was of no use: it ended before it had lasted as long as the wait
   * before it, and brought nothing new. Then these tries go on, so that a server that drops each client is not dialled
   * for ever.
   */
  goesOn(hasProgress: boolean): boolean {
    return !hasProgress && performance.now() - this.#attachedAt < Math.max(this.#wait, LEAST_DELAY_MS)
  }

  /** Tries until `attach` succeeds. Rejects when the session is gone or the time is over, or when `closing` aborts. */
  async run(attach: () => Promise<void>, closing: AbortSignalLike): Promise<void> {
    // By the limit that is documented: the server has accepted each try, and dropped it again.
    if (this.#tries > 0 && performance.now() >= this.#end) throw new Error('Each connection was dropped at once')
    let problem: unknown
    // Ends the wait before a try. Replaced for each one.
    let wake = new Cancellation()
    const unwatch = watchWakes(() => wake.abort())
    try {
      for (;;) {
        this.#tries += 1
        await this.#pause(retryAfter(problem), wake, closing)
        wake = new Cancellation()
        const startedAt = performance.now()
        try {
          await attach()
          this.#attachedAt = performance.now()
          this.#refusals = 0
          return
        } catch (error) {
          problem = error
        }
        // By the word of the gateway, of the owner, or of the limit that is documented. A sleep during the try proves
        // nothing.
        const now = performance.now()
        const hasSlept = wake.aborted || now - startedAt > TRY_TIMEOUT_MS + LATE_MS
        if (closing.aborted || this.#isOver(problem) || (now >= this.#end && !hasSlept)) throw problem
      }
    } finally {
      unwatch()
    }
  }

  /** Waits before a try. The last try is made when the time is over, however late that is noticed. */
  async #pause(least: number, wake: Cancellation, closing: AbortSignalLike): Promise<void> {
    const first = this.#tries > 1 ? Math.max(this.#firstDelay, LEAST_DELAY_MS) : this.#firstDelay
    this.#wait = Math.max(delayAfter(this.#tries, { delay: first }), least)
    const wait = Math.min(this.#wait, Math.max(0, this.#end - performance.now()))
    const stop = (): void => wake.abort(closing)
    closing.addEventListener('abort', stop)
    try {
      if (closing.aborted) stop()
      await delay(wait, wake).catch(() => {})
    } finally {
      closing.removeEventListener('abort', stop)
    }
    if (closing.aborted) throw closing.reason
  }

  /** Whether the server itself says that the session cannot be resumed, with a key that was asked for anew. */
  #isOver(error: unknown): boolean {
    if (!(error instanceof TerminalError)) return false
    const { code, closeCode, closeReason } = error
    if (isOwnRefusal(error)) return (this.#refusals += 1) > 1
    this.#refusals = 0
    if (code === 'ERR_TERMINAL_IN_USE' || isGone(error)) return true
    // PROTOCOL 8.8: NOT_ACCEPTED says nothing about the session, and the operator may still correct it.
    return code === 'ERR_TERMINAL_FORBIDDEN' && closeCode === CLOSE_DENIED && closeReason !== NOT_ACCEPTED
  }
}

/** The part of `window`, or of another global object, that tells of a wake. Absent in Node. */
interface Target {
  addEventListener?(type: string, listener: () => void): void
  removeEventListener?(type: string, listener: () => void): void
}

/**
 * Calls `onWake` when a page may reach its server again: its network is back, or people look at it again. Does nothing
 * where there is no page. Returns a function that removes the listeners.
 */
export function watchWakes(onWake: () => void): () => void {
  const page: (Target & { readonly visibilityState?: string }) | undefined = globalThis.document
  const onVisibility = (): void => {
    if (page?.visibilityState === 'visible') onWake()
  }
  const watched: ReadonlyArray<[Target | undefined, string, () => void]> = [
    [globalThis, 'online', onWake],
    [globalThis, 'pageshow', onWake],
    [page, 'visibilitychange', onVisibility],
  ]
  for (const [target, type, listener] of watched) target?.addEventListener?.(type, listener)
  return () => {
    for (const [target, type, listener] of watched) target?.removeEventListener?.(type, listener)
  }
}
