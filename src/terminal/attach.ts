import type { ConnectTerminalOptions } from './settings.ts'
import { openCore, type TerminalCore } from './core.ts'
import { delay, startDeadline } from '../lib/deadline.ts'
import { dial, explainRefusal, type Refusal } from './dial.ts'
import { hasCode, TerminalError } from '../lib/errors.ts'
import { leaseSession, type Lease } from './lease.ts'
import type { CreateSink, Sink } from './output.ts'
import { isTransient, terminalError } from '../upstream/protocol.ts'
import { lookUpSession } from '../upstream/sessions.ts'
import { readSettings, type Settings } from './settings.ts'
import { resolveUpstream, type UpstreamOptions } from '../upstream/resolve.ts'
import { whereOf } from '../upstream/url.ts'
import { sendsHeaders } from './websocket.ts'

/** A terminal that is open, and where its output goes. */
export interface OpenTerminal<S extends Sink> {
  readonly attached: TerminalCore
  readonly sink: S
}

/** Opens a terminal as `connectTerminal` does, with any kind of sink for its output; each dial gets a sink of its own. */
export async function attachTerminal<S extends Sink>(
  options: ConnectTerminalOptions,
  createSink: CreateSink<S>,
): Promise<OpenTerminal<S>> {
  const settings = readSettings(options)
  const { signal, where, timeout, attempts, retryDelay } = settings
  // Loses its chat when that would cost the terminal.
  let { upstream } = settings
  const progress: Progress = {}
  const deadline = startDeadline(timeout, signal, () => {
    const { doing, failure } = progress
    const advice = failure && `The last try: ${failure.message}`
    const why = `still ${doing} after ${timeout} ms`
    return terminalError('ERR_TERMINAL_TIMEOUT', `Cannot attach at ${where}`, why, { cause: failure, advice })
  })
  const lease = leaseSession(settings.sessionId)
  try {
    for (let attempt = 1; ;) {
      const outcome = await attach({ ...settings, createSink }, upstream, lease, deadline.signal, progress).catch(
        (error: unknown): Refusal => ({ error }),
      )
      if ('attached' in outcome) return outcome
      const { error, sessionGone, chatMayHurt } = outcome
      if (chatMayHurt && lease.isOwned()) {
        progress.doing = 'replacing the session by one without a chat'
        await lease.release()
        upstream = { ...upstream, chatId: undefined }
        continue
      }
      // A server that restarts, or ends a session whose connection drops, has lost one that was just created.
      const mayHelp = isTransient(error) || (sessionGone && lease.disown())
      if (attempt >= attempts || !mayHelp || !(error instanceof TerminalError)) throw error
      progress.failure = error
      progress.doing = 'waiting to try again'
      await delay(delayBefore(attempt, retryDelay), deadline.signal)
      attempt += 1
    }
  } catch (error) {
    if (hasCode(error, 'ERR_TERMINAL_IN_USE')) lease.disown()
    await lease.release()
    throw error
  } finally {
    deadline.stop()
  }
}

/** What a timeout has to tell. */
interface Progress {
  doing?: string
  failure?: TerminalError
}

// ms between two tries.
const LONGEST_DELAY = 8_000

/** Returns ms: doubled from try to try, and less a random part, so that the clients of a server do not come back at once. */
function delayBefore(attempt: number, first: number): number {
  const longest = Math.min(first * 2 ** (attempt - 1), Math.max(first, LONGEST_DELAY))
  return longest * (1 - Math.random() / 2)
}

// ms that the look-up of a silent session may take at least.
const CONFIRMATION_PATIENCE = 500

/** Tries once: a session if there is none yet, and a socket on it. */
async function attach<S extends Sink>(
  settings: Settings & { readonly createSink: CreateSink<S> },
  upstream: UpstreamOptions,
  lease: Lease,
  signal: AbortSignal,
  progress: Progress,
): Promise<OpenTerminal<S> | Refusal> {
  const { Socket, tokenInUrl, settle, keepAlive } = settings
  progress.doing = 'asking for a session'
  const sessionId = await lease.acquire(upstream, signal)
  const options = { ...upstream, sessionId, signal }
  const isGone = async (limit: AbortSignal): Promise<boolean> => {
    const patience = Math.max(settle, CONFIRMATION_PATIENCE)
    return (await lookUpSession(options, patience, limit)) === undefined
  }
  for (let withToken = tokenInUrl === 'always'; ; withToken = true) {
    progress.doing = 'waiting for the server to accept'
    const resolved = await resolveUpstream(options)
    const { redact, headers } = resolved
    const url = resolved.wsUrl(sessionId, withToken)
    const where = whereOf(url)
    const action = `Cannot attach at ${where}`
    const dialled = await dial(settings, resolved, url, action, isGone, signal)
    if ('link' in dialled) {
      const attached = openCore({ ...dialled, lease, sessionId, options: upstream, redact, where, keepAlive })
      return { attached, sink: dialled.sink }
    }
    progress.doing = 'asking why the server refused'
    const keyInUrl = resolved.tokenInUrl && withToken
    const refusal = await explainRefusal(
      dialled.refused,
      {
        action,
        redact,
        sendsHeaders: sendsHeaders(Socket),
        hasKey: 'Authorization' in headers,
        keyInUrl,
        canAddKey: resolved.tokenInUrl && !withToken && tokenInUrl === 'fallback',
      },
      options,
    )
    if (!refusal.keyMayHelp) return refusal
  }
}
