import { assertWhole, wrongValue } from '../lib/arguments.ts'
import { LONGEST_TIMER, withDeadline } from '../lib/deadline.ts'
import { hasCode, TerminalError, withoutSecrets } from '../lib/errors.ts'
import { leaseSession } from '../terminal/lease.ts'
import { exchange, type Reply } from '../upstream/requests.ts'
import { deleteTerminalSession } from '../upstream/sessions.ts'
import { resolveUpstream, type Upstream, type UpstreamOptions } from '../upstream/resolve.ts'

/** What {@link probeUpstream} is given. */
export interface ProbeOptions extends UpstreamOptions {
  /**
   * Whether the key of `bearer` may travel in the URL, where Terminals up to 0.0.2 wants it, and so into logs; with
   * `'never'` the shapes that have it there are skipped. Default: `'always'`.
   */
  tokenInUrl?: 'always' | 'never' | undefined
  /**
   * ms for each answer: to a request, to a handshake, and of a terminal, from 1 to 2147483647. In less than 11 000 it
   * cannot be told what comes of no auth frame. Default: 30 000.
   */
  timeout?: number | undefined
  /**
   * ms to leave a terminal silent, to see whether it survives that: many a reverse proxy cuts connections after 60 s. 0
   * for not at all, and then a probe takes some 20 s. Default: 65 000.
   */
  idle?: number | undefined
}

/** What every check works with. */
export interface Context {
  readonly upstream: Upstream
  /** To resolve others from: without the signal, since sessions are deleted after an abort too. */
  readonly target: UpstreamOptions
  /** Whether there is a key that may go into the URL. */
  readonly keyMayShow: boolean
  readonly timeout: number
  readonly idle: number
  readonly signal: AbortSignal | undefined
  /** How many sessions have been created. */
  created: number
  /** Those that could not be deleted, and why. */
  readonly leftovers: Map<string, string>
}

/** Checks the options, and asks for the key. */
export async function createContext(options: ProbeOptions): Promise<Context> {
  const upstream = await resolveUpstream(options)
  const { tokenInUrl = 'always', timeout = 30_000, idle = 65_000, signal, ...target } = options
  if (!['always', 'never'].includes(tokenInUrl)) throw wrongValue('tokenInUrl', "must be 'always' or 'never'")
  assertWhole('timeout', timeout, 1, LONGEST_TIMER)
  assertWhole('idle', idle, 0, LONGEST_TIMER)
  const keyMayShow = upstream.tokenInUrl && tokenInUrl === 'always'
  return { upstream, target, keyMayShow, timeout, idle, signal, created: 0, leftovers: new Map() }
}

/** One GET. */
export function ask(
  { timeout, signal }: Context,
  url: string,
  headers: Record<string, string>,
  patience: number = timeout,
): Promise<Reply> {
  return withDeadline(Math.min(timeout, patience), signal, (limit) =>
    exchange(url, { method: 'GET', headers, signal: limit }),
  )
}

// Open Terminal gives a shell 3 s to end before it answers, and others wait in line.
const DELETE_PATIENCE = 15_000
const RETRY_DELAY = 1_500

/** Creates a session, and deletes it when `use` is done; one that `use` does not attach to has to be there then. */
export async function inSession<T>(
  context: Context,
  use: (sessionId: string) => Promise<T>,
  mayBeGone = true,
): Promise<T> {
  const { target, timeout, signal } = context
  const lease = leaseSession(undefined)
  const sessionId = await withDeadline(timeout, signal, (limit) => lease.acquire(target, limit))
  context.created += 1
  try {
    return await use(sessionId)
  } finally {
    await remove(context, sessionId, mayBeGone)
  }
}

/** Not with the caller's signal: what was created has to go. */
async function remove(context: Context, sessionId: string, mayBeGone: boolean): Promise<void> {
  const { target, leftovers } = context
  try {
    const wasThere = await withDeadline(DELETE_PATIENCE, undefined, (limit) =>
      deleteTerminalSession({ ...target, sessionId, signal: limit }),
    )
    if (wasThere || mayBeGone) leftovers.delete(sessionId)
    else leftovers.set(sessionId, 'not found')
  } catch (error) {
    leftovers.set(sessionId, isNotFound(error) ? 'not found' : describeFailure(context, error))
  }
}

/** Whether something in between answers with a 404 of its own. */
export function isNotFound(error: unknown): boolean {
  return hasCode(error, 'ERR_TERMINAL_NOT_FOUND')
}

/** Tries once more, after a while, to delete what could not be deleted; returns whether all is gone. */
export async function removeLeftovers(context: Context): Promise<boolean> {
  const { leftovers } = context
  if (leftovers.size > 0) await new Promise((resolve) => setTimeout(resolve, RETRY_DELAY))
  for (const sessionId of leftovers.keys()) await remove(context, sessionId, false)
  return leftovers.size === 0
}

/** Returns what went wrong, in a few words: the check that it is shown in says what failed, and the verdict what to do. */
export function describeFailure({ upstream }: Pick<Context, 'upstream'>, error: unknown): string {
  return error instanceof TerminalError ? error.why : withoutSecrets(error, upstream.redact).message
}
