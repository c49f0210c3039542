/** A timer that runs while nothing happens. */
export interface SilenceTimer {
  /** Begins the silence anew: something has been sent or received. */
  readonly reset: () => void
  readonly stop: () => void
}

/**
 * Calls `onSilence` after each of the `delays` (ms since the last reset), and then no more until it is stirred again.
 *
 * One timer of the runtime however often it is reset: a flood does that a hundred thousand times a second.
 */
export function createSilenceTimer(delays: readonly number[], onSilence: () => void): SilenceTimer {
  let last = performance.now()
  let step = 0
  let stopped = false
  let timer: ReturnType<typeof setTimeout> | undefined

  function arm(): void {
    const due = delays[step]
    if (stopped || due === undefined) return
    timer = setTimeout(check, Math.ceil(last + due - performance.now()), due)
  }

  function check(due: number): void {
    const silent = performance.now() - last >= due
    if (silent) step += 1
    arm()
    if (silent) onSilence()
  }

  arm()
  return {
    reset() {
      last = performance.now()
      if (step === 0) return
      step = 0
      clearTimeout(timer)
      arm()
    },
    stop() {
      stopped = true
      clearTimeout(timer)
    },
  }
}
