import { abortable, delay } from '../lib/deadline.ts'
import { withoutSecrets } from '../lib/errors.ts'
import { failureError } from '../upstream/failures.ts'
import { HEARTBEAT } from '../upstream/protocol.ts'
import type { Upstream } from '../upstream/resolve.ts'
import { lookUpSession, type TerminalSessionOptions } from '../upstream/sessions.ts'
import type { CreateSink, Sink } from './output.ts'
import type { Settings } from './settings.ts'
import { openLink, type Ending, type Link } from './websocket.ts'

/** One attempt to attach to a session. */
export interface Attempt {
  readonly settings: Settings
  /** The URLs and credentials of this attempt. */
  readonly upstream: Upstream
  /** The options to look the session up with. Their signal ends the attempt. */
  readonly session: TerminalSessionOptions & { readonly signal: AbortSignal }
  readonly url: string
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

// ms that the look-up of a silent session may take at least.
const SHORTEST_LOOK_UP = 500

/** Dials, authenticates, and waits until the server has accepted. */
export async function dial<S extends Sink>(
  attempt: Attempt,
  createSink: CreateSink<S>,
): Promise<{ readonly link: Link; readonly sink: S } | { readonly failure: DialFailure }> {
  const { settings, upstream, session } = attempt
  const { resize, settle } = settings
  session.signal.throwIfAborted()
  const { link, sink } = open(attempt, createSink)
  // Ends the waits that are left when the outcome is known.
  const done = new AbortController()

  // PROTOCOL 3.9: no server confirms the auth frame. A silent server has accepted when it does not close after a
  // heartbeat and knows the session.
  async function confirmSilence(): Promise<'session gone' | undefined> {
    const start = performance.now()
    await delay(Math.min(HEARTBEAT_DELAY, settle / 2), done.signal)
    link.sendText(HEARTBEAT)
    const look = lookUpSession(session, Math.max(settle, SHORTEST_LOOK_UP), done.signal)
    // A failed look-up says nothing about the session.
    if ((await look.catch(() => 'unknown')) === undefined) return 'session gone'
    await delay(Math.max(0, start + settle - performance.now()), done.signal)
    return undefined
  }

  try {
    const ending = await abortable(Promise.race([link.opened, link.ended]), session.signal)
    if (ending) return { failure: ending }
    link.sendText(upstream.message)
    if (resize !== undefined) link.sendText(resize)
    const failure = await abortable(Promise.race([sink.started, link.ended, confirmSilence()]), session.signal)
    if (!failure) return { link, sink }
    link.drop()
    return { failure }
  } catch (error) {
    link.drop()
    throw error
  } finally {
    // With a reason: without one, the runtime creates an error with a stack.
    done.abort('the outcome is known')
  }
}

/**
 * Opens a link, and a sink for its output. A function of its own: the sink lives as long as the terminal, and keeps
 * alive everything that its functions can reach.
 */
function open<S extends Sink>(
  { settings, upstream, url, action }: Attempt,
  createSink: CreateSink<S>,
): { readonly link: Link; readonly sink: S } {
  const sink = createSink(settings.maxBuffered, { pause: () => link.pause(), resume: () => link.resume() })
  let link: Link
  try {
    link = openLink(settings.Socket, url, upstream.headers, sink.push)
  } catch (error) {
    // A browser refuses some URLs, and quotes the URL in its error.
    throw failureError(action, withoutSecrets(error, upstream.redact))
  }
  return { link, sink }
}
