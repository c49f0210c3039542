// A share is what one session may move in one turn of the event loop, in bytes and per direction, so that its flood does
// not delay other sessions.

/** The share for messages of a client. */
export const INPUT_SHARE: number = 64 * 1024

// The shares for output. A larger share makes a flood faster, and the keystrokes of other sessions slower (test/bench
// measures both), so a session has the large one only while no other session has output.
const OUTPUT_SHARE_ALONE = 512 * 1024
const OUTPUT_SHARE_IN_COMPANY = 64 * 1024
// ms after the last output of another session: people stop to think between two keys.
const COMPANY_STAYS = 10_000

// The session that has begun the latest turn with output.
let lastSession: object | undefined
// When a session other than the one before has begun a turn.
let lastChange = -Infinity

/** Returns how many bytes of output a session may move in the turn that it begins. */
export function claimOutputShare(session: object): number {
  const now = performance.now()
  if (lastSession && lastSession !== session) lastChange = now
  lastSession = session
  return now - lastChange < COMPANY_STAYS ? OUTPUT_SHARE_IN_COMPANY : OUTPUT_SHARE_ALONE
}

/** Forgets a session that has ended, so that it is no company for the next one. */
export function releaseOutputShare(session: object): void {
  if (lastSession === session) lastSession = undefined
}
