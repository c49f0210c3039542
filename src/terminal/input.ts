import { wrongType } from '../lib/arguments.ts'
import { INPUT_INTERVAL, MAX_INPUT_FRAME } from '../upstream/protocol.ts'

/** Keystrokes and pastes, on their way to the shell; all calls keep their order. */
export interface Input {
  /** Resolves when the socket has taken all of it. `isLent` says that the bytes do not change until then. */
  readonly write: (data: string | Uint8Array, isLent?: boolean) => Promise<void>
  /** Sends a text frame, as it is, once everything before has been taken; resolves when the socket has taken it too. */
  readonly command: (text: string) => Promise<void>
}

/**
 * Cuts input into frames that every release takes whole, and spaces them so that it keeps up.
 *
 * Keystrokes pass at once: only what exceeds one full frame in {@link INPUT_INTERVAL} ms has to wait. `assertOpen` throws
 * after the end.
 */
export function createInput(transmit: (frame: string | ArrayBuffer) => Promise<void>, assertOpen: () => void): Input {
  // Settles when all calls so far are done; never rejects.
  let queue = Promise.resolve()
  // Calls in the queue.
  let waiting = 0
  // The bytes that have left in the current interval, which the server may still be busy with.
  let windowStart = -Infinity
  let windowBytes = 0

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
    // A caller that does not await a keystroke learns of the end from `closed`, not from a crash of the process.
    queue = done.then(settle, settle)
    return done
  }

  return {
    write(data, isLent = false) {
      const given = toBytes(data)
      if (!given) return Promise.reject(wrongType('data', 'a string or a Uint8Array', data))
      if (waiting > 0 || !isKeystroke(given) || reserve(given.length) > 0) {
        // The rest of a long write leaves after the caller has its buffer back.
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
  // Not instanceof: a Buffer in a page that jsdom made is of another realm.
  return ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : undefined
}
