// The bytes that a PTY holds for a shell that is not reading, and how fast the shell of a test upstream reads.
const PTY_BUFFER = 65_535
const PTY_BYTES_PER_MS = 4096

/**
 * Returns a function that accepts the next `length` bytes of input, and returns how many of them fit into a PTY. A server
 * without an input queue drops the rest.
 */
export function createPtyInput(): (length: number) => number {
  // The bytes that the shell has not read yet, as of `lastInput`.
  let backlog = 0
  let lastInput = 0

  return (length) => {
    const now = performance.now()
    backlog = Math.max(0, backlog - (now - lastInput) * PTY_BYTES_PER_MS)
    lastInput = now
    const accepted = Math.min(length, Math.floor(PTY_BUFFER - backlog))
    backlog += accepted
    return accepted
  }
}
