import { wrongType } from '../lib/arguments.ts'
import { INPUT_INTERVAL, MAX_INPUT_FRAME } from '../upstream/protocol.ts'

/** Sends keystrokes and pastes to the shell. All calls keep their order. */
export interface Input {
  /** Resolves when the socket has taken all bytes. With `isLent`, the caller does not change the bytes until then. */
  readonly write: (data: string | Uint8Array, isLent?: boolean) => Promise<void>
  /** Sends a text frame unchanged after everything before it. Resolves when the socket has taken the frame. */
  readonly command: (text: string) => Promise<void>
}

/**
 * Cuts input into frames, and spaces them, so that every release takes all of it (PROTOCOL 5.5).
 *
 * Keystrokes leave at once: only input beyond one full frame in {@link INPUT_INTERVAL} ms has to wait. `assertOpen`
 * throws after the end.
 */
export function createInput(transmit: (frame: string | ArrayBuffer) => Promise<void>, assertOpen: () => void): Input {
  // Resolves when all calls so far are done, so that the next call keeps its order. Never rejects.
  let queue = Promise.resolve()
  // The number of calls in the queue: a keystroke may leave at once only if there are none.
  let waiting = 0
  // The start of the current interval, and the bytes that have left in it.
  let windowStart = -Infinity
  let windowBytes = 0

  /** Returns 0 and counts the bytes if they may leave now. Otherwise returns the ms to wait. */
  function reserve(size: number): number {
    const now = performance.now()
    const rest = windowStart + INPUT_INTERVAL - now
    if (rest <= 0) {
      windowStart = now
      windowBytes = 0
    } else if (windowBytes + size > MAX_INPUT_FRAME) return rest
    windowBytes += size
    return 0
  }

  async function send(bytes: Uint8Array): Promise<void> {
    assertOpen()
    for (let start = 0; start < bytes.length; start += MAX_INPUT_FRAME) {
      const frame = bytes.slice(start, start + MAX_INPUT_FRAME)
      for (let rest; (rest = reserve(frame.length)) > 0;) {
        await new Promise((resolve) => setTimeout(resolve, Math.ceil(rest)))
      }
      await transmit(frame.buffer)
    }
  }

  function settle(): void {
    waiting -= 1
  }

  function enqueue(perform: () => Promise<void>): Promise<void> {
    waiting += 1
    const done = queue.then(perform)
    // The queue handles the rejection: a caller that does not await a keystroke must not crash the process.
    queue = done.then(settle, settle)
    return done
  }

  return {
    write(data, isLent = false) {
      const given = toBytes(data)
      if (!given) return Promise.reject(wrongType('data', 'a string or a Uint8Array', data))
      if (waiting > 0 || !isKeystroke(given) || reserve(given.length) > 0) {
        // A copy: the caller may reuse its buffer as soon as this function returns.
        const bytes = isLent ? given : given.slice()
        return enqueue(() => send(bytes))
      }
      const sent = transmit(given.slice().buffer)
      sent.catch(() => {})
      return sent
    },
    command: (text) => enqueue(() => transmit(text)),
  }
}

/** Whether the bytes fit into one frame, so that they may skip the queue. */
function isKeystroke({ length }: Uint8Array): boolean {
  return length > 0 && length <= MAX_INPUT_FRAME
}

function toBytes(data: unknown): Uint8Array | undefined {
  if (typeof data === 'string') return new TextEncoder().encode(data)
  // Not `instanceof`: in jsdom, a Buffer is of another realm.
  return ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : undefined
}
