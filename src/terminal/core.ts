import { BRIEFLY } from '../lib/deadline.ts'
import { TerminalError, withoutSecrets, type Redact } from '../lib/errors.ts'
import { createHeartbeat, MISSED_PINGS } from '../lib/heartbeat.ts'
import { createSilenceTimer } from '../lib/silence-timer.ts'
import { closeError, isBareClose, terminalError } from '../upstream/failures.ts'
import { encodeResize, HEARTBEAT } from '../upstream/protocol.ts'
import type { UpstreamOptions } from '../upstream/resolve.ts'
import { lookUpSession, type TerminalSession } from '../upstream/sessions.ts'
import { createInput } from './input.ts'
import type { Lease } from './lease.ts'
import type { Sink } from './output.ts'
import type { Ending, Link } from './websocket.ts'

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

/** The parts of an accepted attach. */
export interface CoreOptions {
  readonly link: Link
  readonly sink: Sink
  readonly lease: Lease
  readonly sessionId: string
  /** The options to look the session up with. */
  readonly options: UpstreamOptions
  readonly redact: Redact
  /** The URL of the terminal, for messages. */
  readonly where: string
  /** ms of silence before a heartbeat, 0 for none. */
  readonly keepAlive: number
}

// ms of silence before each look-up (PROTOCOL 6.5). After the last, none until there is traffic again: a request would
// keep an orchestrator from stopping an idle container (PROTOCOL 2.12).
const EXIT_CHECKS = [1_000, 4_000, 16_000]
// ms between two look-ups while there is traffic, which an orchestrator's idle reaper does not see. Its shortest limit
// is a minute (PROTOCOL 2.12).
const UPKEEP_INTERVAL = 45_000

/** An open terminal without its output, which goes to the sink. */
export interface TerminalCore {
  readonly sessionId: string
  readonly chatId: string | undefined
  readonly closed: Promise<TerminalClose>
  /** Types as `write` of a connection does. With `isLent`, the caller does not change the bytes meanwhile, and none are copied. */
  readonly write: (data: string | Uint8Array, isLent?: boolean) => Promise<void>
  readonly resize: (cols: number, rows: number) => void
  /** Sends a text frame, in order with the calls of `write`. */
  readonly command: (text: string) => Promise<void>
  /** Closes the terminal with a code that an endpoint may send. Default: 1000. */
  readonly close: (code?: number, reason?: string) => Promise<TerminalClose>
}

/** Turns an accepted attach into an open terminal. */
export function openCore(attachment: CoreOptions): TerminalCore {
  const { link, sink, lease, sessionId, options, redact, where, keepAlive } = attachment
  const action = `The terminal at ${where} has ended`
  // Once false, nothing may be sent any more.
  let open = true
  // Why this side ended the terminal; the close frame of the server does not tell.
  let ownCause: 'local' | 'exited' | 'lost' | undefined
  // Cancels the look-up that is under way when the terminal ends. There is at most one.
  let lookUpInProgress: AbortController | undefined
  // Counted, so that a look-up can tell whether output came while it was under way.
  let messages = 0
  // Armed by traffic, so that an idle terminal makes no requests.
  let upkeep: ReturnType<typeof setTimeout> | undefined

  const input = createInput(async (frame) => {
    assertOpen()
    // Only keystrokes count as traffic: a text frame cannot end the shell.
    if (typeof frame !== 'string') onTraffic()
    await link.send(frame).catch(() => {
      throw closedError()
    })
  }, assertOpen)

  // While a slow reader holds the server back, the shell's last output has not arrived.
  const exits = createSilenceTimer(EXIT_CHECKS, () => (sink.isPaused() ? exits.reset() : void checkExit()))
  const heartbeat = createHeartbeat(keepAlive, {
    isExcused: () => sink.isPaused(),
    ping() {
      link.sendText(HEARTBEAT)
      return link.ping()
    },
    onLost: () => startClosing('lost'),
  })
  link.observe(() => {
    messages += 1
    heartbeat.reset()
    if (open) onTraffic()
    // A server that floods a closing terminal must not fill the memory.
    else if (sink.isPaused()) link.drop()
  }, heartbeat.noteAlive)

  function onTraffic(): void {
    exits.reset()
    upkeep ??= setTimeout(() => {
      upkeep = undefined
      void checkExit()
    }, UPKEEP_INTERVAL)
  }

  function closedError(): TerminalError {
    return terminalError('ERR_TERMINAL_CLOSED', `Cannot use the terminal at ${where}`, 'it is closed')
  }

  function assertOpen(): void {
    if (!open) throw closedError()
  }

  function lookUp(outer?: AbortSignal): Promise<TerminalSession | undefined> {
    return lookUpSession({ ...options, sessionId }, BRIEFLY, outer)
  }

  async function checkExit(): Promise<void> {
    const before = messages
    if (lookUpInProgress) return exits.reset()
    lookUpInProgress = new AbortController()
    // A failed look-up says nothing about the shell.
    const session = await lookUp(lookUpInProgress.signal).catch(() => 'unknown')
    lookUpInProgress = undefined
    // The last output is still coming, or waits for a slow reader: ask later.
    if (sink.isPaused() || messages !== before) exits.reset()
    else if (session === undefined) startClosing('exited')
  }

  function startClosing(cause: 'local' | 'exited' | 'lost', code?: number, reason?: string): void {
    // If the server has begun to close, or the connection has failed, that is how the terminal ends.
    if (!open || (cause !== 'local' && link.isClosing())) return
    open = false
    ownCause = cause
    if (cause === 'local') sink.discard()
    if (cause === 'lost') link.drop()
    else link.close(cause === 'exited', code, reason)
  }

  async function explain({ code, reason, failure }: Ending): Promise<TerminalClose> {
    if (ownCause === 'local' || ownCause === 'exited') return { code: 1000, reason: '', cause: ownCause }
    const close = { code, reason: redact(reason) }
    const error = ownCause
      ? terminalError('ERR_TERMINAL_UNAVAILABLE', action, `no answer to ${MISSED_PINGS} pings`, { closeCode: code })
      : closeError(action, code, reason, redact)
    if (failure !== undefined) error.cause = withoutSecrets(failure, redact)
    if (code === 1006) return { ...close, cause: 'lost', error }
    // PROTOCOL 6.2 and 6.5: some releases close with 1000 when the shell ends, orchestrators for any reason.
    const session = isBareClose(code) ? await lookUp().catch((problem: unknown) => problem) : 'unknown'
    if (session === undefined) return { ...close, cause: 'exited' }
    return { ...close, cause: 'remote', error: session instanceof TerminalError ? session : error }
  }

  async function finish(): Promise<TerminalClose> {
    const ending = await link.ended
    open = false
    exits.stop()
    heartbeat.stop()
    clearTimeout(upkeep)
    lookUpInProgress?.abort()
    sink.end()
    const close = await explain(ending)
    if (close.error?.code === 'ERR_TERMINAL_IN_USE') lease.disown()
    await lease.release()
    return close
  }

  const closed = finish()
  return {
    sessionId,
    chatId: options.chatId,
    closed,
    write: input.write,
    command: input.command,
    resize(cols, rows) {
      const frame = encodeResize(cols, rows)
      assertOpen()
      onTraffic()
      link.sendText(frame)
    },
    close(code, reason) {
      startClosing('local', code, reason)
      return closed
    },
  }
}
