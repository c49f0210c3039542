import { Cancellation, type AbortSignalLike } from './cancellation.ts'

/** `setTimeout` treats a longer time as 1 ms. */
export const LONGEST_TIMER_MS = 2_147_483_647

/** Settles as `promise` does, or rejects with the signal's reason when the signal aborts. Leaves no listener behind. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignalLike | undefined): Promise<T> {
  if (!signal) return promise
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason)
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort)
    void promise.then(resolve, reject).then(() => signal.removeEventListener('abort', abort))
  })
}

/**
 * Resolves after `ms`, or rejects with the signal's reason when the signal aborts. Leaves no timer behind. With
 * `isUnref`, the process may end before.
 */
export function delay(ms: number, signal: AbortSignalLike, isUnref = false): Promise<undefined> {
  let timer: ReturnType<typeof setTimeout>
  const elapsed = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ms, undefined)
    // In browsers, a timer is a number.
    if (isUnref) Object(timer).unref?.()
  })
  return abortable(elapsed, signal).finally(() => clearTimeout(timer))
}

/** A time limit on a whole task: a signal that aborts when the time is over. */
export interface Deadline extends AbortSignalLike {
  stop(): void
}

/**
 * Returns a deadline that aborts after `ms` with the value of `expired`, or when `outer` aborts, with its reason. With
 * `isUnref`, the process may end before.
 */
export function startDeadline(
  ms: number,
  outer: AbortSignalLike | undefined,
  expired: () => unknown,
  isUnref = false,
): Deadline {
  const deadline = new Cancellation()
  const follow = (): void => deadline.abort(outer?.reason)
  const timer = setTimeout(() => deadline.abort(expired()), ms)
  // In browsers, a timer is a number.
  if (isUnref) Object(timer).unref?.()
  if (outer?.aborted) follow()
  else outer?.addEventListener('abort', follow)
  return Object.assign(deadline, {
    stop() {
      clearTimeout(timer)
      outer?.removeEventListener('abort', follow)
    },
  })
}

/** How long a request may take in the background, whose answer the caller does not need. */
export const BRIEFLY_MS = 3_000

/**
 * Calls `act` with a signal that aborts after `ms` with the value of `late`, or when `outer` aborts, with its reason.
 * Rejects with the same, even if the promise of `act` never settles.
 */
export async function withDeadline<T>(
  ms: number,
  outer: AbortSignalLike | undefined,
  act: (limit: AbortSignalLike) => Promise<T>,
  late: () => unknown = () => Object.assign(new Error(`no answer in ${ms} ms`), { code: 'ETIMEDOUT' }),
): Promise<T> {
  const deadline = startDeadline(ms, outer, late)
  try {
    return await abortable(act(deadline), deadline)
  } finally {
    deadline.stop()
  }
}
