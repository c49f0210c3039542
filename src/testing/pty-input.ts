// The bytes that a PTY takes at once for a program that reads, and how fast the program reads.
const PTY_BUFFER = 65_535
const PTY_BYTES_PER_MS = 4096
// The bytes that it takes for a program that does not read (PROTOCOL 5.9).
const UNREAD_LIMIT = 21_504

/** The input of a shell. */
export interface PtyInput {
  /** Writes input. Returns `false` if that has failed, which ends the session. */
  write(data: Uint8Array): boolean
}

/** A shell's own function for input. Its promise resolves when the shell reads on. */
type ReadInput = (data: Uint8Array) => void | Promise<void>

/**
 * The input of a shell on a server without an input queue: what does not fit into the PTY is lost. If a program does not
 * read, a write to the full PTY fails.
 */
export function createPtyInput(read: ReadInput): PtyInput {
  const deliver = createQueue(read)
  // Bytes that the shell has got before it has had the time to read them, as of `lastInput`.
  let backlog = 0
  let lastInput = 0
  return {
    write(data) {
      const now = performance.now()
      backlog = Math.max(0, backlog - (now - lastInput) * PTY_BYTES_PER_MS)
      lastInput = now
      if (deliver.waiting >= UNREAD_LIMIT) return false
      const room = deliver.waiting > 0 ? UNREAD_LIMIT - deliver.waiting : PTY_BUFFER - backlog
      const accepted = data.subarray(0, Math.floor(room))
      backlog += accepted.length
      deliver.push(accepted)
      return true
    },
  }
}

/** The input of a shell on a server that keeps what the shell has not read. */
export function createInputQueue(read: ReadInput): PtyInput {
  const deliver = createQueue(read)
  return {
    write(data) {
      deliver.push(data)
      return true
    },
  }
}

/** Delivers input in order, and waits each time until the shell reads on. */
function createQueue(read: ReadInput): { push(data: Uint8Array): void; readonly waiting: number } {
  const queue: Uint8Array[] = []
  let waiting = 0
  let isReading = false
  async function deliverAll(): Promise<void> {
    isReading = true
    for (let data; (data = queue.shift());) {
      const done = read(data)
      // Without a promise, the next input is delivered in the same turn.
      if (done) await done
      waiting -= data.length
    }
    isReading = false
  }
  return {
    get waiting() {
      return waiting
    },
    push(data) {
      waiting += data.length
      queue.push(data)
      if (!isReading) void deliverAll()
    },
  }
}
