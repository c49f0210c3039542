import { abortable, delay } from './deadline.ts'
import { TerminalError, withoutSecrets, type Redact } from './errors.ts'
import type { CreateSink, Sink } from './output.ts'
import { closeError, failureError, isBareClose, statusError, terminalError } from './protocol.ts'
import { getTerminalSession, type TerminalSessionOptions } from './sessions.ts'
import type { Upstream } from './upstream.ts'
import { whereOf } from './url.ts'
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
  signal: AbortSignal,
): Promise<{ link: Link; sink: S } | Ending> {
  signal.throwIfAborted()
  const sink = createSink(maxBuffered, { pause: () => link.pause(), resume: () => link.resume() })
  const link = tryOpen(() => openLink(Socket, url, headers, sink.push), failureAt(whereOf(url)), redact)
  const accepted = new AbortController()
  try {
    const refused = await abortable(Promise.race([link.opened, link.ended]), signal)
    if (refused) return refused
    link.sendText(message)
    if (resize !== undefined) link.sendText(resize)
    const silence = delay(settle, accepted.signal)
    const ending = await abortable(Promise.race([sink.started, silence, link.ended]), signal)
    return ending ?? { link, sink }
  } catch (error) {
    link.drop()
    throw error
  } finally {
    accepted.abort()
  }
}

/** Some URLs a browser refuses by itself, and quotes them. */
function tryOpen(open: () => Link, attaching: string, redact: Redact): Link {
  try {
    return open()
  } catch (error) {
    throw failureError(attaching, withoutSecrets(error, redact))
  }
}

/** What a refusal means. */
export interface Refusal {
  readonly error: unknown
  /** Whether the server says that the session is not there. */
  readonly sessionGone: boolean
  /** Whether the handshake may have been refused for want of the key. */
  readonly keyMayHelp: boolean
}

/** Something went wrong that neither another session nor the key in the URL would change. */
export function failed(error: unknown): Refusal {
  return { error, sessionGone: false, keyMayHelp: false }
}

/** What a refused attach had with it. */
export interface Attempt {
  readonly where: string
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
  if (saysWhy(ending, error)) return failed(error)
  const { opened, status } = ending
  try {
    if (await getTerminalSession(options)) return { error, sessionGone: false, keyMayHelp: !opened }
  } catch (problem) {
    // Not for a key that is wrong: the URL would be logged for nothing.
    return { error: problem, sessionGone: false, keyMayHelp: !opened && isUnavailable(problem) }
  }
  const why = 'the session does not exist, or has ended'
  const notFound = terminalError('ERR_TERMINAL_NOT_FOUND', failureAt(attempt.where), why, { status })
  return { error: notFound, sessionGone: true, keyMayHelp: false }
}

function isUnavailable(error: unknown): boolean {
  return error instanceof TerminalError && error.code === 'ERR_TERMINAL_UNAVAILABLE'
}

function failureAt(where: string): string {
  return `Cannot attach at ${where}`
}

function saysWhy({ code, status, failure }: Ending, error: TerminalError): boolean {
  if (status !== undefined) return status !== 401 && status !== 403
  if (failure !== undefined) return true
  // Terminals 0.2.2 says "not reachable" of a session that its container does not know, too.
  return !isBareClose(code) && !(code === 4003 && error.code === 'ERR_TERMINAL_UNAVAILABLE')
}

function errorFor({ code, reason, status, failure }: Ending, attempt: Attempt): TerminalError {
  const { where, redact, sendsHeaders, keyInUrl } = attempt
  const attaching = failureAt(where)
  if (status === 401 || status === 403) {
    const why = `HTTP ${status} to the handshake, although the session is there`
    const advice = keyInUrl
      ? 'The key was in the URL: look for something in between that takes out the query, or refuses WebSockets.'
      : 'Terminals up to 0.0.2 wants a `bearer` key in the URL: check `authType`, `key` and `tokenInUrl`.'
    return terminalError('ERR_TERMINAL_UNAUTHORIZED', attaching, why, { status, advice })
  }
  if (status === 200) {
    const why = 'HTTP 200 to the handshake: something in between does not pass WebSocket upgrades on'
    return terminalError('ERR_TERMINAL_PROTOCOL', attaching, why, { status })
  }
  if (status !== undefined) return statusError(attaching, status)
  // ws has no code for a handshake that is none.
  if (failure !== undefined) return failureError(attaching, withoutSecrets(failure, redact), 'ERR_TERMINAL_PROTOCOL')
  if (code === 4004 && !sendsHeaders) {
    const advice =
      'Open Terminal from 0.12.4 on wants X-User-Id in the handshake, which this WebSocket cannot send: connect from a server.'
    return closeError(attaching, code, reason, redact, advice)
  }
  return closeError(attaching, code, reason, redact)
}
