import { withDeadline } from '../lib/deadline.ts'
import { errorCode, TerminalError } from '../lib/errors.ts'
import { lookUpSession } from '../upstream/sessions.ts'
import { resolveUpstream, type UpstreamOptions } from '../upstream/resolve.ts'
import { whereOf } from '../upstream/url.ts'
import {
  createContext,
  describeFailure,
  inSession,
  isNotFound,
  removeLeftovers,
  type Context,
  type ProbeOptions,
} from './context.ts'
import { count, failed, ok, skipped, type Facts, type ProbeCheck, type ProbeOutcome, type ProbeShape } from './facts.ts'
import { endpointOf, reach, shakeHands } from './network.ts'
import { checkRequests, NOWHERE, pathOf } from './requests.ts'
import { dialShape, type Held, type Shape } from './shapes.ts'

/** Is told what is being checked, and what came of it. */
export interface ProbeListener {
  started(name: ProbeCheck['name']): void
  finished(check: ProbeCheck): void
}

type Found = ProbeOutcome & { readonly ms?: number }

const OTHERS = ['no-headers', 'no-user', 'wrong-key', 'unknown-session', 'unknown-policy', 'token'] as const

/** Makes all checks, as far as there is any point; every session that it creates is deleted. */
export async function gatherFacts(options: ProbeOptions, listener: ProbeListener): Promise<Facts> {
  const context = await createContext(options)
  const { timeout, signal, idle } = context
  const facts = startFacts(context)

  /** Makes one check. What goes wrong in it is what came of it; only an abort ends them all. */
  async function check(name: ProbeCheck['name'], act: () => Promise<Found>): Promise<boolean> {
    signal?.throwIfAborted()
    listener.started(name)
    const began = performance.now()
    const found: Found = await act().catch((error: unknown) => {
      signal?.throwIfAborted()
      note(facts, error)
      return failed(describeFailure(context, error))
    })
    const finished = { name, ...found, ms: found.ms ?? Math.round(performance.now() - began) }
    facts.checks.set(name, finished)
    listener.finished(finished)
    return ['ok', 'attached'].includes(found.outcome)
  }

  const endpoint = endpointOf(facts.url)
  const visit = (go: typeof reach) => async () =>
    ok(await withDeadline(timeout, signal, (limit) => go(endpoint, limit)))
  const canTalk =
    (await check('reachable', visit(reach))) &&
    (facts.url.protocol === 'http:' || (await check('tls', visit(shakeHands)))) &&
    (await check('rest', () => checkRequests(context, facts))) &&
    (await check('session', () => checkSession(context, facts)))
  // Not one more that cannot be deleted.
  const isClean = await removeLeftovers(context)
  if (!isClean) await check('cleanup', async () => describeCleanup(context))
  if (!canTalk || !isClean) return facts

  let idling: Promise<unknown> | undefined
  try {
    const withoutKey = await check('frame', () => tryShape(context, facts, 'frame'))
    const withKey = await check('token+frame', () => tryShape(context, facts, 'token+frame'))
    const holding = (): Promise<unknown> =>
      check('idle', () => checkIdle(context, withoutKey ? 'frame' : 'token+frame'))
    const mayIdle = idle > 0 && (withoutKey || withKey)
    // Two sessions of one chat would be one where the chat is the id.
    if (mayIdle && facts.chatId === undefined) {
      idling = holding()
      // An abort ends it too, perhaps before anybody waits for it.
      idling.catch(() => {})
    }
    for (const shape of OTHERS) {
      // No more of the key in URLs than there has to be.
      await check(shape, () => tryShape(context, facts, shape, shape === 'token' || !withoutKey))
    }
    if (mayIdle) await (idling ?? holding())
  } finally {
    await idling?.catch(() => {})
  }
  await check('cleanup', async () => {
    await removeLeftovers(context)
    return describeCleanup(context)
  })
  return facts
}

function startFacts({ upstream, target }: Context): Facts {
  const { authType = 'bearer', chatId, policyId, contextId } = target
  const url = new URL(whereOf(upstream.httpUrl()))
  url.pathname = url.pathname.slice(0, -pathOf(policyId).length)
  return { url, authType, hasKey: 'Authorization' in upstream.headers, chatId, policyId, contextId, checks: new Map() }
}

/** Keeps what a verdict needs of an error. */
function note(facts: Facts, error: unknown): void {
  facts.code = errorCode(error instanceof TerminalError ? (error.cause ?? error) : error)
  if (!(error instanceof TerminalError) || error.status === undefined) return
  facts.answer = { status: error.status, html: false, said: error.message }
}

async function checkSession(context: Context, facts: Facts): Promise<ProbeOutcome> {
  if (facts.chatIsOpen) return skipped('a terminal of this chat is open')
  facts.alive = await inSession(context, (sessionId) => isAlive(context, sessionId), false)
  return facts.alive === false ? failed('created, and not found when it was asked for') : ok('created')
}

/** Dials a shape, in a session of its own where it wants one that exists. */
async function tryShape(
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
  if (name.startsWith('unknown')) return dial(NOWHERE)
  if (!(await removeLeftovers(context))) return skipped('others cannot be deleted')
  let isThere = false
  try {
    return await inSession(context, async (sessionId) => {
      isThere = true
      const outcome = await dial(sessionId)
      // Not of one that had been opened: hanging up has ended it.
      if (name.endsWith('frame') && outcome.outcome === 'refused') facts.alive = await isAlive(context, sessionId)
      return outcome
    })
  } catch (error) {
    if (isThere) throw error
    signal?.throwIfAborted()
    facts.sessionless = describeFailure(context, error)
    return skipped(facts.sessionless)
  }
}

/** Whether the session is there; `undefined` when the server does not tell. */
async function isAlive({ target, timeout, signal }: Context, sessionId: string): Promise<boolean | undefined> {
  const looking = lookUpSession({ ...target, sessionId }, timeout, signal)
  return looking.then(
    (session) => session !== undefined,
    // A 404 of a proxy counts, too: the session was created a moment ago.
    (error: unknown) => (isNotFound(error) ? false : undefined),
  )
}

async function shapeOf(context: Context, name: ProbeShape, sessionId: string, keyInUrl: boolean): Promise<Shape> {
  const { headers, message, redact, wsUrl } = await resolveUpstream({ ...context.target, ...differenceOf(name) })
  const url = new URL(wsUrl(sessionId, keyInUrl))
  if (name === 'no-user') url.searchParams.delete('user_id')
  return {
    url: url.href,
    headers: name === 'no-headers' ? {} : headers,
    message: name === 'token' ? undefined : message,
    // A key that is asked for anew may be another.
    redact: (text) => redact(context.upstream.redact(text)),
  }
}

function differenceOf(name: ProbeShape): Partial<UpstreamOptions> {
  if (name === 'wrong-key') return { key: NOWHERE }
  return name === 'unknown-policy' ? { policyId: NOWHERE } : {}
}

/** Leaves a terminal alone for a while, and then sees whether it still answers. */
async function checkIdle(context: Context, works: 'frame' | 'token+frame'): Promise<Found> {
  const { timeout, signal, idle } = context
  const wait = async ({ outcome, silence, pressEnter }: Held): Promise<Found> => {
    if (outcome.outcome !== 'attached') return skipped('it did not attach once more')
    const began = performance.now()
    const cut = await silence(idle)
    const ms = Math.round(performance.now() - began)
    if (cut) return { ...cut, ...failed('cut'), ms }
    const answer = await pressEnter()
    return { ...(answer.outcome === 'attached' ? ok('alive afterwards') : failed('dead, although nobody said so')), ms }
  }
  return inSession(context, async (sessionId) => {
    const shape = await shapeOf(context, works, sessionId, works === 'token+frame')
    return dialShape(shape, timeout, signal, wait)
  })
}

function describeCleanup({ created, leftovers }: Context): ProbeOutcome {
  const [reason] = leftovers.values()
  return reason === undefined
    ? ok(`${count(created, 'session')} created and deleted`)
    : failed(`${leftovers.size} of ${count(created, 'session')} could not be deleted: ${reason}`)
}
