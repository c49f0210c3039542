import { abortable, delay } from '../lib/deadline.ts'
import { hasCode, TerminalError, withoutSecrets, type Redact } from '../lib/errors.ts'
import type { CreateSink, Sink } from './output.ts'
import {
  adviceOnKey,
  closeError,
  failureError,
  HEARTBEAT,
  isBareClose,
  isCut,
  isUnavailable,
  statusError,
  terminalError,
} from '../upstream/protocol.ts'
import { lookUpSession, type TerminalSessionOptions } from '../upstream/sessions.ts'
import type { Settings } from './settings.ts'
import type { Upstream } from '../upstream/resolve.ts'
import { openLink, type Ending, type Link } from './websocket.ts'

/** How to dial. */
export interface Dialling<S extends Sink> extends Pick<Settings, 'Socket' | 'resize' | 'settle' | 'maxBuffered'> {
  readonly createSink: CreateSink<S>
}

/** Why a dial did not lead to a terminal: how the link ended, or because the session is not there. */
export type Refused = Ending | 'session gone'

// ms after the auth frame. By then a shell has shown its prompt, and an orchestrator knows whether its own connection
// was refused; it says so only when it is sent something.
const HEARTBEAT_DELAY = 250

/** Dials, authenticates and waits until the server has accepted. `isGone` asks whether the session is not there. */
export async function dial<S extends Sink>(
  dialling: Dialling<S>,
  { headers, message, redact }: Upstream,
  url: string,
  action: string,
  isGone: (signal: AbortSignal) => Promise<boolean>,
  signal: AbortSignal,
): Promise<{ readonly link: Link; readonly sink: S } | { readonly refused: Refused }> {
  signal.throwIfAborted()
  const { resize, settle } = dialling
  const { link, sink } = open(dialling, url, headers, action, redact)
  // Ends what still waits when the outcome is known.
  const done = new AbortController()
  const confirmSilence = async (): Promise<'session gone' | undefined> => {
    const began = performance.now()
    await delay(Math.min(HEARTBEAT_DELAY, settle / 2), done.signal)
    link.sendText(HEARTBEAT)
    // A server that cannot be asked, or a proxy that answers in its place, says nothing about the session.
    if (await isGone(done.signal).catch(() => false)) return 'session gone'
    await delay(Math.max(0, began + settle - performance.now()), done.signal)
    return undefined
  }
  try {
    const failure = await abortable(Promise.race([link.opened, link.ended]), signal)
    if (failure) return { refused: failure }
    link.sendText(message)
    if (resize !== undefined) link.sendText(resize)
    const refused = await abortable(Promise.race([sink.started, link.ended, confirmSilence()]), signal)
    if (!refused) return { link, sink }
    link.drop()
    return { refused }
  } catch (error) {
    link.drop()
    throw error
  } finally {
    // With a reason: without one, an error with a stack is made for it.
    done.abort('the outcome is known')
  }
}

/**
 * Opens a link, and a sink for its output. In a function of its own, because the sink holds on to everything that is in
 * reach of its functions as long as the terminal is open.
 */
function open<S extends Sink>(
  { Socket, maxBuffered, createSink }: Dialling<S>,
  url: string,
  headers: Record<string, string>,
  action: string,
  redact: Redact,
): { readonly link: Link; readonly sink: S } {
  const sink = createSink(maxBuffered, { pause: () => link.pause(), resume: () => link.resume() })
  let link: Link
  try {
    link = openLink(Socket, url, headers, sink.push)
  } catch (error) {
    // Some URLs a browser refuses by itself, and quotes them.
    throw failureError(action, withoutSecrets(error, redact))
  }
  return { link, sink }
}

/** What a refusal means. */
export interface Refusal {
  readonly error: unknown
  /** Whether the server says that the session is not there. */
  readonly sessionGone?: true
  /** Whether the handshake may have been refused for want of the key in the URL. */
  readonly keyMayHelp?: boolean
  /** Whether the terminal may open without the chat. */
  readonly chatMayHurt?: boolean
}

/** What a refused attach had with it. */
export interface Attempt {
  /** What was tried and where; a message begins with it. */
  readonly action: string
  readonly redact: Redact
  readonly sendsHeaders: boolean
  readonly hasKey: boolean
  readonly keyInUrl: boolean
  /** Whether there is a key that may still be added to the URL. */
  readonly canAddKey: boolean
}

// ms. A server without REST, such as a bare WebSocket server, may never answer.
const EXPLANATION_PATIENCE = 2_000

/** Finds out what a refusal means; where it does not say why, with one look at the session. */
export async function explainRefusal(
  ending: Refused,
  attempt: Attempt,
  options: TerminalSessionOptions,
): Promise<Refusal> {
  if (ending === 'session gone') return sessionGone(attempt)
  if (saysWhy(ending, attempt)) return { error: errorFor(ending, attempt) }
  const { opened, code, status } = ending
  const { canAddKey } = attempt
  try {
    const session = await lookUpSession(options, EXPLANATION_PATIENCE, options.signal)
    if (!session) return sessionGone(attempt, status)
    const error = errorFor(ending, attempt, ', although the session is there')
    // An orchestrator closes with a bare 1000 when its own connection was refused.
    const chatMayHurt = opened && code === 1000 && options.chatId !== undefined
    return { error, keyMayHelp: canAddKey && !opened && !wasCut(ending), chatMayHurt }
  } catch (problem) {
    options.signal?.throwIfAborted()
    const keyMayHelp = canAddKey && !opened && !hasCode(problem, 'ERR_TERMINAL_UNAUTHORIZED')
    // A server that cuts handshakes and answers requests with an error of its own is no terminal server.
    if (wasCut(ending)) return { error: errorFor(ending, attempt), keyMayHelp: keyMayHelp && isAnswer(problem) }
    if (problem instanceof TerminalError) return { error: problem, keyMayHelp }
    return { error: errorFor(ending, attempt, ', and no answer when it was asked for the session'), keyMayHelp }
  }
}

function sessionGone({ action }: Attempt, status?: number): Refusal {
  const why = 'the session does not exist, or has ended'
  return { error: terminalError('ERR_TERMINAL_NOT_FOUND', action, why, { status }), sessionGone: true }
}

/** Whether a request was answered, but not by a server that is about to come back. */
function isAnswer(problem: unknown): boolean {
  return problem instanceof TerminalError && problem.status !== undefined && problem.status < 500
}

/** Whether the connection ended before the answer to the handshake. */
function wasCut({ opened, failure }: Ending): boolean {
  return !opened && isCut(failure)
}

// How servers refuse a handshake that has no key; the real ones say 403.
const REFUSALS = [400, 401, 403]

function saysWhy(ending: Ending, attempt: Attempt): boolean {
  const { code, status, failure } = ending
  if (status !== undefined) return !REFUSALS.includes(status)
  if (failure !== undefined) return !(attempt.canAddKey && wasCut(ending))
  // Terminals 0.2.2 says "not reachable" of a session that its container does not know, too.
  return !isBareClose(code) && !(code === 4003 && isUnavailable(errorFor(ending, attempt)))
}

function errorFor({ code, reason, status, failure }: Ending, attempt: Attempt, found = ''): TerminalError {
  const { action, redact, sendsHeaders, hasKey, keyInUrl } = attempt
  if (status === 401 || status === 403) {
    const advice = keyInUrl
      ? 'Check `key`, and that what is in between passes WebSockets on, with the key in the URL.'
      : 'Terminals up to 0.0.2 wants a `bearer` key in the URL: check `key`, `authType` and `tokenInUrl`.'
    const why = `HTTP ${status} to the handshake${found}`
    return terminalError('ERR_TERMINAL_UNAUTHORIZED', action, why, { status, advice })
  }
  if (status !== undefined) return statusError(action, status)
  // ws has no code for a handshake that is none.
  if (failure !== undefined) return failureError(action, withoutSecrets(failure, redact), 'ERR_TERMINAL_PROTOCOL')
  return closeError(action, code, reason, redact, adviceOnClose(code, sendsHeaders, hasKey))
}

function adviceOnClose(code: number, sendsHeaders: boolean, hasKey: boolean): string | undefined {
  if (code === 4001) return adviceOnKey(hasKey)
  if (code === 1000) {
    return 'An orchestrator does this when another client has the session, or when it was created with a `chatId`: leave `sessionId` out.'
  }
  if (code !== 4004 || sendsHeaders) return undefined
  return 'Open Terminal from 0.12.4 on wants X-User-Id, which cannot be sent by this WebSocket: connect from a server.'
}
