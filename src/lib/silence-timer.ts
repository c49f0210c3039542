/** A timer that fires when nothing has happened for a while. */
export interface SilenceTimer {
  /** Starts the silence anew, because something was sent or received. */
  readonly reset: () => void
  readonly stop: () => void
}

/**
 * Calls `onSilence` after each of the `delays`, in ms since the last reset. After the last delay, only a reset starts it
 * again.
 *
 * A reset only notes the time, because a flood of messages resets it a hundred thousand times a second.
 */
export function createSilenceTimer(delays: readonly number[], onSilence: () => void): SilenceTimer {
  // The time of the last reset.
  let last = performance.now()
  // The index of the delay that runs out next.
  let step = 0
  // `onSilence` may stop the timer, and then it must not be armed again.
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
