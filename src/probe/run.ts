import { throwIfAborted } from '../lib/cancellation.ts'
import { withDeadline } from '../lib/deadline.ts'
import { errorCode, TerminalError } from '../lib/errors.ts'
import { trimSlashes } from '../lib/slashes.ts'
import { resolveUpstream } from '../upstream/resolve.ts'
import { lookUpSession } from '../upstream/sessions.ts'
import { whereOf } from '../upstream/url.ts'
import {
  createContext,
  deleteLeftovers,
  describeFailure,
  isNotFound,
  openSession,
  useSession,
  type Context,
  type ProbeOptions,
} from './context.ts'
import { count, failed, ok, skipped, type Facts, type ProbeCheck, type ProbeOutcome, type ProbeShape } from './facts.ts'
import { endpointOf, reach, shakeHands } from './network.ts'
import { checkRequests, UNKNOWN_ID } from './requests.ts'
import { dialShape, type Shape } from './shapes.ts'

/** Follows a probe: hears of each check when it starts, and when it has an outcome. */
export interface ProbeListener {
  started(name: ProbeCheck['name']): void
  finished(check: ProbeCheck): void
}

/** An outcome; `ms` if the time of the check is not the time from its start to its end. */
type Found = ProbeOutcome & { readonly ms?: number }

/** Makes one check. Resolves with whether the outcome is good; rejects only after an abort. */
type Check = (name: ProbeCheck['name'], act: () => Promise<Found>) => Promise<boolean>

/** Makes the checks, until one fails that the rest needs. Deletes every session that it creates. */
export async function gatherFacts(options: ProbeOptions, listener: ProbeListener): Promise<Facts> {
  const context = await createContext(options)
  const facts = startFacts(context)
  const check = createCheck(context, facts, listener)
  const endpoint = endpointOf(facts.url)
  const connect = (how: typeof reach) => async () =>
    ok(await withDeadline(context.timeout, context.signal, (limit) => how(endpoint, limit)))
  const canAttach =
    (await check('reachable', connect(reach))) &&
    (facts.url.protocol === 'http:' || (await check('tls', connect(shakeHands)))) &&
    (await check('rest', () => checkRequests(context, facts))) &&
    (await check('session', () => checkSession(context, facts)))
  const isClean = await deleteLeftovers(context)
  // Where sessions cannot be deleted, the shapes would only add more of them.
  if (canAttach && isClean) {
    await checkShapes(context, facts, check)
    await check('cleanup', async () => {
      await deleteLeftovers(context)
      return describeCleanup(context)
    })
  } else if (!isClean) await check('cleanup', async () => describeCleanup(context))
  return facts
}

function startFacts({ upstream, target }: Context): Facts {
  const { base, authType = 'bearer', chatId, policyId, contextId } = target
  const url = new URL(trimSlashes(whereOf(base)).replace(/^ws/, 'http'))
  return { url, authType, hasKey: upstream.hasKey, chatId, policyId, contextId, checks: new Map() }
}

function createCheck(context: Context, facts: Facts, listener: ProbeListener): Check {
  const { signal } = context
  return async (name, act) => {
    throwIfAborted(signal)
    listener.started(name)
    const began = performance.now()
    const found: Found = await act().catch((error: unknown) => {
      throwIfAborted(signal)
      noteError(facts, error)
      return failed(describeFailure(context, error))
    })
    const finished = { name, ...found, ms: found.ms ?? Math.round(performance.now() - began) }
    facts.checks.set(name, finished)
    listener.finished(finished)
    return ['ok', 'attached'].includes(found.outcome)
  }
}

/** Keeps the part of an error that the verdict reads. */
function noteError(facts: Facts, error: unknown): void {
  facts.code = errorCode(error instanceof TerminalError ? (error.cause ?? error) : error)
  if (!(error instanceof TerminalError) || error.status === undefined) return
  facts.rejected = { status: error.status, html: false, reason: error.why }
}

async function checkSession(context: Context, facts: Facts): Promise<ProbeOutcome> {
  if (facts.chatIsOpen) return skipped('a terminal of this chat is open')
  const sessionId = await openSession(context)
  facts.sessionFound = await useSession(context, sessionId, false, () => isSessionFound(context, sessionId))
  return facts.sessionFound === false ? failed('created, but not found afterwards') : ok('created')
}

/** Whether the server finds the session; `undefined` when the server does not say. */
async function isSessionFound({ target, timeout, signal }: Context, sessionId: string): Promise<boolean | undefined> {
  return lookUpSession({ ...target, sessionId }, timeout, signal).then(
    (session) => session !== undefined,
    // The 404 of a proxy counts, too: the session was created a moment ago.
    (error: unknown) => (isNotFound(error) ? false : undefined),
  )
}

const OTHER_SHAPES = ['no-headers', 'no-user', 'wrong-key', 'unknown-session', 'unknown-policy', 'token'] as const

/** Checks every shape, and whether a shape that attaches survives silence. */
async function checkShapes(context: Context, facts: Facts, check: Check): Promise<void> {
  const attachesWithoutKey = await check('frame', () => checkShape(context, facts, 'frame'))
  const attachesWithKey = await check('token+frame', () => checkShape(context, facts, 'token+frame'))
  const mayIdle = context.idle > 0 && (attachesWithoutKey || attachesWithKey)
  const idleShape = attachesWithoutKey ? 'frame' : 'token+frame'
  const checkSilence = (): Promise<unknown> => check('idle', () => checkIdle(context, idleShape))
  // The silence takes longest, so the other checks go on meanwhile. But where the chat is the id of the session, a second
  // session of the chat would replace the silent one.
  const idling = mayIdle && facts.chatId === undefined ? checkSilence() : undefined
  // An abort rejects it while nothing waits for it yet.
  idling?.catch(() => {})
  try {
    for (const shape of OTHER_SHAPES) {
      // If a shape attaches without the key in the URL, only `token`, which is about that key, has it there.
      await check(shape, () => checkShape(context, facts, shape, shape === 'token' || !attachesWithoutKey))
    }
    if (mayIdle) await (idling ?? checkSilence())
  } finally {
    await idling?.catch(() => {})
  }
}

/** Attaches in one way, to a new session, or for some ways to one that does not exist. */
async function checkShape(
  context: Context,
  facts: Facts,
  name: ProbeShape,
  keyInUrl = name !== 'frame',
): Promise<ProbeOutcome> {
  const { keyMayShow, timeout, signal } = context
  if (name === 'token+frame' && !keyMayShow) return skipped('no key that may go into the URL')
  if (name === 'wrong-key' && facts.authType === 'none') return skipped('no key is sent')
  const dial = async (sessionId: string): Promise<ProbeOutcome> => {
    const shape = await shapeOf(context, name, sessionId, keyInUrl && keyMayShow)
    return dialShape(shape, timeout, signal, async ({ outcome }) => outcome)
  }
  if (name.startsWith('unknown')) return dial(UNKNOWN_ID)
  if (!(await deleteLeftovers(context))) return skipped('earlier sessions cannot be deleted')
  let sessionId: string
  try {
    sessionId = await openSession(context)
  } catch (error) {
    throwIfAborted(signal)
    facts.sessionFailure = describeFailure(context, error)
    return skipped(facts.sessionFailure)
  }
  return useSession(context, sessionId, true, async () => {
    const outcome = await dial(sessionId)
    // Not after a handshake that succeeded: the end of the connection has ended the session.
    if (name.endsWith('frame') && outcome.outcome === 'refused') {
      facts.sessionFound = await isSessionFound(context, sessionId)
    }
    return outcome
  })
}

async function shapeOf(context: Context, name: ProbeShape, sessionId: string, keyInUrl: boolean): Promise<Shape> {
  const change = name === 'wrong-key' ? { key: UNKNOWN_ID } : name === 'unknown-policy' && { policyId: UNKNOWN_ID }
  const { headers, message, redact, wsUrl } = await resolveUpstream({ ...context.target, ...change })
  const url = new URL(wsUrl(sessionId, keyInUrl))
  if (name === 'no-user') url.searchParams.delete('user_id')
  return {
    url: url.href,
    headers: name === 'no-headers' ? { ...context.target.headers } : headers,
    message: name === 'token' ? undefined : message,
    // A `key` function may return another key each time. The server may quote both.
    redact: (text) => redact(context.upstream.redact(text)),
  }
}

/** Leaves a terminal silent for a while, and then checks that it still answers. */
async function checkIdle(context: Context, name: 'frame' | 'token+frame'): Promise<Found> {
  const { timeout, signal, idle } = context
  const sessionId = await openSession(context)
  return useSession(context, sessionId, true, async () => {
    const shape = await shapeOf(context, name, sessionId, name === 'token+frame')
    return dialShape(shape, timeout, signal, async ({ outcome, wait, pressEnter }): Promise<Found> => {
      if (outcome.outcome !== 'attached') return skipped('this attach failed')
      const began = performance.now()
      const cut = await wait(idle)
      const ms = Math.round(performance.now() - began)
      if (cut) return { ...cut, ...failed('cut'), ms }
      const answer = await pressEnter()
      return { ...(answer.outcome === 'attached' ? ok('alive afterwards') : failed('no answer afterwards')), ms }
    })
  })
}

function describeCleanup({ created, leftovers }: Context): ProbeOutcome {
  const [leftover] = leftovers.values()
  return leftover === undefined
    ? ok(`${count(created, 'session')} created and deleted`)
    : failed(`${leftovers.size} of ${count(created, 'session')} could not be deleted: ${leftover.why}`)
}
