import type { ServerSession, TestOwner } from './session.ts'

// How often the reaper looks in the time that a container may be idle.
const LOOKS = 4

function containerOf({ userId, policyId, contextId }: TestOwner): string {
  return JSON.stringify([userId, policyId, contextId])
}

/**
 * Tears down each container that has been idle for `idleTimeout` ms, until `closing` aborts. Returns a function that
 * notes that a container is in use.
 */
export function startReaper(
  idleTimeout: number,
  started: readonly ServerSession[],
  closing: AbortSignal,
): (owner: TestOwner) => void {
  const lastUse = new Map<string, number>()

  function reap(): void {
    for (const [container, at] of lastUse) {
      if (performance.now() - at < idleTimeout) continue
      lastUse.delete(container)
      for (const session of started) if (containerOf(session) === container) session.tearDown()
    }
  }

  const timer = setInterval(reap, idleTimeout / LOOKS).unref()
  closing.addEventListener('abort', () => clearInterval(timer))
  return (owner) => void lastUse.set(containerOf(owner), performance.now())
}
