import { MAX_BUFFERED } from '../connect.ts'
import type { Attached } from '../connection.ts'
import { MESSAGE_OVERHEAD } from '../output.ts'
import { MAX_MESSAGE } from '../websocket.ts'
import { readCommand } from './commands.ts'
import type { Tally } from './tally.ts'

/** Everything that goes from the client to the upstream. */
export interface Uplink {
  readonly take: (data: Buffer, isBinary: boolean) => void
  /** From now on what waits for an open upstream may be this large. */
  limit(maxBuffered: number): void
  /** The upstream is open: what has been waiting goes first. */
  open(terminal: Attached): void
}

/** What an uplink asks of the client's side. */
export interface UplinkSource {
  pause(): void
  resume(): void
  /** It has sent more than may wait for an upstream that is not open yet. */
  overflow(): void
}

interface Message {
  readonly bytes: number
  readonly isResize: boolean
  send(terminal: Attached): Promise<void>
}

function costOf({ bytes }: Message): number {
  return bytes + MESSAGE_OVERHEAD
}

function readMessage(data: Buffer, isBinary: boolean): Message | undefined {
  if (isBinary) return { bytes: data.length, isResize: false, send: (to) => to.write(data) }
  // No server takes a larger one, and no string holds the largest.
  if (data.length > MAX_MESSAGE) return undefined
  const { forward, isResize } = readCommand(data.toString())
  if (forward === undefined) return undefined
  return { bytes: Buffer.byteLength(forward), isResize, send: (to) => to.command(forward) }
}

/**
 * Holds what a client sends until the upstream is open, then sends it on, in order; makes the client wait when the
 * upstream does not keep up.
 */
export function createUplink(source: UplinkSource, tally: Tally): Uplink {
  const waiting: Message[] = []
  let terminal: Attached | undefined
  let held = 0
  let most = MAX_BUFFERED
  let paused = false

  function hold(message: Message): void {
    if (message.isResize) {
      // Of sizes only the last one matters.
      const stale = waiting.findIndex(({ isResize }) => isResize)
      for (const replaced of stale < 0 ? [] : waiting.splice(stale, 1)) held -= costOf(replaced)
    }
    waiting.push(message)
    held += costOf(message)
    if (held > most) source.overflow()
  }

  async function send(message: Message, to: Attached): Promise<void> {
    held += costOf(message)
    if (!paused && held > most) {
      paused = true
      source.pause()
    }
    try {
      await message.send(to)
      tally.bytesToUpstream += message.bytes
    } catch {
      // It has closed, and says so itself.
    }
    held -= costOf(message)
    if (paused && held <= most / 2) {
      paused = false
      source.resume()
    }
  }

  return {
    take(data, isBinary) {
      const message = readMessage(data, isBinary)
      if (!message) tally.dropped += 1
      else if (terminal) void send(message, terminal)
      else hold(message)
    },
    limit(maxBuffered) {
      most = maxBuffered
    },
    open(opened) {
      terminal = opened
      held = 0
      for (const message of waiting.splice(0)) void send(message, opened)
    },
  }
}
