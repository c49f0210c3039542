/** An object that the clock calls about ten times a second. */
export interface Ticking {
  /** `now` is the current `performance.now()`, in ms. */
  tick(now: number): void
}

// ms. Fine enough for silences of a second and more, and cheap for thousands of sessions.
const INTERVAL = 100

const members = new Set<Ticking>()

// Runs while there are members. One timer for all sessions: thousands of timers cost memory and CPU.
let timer: ReturnType<typeof setTimeout> | undefined

/** Calls an object from now on, until {@link stopTicking}. */
export function startTicking(member: Ticking): void {
  members.add(member)
  timer ??= setTimeout(tickAll, INTERVAL)
}

/** Calls an object no more. */
export function stopTicking(member: Ticking): void {
  members.delete(member)
  if (members.size > 0) return
  clearTimeout(timer)
  timer = undefined
}

function tickAll(): void {
  // First, because a member may stop the clock.
  timer = setTimeout(tickAll, INTERVAL)
  const now = performance.now()
  for (const member of members) member.tick(now)
}
