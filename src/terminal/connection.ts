import { Cancellation, type AbortSignalLike } from '../lib/cancellation.ts'
import { BRIEFLY_MS } from '../lib/deadline.ts'
import { Deferred } from '../lib/deferred.ts'
import { hasCode, TerminalError, withoutSecrets, type Redact } from '../lib/errors.ts'
import { Heartbeat, MISSED_PINGS, type HeartbeatOwner } from '../lib/heartbeat.ts'
import { SilenceTimer, type SilenceObserver } from '../lib/silence-timer.ts'
import { CLOSE_DROPPED, CLOSE_NORMAL } from '../upstream/close-codes.ts'
import { closeError, isBareClose, terminalError } from '../upstream/failures.ts'
import { HEARTBEAT } from '../upstream/protocol.ts'
import { isKnownToTakeAllInput, takesAllInput } from '../upstream/takes-all-input.ts'
import { lookUpSession, type SessionRequestOptions } from '../upstream/sessions.ts'
import { withoutQuery, wsUrlFor } from '../upstream/url.ts'
import type { Attempt, Dialled } from './dial.ts'
import { endShell } from './farewell.ts'
import { Input, type InputOwner } from './input.ts'
import type { KeptSession } from './kept-session.ts'
import type { Lease } from './lease.ts'
import type { Sink } from './output.ts'
import type { SocketEnd, SocketObserver, UpstreamSocket } from './socket.ts'
import type { TerminalClose } from './types.ts'

// Silence before each look-up (PROTOCOL 6.5). After the last, none until there is traffic again: a request would keep
// an orchestrator from stopping an idle container (PROTOCOL 2.12).
const EXIT_CHECKS_MS = [1_000, 4_000, 16_000]
// Between two look-ups while there is traffic, which an orchestrator's idle reaper does not see. The reaper stops a
// container after one minute at the earliest (PROTOCOL 2.12).
const UPKEEP_INTERVAL_MS = 45_000

/** An open terminal over one connection. Its output goes to a sink. */
export class UpstreamConnection implements HeartbeatOwner, InputOwner, SocketObserver, SilenceObserver {
  readonly sessionId: string
  readonly chatId: string | undefined
  readonly lease: Lease
  readonly #closed = new Deferred<TerminalClose>()
  readonly closed: Promise<TerminalClose> = this.#closed.promise
  // Without the signal of connecting, which would be kept in memory.
  readonly #sessionOptions: SessionRequestOptions
  readonly #socket: UpstreamSocket
  readonly #sink: Sink
  readonly #kept: KeptSession | undefined
  readonly #redact: Redact
  readonly #input: Input
  readonly #heartbeat: Heartbeat
  readonly #exits = new SilenceTimer(EXIT_CHECKS_MS, this)
  /** Once false, nothing may be sent any more. */
  isOpen = true
  // Whether it goes on over another connection.
  #isResumed = false
  // Why this side ended the terminal; the close frame of the server does not tell.
  #ownCause: 'local' | 'exited' | 'lost' | undefined
  // What the end of the terminal stops if it is under way: the end of the shell, and the look-up (one at most).
  #stopFarewell: (() => void) | undefined
  #lookUpInProgress: Cancellation | undefined
  // Counted, so that a look-up can tell whether output came meanwhile.
  #messages = 0
  // Runs for 45 s from the first traffic on, and is never reset.
  #upkeep: SilenceTimer | undefined

  constructor({ socket, sink }: Dialled<Sink>, attempt: Attempt) {
    const { signal: _, ...sessionOptions } = attempt.sessionOptions
    this.sessionId = sessionOptions.sessionId
    this.chatId = sessionOptions.chatId
    this.#sessionOptions = sessionOptions
    this.#socket = socket
    this.#sink = sink
    this.#kept = attempt.settings.kept
    this.lease = attempt.lease
    this.#redact = attempt.endpoint.redact
    this.#input = new Input(this, isKnownToTakeAllInput(sessionOptions))
    this.#heartbeat = new Heartbeat(attempt.settings.keepAlive, this)
    socket.observe(this)
  }

  /** Types as `write` of a terminal does. With `isLent`, the caller does not change the bytes meanwhile. */
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
    this.#socket.sendText(frame)
  }

  /** Closes the terminal with a code that an endpoint may send. Default: 1000. */
  close(code?: number, reason?: string): Promise<TerminalClose> {
    this.#startClosing('local', code, reason)
    return this.closed
  }

  /** Ends the terminal for good. Deletes the session, as `deleteOnClose` says, if `isOver`. */
  async giveUp(isOver: boolean): Promise<void> {
    this.#isResumed = false
    if (isOver) await this.lease.end(this.#sessionOptions, this.#kept?.generation)
  }

  assertOpen(): void {
    if (!this.isOpen) throw this.#closedError()
  }

  async send(frame: string | ArrayBuffer): Promise<void> {
    this.assertOpen()
    // Only keystrokes count as traffic: a text frame cannot end the shell.
    if (typeof frame !== 'string') this.#onTraffic()
    await this.#socket.send(frame).catch(() => {
      throw this.#closedError()
    })
  }

  isPaced(): boolean {
    return this.#kept?.isPaced === true
  }

  takesAllInput(signal: AbortSignalLike): Promise<boolean> {
    return takesAllInput(this.#sessionOptions, signal)
  }

  // Built when an error needs it: kept, it would hold a copy of the URL for each session.
  get where(): string {
    const { base, userId } = this.#sessionOptions
    return withoutQuery(wsUrlFor(base, '', userId, this.#sessionOptions))
  }

  onMessage(data: Uint8Array, isBinary: boolean): void {
    // The answer to a heartbeat.
    if (this.#kept?.isKept && !isBinary) return this.onPong()
    this.#messages += 1
    this.#input.onOutput(data)
    this.#heartbeat.reset()
    if (this.isOpen) this.#onTraffic()
    // A server that floods a closing terminal must not fill the memory.
    else if (this.#sink.isPaused()) this.#socket.drop()
  }

  onEnd(end: SocketEnd): void {
    this.isOpen = false
    this.#exits.stop()
    this.#heartbeat.stop()
    this.#upkeep?.stop()
    this.#lookUpInProgress?.abort()
    this.#stopFarewell?.()
    this.#input.stop()
    const isDone = this.#ownCause === 'local' || this.#ownCause === 'exited'
    this.#isResumed = this.#kept?.end(end.code, isDone) === true
    if (!this.#isResumed) this.#sink.end()
    void this.#finish(end).then(this.#closed.resolve)
  }

  onPong(): void {
    this.#heartbeat.onPong()
  }

  onSilence(timer: SilenceTimer): void {
    if (timer === this.#upkeep) this.#upkeep = undefined
    // While a slow reader holds the server back, the last output may not have arrived.
    else if (this.isPaused()) return this.#exits.reset()
    // A network may drop the connection without a word. So a server that answers is asked soon after some traffic.
    if (this.#kept?.isKept) this.#heartbeat.onSilence()
    else void this.#checkExit()
  }

  ping(): boolean {
    this.#socket.sendText(HEARTBEAT)
    return this.#socket.ping() || this.#kept?.isKept === true
  }

  isPaused(): boolean {
    return this.#sink.isPaused()
  }

  onLost(): void {
    this.#startClosing('lost')
  }

  #closedError(): TerminalError {
    const action = `Cannot use the terminal at ${this.where}`
    // The socket may report that it cannot send before it reports its end.
    if (!this.#isResumed && !(this.isOpen && this.#kept?.isKept))
      return terminalError('ERR_TERMINAL_CLOSED', action, 'it is closed')
    return terminalError('ERR_TERMINAL_RECONNECTING', action, 'the connection was cut off, and is being restored')
  }

  #onTraffic(): void {
    this.#exits.reset()
    // A gateway asks its upstream itself.
    if (!this.#kept?.isKept) this.#upkeep ??= new SilenceTimer([UPKEEP_INTERVAL_MS], this)
  }

  async #checkExit(): Promise<void> {
    const before = this.#messages
    if (this.#lookUpInProgress) return this.#exits.reset()
    this.#lookUpInProgress = new Cancellation()
    // A failed look-up says nothing about the shell.
    const session = await lookUpSession(this.#sessionOptions, BRIEFLY_MS, this.#lookUpInProgress).catch(() => 'unknown')
    this.#lookUpInProgress = undefined
    // The last output is still coming, or waits for a slow reader: ask later.
    if (this.isPaused() || this.#messages !== before) this.#exits.reset()
    else if (session === undefined) this.#startClosing('exited')
  }

  #startClosing(cause: 'local' | 'exited' | 'lost', code?: number, reason?: string): void {
    // If the server has begun to close, or the connection has failed, that is how the terminal ends.
    if (!this.isOpen || (cause !== 'local' && this.#socket.isClosing())) return
    this.isOpen = false
    this.#ownCause = cause
    if (cause === 'local') this.#sink.discard()
    if (cause === 'lost') return this.#socket.drop()
    const close = (): void => this.#socket.close(cause === 'exited', code, reason)
    const endsShell = this.lease.endsShell && !this.#kept?.isKept && this.#socket.isOpen()
    if (endsShell) this.#stopFarewell = endShell(this.#socket, close)
    else close()
  }

  async #finish(end: SocketEnd): Promise<TerminalClose> {
    const close = await this.#explainEnd(end)
    if (this.#isResumed) return close
    // On the word of the owner, or after the shell's end. Without a gateway, the connection's is one (PROTOCOL 6.6).
    const isOver = !this.#kept?.isKept || close.cause === 'local' || close.cause === 'exited'
    await this.giveUp(isOver && !hasCode(close.error, 'ERR_TERMINAL_IN_USE'))
    return close
  }

  async #explainEnd({ code, reason, failure }: SocketEnd): Promise<TerminalClose> {
    const cause = this.#ownCause
    if (cause === 'local' || cause === 'exited') return { code: CLOSE_NORMAL, reason: '', cause }
    const close = { code, reason: this.#redact(reason) }
    const action = `The terminal at ${this.where} has ended`
    const error = cause
      ? terminalError('ERR_TERMINAL_UNAVAILABLE', action, `no answer to ${MISSED_PINGS} pings`, { closeCode: code })
      : closeError(action, code, reason, this.#redact)
    if (failure !== undefined) error.cause = withoutSecrets(failure, this.#redact)
    if (code === CLOSE_DROPPED) return { ...close, cause: 'lost', error }
    if (!isBareClose(code)) return { ...close, cause: 'remote', error }
    // PROTOCOL 6.2 and 6.5: some releases close with 1000 when the shell ends, orchestrators for any reason.
    const asked = this.#kept?.isWatching ? undefined : lookUpSession(this.#sessionOptions, BRIEFLY_MS, undefined)
    const session = await asked?.catch((thrown: unknown) => thrown)
    if (session === undefined) return { ...close, cause: 'exited' }
    return { ...close, cause: 'remote', error: session instanceof TerminalError ? session : error }
  }
}
