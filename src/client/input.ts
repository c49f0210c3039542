import { setImmediate } from 'node:timers'
import { Deferred } from '../lib/deferred.ts'
import { WaterMark, type FlowControl } from '../lib/water-mark.ts'
import type { TerminalSize } from '../upstream/protocol.ts'
import { MESSAGE_OVERHEAD_BYTES } from '../terminal/output.ts'
import { unsentInput } from '../terminal/input.ts'
import { MAX_BUFFERED_BYTES } from '../terminal/settings.ts'
import type { ClientConnectionOwner } from './connection.ts'
import { LONGEST_TEXT_BYTES, readCommand, type Command } from './messages.ts'
import type { Counters } from './counters.ts'
import { INPUT_SHARE_BYTES, type MessageReceiver } from './message-queue.ts'

/** The terminal that the messages go to. */
export interface InputTarget {
  /** Types bytes, which do not change meanwhile if they are lent. */
  write(data: Uint8Array, isLent: boolean): Promise<void>
  /** Sends a text frame, which sets the size of the window if there is a `size`. */
  command(text: string, size?: TerminalSize): Promise<void>
}

// Something that waits, and what it costs.
interface Message {
  readonly cost: number
  readonly content: Uint8Array | Command
}

/**
 * The messages of a client, on their way to the upstream. Holds them until the terminal is open, then sends them in
 * order, and makes the client (`source`) wait when the upstream does not keep up.
 */
export class ClientInput implements MessageReceiver {
  readonly #owner: Pick<ClientConnectionOwner, 'onOverflow'>
  readonly #counters: Counters
  // Messages that nothing has parsed yet, because a client that is not authorized must not cost the time. Absent once
  // all of them have been parsed: then messages are parsed as they come.
  #unread: Array<readonly [data: Buffer, isBinary: boolean]> | undefined = []
  // Messages that have been parsed and wait for the terminal.
  readonly #waiting: Message[] = []
  // Absent until it is open.
  #terminal: InputTarget | undefined
  // The cost of the messages that are held; before the terminal is open, also of those that were dropped.
  #held = 0
  // Resolves the promise of `idle`.
  #idle: Deferred | undefined
  // The default applies until the options of an authorized client are known.
  readonly #waterMark: WaterMark

  constructor(source: FlowControl, owner: Pick<ClientConnectionOwner, 'onOverflow'>, counters: Counters) {
    this.#owner = owner
    this.#counters = counters
    this.#waterMark = new WaterMark(MAX_BUFFERED_BYTES, source)
  }

  push(data: Buffer, isBinary: boolean): void {
    if (!this.#unread) return this.#read(data, isBinary)
    this.#unread.push([data, isBinary])
    if (!this.#terminal) this.#charge(costOf(data))
  }

  /** Parses messages from now on, and lets `maxBuffered` bytes of them wait. Call it when the client is authorized. */
  startReading(maxBuffered: number): void {
    this.#waterMark.high = maxBuffered
    this.#readShare()
  }

  /** Sends the messages that wait, and then all further messages. Call it when the terminal is open. */
  startSending(terminal: InputTarget): void {
    this.#terminal = terminal
    this.#held = 0
    for (const message of this.#waiting.splice(0)) void this.#send(message, terminal)
  }

  /** Resolves when the upstream has taken all messages so far. */
  idle(): Promise<void> {
    if (this.#held === 0) return Promise.resolve()
    this.#idle ??= new Deferred()
    return this.#idle.promise
  }

  // Reads a share per turn of the event loop: to parse 1 MiB of JSON takes 0.1 s.
  #readShare(): void {
    for (let share = INPUT_SHARE_BYTES; share > 0;) {
      const next = this.#unread?.shift()
      if (!next) {
        this.#unread = undefined
        return
      }
      const cost = costOf(next[0])
      share -= cost
      // The cost was charged when the message came. `#read` charges it again.
      if (!this.#terminal) this.#held -= cost
      this.#read(...next)
    }
    setImmediate(() => this.#readShare())
  }

  #read(data: Buffer, isBinary: boolean): void {
    const cost = costOf(data)
    const isTooLong = data.length > LONGEST_TEXT_BYTES
    const content = isBinary ? data : isTooLong ? 'dropped' : readCommand(data.toString())
    if (content === 'dropped') this.#counters.dropped += 1
    // An auth frame is not for the upstream, and an empty message types nothing.
    if (typeof content === 'string' || data.length === 0) {
      if (!this.#terminal) this.#charge(cost)
    } else if (this.#terminal) void this.#send({ cost, content }, this.#terminal)
    else this.#hold({ cost, content })
  }

  #hold(message: Message): void {
    // Only the last size matters.
    const outdated = isSize(message) && this.#waiting.find(isSize)
    if (outdated) {
      this.#waiting.splice(this.#waiting.indexOf(outdated), 1)
      this.#held -= outdated.cost
    }
    this.#waiting.push(message)
    this.#charge(message.cost)
  }

  #charge(cost: number): void {
    this.#held += cost
    if (this.#held > this.#waterMark.high) this.#owner.onOverflow()
  }

  async #send({ cost, content }: Message, to: InputTarget): Promise<void> {
    const bytes = 'text' in content ? content.text.length : content.length
    this.#held += cost
    this.#waterMark.update(this.#held)
    try {
      await ('text' in content ? to.command(content.text, content.size) : to.write(content, true))
      this.#counters.bytesToUpstream += bytes
    } catch (error) {
      // Otherwise the terminal has closed. Its `closed` promise says why.
      const unsent = unsentInput(error)
      this.#counters.inputDropped += unsent
      if (unsent > 0) this.#counters.bytesToUpstream += bytes - unsent
    }
    this.#held -= cost
    this.#waterMark.update(this.#held)
    if (this.#held > 0) return
    this.#idle?.resolve()
    this.#idle = undefined
  }
}

function costOf({ length }: Buffer): number {
  return length + MESSAGE_OVERHEAD_BYTES
}

function isSize({ content }: Message): boolean {
  return 'size' in content
}
