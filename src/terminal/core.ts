import { Cancellation, type AbortSignalLike } from '../lib/cancellation.ts'
import { BRIEFLY } from '../lib/deadline.ts'
import { Deferred } from '../lib/deferred.ts'
import { TerminalError, withoutSecrets, type Redact } from '../lib/errors.ts'
import { Heartbeat, MISSED_PINGS, type HeartbeatOwner } from '../lib/heartbeat.ts'
import { SilenceTimer, type SilenceObserver } from '../lib/silence-timer.ts'
import { closeError, isBareClose, terminalError } from '../upstream/failures.ts'
import { encodeResize, HEARTBEAT } from '../upstream/protocol.ts'
import type { UpstreamOptions } from '../upstream/resolve.ts'
import { lookUpSession, type TerminalSession } from '../upstream/sessions.ts'
import { whereOf } from '../upstream/url.ts'
import type { Attempt } from './dial.ts'
import { Input, type InputOwner } from './input.ts'
import type { Lease } from './lease.ts'
import type { Ending, Link, LinkObserver } from './link.ts'
import type { Sink } from './output.ts'

/** How a terminal ended. */
export interface TerminalClose {
  /** The close code (RFC 6455, section 7.4): 1000 when this side closed, 1006 when the connection dropped. */
  readonly code: number
  /** The reason that came with the code. */
  readonly reason: string
  /**
   * - `local`: `close()` was called;
   * - `exited`: the shell has ended. Most servers do not announce that, so the server is asked 1, 4 and 16 s after the
   *   last output or input. Only a terminal server's own 404 counts, not that of a proxy on the way;
   * - `remote`: the server closed the connection;
   * - `lost`: the connection dropped, or the server stopped answering.
   */
  readonly cause: 'local' | 'exited' | 'remote' | 'lost'
  /** The error; absent after a normal end. */
  readonly error?: TerminalError
}

// ms of silence before each look-up (PROTOCOL 6.5). After the last, none until there is traffic again: a request would
// keep an orchestrator from stopping an idle container (PROTOCOL 2.12).
const EXIT_CHECKS = [1_000, 4_000, 16_000]
// ms between two look-ups while there is traffic, which an orchestrator's idle reaper does not see. The reaper
// stops a container after one minute at the earliest (PROTOCOL 2.12).
const UPKEEP_INTERVAL = 45_000

/** An open terminal without its output, which goes to the receiver of its link. */
export class TerminalCore implements HeartbeatOwner, InputOwner, LinkObserver, SilenceObserver {
  readonly sessionId: string
  readonly #closed = new Deferred<TerminalClose>()
  readonly #upstream: UpstreamOptions
  readonly #link: Link<Sink>
  readonly #lease: Lease
  readonly #redact: Redact
  readonly #where: string
  readonly #input = new Input(this)
  readonly #heartbeat: Heartbeat
  readonly #exits = new SilenceTimer(EXIT_CHECKS, this)
  // Once false, nothing may be sent any more.
  #open = true
  // Why this side ended the terminal; the close frame of the server does not tell.
  #ownCause: 'local' | 'exited' | 'lost' | undefined
  // Cancels the look-up that is under way when the terminal ends. There is at most one.
  #lookUpInProgress: Cancellation | undefined
  // Counted, so that a look-up can tell whether output came while it was under way.
  #messages = 0
  // Runs for 45 s from the first traffic on. It is never reset.
  #upkeep: SilenceTimer | undefined

  /** Turns an accepted attempt into an open terminal. `upstream` are the options to look the session up with. */
  constructor(link: Link<Sink>, lease: Lease, upstream: UpstreamOptions, attempt: Attempt) {
    this.sessionId = attempt.session.sessionId
    this.#upstream = upstream
    this.#link = link
    this.#lease = lease
    this.#redact = attempt.upstream.redact
    this.#where = whereOf(attempt.url)
    this.#heartbeat = new Heartbeat(attempt.settings.keepAlive, this)
    link.observe(this)
  }

  get closed(): Promise<TerminalClose> {
    return this.#closed.promise
  }

  get chatId(): string | undefined {
    return this.#upstream.chatId
  }

  /** Types as `write` of a connection does. With `isLent`, the caller does not change the bytes meanwhile. */
  write(data: string | Uint8Array, isLent?: boolean): Promise<void> {
    return this.#input.write(data, isLent)
  }

  /** Sends a text frame, in order with the calls of `write`. */
  command(text: string): Promise<void> {
    return this.#input.command(text)
  }

  resize(cols: number, rows: number): void {
    const frame = encodeResize(cols, rows)
    this.assertOpen()
    this.#onTraffic()
    this.#link.sendText(frame)
  }

  /** Closes the terminal with a code that an endpoint may send. Default: 1000. */
  close(code?: number, reason?: string): Promise<TerminalClose> {
    this.#startClosing('local', code, reason)
    return this.closed
  }

  /** Called by the input. */
  assertOpen(): void {
    if (!this.#open) throw this.#closedError()
  }

  /** Called by the input. */
  async transmit(frame: string | ArrayBuffer): Promise<void> {
    this.assertOpen()
    // Only keystrokes count as traffic: a text frame cannot end the shell.
    if (typeof frame !== 'string') this.#onTraffic()
    await this.#link.send(frame).catch(() => {
      throw this.#closedError()
    })
  }

  /** Called by the link. */
  onMessage(): void {
    this.#messages += 1
    this.#heartbeat.reset()
    if (this.#open) this.#onTraffic()
    // A server that floods a closing terminal must not fill the memory.
    else if (this.#sink.isPaused()) this.#link.drop()
  }

  /** Called by the link. */
  onEnd(ending: Ending): void {
    this.#open = false
    this.#exits.stop()
    this.#heartbeat.stop()
    this.#upkeep?.stop()
    this.#lookUpInProgress?.abort()
    this.#sink.end()
    void this.#finish(ending).then(this.#closed.resolve)
  }

  /** Called by the link. */
  onPong(): void {
    this.#heartbeat.noteAlive()
  }

  /** Called by the timers. */
  onSilence(timer: SilenceTimer): void {
    if (timer === this.#upkeep) this.#upkeep = undefined
    // While a slow reader holds the server back, the shell's last output has not arrived.
    else if (this.#sink.isPaused()) return this.#exits.reset()
    void this.#checkExit()
  }

  /** Called by the heartbeat. */
  ping(): boolean {
    this.#link.sendText(HEARTBEAT)
    return this.#link.ping()
  }

  /** Called by the heartbeat. */
  isExcused(): boolean {
    return this.#sink.isPaused()
  }

  /** Called by the heartbeat. */
  onLost(): void {
    this.#startClosing('lost')
  }

  get #sink(): Sink {
    return this.#link.receiver
  }

  #closedError(): TerminalError {
    return terminalError('ERR_TERMINAL_CLOSED', `Cannot use the terminal at ${this.#where}`, 'it is closed')
  }

  #onTraffic(): void {
    this.#exits.reset()
    this.#upkeep ??= new SilenceTimer([UPKEEP_INTERVAL], this)
  }

  async #checkExit(): Promise<void> {
    const before = this.#messages
    if (this.#lookUpInProgress) return this.#exits.reset()
    this.#lookUpInProgress = new Cancellation()
    // A failed look-up says nothing about the shell.
    const session = await this.#lookUp(this.#lookUpInProgress).catch(() => 'unknown')
    this.#lookUpInProgress = undefined
    // The last output is still coming, or waits for a slow reader: ask later.
    if (this.#sink.isPaused() || this.#messages !== before) this.#exits.reset()
    else if (session === undefined) this.#startClosing('exited')
  }

  #lookUp(outer?: AbortSignalLike): Promise<TerminalSession | undefined> {
    return lookUpSession({ ...this.#upstream, sessionId: this.sessionId }, BRIEFLY, outer)
  }

  #startClosing(cause: 'local' | 'exited' | 'lost', code?: number, reason?: string): void {
    // If the server has begun to close, or the connection has failed, that is how the terminal ends.
    if (!this.#open || (cause !== 'local' && this.#link.isClosing())) return
    this.#open = false
    this.#ownCause = cause
    if (cause === 'local') this.#sink.discard()
    if (cause === 'lost') this.#link.drop()
    else this.#link.close(cause === 'exited', code, reason)
  }

  async #finish(ending: Ending): Promise<TerminalClose> {
    const close = await this.#explain(ending)
    if (close.error?.code === 'ERR_TERMINAL_IN_USE') this.#lease.disown()
    await this.#lease.release()
    return close
  }

  async #explain({ code, reason, failure }: Ending): Promise<TerminalClose> {
    const cause = this.#ownCause
    if (cause === 'local' || cause === 'exited') return { code: 1000, reason: '', cause }
    const close = { code, reason: this.#redact(reason) }
    const action = `The terminal at ${this.#where} has ended`
    const error = cause
      ? terminalError('ERR_TERMINAL_UNAVAILABLE', action, `no answer to ${MISSED_PINGS} pings`, { closeCode: code })
      : closeError(action, code, reason, this.#redact)
    if (failure !== undefined) error.cause = withoutSecrets(failure, this.#redact)
    if (code === 1006) return { ...close, cause: 'lost', error }
    // PROTOCOL 6.2 and 6.5: some releases close with 1000 when the shell ends, orchestrators for any reason.
    const session = isBareClose(code) ? await this.#lookUp().catch((problem: unknown) => problem) : 'unknown'
    if (session === undefined) return { ...close, cause: 'exited' }
    return { ...close, cause: 'remote', error: session instanceof TerminalError ? session : error }
  }
}
