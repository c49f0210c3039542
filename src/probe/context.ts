import { assertWhole, wrongValue } from '../lib/arguments.ts'
import type { AbortSignalLike } from '../lib/cancellation.ts'
import { LONGEST_TIMER_MS, withDeadline } from '../lib/deadline.ts'
import { hasCode, TerminalError, withoutSecrets } from '../lib/errors.ts'
import { trimSlashes } from '../lib/slashes.ts'
import { Lease } from '../terminal/lease.ts'
import type { RequestControl } from '../upstream/http.ts'
import { evidenceIn } from '../upstream/failures.ts'
import {
  knownOptions,
  readUpstream,
  resolveEndpoint,
  type PageOptions,
  type Endpoint,
  type UpstreamOptions,
} from '../upstream/options.ts'
import { deleteSession as deleteAtServer, lookUpSession } from '../upstream/sessions.ts'
import { withoutQuery } from '../upstream/url.ts'
import type { Facts } from './facts.ts'

/** The options of {@link probeUpstream}. */
export interface ProbeOptions extends UpstreamOptions {
  /**
   * Whether the key of `bearer` may be in the URL, where Terminals up to 0.0.2 reads it, and so in logs. With
   * `'always'` two attempts have it there, or three if none without it succeeds. `'never'` skips them.
   * @defaultValue `'always'`
   */
  tokenInUrl?: 'always' | 'never' | undefined
  /**
   * ms to wait for each answer of the server: to a request, a handshake or a key press. From 1 to 2147483647. With less
   * than 11 000, a probe cannot see what a server does without an auth frame.
   * @defaultValue 30 000 ms
   */
  timeout?: number | undefined
  /**
   * ms to leave a terminal silent, to see whether the connection survives: many reverse proxies cut it after 60 s. With
   * 0, the probe skips this check and takes about 20 s.
   * @defaultValue 65 000 ms
   */
  idle?: number | undefined
  /**
   * The address of a page, such as `https://chat.example`: requests and handshakes then carry its `Origin`, as those of
   * the page's browser do. A gateway, and many a reverse proxy, refuses pages of other sites. Without it, pages are not
   * tested.
   * @defaultValue none
   */
  origin?: string | undefined
}

/** Everything that the checks share. */
export interface Context {
  readonly facts: Facts
  readonly endpoint: Endpoint
  /** The URL of all sessions. */
  readonly listUrl: string
  /** The caller's options, without the signal: sessions must be deleted after an abort, too. */
  readonly target: Target
  /** Whether there is a key that may be in the URL. */
  readonly keyMayShow: boolean
  readonly timeout: number
  readonly idle: number
  readonly signal: AbortSignalLike | undefined
  /** How many sessions the probe has created. */
  created: number
  /** The sessions that could not be deleted, why not, and whether the server may have deleted them all the same. */
  readonly leftovers: Map<string, { readonly why: string; readonly mayBeGone: boolean }>
}

/** What each request and each handshake is made from. */
export type Target = PageOptions & { readonly base: string }

/** Checks the options, and asks for the key. */
export async function createContext(options: ProbeOptions): Promise<Context> {
  const known = knownOptions('probeUpstream', options, ['idle', 'origin'])
  // Read before the wait for the key: meanwhile, the caller may change its URL.
  const read = { ...readUpstream(known), origin: readOrigin(known.origin) }
  const endpoint = await resolveEndpoint(read)
  const { tokenInUrl = 'always', timeout = 30_000, idle = 65_000, signal, ...target } = read
  if (!['always', 'never'].includes(tokenInUrl)) throw wrongValue('tokenInUrl', "must be 'always' or 'never'")
  assertWhole('timeout', timeout, 1, LONGEST_TIMER_MS)
  assertWhole('idle', idle, 0, LONGEST_TIMER_MS)
  const { base, authType = 'bearer', origin, chatId } = target
  const url = new URL(trimSlashes(withoutQuery(base)).replace(/^ws/, 'http'))
  return {
    facts: { url, authType, hasKey: endpoint.hasKey, origin, chatId, checks: {} },
    endpoint,
    listUrl: endpoint.httpUrl(),
    target,
    keyMayShow: endpoint.keyMayBeInUrl && tokenInUrl === 'always',
    timeout,
    idle,
    signal,
    created: 0,
    leftovers: new Map(),
  }
}

/** Returns the origin of a page's address, as a browser spells it. */
function readOrigin(address: string | undefined): string | undefined {
  if (address === undefined) return undefined
  const { origin = '' } = URL.canParse(address) ? new URL(address) : {}
  if (/^https?:/.test(origin)) return origin
  throw wrongValue('origin', 'must be the address of a page, such as https://chat.example')
}

// Open Terminal gives a shell 3 s to end before it answers, and other deletions may come first.
const DELETE_TIMEOUT_MS = 15_000
const RETRY_DELAY_MS = 1_500

/** Creates a session. The caller passes its id to {@link useSession}, which deletes the session. */
export async function openSession(context: Context): Promise<string> {
  const { target, timeout, signal } = context
  // A lease also deletes a session that the server creates after the timeout.
  const lease = new Lease(undefined, true)
  const sessionId = await withDeadline(timeout, signal, (limit) => lease.acquire(target, limit))
  context.created += 1
  return sessionId
}

/** Calls `use`, then deletes the session. `mayBeGone` tells that the server may have deleted the session already. */
export async function useSession<T>(
  context: Context,
  sessionId: string,
  mayBeGone: boolean,
  use: () => Promise<T>,
): Promise<T> {
  try {
    return await use()
  } finally {
    await deleteSession(context, sessionId, mayBeGone)
  }
}

/**
 * Deletes a session, which the probe has created, or notes why that failed. Ignores the
 * caller's signal: no session may stay behind.
 */
async function deleteSession(context: Context, sessionId: string, mayBeGone: boolean): Promise<void> {
  const { target, leftovers } = context
  const control: RequestControl = {}
  try {
    const wasThere = await withDeadline(DELETE_TIMEOUT_MS, undefined, (signal) =>
      deleteAtServer({ ...target, sessionId, signal }, { control }),
    )
    // PROTOCOL 2.9: the first DELETE was carried out, although its answer was lost.
    if (wasThere || mayBeGone || control.wasRepeated) leftovers.delete(sessionId)
    else leftovers.set(sessionId, { why: 'not found', mayBeGone })
  } catch (error) {
    const why = isNotFound(error) ? 'not found' : failureOfSession(context, error)
    const isAnswered = error instanceof TerminalError && error.status !== undefined && !control.wasRepeated
    leftovers.set(sessionId, { why, mayBeGone: mayBeGone || !isAnswered })
  }
}

/** Whether the server finds the session for the user, or for another one; `undefined` when the server does not say. */
export function isSessionFound(
  { target, timeout, signal }: Context,
  sessionId: string,
  userId: string = target.userId,
): Promise<boolean | undefined> {
  return lookUpSession({ ...target, userId, sessionId }, timeout, signal).then(
    (session) => session !== undefined,
    // The 404 of a proxy counts, too: the session was created a moment ago.
    (error: unknown) => (isNotFound(error) ? false : undefined),
  )
}

/** Whether the answer was a 404 that is not the terminal server's own. */
function isNotFound(error: unknown): boolean {
  return hasCode(error, 'ERR_TERMINAL_NOT_FOUND')
}

/** Tries again, after a delay, to delete the sessions that are left. Resolves with whether none is left. */
export async function deleteLeftovers(context: Context): Promise<boolean> {
  const { leftovers } = context
  if (leftovers.size > 0) await new Promise((resolve) => setTimeout(resolve, RETRY_DELAY_MS))
  for (const [sessionId, { mayBeGone }] of leftovers) await deleteSession(context, sessionId, mayBeGone)
  return leftovers.size === 0
}

/** Returns why a session could not be created or deleted. Notes if that is a limit on the rate of requests. */
export function failureOfSession(context: Context, error: unknown): string {
  const { status, says = '' } = evidenceIn(error)
  // A server that is full says so (PROTOCOL 2.3).
  context.facts.isRateLimited ||= status === 429 && !says.startsWith('Maximum')
  return describeFailure(context, error)
}

/** Returns why something failed, in a few words: the check says what failed, and the verdict says what to do. */
export function describeFailure({ endpoint }: Context, error: unknown): string {
  return error instanceof TerminalError ? error.why : withoutSecrets(error, endpoint.redact).message
}
