import type { AbortSignalLike } from '../lib/cancellation.ts'
import { delay, startDeadline } from '../lib/deadline.ts'
import { hasCode, TerminalError } from '../lib/errors.ts'
import type { Evidence } from '../upstream/advice.ts'
import { isTransient, retryAfter, terminalError } from '../upstream/failures.ts'
import { resolveUpstream, type UpstreamOptions } from '../upstream/resolve.ts'
import { whereOf } from '../upstream/url.ts'
import { TerminalCore } from './connection.ts'
import { dial, type Attempt } from './dial.ts'
import { Lease } from './lease.ts'
import type { CreateSink, Sink } from './output.ts'
import { explainRefusal, type Refusal } from './refusal.ts'
import type { Settings, Tries } from './settings.ts'

/** A terminal that is open, and the sink that gets its output. */
export interface OpenTerminal<S extends Sink> {
  readonly core: TerminalCore
  readonly sink: S
}

const ASKING = 'asking for a session'

/**
 * Opens a terminal as `connectTerminal` does, with any kind of sink for its output. Each dial gets a new sink. `progress` tells
 * how far it has come, for a caller whose signal aborts.
 */
export async function attachTerminal<S extends Sink>(
  settings: Settings,
  createSink: CreateSink<S>,
  progress: AttachProgress = {},
): Promise<OpenTerminal<S>> {
  const { signal, where, timeout, retry } = settings
  // Replaced by options without `chatId` when the server cannot attach to a session that has a chat.
  let upstreamOptions = settings.upstream
  // Why it could not.
  let chatError: unknown
  const deadline = startDeadline(timeout, signal, () => {
    const { step, lastError } = progress
    const advice = lastError && `The last try: ${lastError.message}`
    const why = `still ${step} after ${timeout} ms`
    const evidence: Evidence = { step: step === ASKING ? 'POST' : 'handshake' }
    return terminalError('ERR_TERMINAL_TIMEOUT', `Cannot attach at ${where}`, why, {
      cause: lastError,
      advice,
      evidence,
    })
  })
  const lease = new Lease(settings.sessionId, settings.deleteOnClose)
  try {
    for (let tryNumber = 1; ;) {
      const outcome = await tryOnce(settings, createSink, upstreamOptions, lease, deadline, progress).catch(
        (error: unknown): Refusal => ({ error }),
      )
      if ('core' in outcome) {
        void lease.releaseLost()
        return outcome
      }
      const { error, remedy } = outcome
      progress.step = 'waiting to try again'
      if (remedy === 'no chat' && (await lease.release())) {
        upstreamOptions = { ...upstreamOptions, chatId: undefined }
        chatError = error
        continue
      }
      // A server that restarts has lost the session that was just created. So has a server that ends a session whose
      // connection drops, and another replica never had it.
      const mayHelp =
        isTransient(error) || remedy === 'another replica' || (remedy === 'another session' && lease.lose())
      if (tryNumber >= retry.attempts || !mayHelp || !(error instanceof TerminalError)) {
        // An Open WebUI in between may want the chat (PROTOCOL 2.19).
        throw chatError && hasCode(error, 'ERR_TERMINAL_FORBIDDEN') ? chatError : error
      }
      progress.lastError = error
      settings.onRetry?.(error)
      await delay(Math.max(delayAfter(tryNumber, retry), retryAfter(error)), deadline)
      tryNumber += 1
    }
  } catch (error) {
    if (hasCode(error, 'ERR_TERMINAL_IN_USE')) lease.disown()
    await lease.release()
    throw error
  } finally {
    deadline.stop()
  }
}

/** The state of connecting, for the error of one that ends before it has an outcome. */
export interface AttachProgress {
  step?: string
  lastError?: TerminalError
}

// ms between two tries.
const LONGEST_DELAY = 8_000

/** Returns the ms to wait between two tries. They double from try to try; a random part keeps clients from coming back together. */
export function delayAfter(tryNumber: number, { delay: first }: Pick<Tries, 'delay'>): number {
  const longest = Math.min(first * 2 ** (tryNumber - 1), Math.max(first, LONGEST_DELAY))
  return longest * (1 - Math.random() / 2)
}

/** Tries once: acquires a session and dials it, a second time with the key in the URL if that may help. */
async function tryOnce<S extends Sink>(
  settings: Settings,
  createSink: CreateSink<S>,
  upstreamOptions: UpstreamOptions,
  lease: Lease,
  signal: AbortSignalLike,
  progress: AttachProgress,
): Promise<OpenTerminal<S> | Refusal> {
  progress.step = ASKING
  const sessionId = await lease.acquire(upstreamOptions, signal)
  const session = { ...upstreamOptions, sessionId, signal }

  async function dialOnce(keyInUrl: boolean): Promise<OpenTerminal<S> | Refusal> {
    progress.step = 'waiting for the server to accept'
    const attempt = await prepareAttempt(settings, session, keyInUrl, lease)
    const outcome = await dial(attempt, createSink)
    if ('link' in outcome) {
      const { link } = outcome
      return { core: new TerminalCore(link, lease, upstreamOptions, attempt), sink: link.receiver }
    }
    progress.step = 'asking why the server refused'
    return explainRefusal(outcome.failure, attempt)
  }

  const outcome = await dialOnce(settings.tokenInUrl === 'always')
  return 'remedy' in outcome && outcome.remedy === 'key in URL' ? dialOnce(true) : outcome
}

async function prepareAttempt(
  settings: Settings,
  session: Attempt['session'],
  withKey: boolean,
  lease: Lease,
): Promise<Attempt> {
  const upstream = await resolveUpstream(session)
  const url = upstream.wsUrl(session.sessionId, withKey)
  const keyInUrl = withKey && upstream.keyMayBeInUrl
  const action = `Cannot attach at ${whereOf(url)}`
  const onOpened = (): void => lease.noteOpened()
  return { settings, upstream, session, url, origin: lease.origin, onOpened, keyInUrl, action }
}
