/** Waits, where a test proves that nothing happens in this time. No event can report that. */
export function nothingHappens(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** Returns the number of timers that keep this process alive. */
export function runningTimers(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
}
