import { randomUUID } from 'node:crypto'
import { SilenceTimer, type SilenceObserver } from '../lib/silence-timer.ts'
import type { JoinedTerminal, ProxyEnd } from '../client/client.ts'
import { Downlink } from '../client/downlink.ts'
import type { OpenTerminal } from '../terminal/attach.ts'
import type { TerminalClose } from '../terminal/types.ts'
import type { UpstreamConnection } from '../terminal/connection.ts'
import type { TerminalSize } from '../upstream/protocol.ts'
import { Admission } from './admission.ts'
import type { Access } from './access.ts'
import { announce } from './announce.ts'
import { Attachment } from './attachment.ts'
import { endOf, EXITED, isCutOff, TAKEN_OVER } from './ends.ts'
import { publish } from './events.ts'
import type { GatewaySession } from './gateway-session.ts'
import { Generations } from './generations.ts'
import type { GatewaySettings } from './options.ts'
import type { Owner } from './owner.ts'
import { SessionInput } from './session-input.ts'
import type { SessionOutput } from './session-output.ts'
import type { Visit } from './visit.ts'

// ms that a session waits for its first client.
const UNATTACHED_LIMIT = 30_000

/** Is told that a terminal has closed, and then that nothing of its session is left. */
export interface SessionObserver {
  onClosed(session: Session, close: TerminalClose): void
  onGone(session: Session): void
}

/** An open terminal, the end of its output, and the client that is joined to it. */
export class Session implements SilenceObserver {
  readonly id: string = randomUUID()
  readonly owner: Owner
  readonly core: UpstreamConnection
  readonly access: Access
  readonly admission: Admission = new Admission()
  readonly generations: Generations = new Generations()
  readonly #observer: SessionObserver
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
  // How its shell has ended while no client was joined. The last output waits for one. Absent before.
  #exit: TerminalClose | undefined
  // Whether a client has joined before.
  #hadClient = false
  // What the clients before have moved.
  #bytesToClient = 0
  #bytesToUpstream = 0

  /** `onGone` is called when nothing of it is left. */
  constructor(
    owner: Owner,
    { connection, sink }: OpenTerminal<SessionOutput>,
    access: Access,
    settings: GatewaySettings,
    observer: SessionObserver,
  ) {
    this.owner = owner
    this.access = access
    this.core = connection
    this.#output = sink
    this.#settings = settings
    this.#observer = observer
    this.#size = settings.connect.size ?? { cols: 80, rows: 24 }
    sink.keep(settings.replay)
    this.#timer = new SilenceTimer([UNATTACHED_LIMIT], this)
    void connection.closed.then((close) => this.#onClosed(close))
  }

  /**
   * Joins a client. A client that is joined already is told that the terminal was taken over.
   *
   * @param offset The offset in the output to go on from; `undefined` if the client does not know about offsets.
   */
  attach(visit: Visit, offset: number | null | undefined): JoinedTerminal {
    const { client } = visit
    const { keepFor, maxBuffered, replay: most } = this.#settings
    const isFirst = !this.#hadClient
    this.#hadClient = true
    this.#takeOver()
    this.#stopWaiting()
    const replay = this.admission.spend(() => this.#output.replayFrom(offset))
    if (offset !== undefined) announce(client, replay, keepFor, this.generations.current)
    const sink = this.#output.join(
      (flow) => new Downlink(client.client, maxBuffered, flow, client.counters, client.leg),
      this,
    )
    sink.replay(replay.data)
    this.#output.keep(most)
    const isNudging = !replay.isExact && !this.#exit
    const input = new SessionInput(this.core, this.#size, isNudging, offset === undefined ? undefined : sink)
    const attachment = new Attachment(this, visit, sink, input)
    this.#attachment = attachment
    if (offset !== undefined) client.leg.signWhilePaused(input)
    client.uplink.startSending(input)
    visit.attach(this.id, this.owner.userId, isFirst)
    if (this.#exit) client.finish(EXITED)
    return attachment
  }

  /** The serving of a client has ended. Resolves when nothing of it is left. */
  async leave(visit: Visit, { endedBy, code }: ProxyEnd, closeCode: number | undefined, reason: string): Promise<void> {
    // A client whose terminal was taken over is not joined any more.
    if (visit !== this.#attachment?.visit) return
    if (this.#exit && !this.#isEnding) return this.#leaveExited(visit)
    if (endedBy === 'client' && this.#settings.keepFor > 0 && !this.#isEnding) this.#park(code)
    // On the word of its shell, of the gateway's `close`, or of a limit that is documented: a `keepFor` of 0.
    else await this.#close(closeCode, reason)
  }

  /** A client has been told that the shell has ended. If its connection was cut before, it has not got that, and comes again. */
  async #leaveExited({ client }: Visit): Promise<void> {
    const { code } = await client.leg.gone
    if (isCutOff(code) && !this.#isEnding) this.#park(code)
    else await this.#close()
  }

  /** Ends the session: its client gets the close frame, and the upstream deletes it. Resolves when nothing is left. */
  async end(code: number, reason: string): Promise<void> {
    const client = this.#attachment?.visit.client
    const closed = this.#close(code, reason)
    client?.finish({ endedBy: 'proxy', code, reason })
    await Promise.all([client?.summary.promise, closed])
  }

  /**
   * If the shell has ended by itself while no client was joined, the session stays for as long as it would have otherwise:
   * the first client that comes back gets the last output.
   */
  #onClosed(close: TerminalClose): void {
    this.#observer.onClosed(this, close)
    if (close.cause !== 'exited' || this.#attachment || this.#isEnding) return this.#finish(close)
    this.#exit = close
    this.#parked ??= { since: new Date(), at: performance.now() }
  }

  #finish(close: TerminalClose): void {
    const { code, error } = close
    this.#isEnding = true
    this.#stopWaiting()
    const { userId, base } = this.owner
    if (!this.#attachment && this.#parked) {
      const ms = performance.now() - this.#parked.at
      publish('closed', { userId, sessionId: this.id, closeCode: code, wasParked: true, ms, ...(error && { error }) })
    }
    this.#attachment?.input.stop()
    this.#attachment?.visit.client.finish(endOf(close, base, this.access.credentials.areUsers))
    this.#observer.onGone(this)
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

  /** Whether its shell has ended while no client was joined. Only a client that attaches finds it. */
  get hasExited(): boolean {
    return this.#exit !== undefined
  }

  get isOpen(): boolean {
    return !this.#isEnding && !this.#exit
  }

  /** When the last client left, as `performance.now()`; `undefined` if the session is not parked. */
  get parkedAt(): number | undefined {
    return this.#attachment || this.#isEnding ? undefined : this.#parked?.at
  }

  /** Ends the session. From now on nobody finds it, also while the upstream takes its time: a client would lose its input. */
  #close(code?: number, reason?: string): Promise<TerminalClose> {
    this.#isEnding = true
    if (this.#exit) this.#finish(this.#exit)
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
  onStalled(): void {
    if (this.#settings.keepFor > 0) this.#attachment?.visit.client.leg.onLost()
  }

  #stopWaiting(): void {
    this.#timer?.stop()
    this.#timer = undefined
  }
}
