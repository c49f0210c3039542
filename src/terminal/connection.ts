import { Cancellation, type AbortSignalLike } from '../lib/cancellation.ts'
import { BRIEFLY } from '../lib/deadline.ts'
import { Deferred } from '../lib/deferred.ts'
import { hasCode, type Redact, type TerminalError } from '../lib/errors.ts'
import { Heartbeat, type HeartbeatOwner } from '../lib/heartbeat.ts'
import { SilenceTimer, type SilenceObserver } from '../lib/silence-timer.ts'
import { CLOSE_NORMAL } from '../upstream/close-codes.ts'
import { terminalError } from '../upstream/failures.ts'
import { HEARTBEAT } from '../upstream/protocol.ts'
import { isKnownToTakeAllInput, takesAllInput } from '../upstream/input.ts'
import type { UpstreamOptions } from '../upstream/resolve.ts'
import { lookUpSession, type TerminalSession, type TerminalSessionOptions } from '../upstream/sessions.ts'
import { whereOf, wsUrlFor } from '../upstream/url.ts'
import type { TerminalClose } from './types.ts'
import type { Attempt } from './dial.ts'
import { explainEnd, type Ending } from './ending.ts'
import { endShell } from './farewell.ts'
import { Input, type InputOwner } from './input.ts'
import type { Lease } from './lease.ts'
import type { Link, LinkObserver } from './socket.ts'
import type { Sink } from './output.ts'
import { stalledError, type StallReason } from './stalled.ts'

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
  readonly #input: Input
  readonly #heartbeat: Heartbeat
  readonly #exits = new SilenceTimer(EXIT_CHECKS, this)
  /** Once false, nothing may be sent any more. */
  isOpen = true
  // Whether the session is resumed over another connection.
  #isResumed = false
  // Why this side ended the terminal; the close frame of the server does not tell.
  #ownCause: 'local' | 'exited' | 'lost' | undefined
  // Stops the question whether the server takes all input. Absent until that is asked.
  #inputQuestion: Cancellation | undefined
  // Stops the end of the shell. Absent unless that is under way.
  #stopFarewell: (() => void) | undefined
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
    this.#input = new Input(this, isKnownToTakeAllInput(upstream))
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

  /** Sends the text frame that sets the size at once. */
  resize(frame: string): void {
    this.assertOpen()
    this.#onTraffic()
    this.#link.sendText(frame)
  }

  /** Closes the terminal with a code that an endpoint may send. Default: 1000. */
  close(code?: number, reason?: string): Promise<TerminalClose> {
    this.#startClosing('local', code, reason)
    return this.closed
  }

  /** Ends the terminal for good. Deletes the session, as `deleteOnClose` says, if `isOver`. */
  async giveUp(isOver: boolean): Promise<void> {
    this.#isResumed = false
    if (isOver) await this.#lease.end(this.#session, this.#sink.generation)
  }

  assertOpen(): void {
    if (!this.isOpen) throw this.#closedError()
  }

  async send(frame: string | ArrayBuffer): Promise<void> {
    this.assertOpen()
    // Only keystrokes count as traffic: a text frame cannot end the shell.
    if (typeof frame !== 'string') this.#onTraffic()
    await this.#link.send(frame).catch(() => {
      throw this.#closedError()
    })
  }

  isPaced(): boolean {
    return this.#sink.isPaced === true
  }

  takesAllInput(): Promise<boolean> {
    this.#inputQuestion = new Cancellation()
    return takesAllInput(this.#upstream, this.#inputQuestion).catch(() => false)
  }

  stalledError(reason: StallReason, sent: number, size: number): TerminalError {
    return stalledError(`Cannot type into the terminal at ${this.#where}`, reason, sent, size)
  }

  onMessage(data: Uint8Array): void {
    this.#messages += 1
    this.#input.onOutput(data)
    this.#heartbeat.reset()
    if (this.isOpen) this.#onTraffic()
    // A server that floods a closing terminal must not fill the memory.
    else if (this.#sink.isPaused()) this.#link.drop()
  }

  onEnd(ending: Ending): void {
    this.isOpen = false
    this.#exits.stop()
    this.#heartbeat.stop()
    this.#upkeep?.stop()
    this.#lookUpInProgress?.abort()
    this.#inputQuestion?.abort()
    this.#stopFarewell?.()
    this.#input.stop()
    this.#isResumed = this.#sink.end(this.#ownCause === 'exited' ? CLOSE_NORMAL : ending.code)
    void this.#finish(ending).then(this.#closed.resolve)
  }

  onPong(): void {
    this.#heartbeat.onPong()
  }

  onSilence(timer: SilenceTimer): void {
    if (timer === this.#upkeep) this.#upkeep = undefined
    // While a slow reader holds the server back, the shell's last output has not arrived.
    else if (this.#sink.isPaused()) return this.#exits.reset()
    // A network may drop the connection without a word. So a server that answers is asked soon after some traffic.
    if (this.#sink.isKept) this.#heartbeat.onSilence()
    else void this.#checkExit()
  }

  ping(): boolean {
    this.#link.sendText(HEARTBEAT)
    return this.#link.ping() || this.#sink.isKept === true
  }

  isPaused(): boolean {
    return this.#sink.isPaused()
  }

  onLost(): void {
    this.#startClosing('lost')
  }

  get #session(): TerminalSessionOptions {
    return { ...this.#upstream, sessionId: this.sessionId }
  }

  // Built when an error needs it: kept, it would hold a copy of the URL for each session.
  get #where(): string {
    return whereOf(wsUrlFor(this.#upstream.base, '', this.#upstream.userId, this.#session))
  }

  get #sink(): Sink {
    return this.#link.receiver
  }

  #closedError(): TerminalError {
    const action = `Cannot use the terminal at ${this.#where}`
    // The socket may report that it cannot send before it reports its end.
    if (!this.#isResumed && !(this.isOpen && this.#sink.isKept))
      return terminalError('ERR_TERMINAL_CLOSED', action, 'it is closed')
    return terminalError('ERR_TERMINAL_RECONNECTING', action, 'the connection was cut off, and is being restored')
  }

  #onTraffic(): void {
    this.#exits.reset()
    // A gateway asks its upstream itself.
    if (!this.#sink.isKept) this.#upkeep ??= new SilenceTimer([UPKEEP_INTERVAL], this)
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
    return lookUpSession(this.#session, BRIEFLY, outer)
  }

  #startClosing(cause: 'local' | 'exited' | 'lost', code?: number, reason?: string): void {
    // If the server has begun to close, or the connection has failed, that is how the terminal ends.
    if (!this.isOpen || (cause !== 'local' && this.#link.isClosing())) return
    this.isOpen = false
    this.#ownCause = cause
    if (cause === 'local') this.#sink.discard()
    if (cause === 'lost') return this.#link.drop()
    const close = (): void => this.#link.close(cause === 'exited', code, reason)
    const endsShell = this.#lease.endsShell && !this.#sink.isKept && this.#link.isOpen()
    if (endsShell) this.#stopFarewell = endShell(this.#link, close)
    else close()
  }

  async #finish(ending: Ending): Promise<TerminalClose> {
    const ownCause = this.#ownCause
    const context = { ownCause, where: this.#where, redact: this.#redact, lookUp: () => this.#lookUp() }
    const close = await explainEnd(ending, context)
    if (this.#isResumed) return close
    // On the word of the owner, or after the shell's end. Without a gateway, that of the connection is one (PROTOCOL 6.6).
    const isOver = !this.#sink.isKept || close.cause === 'local' || close.cause === 'exited'
    await this.giveUp(isOver && !hasCode(close.error, 'ERR_TERMINAL_IN_USE'))
    return close
  }
}
