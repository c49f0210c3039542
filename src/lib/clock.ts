/** An object that the clock calls about ten times a second. */
export interface Ticking {
  /** `now` is the current `performance.now()`, in ms. */
  tick(now: number): void
}

// ms. Fine enough for silences of a second and more, and cheap for thousands of sessions.
const INTERVAL = 100

const members = new Set<Ticking>()

// Runs while there are members. One timer for all sessions: thousands of timers cost memory and CPU.
let timer: ReturnType<typeof setInterval> | undefined

/** Calls an object from now on, until {@link stopTicking}. */
export function startTicking(member: Ticking): void {
  members.add(member)
  timer ??= setInterval(tickAll, INTERVAL)
}

/** Calls an object no more. */
export function stopTicking(member: Ticking): void {
  members.delete(member)
  if (members.size > 0) return
  clearInterval(timer)
  timer = undefined
}

function tickAll(): void {
  const now = performance.now()
  for (const member of members) member.tick(now)
}
