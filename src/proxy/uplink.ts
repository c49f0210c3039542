import type { TerminalCore } from '../terminal/core.ts'
import { MESSAGE_OVERHEAD } from '../terminal/output.ts'
import { MAX_BUFFERED } from '../terminal/settings.ts'
import { LONGEST_TEXT, readCommand } from './commands.ts'
import { SHARE } from './inbox.ts'
import type { Tally } from './tally.ts'

/** Everything that goes from the client to the upstream. */
export interface Uplink {
  readonly take: (data: Buffer, isBinary: boolean) => void
  /** The client may use the upstream: its messages are read from now on, and this many bytes of them may wait. */
  authorized(maxBuffered: number): void
  /** The upstream is open: the messages that wait go first. */
  open(terminal: TerminalCore): void
}

/** What an uplink asks of the client's side. */
export interface UplinkSource {
  pause(): void
  resume(): void
  /** The client has sent more than may wait for an upstream that is not open yet. */
  overflow(): void
}

interface Message {
  readonly cost: number
  readonly bytes: number
  readonly isResize: boolean
  send(terminal: TerminalCore): Promise<void>
}

/**
 * Holds what a client sends until the upstream is open, then sends it on, in order; makes the client wait when the
 * upstream does not keep up.
 */
export function createUplink(source: UplinkSource, tally: Tally): Uplink {
  // Messages that came before the client was authorized, or while such messages are read. They are not parsed yet.
  const unread: Array<readonly [data: Buffer, isBinary: boolean]> = []
  // Whether messages are read as they come.
  let reading = false
  const waiting: Message[] = []
  // Set once the upstream is open.
  let terminal: TerminalCore | undefined
  // Bytes that wait; before the upstream is open, also those that were dropped.
  let held = 0
  let most = MAX_BUFFERED
  // Whether the client has been asked to wait.
  let paused = false

  function charge(cost: number): void {
    held += cost
    if (held > most) source.overflow()
  }

  function hold(message: Message): void {
    if (message.isResize) {
      // Of sizes only the last one matters.
      const stale = waiting.findIndex(({ isResize }) => isResize)
      for (const replaced of stale < 0 ? [] : waiting.splice(stale, 1)) held -= replaced.cost
    }
    waiting.push(message)
    charge(message.cost)
  }

  async function send(message: Message, to: TerminalCore): Promise<void> {
    held += message.cost
    if (!paused && held > most) {
      paused = true
      source.pause()
    }
    try {
      await message.send(to)
      tally.bytesToUpstream += message.bytes
    } catch {
      // The terminal has closed, and says so itself.
    }
    held -= message.cost
    if (paused && held <= most / 2) {
      paused = false
      source.resume()
    }
  }

  function read(data: Buffer, isBinary: boolean): void {
    const cost = costOf(data)
    const message = readMessage(data, isBinary, cost)
    if (message === 'dropped') tally.dropped += 1
    if (typeof message === 'object') {
      if (terminal) void send(message, terminal)
      else hold(message)
    } else if (!terminal) charge(cost)
  }

  // In shares, because 1 MiB of JSON takes 0.1 s.
  function readEarly(): void {
    for (let share = SHARE; share > 0;) {
      const next = unread.shift()
      if (!next) {
        reading = true
        return
      }
      const cost = costOf(next[0])
      share -= cost
      // Charged when it came; what it costs now is charged anew.
      if (!terminal) held -= cost
      read(...next)
    }
    setImmediate(readEarly)
  }

  return {
    take(data, isBinary) {
      if (reading) return read(data, isBinary)
      unread.push([data, isBinary])
      if (!terminal) charge(costOf(data))
    },
    authorized(maxBuffered) {
      most = maxBuffered
      readEarly()
    },
    open(opened) {
      terminal = opened
      held = 0
      for (const message of waiting.splice(0)) void send(message, opened)
    },
  }
}

function costOf({ length }: Buffer): number {
  return length + MESSAGE_OVERHEAD
}

/** Returns what to send on, or why there is nothing: an auth frame is for the proxy, an empty message types nothing. */
function readMessage(data: Buffer, isBinary: boolean, cost: number): Message | 'dropped' | 'auth' | 'empty' {
  if (isBinary && data.length === 0) return 'empty'
  if (isBinary) return { cost, bytes: data.length, isResize: false, send: (to) => to.write(data, true) }
  if (data.length > LONGEST_TEXT) return 'dropped'
  const command = readCommand(data.toString())
  if (typeof command === 'string') return command
  const { forward, isResize } = command
  return { cost, bytes: Buffer.byteLength(forward), isResize, send: (to) => to.command(forward) }
}
