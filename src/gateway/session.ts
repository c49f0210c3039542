import { randomUUID } from 'node:crypto'
import { SilenceTimer, type SilenceObserver } from '../lib/silence-timer.ts'
import type { ClientSession, JoinedTerminal, ProxyEnd } from '../proxy/client-session.ts'
import { withoutAddresses } from '../proxy/closing.ts'
import { Downlink } from '../proxy/downlink.ts'
import type { OpenTerminal } from '../terminal/attach.ts'
import type { TerminalClose } from '../terminal/connection.ts'
import type { TerminalCore } from '../terminal/core.ts'
import type { TerminalSize } from '../upstream/protocol.ts'
import { parseBase } from '../upstream/url.ts'
import { Admission } from './admission.ts'
import { publish } from './events.ts'
import type { GatewaySession } from './gateway-session.ts'
import { Generations } from './generations.ts'
import type { GatewaySettings } from './options.ts'
import type { Owner } from './owner.ts'
import { SessionInput } from './session-input.ts'
import type { Replay, SessionOutput } from './session-output.ts'
import type { Visit } from './visit.ts'

// ms that a session waits for its first client.
const UNATTACHED_LIMIT = 30_000

// PROTOCOL 8.4
const PONG = '{"type":"pong"}'

const BAD_GATEWAY = 1014
/** How a client ends when another one of the owner has come: the owner's word, as both are. */
export const TAKEN_OVER: ProxyEnd = { endedBy: 'proxy', code: 4009, reason: 'Taken over' }

/** The client that is joined to a session. */
interface Attachment {
  readonly visit: Visit
  readonly input: SessionInput
  readonly since: number
}

/** An open terminal, the end of its output, and the client that is joined to it. */
export class Session implements SilenceObserver {
  readonly id: string = randomUUID()
  readonly owner: Owner
  readonly core: TerminalCore
  readonly admission: Admission = new Admission()
  readonly generations: Generations = new Generations()
  readonly #settings: GatewaySettings
  /** When it was created, as `performance.now()`. */
  readonly createdAt: number = performance.now()
  readonly #since = Date.now()
  readonly #output: SessionOutput
  // Absent while no client is joined.
  #attachment: Attachment | undefined
  // The size of the window of the last client.
  #size: TerminalSize
  // When the last client left, by the clock on the wall and by one that nobody sets. Absent before the first.
  #parked: { readonly since: Date; readonly at: number } | undefined
  // Ends the session if no client comes. Absent while one is joined, and after the end.
  #timer: SilenceTimer | undefined
  // Whether it has ended, or is being ended.
  #isEnding = false
  // What the clients before have moved.
  #bytesToClient = 0
  #bytesToUpstream = 0

  constructor(owner: Owner, { core, sink }: OpenTerminal<SessionOutput>, settings: GatewaySettings) {
    this.owner = owner
    this.core = core
    this.#output = sink
    this.#settings = settings
    this.#size = settings.connect.size ?? { cols: 80, rows: 24 }
    sink.keep(settings.replay)
    this.#timer = new SilenceTimer([UNATTACHED_LIMIT], this)
  }

  /**
   * Joins a client. A client that is joined already is told that the terminal was taken over.
   *
   * @param offset The offset in the output to go on from; `undefined` if the client does not know about offsets.
   */
  attach(visit: Visit, offset: number | null | undefined): JoinedTerminal {
    const { client } = visit
    const { keepFor, maxBuffered, replay: most } = this.#settings
    const isFirst = !this.#attachment && !this.#parked
    this.#takeOver()
    this.#stopWaiting()
    const replay = this.admission.spend(() => this.#output.replayFrom(offset))
    if (offset !== undefined) announce(client, replay, keepFor, this.generations.current)
    const sink = this.#output.join(
      (flow) => new Downlink(client.client, maxBuffered, flow, client.counters, client.leg),
      () => this.#onStalled(client),
    )
    if (replay.data.length > 0) sink.push(replay.data, true)
    this.#output.keep(most)
    const input = new SessionInput(this.core, this.#size, !replay.isExact, () => {
      if (offset !== undefined) sink.answer(PONG)
    })
    this.#attachment = { visit, input, since: Date.now() }
    client.uplink.startSending(input)
    visit.attach(this.id, isFirst)
    return toJoined(this, visit, sink)
  }

  /** The serving of a client has ended. Resolves when nothing of it is left. */
  async leave(visit: Visit, { endedBy, code }: ProxyEnd, closeCode: number | undefined, reason: string): Promise<void> {
    // A client whose terminal was taken over is not joined any more.
    if (visit !== this.#attachment?.visit) return
    if (endedBy === 'client' && this.#settings.keepFor > 0 && !this.#isEnding) this.#park(code)
    // On the word of its shell, which has ended; of the gateway, which closes; or of a limit that is documented: a `keepFor`
    // of 0.
    else await this.#close(closeCode, reason)
  }

  /** Ends the session: its client gets the close frame, and the upstream deletes it. Resolves when nothing is left. */
  async end(code: number, reason: string): Promise<void> {
    const client = this.#attachment?.visit.client
    const closed = this.#close(code, reason)
    client?.finish({ endedBy: 'proxy', code, reason })
    await Promise.all([client?.summary.promise, closed])
  }

  /** Called when the terminal has closed. */
  onClosed({ code, reason, error }: TerminalClose): void {
    this.#isEnding = true
    this.#stopWaiting()
    const { userId, base } = this.owner
    if (!this.#attachment && this.#parked) {
      const ms = performance.now() - this.#parked.at
      publish('closed', { userId, sessionId: this.id, code, wasParked: true, ms, ...(error && { error }) })
    }
    // PROTOCOL 6.1: these are about the key of the gateway, and would blame the client's.
    const isRefusal = code >= 4001 && code <= 4004
    this.#attachment?.input.stop()
    this.#attachment?.visit.client.finish({
      endedBy: 'upstream',
      code: isRefusal ? BAD_GATEWAY : code,
      reason: isRefusal ? '' : withoutAddresses(reason, parseBase(base).url.hostname),
      ...(error && { error }),
    })
  }

  /** Called by the timer: no client has come. On the word of a limit that is documented: `keepFor`, or 30 s for the first. */
  onSilence(): void {
    void this.#close()
  }

  describe(): GatewaySession {
    const { visit, since } = this.#attachment ?? {}
    const { bytesToClient = 0, bytesToUpstream = 0 } = visit?.client.counters ?? {}
    return {
      id: this.id,
      userId: this.owner.userId,
      since: this.since,
      ...(since !== undefined && { attachedSince: new Date(since) }),
      ...(this.#parked && this.parkedAt !== undefined && { parkedSince: this.#parked.since }),
      bytesToClient: this.#bytesToClient + bytesToClient,
      bytesToUpstream: this.#bytesToUpstream + bytesToUpstream,
    }
  }

  get since(): Date {
    return new Date(this.#since)
  }

  /** Whether it has ended, or is being ended. Nobody finds it any more. */
  get isEnding(): boolean {
    return this.#isEnding
  }

  /** When the last client left, as `performance.now()`; `undefined` if the session is not parked. */
  get parkedAt(): number | undefined {
    return this.#attachment || this.#isEnding ? undefined : this.#parked?.at
  }

  /** Ends the session. From now on nobody finds it, also while the upstream takes its time: a client would lose its input. */
  #close(code?: number, reason?: string): Promise<TerminalClose> {
    this.#isEnding = true
    return this.core.close(code, reason)
  }

  #takeOver(): void {
    const client = this.#attachment?.visit.client
    this.#part(TAKEN_OVER.code)
    client?.finish(TAKEN_OVER)
  }

  #park(code: number): void {
    this.#part(code)
    this.#parked = { since: new Date(), at: performance.now() }
    this.#timer = new SilenceTimer([this.#settings.keepFor], this)
  }

  /** Separates the client from the session. */
  #part(code: number): void {
    if (!this.#attachment) return
    const { visit, input } = this.#attachment
    this.#attachment = undefined
    this.#output.part()
    input.stop()
    this.#size = input.size
    this.#bytesToClient += visit.client.counters.bytesToClient
    this.#bytesToUpstream += visit.client.counters.bytesToUpstream
    this.admission.dismiss(visit.client)
    visit.part(code)
  }

  /** The client does not read: its connection is ended before the shell is, and it can come back. */
  #onStalled({ leg }: ClientSession): void {
    if (this.#settings.keepFor > 0) leg.onLost()
  }

  #stopWaiting(): void {
    this.#timer?.stop()
    this.#timer = undefined
  }
}

/** A function of its own, so that what lives as long as the client keeps nothing of the joining in memory. */
function toJoined(session: Session, visit: Visit, sink: Downlink): JoinedTerminal {
  return {
    sink,
    sessionId: session.core.sessionId,
    chatId: session.core.chatId,
    leave: (end, code, reason) => session.leave(visit, end, code, reason),
  }
}

/** Tells a client that can resume sessions where its output begins (PROTOCOL 8.2). */
function announce(client: ClientSession, { offset, replay }: Replay, keepFor: number, generation: string): void {
  sendText(client, JSON.stringify({ type: 'attached', offset, replay, keepFor, generation, paced: true }))
}

/** Sends a text frame to a client that can resume sessions. Any other client would print it (PROTOCOL 7.2). */
function sendText({ client }: ClientSession, text: string): void {
  client.send(Buffer.from(text), { binary: false }, () => {})
}
