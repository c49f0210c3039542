/** ms; setTimeout takes anything longer for 1 ms. */
export const LONGEST_TIMER: number = 2 ** 31 - 1

/** Settles as `promise` does, but rejects with the signal's reason once that aborts; leaves no listener behind. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason)
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort)
    void promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

/** Resolves with `undefined` after `ms`, or rejects with the signal's reason; leaves no timer behind. */
export function delay(ms: number, signal: AbortSignal): Promise<undefined> {
  let timer: ReturnType<typeof setTimeout>
  const elapsed = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ms, undefined)
  })
  return abortable(elapsed, signal).finally(() => clearTimeout(timer))
}

/** A limit on the whole of something, which the caller's own signal can bring forward. */
export interface Deadline {
  readonly signal: AbortSignal
  stop(): void
}

/** Aborts after `ms` with what `expired` returns, or as soon as `outer` aborts, with its reason. */
export function startDeadline(ms: number, outer: AbortSignal | undefined, expired: () => unknown): Deadline {
  // AbortSignal.any would do, but Node has it only since 20.3, and it keeps its sources alive.
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

/** ms for what a server is asked in the background, where only this package needs the answer. */
export const BRIEFLY = 3_000

/**
 * Calls with a signal that aborts after `ms`, with what `late` returns, or with `outer`. Rejects then, even if the call
 * does not settle.
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
