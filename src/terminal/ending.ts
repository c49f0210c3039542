import { TerminalError, withoutSecrets, type Redact } from '../lib/errors.ts'
import { MISSED_PINGS } from '../lib/heartbeat.ts'
import { CLOSE_DROPPED, CLOSE_NORMAL } from '../upstream/close-codes.ts'
import { closeError, isBareClose, terminalError } from '../upstream/failures.ts'
import type { TerminalSession } from '../upstream/sessions.ts'
import type { TerminalClose } from './types.ts'

/** How a socket ended. */
export interface Ending {
  /** The close code, 1006 when there was no close frame. */
  readonly code: number
  /** The reason of the close frame, or the reason phrase of the answer that refused the handshake. */
  readonly reason: string
  /** Whether the handshake had succeeded before. */
  readonly opened: boolean
  /** The HTTP status of the handshake, if the runtime tells. */
  readonly status: number | undefined
  /** Returns a header of the answer that refused the handshake; absent if the runtime does not tell. */
  readonly header?: ((name: string) => string | undefined) | undefined
  /** The error of the runtime, if it tells. */
  readonly failure: unknown
}

/** What is known of an end beside how the socket ended. */
export interface EndContext {
  /** Why this side ended the terminal; the close frame of the server does not tell. */
  readonly ownCause: 'local' | 'exited' | 'lost' | undefined
  /** The URL, for messages. */
  readonly where: string
  readonly redact: Redact
  readonly lookUp: () => Promise<TerminalSession | undefined>
}

/** Finds out how a terminal ended. */
export async function explainEnd(
  { code, reason, failure }: Ending,
  { ownCause, where, redact, lookUp }: EndContext,
): Promise<TerminalClose> {
  if (ownCause === 'local' || ownCause === 'exited') return { code: CLOSE_NORMAL, reason: '', cause: ownCause }
  const close = { code, reason: redact(reason) }
  const action = `The terminal at ${where} has ended`
  const error = ownCause
    ? terminalError('ERR_TERMINAL_UNAVAILABLE', action, `no answer to ${MISSED_PINGS} pings`, { closeCode: code })
    : closeError(action, code, reason, redact)
  if (failure !== undefined) error.cause = withoutSecrets(failure, redact)
  if (code === CLOSE_DROPPED) return { ...close, cause: 'lost', error }
  // PROTOCOL 6.2 and 6.5: some releases close with 1000 when the shell ends, orchestrators for any reason.
  const session = isBareClose(code) ? await lookUp().catch((problem: unknown) => problem) : 'unknown'
  if (session === undefined) return { ...close, cause: 'exited' }
  return { ...close, cause: 'remote', error: session instanceof TerminalError ? session : error }
}
