import type { TestOwner } from './session.ts'

// How often the reaper checks during one `idleTimeout`.
const CHECKS_PER_TIMEOUT = 4

/** Returns a key for the container of a session or a command: one per user, policy and context. */
export function containerOf({ userId, policyId, contextId }: TestOwner): string {
  return JSON.stringify([userId, policyId, contextId])
}

/**
 * Tears down each container that has been idle for `idleTimeout` ms, until `closing` aborts. Returns a function that
 * notes that a container is in use.
 */
export function startReaper(
  idleTimeout: number,
  started: ReadonlyArray<TestOwner & { tearDown(): void }>,
  closing: AbortSignal,
): (owner: TestOwner) => void {
  const lastUse = new Map<string, number>()

  function reap(): void {
    for (const [container, usedAt] of lastUse) {
      if (performance.now() - usedAt < idleTimeout) continue
      lastUse.delete(container)
      for (const each of started) if (containerOf(each) === container) each.tearDown()
    }
  }

  const timer = setInterval(reap, idleTimeout / CHECKS_PER_TIMEOUT).unref()
  closing.addEventListener('abort', () => clearInterval(timer))
  return (owner) => void lastUse.set(containerOf(owner), performance.now())
}
