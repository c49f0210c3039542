import { WaterMark, type FlowControl } from '../lib/water-mark.ts'
import type { TerminalCore } from '../terminal/core.ts'
import { MESSAGE_OVERHEAD } from '../terminal/output.ts'
import { MAX_BUFFERED } from '../terminal/settings.ts'
import { LONGEST_TEXT, readCommand } from './commands.ts'
import type { Counters } from './counters.ts'
import type { MessageListener } from './inbox.ts'
import { INPUT_SHARE } from './turn-share.ts'

/** The messages of a client, on their way to the upstream. */
export interface Uplink {
  readonly push: MessageListener
  /** Parses messages from now on, and lets `maxBuffered` bytes of them wait. Call it when the client is authorized. */
  startReading(maxBuffered: number): void
  /** Sends the messages that wait, and then all further messages. Call it when the terminal is open. */
  startSending(terminal: TerminalCore): void
}

interface Message {
  readonly cost: number
  readonly bytes: number
  readonly isResize: boolean
  send(terminal: TerminalCore): Promise<void>
}

/**
 * Holds messages until the terminal is open, then sends them in order, and makes the client (`source`) wait when the
 * upstream does not keep up. Calls `onOverflow` when more is held than may wait for a terminal that is not open yet.
 */
export function createUplink(source: FlowControl, onOverflow: () => void, counters: Counters): Uplink {
  // Messages that nothing has parsed yet, because a client that is not authorized must not cost the time. Absent once all
  // of them have been parsed: then messages are parsed as they come.
  let unread: Array<readonly [data: Buffer, isBinary: boolean]> | undefined = []
  // Messages that have been parsed and wait for the terminal.
  const waiting: Message[] = []
  // Absent until it is open.
  let terminal: TerminalCore | undefined
  // The cost of the messages that are held; before the terminal is open, also of those that were dropped.
  let held = 0
  // How much may be held. The default applies until the options of an authorized client are known.
  let mostHeld = MAX_BUFFERED
  let waterMark = new WaterMark(mostHeld, source)

  function charge(cost: number): void {
    held += cost
    if (held > mostHeld) onOverflow()
  }

  function hold(message: Message): void {
    // Only the last size matters.
    const outdated = message.isResize && waiting.find(({ isResize }) => isResize)
    if (outdated) {
      waiting.splice(waiting.indexOf(outdated), 1)
      held -= outdated.cost
    }
    waiting.push(message)
    charge(message.cost)
  }

  async function send(message: Message, to: TerminalCore): Promise<void> {
    held += message.cost
    waterMark.update(held)
    try {
      await message.send(to)
      counters.bytesToUpstream += message.bytes
    } catch {
      // The terminal has closed. Its `closed` promise says why.
    }
    held -= message.cost
    waterMark.update(held)
  }

  function read(data: Buffer, isBinary: boolean): void {
    const cost = costOf(data)
    const message = readMessage(data, isBinary, cost)
    if (message === 'dropped') counters.dropped += 1
    if (typeof message === 'object') {
      if (terminal) void send(message, terminal)
      else hold(message)
    } else if (!terminal) charge(cost)
  }

  // Reads a share per turn of the event loop: to parse 1 MiB of JSON takes 0.1 s.
  function readShare(): void {
    for (let share = INPUT_SHARE; share > 0;) {
      const next = unread?.shift()
      if (!next) {
        unread = undefined
        return
      }
      const cost = costOf(next[0])
      share -= cost
      // The cost was charged when the message came. `read` charges it again.
      if (!terminal) held -= cost
      read(...next)
    }
    setImmediate(readShare)
  }

  return {
    push(data, isBinary) {
      if (!unread) return read(data, isBinary)
      unread.push([data, isBinary])
      if (!terminal) charge(costOf(data))
    },
    startReading(maxBuffered) {
      mostHeld = maxBuffered
      waterMark = new WaterMark(maxBuffered, source)
      readShare()
    },
    startSending(opened) {
      terminal = opened
      held = 0
      for (const message of waiting.splice(0)) void send(message, opened)
    },
  }
}

function costOf({ length }: Buffer): number {
  return length + MESSAGE_OVERHEAD
}

/** Returns what to send, or why nothing is sent: an auth frame is for the proxy, and an empty message types nothing. */
function readMessage(data: Buffer, isBinary: boolean, cost: number): Message | 'dropped' | 'auth' | 'empty' {
  if (isBinary && data.length === 0) return 'empty'
  if (isBinary) return { cost, bytes: data.length, isResize: false, send: (to) => to.write(data, true) }
  if (data.length > LONGEST_TEXT) return 'dropped'
  const command = readCommand(data.toString())
  if (typeof command === 'string') return command
  const { forward, isResize } = command
  return { cost, bytes: Buffer.byteLength(forward), isResize, send: (to) => to.command(forward) }
}
