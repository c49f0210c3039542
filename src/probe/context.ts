import { assertWhole, wrongValue } from '../arguments.ts'
import { LONGEST_TIMER } from '../connect.ts'
import { startDeadline } from '../deadline.ts'
import { TerminalError, withoutSecrets } from '../errors.ts'
import { leaseSession } from '../lease.ts'
import { deleteTerminalSession, exchange, type Reply } from '../sessions.ts'
import { resolveUpstream, type Upstream, type UpstreamOptions } from '../upstream.ts'

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
  /** Why those that could not be deleted could not. */
  readonly leftovers: string[]
}

/** Checks the options, and asks for the key. */
export async function createContext(options: ProbeOptions): Promise<Context> {
  const upstream = await resolveUpstream(options)
  const { tokenInUrl = 'always', timeout = 30_000, idle = 65_000, signal, ...target } = options
  if (!['always', 'never'].includes(tokenInUrl)) throw wrongValue('tokenInUrl', "must be 'always' or 'never'")
  assertWhole('timeout', timeout, 1, LONGEST_TIMER)
  assertWhole('idle', idle, 0, LONGEST_TIMER)
  const keyMayShow = upstream.tokenInUrl && tokenInUrl === 'always'
  return { upstream, target, keyMayShow, timeout, idle, signal, created: 0, leftovers: [] }
}

/** Calls with a signal that aborts with the outer one, and when it takes longer than `ms`. */
export async function limited<T>(
  ms: number,
  outer: AbortSignal | undefined,
  act: (limit: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = (): Error => Object.assign(new Error(`no answer in ${ms} ms`), { code: 'ETIMEDOUT' })
  const deadline = startDeadline(ms, outer, late)
  try {
    return await act(deadline.signal)
  } finally {
    deadline.stop()
  }
}

/** One GET. */
export function ask({ timeout, signal }: Context, url: string, headers: Record<string, string>): Promise<Reply> {
  return limited(timeout, signal, (limit) => exchange(url, { headers, signal: limit }))
}

// Open Terminal gives a shell 3 s to end before it answers, and others wait in line.
const DELETE_PATIENCE = 15_000

/** Creates a session, and deletes it when `use` is done. */
export async function inSession<T>(context: Context, use: (sessionId: string) => Promise<T>): Promise<T> {
  const { target, timeout, signal } = context
  const lease = leaseSession(target, undefined)
  const sessionId = await limited(timeout, signal, (limit) => lease.acquire(limit))
  context.created += 1
  try {
    return await use(sessionId)
  } finally {
    // Not with the caller's signal: what was created has to go.
    const deleting = limited(DELETE_PATIENCE, undefined, (limit) =>
      deleteTerminalSession({ ...target, sessionId, signal: limit }),
    )
    await deleting.catch((error: unknown) => context.leftovers.push(describeFailure(context, error)))
  }
}

/** What went wrong, in a few words. */
export function describeFailure({ upstream }: Pick<Context, 'upstream'>, error: unknown): string {
  if (!(error instanceof TerminalError)) return withoutSecrets(error, upstream.redact).message
  // The line that it is shown in says what failed.
  return error.message.replace(/^Cannot .*? at \S+: /, '')
}
