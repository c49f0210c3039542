import type { Attached } from '../connection.ts'
import { MESSAGE_OVERHEAD } from '../output.ts'
import { MAX_BUFFERED } from '../settings.ts'
import { LONGEST_TEXT, readCommand } from './commands.ts'
import type { Tally } from './tally.ts'

/** Everything that goes from the client to the upstream. */
export interface Uplink {
  readonly take: (data: Buffer, isBinary: boolean) => void
  /** The client may use the upstream: its messages are read from now on, and this many bytes of them may wait. */
  authorized(maxBuffered: number): void
  /** The upstream is open: the messages that wait go first. */
  open(terminal: Attached): void
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
  send(terminal: Attached): Promise<void>
}

// The messages that are sent on in one turn of the event loop when the upstream opens.
const MESSAGES_PER_TURN = 256

/**
 * Holds what a client sends until the upstream is open, then sends it on, in order; makes the client wait when the
 * upstream does not keep up.
 */
export function createUplink(source: UplinkSource, tally: Tally): Uplink {
  // Messages of a client that nobody has authorized yet. They are not parsed: that costs more than sending them.
  let unread: Array<readonly [data: Buffer, isBinary: boolean]> | undefined = []
  const waiting: Message[] = []
  // Set once the upstream is open.
  let terminal: Attached | undefined
  // What waits, in bytes; before the upstream is open, also what was dropped.
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

  async function send(message: Message, to: Attached): Promise<void> {
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

  function take(data: Buffer, isBinary: boolean): void {
    const cost = data.length + MESSAGE_OVERHEAD
    if (unread) {
      unread.push([data, isBinary])
      charge(cost)
      return
    }
    const message = readMessage(data, isBinary, cost)
    if (message === 'dropped') tally.dropped += 1
    if (typeof message === 'object') {
      if (terminal && waiting.length === 0) void send(message, terminal)
      else hold(message)
    } else if (!terminal) charge(cost)
  }

  function flush(): void {
    if (!terminal) return
    for (const message of waiting.splice(0, MESSAGES_PER_TURN)) void send(message, terminal)
    if (waiting.length > 0) setImmediate(flush)
  }

  return {
    take,
    authorized(maxBuffered) {
      most = maxBuffered
      const early = unread ?? []
      unread = undefined
      held = 0
      for (const [data, isBinary] of early) take(data, isBinary)
    },
    open(opened) {
      terminal = opened
      held = 0
      flush()
    },
  }
}

/** Returns what to send on, or why there is nothing: an auth frame is for the proxy, an empty message types nothing. */
function readMessage(data: Buffer, isBinary: boolean, cost: number): Message | 'dropped' | 'auth' | 'empty' {
  if (isBinary && data.length === 0) return 'empty'
  if (isBinary) return { cost, bytes: data.length, isResize: false, send: (to) => to.write(data) }
  if (data.length > LONGEST_TEXT) return 'dropped'
  const command = readCommand(data.toString())
  if (typeof command === 'string') return command
  const { forward, isResize } = command
  return { cost, bytes: Buffer.byteLength(forward), isResize, send: (to) => to.command(forward) }
}
