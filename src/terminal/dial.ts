import { Cancellation, throwIfAborted, type AbortSignalLike } from '../lib/cancellation.ts'
import { abortable, delay } from '../lib/deadline.ts'
import { Deferred } from '../lib/deferred.ts'
import { withoutSecrets } from '../lib/errors.ts'
import { failureError } from '../upstream/failures.ts'
import { HEARTBEAT } from '../upstream/protocol.ts'
import type { Upstream } from '../upstream/resolve.ts'
import { asRecord, parseJson } from '../upstream/requests.ts'
import { lookUpSession, type TerminalSessionOptions } from '../upstream/sessions.ts'
import type { Ending } from './ending.ts'
import { endShell } from './farewell.ts'
import { Link } from './socket.ts'
import type { CreateSink, Sink } from './output.ts'
import type { Settings } from './settings.ts'

/** One attempt to attach to a session. */
export interface Attempt {
  readonly settings: Settings
  /** The URLs and credentials of this attempt. */
  readonly upstream: Upstream
  /** The options to look the session up with. Their signal ends the attempt. */
  readonly session: TerminalSessionOptions & { readonly signal: AbortSignalLike }
  readonly url: string
  /** Which session it is: one that was named, or one that was just created by a server, or by an orchestrator. */
  readonly origin: 'named' | 'server' | 'orchestrator'
  /** Called when the handshake has succeeded. */
  readonly onOpened: () => void
  /** Whether the key is in the URL. */
  readonly keyInUrl: boolean
  /** The beginning of an error's message: what was tried, and where. */
  readonly action: string
}

/** How a dial failed: how the link ended, or that the session does not exist. */
export type DialFailure = Ending | 'session gone'

// ms between the auth frame and the heartbeat. By then a shell has shown its prompt, and an orchestrator knows whether
// its own connection was refused. It reports that only when it has something to pass on (PROTOCOL 3.11).
const HEARTBEAT_DELAY = 250

// ms that the look-up of a session without output gets at least.
const SHORTEST_LOOK_UP = 500

/** Dials, authenticates, and waits until the server has accepted. */
export async function dial<S extends Sink>(
  attempt: Attempt,
  createSink: CreateSink<S>,
): Promise<{ readonly link: Link<S> } | { readonly failure: DialFailure }> {
  const { settings, upstream, session } = attempt
  throwIfAborted(session.signal)
  const link = open(attempt, createSink)
  const outcome = new Deferred<DialFailure | undefined>()
  // Stops the confirmation when the outcome is known.
  let stop: (() => void) | undefined
  const accept = (failure: DialFailure | undefined): void => {
    if (failure || !link.receiver.isAwaited) outcome.resolve(failure)
  }
  link.observe({
    onOpen() {
      attempt.onOpened()
      link.sendText(withProgress(upstream.message, link.receiver))
      if (settings.resize !== undefined) link.sendText(settings.resize)
      stop = confirmSilence(link, attempt, accept)
    },
    onMessage: () => accept(undefined),
    onPong() {},
    onEnd: outcome.resolve,
  })
  try {
    const failure = await abortable(outcome.promise, session.signal)
    if (!failure) return { link }
    link.drop()
    return { failure }
  } catch (error) {
    stop?.()
    // Only a session that was created for this terminal is deleted with the attempt (PROTOCOL 6.7).
    if (attempt.origin === 'orchestrator' && link.isOpen())
      await new Promise<void>((resolve) => endShell(link, resolve))
    link.drop()
    throw error
  } finally {
    stop?.()
  }
}

/** Returns an auth frame that asks for the output from an offset on, and hands the generation back (PROTOCOL 8.1). */
function withProgress(message: string, { offset, generation }: Sink): string {
  return offset === undefined ? message : JSON.stringify({ ...asRecord(parseJson(message)), offset, generation })
}

/**
 * Finds out whether a silent server has accepted, because no server confirms the auth frame (PROTOCOL 3.9). It has if it
 * does not close after a heartbeat, and knows the session. Returns a function that stops it.
 */
function confirmSilence(
  link: Link<Sink>,
  { settings, session }: Attempt,
  resolve: (failure: 'session gone' | undefined) => void,
): () => void {
  const { settle } = settings
  const start = performance.now()
  // Absent until the heartbeat: most servers have sent output by then, and nothing has to be stopped.
  let cancellation: Cancellation | undefined

  async function confirm(signal: AbortSignalLike): Promise<'session gone' | undefined> {
    link.sendText(HEARTBEAT)
    const look = lookUpSession(session, Math.max(settle, SHORTEST_LOOK_UP), signal)
    // A failed look-up says nothing about the session.
    if ((await look.catch(() => 'unknown')) === undefined) return 'session gone'
    await delay(Math.max(0, start + settle - performance.now()), signal)
    return undefined
  }

  const timer = setTimeout(
    () => {
      cancellation = new Cancellation()
      // It rejects only when it is stopped, and then means nothing.
      confirm(cancellation).then(resolve, () => {})
    },
    Math.min(HEARTBEAT_DELAY, settle / 2),
  )
  return () => {
    clearTimeout(timer)
    cancellation?.abort()
  }
}

/**
 * Opens a link whose messages go to a new sink. A function of its own, so that the link, which lives as long as the
 * terminal, keeps nothing of the attempt in memory.
 */
function open<S extends Sink>({ settings, upstream, url, action }: Attempt, createSink: CreateSink<S>): Link<S> {
  const { Socket } = settings
  try {
    return new Link(Socket, url, upstream.headers, createSink)
  } catch (error) {
    // A browser refuses some URLs, and quotes the URL in its error.
    throw failureError(action, withoutSecrets(error, upstream.redact))
  }
}
