import { BRIEFLY } from '../lib/deadline.ts'
import { TerminalError, withoutSecrets, type Redact } from '../lib/errors.ts'
import { createInput } from './input.ts'
import type { Lease } from './lease.ts'
import type { Sink } from './output.ts'
import { closeError, encodeResize, HEARTBEAT, isBareClose, terminalError } from '../upstream/protocol.ts'
import { lookUpSession, type TerminalSession } from '../upstream/sessions.ts'
import type { UpstreamOptions } from '../upstream/resolve.ts'
import { createSilenceTimer } from '../lib/silence-timer.ts'
import type { Ending, Link } from './websocket.ts'

/** How a terminal ended. */
export interface TerminalClose {
  /** The close code (RFC 6455, section 7.4): 1000 when it was our doing, 1006 when the connection dropped. */
  readonly code: number
  /** The reason that came with the code. */
  readonly reason: string
  /**
   * - `local`: `close()` was called;
   * - `exited`: the shell has ended; most servers do not announce it, so they are asked when the terminal falls silent,
   *   1, 4 and 16 s after the last output or input, and then not before there is some again. Only a terminal server's own
   *   404 counts, not that of a proxy in between;
   * - `remote`: the server closed the connection;
   * - `lost`: the connection dropped, or the server stopped answering.
   */
  readonly cause: 'local' | 'exited' | 'remote' | 'lost'
  /** The error; absent after a normal end. */
  readonly error?: TerminalError
}

/** What an accepted attach consists of. */
export interface CoreOptions {
  readonly link: Link
  readonly sink: Sink
  readonly lease: Lease
  readonly sessionId: string
  /** To look the session up with. */
  readonly options: UpstreamOptions
  readonly redact: Redact
  /** Where it is, for messages. */
  readonly where: string
  /** ms of silence before a heartbeat, 0 for none. */
  readonly keepAlive: number
}

// ms of silence. Then no more until there is traffic again: orchestrators stop containers without requests.
const EXIT_CHECKS = [1_000, 4_000, 16_000]
// ms between two requests for the session while there is traffic: the reaper of an orchestrator does not see WebSocket
// messages, and its shortest limit is a minute.
const UPKEEP_INTERVAL = 45_000
const MISSED_PINGS = 2

/** A terminal that is open, but for its output, which goes to the sink. */
export interface TerminalCore {
  readonly sessionId: string
  readonly chatId: string | undefined
  readonly closed: Promise<TerminalClose>
  /** As that of a connection; `isLent` says that the bytes do not change until it resolves, so that none are copied. */
  readonly write: (data: string | Uint8Array, isLent?: boolean) => Promise<void>
  readonly resize: (cols: number, rows: number) => void
  /** Sends a text frame in order with what is written. */
  readonly command: (text: string) => Promise<void>
  /** Closes it with a code that may be sent. Default: 1000. */
  readonly close: (code?: number, reason?: string) => Promise<TerminalClose>
}

/** Turns an accepted attach into an open terminal. */
export function openCore(attachment: CoreOptions): TerminalCore {
  const { link, sink, lease, sessionId, options, redact, where, keepAlive } = attachment
  const action = `The terminal at ${where} has ended`
  // The look-up that is under way, to end it with the terminal.
  let asking: AbortController | undefined
  let open = true
  // The cause, when this side ends the terminal.
  let leaving: 'local' | 'exited' | 'lost' | undefined
  // Counted, so that a look-up knows whether output has come since it was sent.
  let messages = 0
  // Pings without an answer.
  let missed = 0
  // Runs while there is traffic.
  let upkeep: ReturnType<typeof setTimeout> | undefined

  const input = createInput(async (frame) => {
    assertOpen()
    // Control frames cannot end the shell: no exit check.
    if (typeof frame !== 'string') onTraffic()
    await link.send(frame).catch(() => {
      throw closedError()
    })
  }, assertOpen)

  // While a slow reader holds the server back, the last output of the shell is still to come.
  const exits = createSilenceTimer(EXIT_CHECKS, () => (sink.isPaused() ? exits.reset() : void checkExit()))
  const heartbeat = createSilenceTimer(keepAlive === 0 ? [] : [keepAlive], () => {
    // A paused socket does not see the answers.
    if (sink.isPaused()) missed = 0
    if (missed === MISSED_PINGS) return leave('lost')
    link.sendText(HEARTBEAT)
    if (link.ping()) missed += 1
    heartbeat.reset()
  })
  link.observe(
    () => {
      messages += 1
      missed = 0
      heartbeat.reset()
      if (open) onTraffic()
      // A server that floods a terminal which is closing must not fill the memory.
      else if (sink.isPaused()) link.drop()
    },
    () => {
      missed = 0
    },
  )

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
    if (asking) return exits.reset()
    asking = new AbortController()
    // Only an answer counts. A server that cannot be asked says nothing about the shell.
    const session = await lookUp(asking.signal).catch(() => 'unknown')
    asking = undefined
    // The last output is still coming, or waits for a slow reader: ask later.
    if (sink.isPaused() || messages !== before) exits.reset()
    else if (session === undefined) leave('exited')
  }

  function leave(cause: 'local' | 'exited' | 'lost', code?: number, reason?: string): void {
    // Once the server has begun to close, or the connection has failed, that is how the terminal ends.
    if (!open || (cause !== 'local' && link.isClosing())) return
    open = false
    leaving = cause
    if (cause === 'local') sink.discard()
    if (cause === 'lost') link.drop()
    else link.close(cause === 'exited', code, reason)
  }

  async function explain({ code, reason, failure }: Ending): Promise<TerminalClose> {
    if (leaving === 'local' || leaving === 'exited') return { code: 1000, reason: '', cause: leaving }
    const close = { code, reason: redact(reason) }
    const error = leaving
      ? terminalError('ERR_TERMINAL_UNAVAILABLE', action, `no answer to ${MISSED_PINGS} pings`, { closeCode: code })
      : closeError(action, code, reason, redact)
    if (failure !== undefined) error.cause = withoutSecrets(failure, redact)
    if (code === 1006) return { ...close, cause: 'lost', error }
    // Open Terminal from 0.14.5 on closes with 1000 when the shell ends, orchestrators whenever anything does.
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
    asking?.abort()
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
      leave('local', code, reason)
      return closed
    },
  }
}
