const CARRIAGE_RETURN = 13
const LINE_FEED = 10
const TILDE = 126
const DOT = 46
// More than anybody types between two reads: it has been pasted, and a paste may have anything in it.
const MOST_KEYS = 16

/** Looks for `~.` in what is typed, as ssh does; returns what is to be sent, and whether it was there. */
export type ReadKeys = (keys: Uint8Array) => { readonly send: Uint8Array; readonly detach: boolean }

/** A `~` at the start of a line waits for what follows: `.` detaches, another `~` sends one, anything else both. */
export function createEscape(): ReadKeys {
  let isLineStart = true
  let isTilde = false
  return (keys) => {
    const send: number[] = []
    const isTyped = keys.length <= MOST_KEYS
    for (const key of keys) {
      if (isTilde && key === DOT) return { send: Uint8Array.from(send), detach: true }
      const isFirstTilde = isTyped && isLineStart && !isTilde && key === TILDE
      if (isTilde && key !== TILDE) send.push(TILDE)
      if (!isFirstTilde) send.push(key)
      isTilde = isFirstTilde
      isLineStart = key === CARRIAGE_RETURN || key === LINE_FEED
    }
    return { send: Uint8Array.from(send), detach: false }
  }
}
