import type { AbortSignalLike } from '../lib/cancellation.ts'
import { delay, startDeadline } from '../lib/deadline.ts'
import { hasCode, TerminalError } from '../lib/errors.ts'
import { isGone, isTransient, retryAfter, terminalError } from '../upstream/failures.ts'
import { resolveEndpoint, type RequestOptions } from '../upstream/options.ts'
import { withoutQuery } from '../upstream/url.ts'
import { UpstreamConnection } from './connection.ts'
import { dial, type Attempt } from './dial.ts'
import { Lease } from './lease.ts'
import type { CreateSink, Sink } from './output.ts'
import { explainRefusal, type Refusal } from './refusal.ts'
import type { Settings, Tries } from './settings.ts'

/** A terminal that is open, and the sink that gets its output. */
export interface OpenedTerminal<S extends Sink> {
  readonly connection: UpstreamConnection
  readonly sink: S
}

/** How far connecting has come, for the error of one that ends before it has an outcome. */
export interface AttachProgress {
  step?: string
  lastError?: TerminalError
}

const ASKING = 'asking for a session'
// The longest pause between two tries.
const LONGEST_DELAY_MS = 8_000

/**
 * Opens a terminal as `connectTerminal` does, with any kind of sink for its output. Each dial gets a new sink.
 * `progress` tells how far it has come, for a caller whose signal aborts.
 */
export async function attachTerminal<S extends Sink>(
  settings: Settings,
  createSink: CreateSink<S>,
  progress: AttachProgress = {},
): Promise<OpenedTerminal<S>> {
  const { signal, timeout, retry } = settings
  let { where } = settings
  // Replaced by options without `chatId` when the server cannot attach to a session that has a chat.
  let options = settings.upstream
  // Why it could not.
  let chatError: unknown
  const deadline = startDeadline(timeout, signal, () => {
    const { step, lastError } = progress
    return terminalError('ERR_TERMINAL_TIMEOUT', `Cannot attach at ${where}`, `still ${step} after ${timeout} ms`, {
      cause: lastError,
      advice: lastError && `The last try: ${lastError.message}`,
      evidence: { step: step === ASKING ? 'POST' : 'handshake' },
    })
  })
  let lease = new Lease(settings.sessionId, settings.deleteOnClose)
  // Whether a new session may take the place of the one that was named.
  let mayReplace = settings.createIfGone && settings.sessionId !== undefined
  try {
    for (let tryNumber = 1; ;) {
      const outcome = await tryOnce(settings, createSink, options, lease, deadline, progress).catch(
        (error: unknown): Refusal => ({ error }),
      )
      if ('connection' in outcome) {
        void lease.releaseLost()
        return outcome
      }
      const { error, remedy } = outcome
      progress.step = 'waiting to try again'
      if (remedy === 'no chat' && (await lease.release())) {
        options = { ...options, chatId: undefined }
        chatError = error
        continue
      }
      // By the server's own word. The session that was named is not ours to delete.
      if (mayReplace && isGone(error)) {
        mayReplace = false
        lease = new Lease(undefined, settings.deleteOnClose)
        where = where.slice(0, where.lastIndexOf('/'))
        continue
      }
      // The connection of a page that was reloaded may still be open.
      const mayLeave = mayReplace && hasCode(error, 'ERR_TERMINAL_IN_USE')
      // A server that restarts has lost the session that was just created. So has a server that ends a session whose
      // connection drops, and another replica never had it.
      const mayHelp =
        mayLeave || isTransient(error) || remedy === 'another replica' || (remedy === 'another session' && lease.lose())
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

/**
 * Returns the ms to wait between two tries. They double from try to try; a random part keeps clients from coming back
 * together.
 */
export function delayAfter(tryNumber: number, { delay: first }: Pick<Tries, 'delay'>): number {
  const longest = Math.min(first * 2 ** (tryNumber - 1), Math.max(first, LONGEST_DELAY_MS))
  return longest * (1 - Math.random() / 2)
}

/** Tries once: acquires a session and dials it, a second time with the key in the URL if that may help. */
async function tryOnce<S extends Sink>(
  settings: Settings,
  createSink: CreateSink<S>,
  options: RequestOptions,
  lease: Lease,
  signal: AbortSignalLike,
  progress: AttachProgress,
): Promise<OpenedTerminal<S> | Refusal> {
  progress.step = ASKING
  const sessionOptions = { ...options, sessionId: await lease.acquire(options, signal), signal }
  for (let withKey = settings.tokenInUrl === 'always'; ; withKey = true) {
    progress.step = 'waiting for the server to accept'
    const endpoint = await resolveEndpoint(sessionOptions)
    const url = endpoint.wsUrl(sessionOptions.sessionId, withKey)
    const keyInUrl = withKey && endpoint.keyMayBeInUrl
    const action = `Cannot attach at ${withoutQuery(url)}`
    const attempt: Attempt = { settings, lease, endpoint, sessionOptions, url, keyInUrl, action }
    const dialled = await dial(attempt, createSink)
    if ('socket' in dialled) return { connection: new UpstreamConnection(dialled, attempt), sink: dialled.sink }
    progress.step = 'asking why the server refused'
    const refusal = await explainRefusal(dialled.failure, attempt)
    if (refusal.remedy !== 'key in URL' || withKey) return refusal
  }
}
