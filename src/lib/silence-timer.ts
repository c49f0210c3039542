/** Something that waits for silence. */
export interface Watch {
  /** Something has been sent or received. */
  readonly stir: () => void
  readonly stop: () => void
}

/**
 * Calls `onSilence` after each of the `delays` (ms since the last stir), and then no more until it is stirred again.
 *
 * One timer however often it is stirred: a flood stirs it a hundred thousand times a second.
 */
export function watchSilence(delays: readonly number[], onSilence: () => void): Watch {
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
    stir() {
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
