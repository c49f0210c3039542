/** ms. `setTimeout` treats a longer time as 1 ms. */
export const LONGEST_TIMER = 2_147_483_647

/** Settles as `promise` does, or rejects with the signal's reason when the signal aborts. Leaves no listener behind. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason)
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort)
    void promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

/** Resolves after `ms`, or rejects with the signal's reason when the signal aborts. Leaves no timer behind. */
export function delay(ms: number, signal: AbortSignal): Promise<undefined> {
  let timer: ReturnType<typeof setTimeout>
  const elapsed = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ms, undefined)
  })
  return abortable(elapsed, signal).finally(() => clearTimeout(timer))
}

/** A time limit on a whole task. */
export interface Deadline {
  readonly signal: AbortSignal
  stop(): void
}

/** Returns a deadline whose signal aborts after `ms` with the value of `expired`, or when `outer` aborts, with its reason. */
export function startDeadline(ms: number, outer: AbortSignal | undefined, expired: () => unknown): Deadline {
  // Not AbortSignal.any: Node has it only since 20.3, and it keeps its sources alive.
  const controller = new AbortController()
  const follow = (): void => controller.abort(outer?.reason)
  const timer = setTimeout(() => controller.abort(expired()), ms)
  if (outer?.aborted) follow()
  else outer?.addEventListener('abort', follow)
  return {
    signal: controller.signal,
    stop() {
      clearTimeout(timer)
      outer?.removeEventListener('abort', follow)
    },
  }
}

/** ms for a request in the background, whose answer the caller does not need. */
export const BRIEFLY = 3_000

/**
 * Calls `act` with a signal that aborts after `ms` with the value of `late`, or when `outer` aborts, with its reason.
 * Rejects with the same, even if the promise of `act` never settles.
 */
export async function withDeadline<T>(
  ms: number,
  outer: AbortSignal | undefined,
  act: (limit: AbortSignal) => Promise<T>,
  late: () => unknown = () => Object.assign(new Error(`no answer in ${ms} ms`), { code: 'ETIMEDOUT' }),
): Promise<T> {
  const deadline = startDeadline(ms, outer, late)
  try {
    return await abortable(act(deadline.signal), deadline.signal)
  } finally {
    deadline.stop()
  }
}
