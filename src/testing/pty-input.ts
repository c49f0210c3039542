// The bytes that a PTY takes at once for a program that reads, and how fast the program reads.
const PTY_BUFFER_BYTES = 65_535
const PTY_BYTES_PER_MS = 4096
// What it takes for a program that does not read (PROTOCOL 5.9).
const UNREAD_BYTES = 21_504

/** A shell's own function for input. Its promise resolves when the shell reads on. */
type ReadInput = (data: Uint8Array) => void | Promise<void>

/**
 * Returns the function that types into a shell. It returns `false` if that has failed, which ends the session.
 *
 * A server with an input queue (`keepsUnread`) keeps what the shell has not read. On the others, what does not fit into
 * the PTY is lost, and a write to a PTY that is full because its program does not read fails.
 */
export function createInput(read: ReadInput, keepsUnread: boolean): (data: Uint8Array) => boolean {
  // What the shell has not read; it may be reading the first.
  const queue: Uint8Array[] = []
  let unread = 0
  // Bytes that the shell has got before it has had the time to read them, as of `lastInput`.
  let backlog = 0
  let lastInput = 0

  async function deliver(): Promise<void> {
    for (let data; (data = queue[0]);) {
      const done = read(data)
      // Without a promise, the next input is delivered in the same turn.
      if (done) await done
      unread -= data.length
      queue.shift()
    }
  }

  function cutToRoom(data: Uint8Array): Uint8Array {
    const now = performance.now()
    backlog = Math.max(0, backlog - (now - lastInput) * PTY_BYTES_PER_MS)
    lastInput = now
    const room = unread > 0 ? UNREAD_BYTES - unread : PTY_BUFFER_BYTES - backlog
    const accepted = data.subarray(0, Math.floor(room))
    backlog += accepted.length
    return accepted
  }

  return (data) => {
    if (!keepsUnread && unread >= UNREAD_BYTES) return false
    const accepted = keepsUnread ? data : cutToRoom(data)
    unread += accepted.length
    if (queue.push(accepted) === 1) void deliver()
    return true
  }
}
