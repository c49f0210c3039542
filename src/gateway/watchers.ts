import type { ProxyEnd } from '../client/client.ts'
import { costOf, MESSAGE_OVERHEAD_BYTES } from '../terminal/output.ts'
import type { TerminalSize } from '../upstream/protocol.ts'
import { TOO_MANY_WATCHERS } from './ends.ts'
import type { ClientReport } from './events.ts'
import type { Follower } from './follower.ts'
import type { Owner } from './owner.ts'
import type { Replay } from './replay.ts'
import type { SessionOutput } from './session-output.ts'
import { Watcher } from './watcher.ts'

// How many may look on at a session.
const MOST_WATCHERS = 16

// What those who look on at a session may be sent together in one turn of the event loop.
const TURN_BYTES = 256 * 1024

// Those who look on, at whatever session, get at most this part of the time of the process: nobody who types waits long
// for them.
const SHARE = 1 / 10
const LONGEST_WAIT_MS = 1_000

/** What those who watch need of their session. */
interface SessionOfWatchers {
  readonly id: string
  readonly owner: Pick<Owner, 'userId'>
  readonly output: SessionOutput
  readonly terminal: Watcher['terminal']
  readonly settings: { readonly maxBuffered: number; readonly keepFor: number }
}

/**
 * Those who look on at one session. They share what waits for them, and get it when it is their turn. One that has
 * missed some of it catches up when its socket is empty, with what was kept or a tail.
 */
export class Watchers implements Follower {
  readonly #session: SessionOfWatchers
  // Those who have caught up last are at the end.
  readonly #watchers = new Set<Watcher>()
  // What nobody has been sent yet, its cost, and the offset of its first byte.
  #pending: Array<Buffer | TerminalSize> = []
  #cost = 0
  #from = 0
  // Whether a replay is being made.
  #isReplaying = false

  constructor(session: SessionOfWatchers) {
    this.#session = session
  }

  get size(): number {
    return this.#watchers.size
  }

  get terminal(): Watcher['terminal'] {
    return this.#session.terminal
  }

  get settings(): SessionOfWatchers['settings'] {
    return this.#session.settings
  }

  /** Lets one more look on. Returns `undefined` if too many do: then it has been told to come again. */
  join(report: ClientReport, offset: number | null): Watcher | undefined {
    const { client } = report
    if (this.size >= MOST_WATCHERS) {
      report.refusal = 'limit'
      client.finish(TOO_MANY_WATCHERS)
      return undefined
    }
    if (this.size === 0) {
      this.#session.output.follow(this)
      this.#forget()
    }
    const watcher = new Watcher(this, client, offset)
    this.#watchers.add(watcher)
    client.input.startSending(watcher)
    report.onJoined({ userId: this.#session.owner.userId, sessionId: this.#session.id }, true)
    requestTurn(this)
    return watcher
  }

  leave(watcher: Watcher): void {
    this.#watchers.delete(watcher)
    if (this.size > 0) return
    this.#session.output.unfollow(this)
    this.#forget()
  }

  /** Ends their connections. Resolves when nothing of them is left. */
  async finish(end: ProxyEnd): Promise<void> {
    const clients = [...this.#watchers].map(({ client }) => client)
    for (const client of clients) client.finish(end)
    await Promise.all(clients.map(({ summary }) => summary.promise))
  }

  onOutput(data: Buffer): void {
    this.#pending.push(data)
    this.#cost += costOf(data)
    if (this.#cost > this.settings.maxBuffered) this.#forget()
    requestTurn(this)
  }

  onResize(size: TerminalSize): void {
    const last = this.#pending.at(-1)
    // One that nobody will see. Who types can set any number of them.
    if (last && !Buffer.isBuffer(last)) this.#pending.pop()
    else this.#cost += MESSAGE_OVERHEAD_BYTES
    this.#pending.push(size)
    requestTurn(this)
  }

  onEnd(): void {
    requestTurn(this)
  }

  onDrained(watcher: Watcher): void {
    if (this.#hasAll(watcher)) watcher.done()
    else if (this.#isBehind(watcher)) requestTurn(this)
  }

  /** Sends what may be sent in one turn. Returns whether there is more. */
  serve(): boolean {
    this.#sendPending()
    const behind = [...this.#watchers].filter((watcher) => this.#isBehind(watcher))
    const ready = behind.filter(({ isDrained }) => isDrained)
    for (const watcher of behind) if (!watcher.isDrained) watcher.awaitDrain()
    const [first] = ready
    // One replay in a turn, for all who need the same.
    if (first && !this.#isReplaying) this.#replay(ready.filter(({ at }) => at === first.at))
    for (const watcher of this.#watchers) if (this.#hasAll(watcher)) watcher.done()
    return this.#pending.length > 0 || (ready.length > 0 && !this.#isReplaying)
  }

  /** Whether a watcher has missed what the others have been sent. */
  #isBehind({ at, isAnnounced }: Watcher): boolean {
    return !isAnnounced || Number(at) < this.#from
  }

  /** Whether a watcher has been sent everything, and has taken it. */
  #hasAll(watcher: Watcher): boolean {
    return watcher.isDrained && !this.#isBehind(watcher) && this.#pending.length === 0
  }

  #sendPending(): void {
    const [first] = this.#pending
    if (first === undefined) return
    if (!Buffer.isBuffer(first)) {
      this.#pending.shift()
      this.#cost -= MESSAGE_OVERHEAD_BYTES
      for (const watcher of this.#watchers) if (!this.#isBehind(watcher)) watcher.resize(first)
      return
    }
    const most = TURN_BYTES / this.size
    const pieces: Buffer[] = []
    let bytes = 0
    for (const next of this.#pending) {
      if (!Buffer.isBuffer(next) || (bytes > 0 && bytes + next.length > most)) break
      pieces.push(next)
      bytes += next.length
    }
    this.#pending.splice(0, pieces.length)
    this.#cost -= bytes + pieces.length * MESSAGE_OVERHEAD_BYTES
    // One message for all of them.
    const output = pieces.length === 1 ? first : Buffer.concat(pieces)
    for (const watcher of this.#watchers) watcher.take(this.#from, output)
    this.#from += bytes
  }

  #replay(watchers: readonly Watcher[]): void {
    const { output } = this.#session
    const at = watchers[0]?.at ?? null
    const deliver = (replay: Replay): void => {
      this.#isReplaying = false
      for (const watcher of watchers) {
        // In a flood, all are behind all the time: the others are first in the next turn.
        if (this.#watchers.delete(watcher)) this.#watchers.add(watcher)
        if (watcher.at === at && watcher.isDrained) watcher.catchUp(replay, output.size)
      }
    }
    this.#isReplaying = true
    const replay: Replay | Promise<Replay> = output.replayFrom(at)
    if (!(replay instanceof Promise)) return deliver(replay)
    void replay.then((made) => {
      deliver(made)
      requestTurn(this)
    })
  }

  /** Drops what waits. Who has not been sent it is behind. */
  #forget(): void {
    this.#pending = []
    this.#cost = 0
    this.#from = this.#session.output.printed
  }
}

// The sessions whose watchers have something to get, in order; whether their turn has been set; and when it may begin.
const waiting = new Set<Watchers>()
let isSet = false
let freeAt = 0

function requestTurn(watchers: Watchers): void {
  waiting.add(watchers)
  if (isSet) return
  isSet = true
  const ms = freeAt - performance.now()
  // It is longer if somebody has set the clock back.
  if (ms > 0 && ms <= LONGEST_WAIT_MS) setTimeout(takeTurn, ms)
  else setImmediate(takeTurn)
}

function takeTurn(): void {
  isSet = false
  const [watchers] = waiting
  if (!watchers) return
  waiting.delete(watchers)
  const since = performance.now()
  const goesOn = watchers.size > 0 && watchers.serve()
  const now = performance.now()
  freeAt = now + Math.min(LONGEST_WAIT_MS, (now - since) / SHARE)
  if (goesOn) waiting.add(watchers)
  const [next] = waiting
  if (next) requestTurn(next)
}
