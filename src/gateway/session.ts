import { randomUUID } from 'node:crypto'
import { SilenceTimer, type SilenceObserver } from '../lib/silence-timer.ts'
import type { JoinedSession, ProxyEnd } from '../client/client.ts'
import { ClientOutput } from '../client/output.ts'
import type { OpenedTerminal } from '../terminal/attach.ts'
import type { UpstreamConnection } from '../terminal/connection.ts'
import type { TerminalClose } from '../terminal/types.ts'
import { Admission, type Reservation } from './admission.ts'
import { endOf, EXITED, isCutOff, TAKEN_OVER } from './ends.ts'
import { publishEnd, type ClientReport } from './events.ts'
import type { GatewaySettings } from './options.ts'
import type { Access, Owner } from './owner.ts'
import { SessionClient } from './session-client.ts'
import type { Replay } from './replay.ts'
import type { SessionOutput } from './session-output.ts'
import type { Watchers } from './watchers.ts'

// How long a session waits for its first client.
const UNATTACHED_LIMIT_MS = 30_000

/** Is told that a terminal has closed, and then that nothing of its session is left. */
export interface SessionObserver {
  onClosed(session: Session, close: TerminalClose): void
  onGone(session: Session): void
}

/** An open terminal, the end of its output, and the client that is joined to it. */
export class Session implements SilenceObserver {
  readonly id: string
  readonly owner: Owner
  readonly terminal: UpstreamConnection
  readonly access: Access
  readonly output: SessionOutput
  readonly admission: Admission = new Admission()
  /** When it was created, as `Date.now()` and as `performance.now()`. */
  readonly since: number = Date.now()
  readonly createdAt: number = performance.now()
  /** Whether it has ended, or is being ended. Nobody finds it any more. */
  isEnding = false
  /** Keeps it for a client that got it in the answer to its POST. Absent otherwise. */
  reservation: Reservation | undefined
  readonly #observer: SessionObserver
  readonly settings: GatewaySettings
  /** Absent while no client is joined. */
  client: SessionClient | undefined
  /** Those who look on. Absent before the first. */
  watchers: Watchers | undefined
  // Settles when the client has got a replay that has to be drawn. Absent unless it waits for that.
  #drawing: Promise<void> | undefined
  /** When the last client left, by the clock on the wall and by one that nobody sets. Absent before the first. */
  parked: { readonly since: Date; readonly at: number } | undefined
  /** Runs out if no client comes. Absent while one is joined, and after the end. */
  timer: SilenceTimer | undefined
  // How the shell ended while no client was joined: the next one gets the last output. Absent before.
  #exit: TerminalClose | undefined
  // Whether a client has joined before.
  #hadClient = false
  /** What the clients before have moved. */
  readonly moved: { bytesToClient: number; bytesToUpstream: number } = { bytesToClient: 0, bytesToUpstream: 0 }

  constructor(
    owner: Owner,
    { connection, sink }: OpenedTerminal<SessionOutput>,
    access: Access,
    settings: GatewaySettings,
    observer: SessionObserver,
  ) {
    this.id = (settings.name && `${settings.name}.`) + randomUUID()
    this.owner = owner
    this.access = access
    this.terminal = connection
    this.output = sink
    this.settings = settings
    this.#observer = observer
    sink.keep(settings.replayBytes)
    this.wait(UNATTACHED_LIMIT_MS)
    void connection.closed.then((close) => this.#onClosed(close))
  }

  /** Whether its shell has ended while no client was joined. Only a client that attaches finds it. */
  get hasExited(): boolean {
    return this.#exit !== undefined
  }

  get isOpen(): boolean {
    return !this.isEnding && !this.#exit
  }

  /** When the last client left, as `performance.now()`; `undefined` if the session is not parked, or is reserved. */
  get parkedAt(): number | undefined {
    return this.client || this.isEnding || this.reservation ? undefined : this.parked?.at
  }

  /**
   * Joins a client. A client that is joined already is told that the session was taken over.
   *
   * @param offset The offset in the output to go on from; `undefined` if the client does not know about offsets.
   */
  attach(report: ClientReport, offset: number | null | undefined): JoinedSession {
    const { client } = report
    const canResume = offset !== undefined
    const isFirst = !this.#hadClient
    this.#hadClient = true
    const former = this.client?.client
    this.#part(TAKEN_OVER.code)
    former?.finish(TAKEN_OVER)
    this.wait()
    const replay = this.admission.spend(() => this.output.replayFrom(offset, () => joined))
    const output = this.output.join(
      (flow) => new ClientOutput(client.socket, this.settings.maxBuffered, flow, client.counters, client.connection),
      this,
    )
    const joined = new SessionClient(this, report, output, canResume)
    this.client = joined
    if (replay instanceof Promise) this.#await(replay, joined)
    else this.#begin(joined, replay)
    if (canResume) client.connection.sendSignsWhilePaused(joined)
    client.input.startSending(joined)
    report.onJoined({ userId: this.owner.userId, sessionId: this.id }, isFirst)
    if (this.#exit && !this.#drawing) client.finish(EXITED)
    return joined
  }

  /** The serving of a client has ended. Resolves when nothing of it is left. */
  async leave(
    joined: SessionClient,
    { endedBy, code }: ProxyEnd,
    closeCode: number | undefined,
    reason: string,
  ): Promise<void> {
    // A client whose session was taken over is not joined any more.
    if (joined !== this.client) return
    if (this.#exit && !this.isEnding) return this.#leaveExited(joined)
    if (endedBy === 'client' && this.settings.keepFor > 0 && !this.isEnding) this.park(code)
    // On the word of its shell, of the gateway's `close`, or of a limit that is documented: a `keepFor` of 0.
    else await this.#close(closeCode, reason)
  }

  /** The client has left, or has to. The session waits for another one. */
  park(code: number): void {
    this.#part(code)
    this.parked = { since: new Date(), at: performance.now() }
    this.wait(this.settings.keepFor)
  }

  /** Ends the session: its client gets the close frame, and the upstream deletes it. Resolves when nothing is left. */
  async end(code: number, reason: string): Promise<void> {
    const client = this.client?.client
    const closed = this.#close(code, reason)
    const end: ProxyEnd = { endedBy: 'proxy', code, reason }
    client?.finish(end)
    await Promise.all([client?.summary.promise, closed, this.watchers?.finish(end)])
  }

  /** Waits so many ms for a client: for that of a reservation, or for any. Without a time, waits no more. */
  wait(ms?: number, reservation?: Reservation): void {
    this.timer?.stop()
    this.timer = ms === undefined ? undefined : new SilenceTimer([ms], this)
    this.reservation = reservation
  }

  /** No client has come. On the word of a limit that is documented: `keepFor`, or 30 s for the first. */
  onSilence(): void {
    if (this.reservation) this.reservation.giveBack()
    else void this.#close()
  }

  /** The client does not read: its connection is ended before the shell is, and it can come back. */
  onStalled(): void {
    if (this.settings.keepFor > 0) this.client?.client.socket.terminate()
  }

  /**
   * If the shell has ended by itself while no client was joined, the session stays for as long as it would have
   * otherwise: the first client that comes back gets the last output.
   */
  async #onClosed(close: TerminalClose): Promise<void> {
    this.#observer.onClosed(this, close)
    // A client that waits for the screen gets the last output, too.
    while (this.#drawing && !this.isEnding) await this.#drawing
    if (close.cause !== 'exited' || this.client || this.isEnding) return this.#finish(close)
    this.#exit = close
    void this.watchers?.finish(EXITED)
    this.parked ??= { since: new Date(), at: performance.now() }
  }

  #finish(close: TerminalClose): void {
    this.isEnding = true
    this.wait()
    if (!this.client && this.parked) publishEnd(this.owner.userId, this.id, this.parked.at, close)
    this.client?.stop()
    const end = endOf(close, this.access.areUsers)
    this.client?.client.finish(end)
    void this.watchers?.finish(end)
    this.output.release()
    this.#observer.onGone(this)
  }

  /** A client was told that the shell has ended. One whose connection was cut before does not know, and comes again. */
  async #leaveExited({ client }: SessionClient): Promise<void> {
    const { code } = await client.connection.gone
    if (isCutOff(code) && !this.isEnding) this.park(code)
    else await this.#close()
  }

  /** From now on nobody finds the session, also while the upstream takes its time: a client would lose its input. */
  #close(code?: number, reason?: string): Promise<TerminalClose> {
    const exit = this.isEnding ? undefined : this.#exit
    this.isEnding = true
    if (exit) this.#finish(exit)
    return this.terminal.close(code, reason)
  }

  /** Gives a client the output before what comes live. */
  #begin(joined: SessionClient, replay: Replay): void {
    if (joined.canResume) joined.announce(replay, this.settings.keepFor, this.admission.generation)
    this.output.replay(replay)
    this.output.keep(this.settings.replayBytes)
    if (replay.needsRedraw && !this.#exit) joined.redraw()
  }

  /** Begins when the replay has been drawn, unless the client has gone by then. Nothing else comes to it before. */
  #await(replay: Promise<Replay>, joined: SessionClient): void {
    this.output.hold()
    const drawing = (this.#drawing = replay.then((drawn) => {
      if (this.#drawing === drawing) this.#drawing = undefined
      if (joined !== this.client) return
      this.#begin(joined, drawn)
      if (this.#exit) joined.client.finish(EXITED)
    }))
  }

  /** Separates the client from the session. */
  #part(code: number): void {
    const joined = this.client
    if (!joined) return
    const { client, report } = joined
    this.client = undefined
    this.output.part()
    joined.stop()
    this.moved.bytesToClient += client.counters.bytesToClient
    this.moved.bytesToUpstream += client.counters.bytesToUpstream
    this.admission.dismiss(client)
    report.onLeft(code)
  }
}
