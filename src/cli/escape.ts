const CARRIAGE_RETURN = 13
const LINE_FEED = 10
const TILDE = 126
const DOT = 46
// A user does not type more keys between two reads. More keys are a paste, which may contain any text.
const MAX_TYPED_KEYS = 16

/** Looks for `~.` in typed keys, as ssh does. Returns the keys to send, and whether to detach. */
export type ReadKeys = (keys: Uint8Array) => { readonly send: Uint8Array; readonly detach: boolean }

/**
 * Returns a function that holds back a `~` at the start of a line until the next key: `.` detaches, a second `~` sends
 * one `~`, any other key sends both.
 */
export function createEscape(): ReadKeys {
  // Both say what the last key was: the next key may come in another read.
  let isLineStart = true
  let isTildeHeld = false
  return (keys) => {
    const send: number[] = []
    const isTyped = keys.length <= MAX_TYPED_KEYS
    for (const key of keys) {
      if (isTildeHeld && key === DOT) return { send: Uint8Array.from(send), detach: true }
      const isFirstTilde = isTyped && isLineStart && !isTildeHeld && key === TILDE
      if (isTildeHeld && key !== TILDE) send.push(TILDE)
      if (!isFirstTilde) send.push(key)
      isTildeHeld = isFirstTilde
      isLineStart = key === CARRIAGE_RETURN || key === LINE_FEED
    }
    return { send: Uint8Array.from(send), detach: false }
  }
}
