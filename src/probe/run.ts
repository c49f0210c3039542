import { throwIfAborted } from '../lib/cancellation.ts'
import { withDeadline } from '../lib/deadline.ts'
import { errorCode, TerminalError } from '../lib/errors.ts'
import { trimSlashes } from '../lib/slashes.ts'
import { evidenceIn } from '../upstream/failures.ts'
import { whereOf } from '../upstream/url.ts'
import { checkShapes } from './attaches.ts'
import {
  createContext,
  deleteLeftovers,
  describeFailure,
  isSessionFound,
  openSession,
  useSession,
  type Context,
  type ProbeOptions,
} from './context.ts'
import {
  count,
  failed,
  ok,
  skipped,
  type Check,
  type Facts,
  type Found,
  type ProbeCheck,
  type ProbeOutcome,
} from './facts.ts'
import { endpointOf, reach, shakeHands } from './network.ts'
import { checkRequests } from './requests.ts'
import { isHtml } from './shapes.ts'

/** Follows a probe: hears of each check when it starts, and when it has an outcome. */
export interface ProbeListener {
  started(name: ProbeCheck['name']): void
  finished(check: ProbeCheck): void
}

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
  const { base, authType = 'bearer', origin, chatId, policyId, contextId } = target
  const url = new URL(trimSlashes(whereOf(base)).replace(/^ws/, 'http'))
  return { url, authType, hasKey: upstream.hasKey, origin, chatId, policyId, contextId, checks: new Map() }
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
  const evidence = evidenceIn(error)
  facts.rejected = { status: error.status, html: isHtml(evidence.type), reason: error.why, evidence }
}

async function checkSession(context: Context, facts: Facts): Promise<ProbeOutcome> {
  if (facts.chatIsOpen) return skipped('a terminal of this chat is open')
  const sessionId = await openSession(context)
  facts.sessionFound = await useSession(context, sessionId, false, () => isSessionFound(context, sessionId))
  return facts.sessionFound === false ? failed('created, but not found afterwards') : ok('created')
}

function describeCleanup({ created, leftovers }: Context): ProbeOutcome {
  const [leftover] = leftovers.values()
  return leftover === undefined
    ? ok(`${count(created, 'session')} created and deleted`)
    : failed(`${leftovers.size} of ${count(created, 'session')} could not be deleted: ${leftover.why}`)
}
