import { abortable } from './deadline.ts'
import { withoutSecrets, type Redact, type TerminalError } from './errors.ts'
import type { CreateSink, Sink } from './output.ts'
import { closeError, failureError, isBareClose, isUnavailable, statusError, terminalError } from './protocol.ts'
import { getTerminalSession, type TerminalSessionOptions } from './sessions.ts'
import type { Upstream } from './upstream.ts'
import { openLink, type Ending, type Link, type SocketConstructor } from './websocket.ts'

/** How to dial. */
export interface Dialling<S extends Sink> {
  readonly Socket: SocketConstructor
  /** The frame that sets the size, if one was asked for. */
  readonly resize: string | undefined
  /** ms of silence after which an attach counts as accepted. */
  readonly settle: number
  readonly maxBuffered: number
  readonly createSink: CreateSink<S>
}

/** Dials, authenticates and waits until the server has accepted; resolves with how it ended if it has not. */
export async function dial<S extends Sink>(
  { Socket, resize, settle, maxBuffered, createSink }: Dialling<S>,
  { headers, message, redact }: Upstream,
  url: string,
  failed: string,
  signal: AbortSignal,
): Promise<{ link: Link; sink: S } | Ending> {
  signal.throwIfAborted()
  const sink = createSink(maxBuffered, { pause: () => link.pause(), resume: () => link.resume() })
  const link = tryOpen(() => openLink(Socket, url, headers, sink.push), failed, redact)
  let timer: ReturnType<typeof setTimeout> | undefined
  try {
    const refused = await abortable(Promise.race([link.opened, link.ended]), signal)
    if (refused) return refused
    link.sendText(message)
    if (resize !== undefined) link.sendText(resize)
    const silence = new Promise<undefined>((resolve) => (timer = setTimeout(resolve, settle, undefined)))
    const ending = await abortable(Promise.race([sink.started, silence, link.ended]), signal)
    return ending ?? { link, sink }
  } catch (error) {
    link.drop()
    throw error
  } finally {
    clearTimeout(timer)
  }
}

/** Some URLs a browser refuses by itself, and quotes them. */
function tryOpen(open: () => Link, failed: string, redact: Redact): Link {
  try {
    return open()
  } catch (error) {
    throw failureError(failed, withoutSecrets(error, redact))
  }
}

/** What a refusal means. */
export interface Refusal {
  readonly error: unknown
  /** Whether the server says that the session is not there. */
  readonly sessionGone?: true
  /** Whether the handshake may have been refused for want of the key. */
  readonly keyMayHelp?: boolean
}

/** What a refused attach had with it. */
export interface Attempt {
  /** What failed, to begin a message with. */
  readonly failed: string
  readonly redact: Redact
  readonly sendsHeaders: boolean
  readonly keyInUrl: boolean
}

/** Finds out what a refusal means; one that does not say why is followed by one look at the session. */
export async function explainRefusal(
  ending: Ending,
  attempt: Attempt,
  options: TerminalSessionOptions,
): Promise<Refusal> {
  const error = errorFor(ending, attempt)
  if (saysWhy(ending, error)) return { error }
  const { opened, status } = ending
  try {
    if (await getTerminalSession(options)) return { error, keyMayHelp: !opened }
  } catch (problem) {
    // Not for a key that is wrong: the URL would be logged for nothing.
    return { error: problem, keyMayHelp: !opened && isUnavailable(problem) }
  }
  const why = 'the session does not exist, or has ended'
  return {
    error: terminalError('ERR_TERMINAL_NOT_FOUND', attempt.failed, why, { status }),
    sessionGone: true,
  }
}

function saysWhy({ code, status, failure }: Ending, error: TerminalError): boolean {
  if (status !== undefined) return status !== 401 && status !== 403
  if (failure !== undefined) return true
  // Terminals 0.2.2 says "not reachable" of a session that its container does not know, too.
  return !isBareClose(code) && !(code === 4003 && isUnavailable(error))
}

function errorFor({ code, reason, status, failure }: Ending, attempt: Attempt): TerminalError {
  const { failed, redact, sendsHeaders, keyInUrl } = attempt
  if (status === 401 || status === 403) {
    const why = `HTTP ${status} to the handshake, although the session is there`
    const advice = keyInUrl
      ? 'Check that what is in between passes WebSockets on, with the key in the URL.'
      : 'Terminals up to 0.0.2 wants a `bearer` key in the URL: check `key`, `authType` and `tokenInUrl`.'
    return terminalError('ERR_TERMINAL_UNAUTHORIZED', failed, why, { status, advice })
  }
  if (status !== undefined) return statusError(failed, status)
  // ws has no code for a handshake that is none.
  if (failure !== undefined) return failureError(failed, withoutSecrets(failure, redact), 'ERR_TERMINAL_PROTOCOL')
  const advice =
    code === 4004 && !sendsHeaders
      ? 'Open Terminal from 0.12.4 on wants X-User-Id, which cannot be sent by this WebSocket: connect from a server.'
      : undefined
  return closeError(failed, code, reason, redact, advice)
}
