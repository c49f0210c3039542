import { throwIfAborted } from '../lib/cancellation.ts'
import { sendsCookies } from '../upstream/auth.ts'
import { resolveUpstream } from '../upstream/resolve.ts'
import { deleteLeftovers, describeFailure, isSessionFound, openSession, useSession, type Context } from './context.ts'
import { failed, ok, skipped, type Check, type Facts, type Found, type ProbeOutcome, type ProbeShape } from './facts.ts'
import { isBehindOpenWebUI, isOrchestrator, separatesUsers } from './family.ts'
import { UNKNOWN_ID } from './requests.ts'
import { dialShape, type Shape } from './shapes.ts'

const OTHER_SHAPES = ['no-headers', 'no-user', 'wrong-key', 'unknown-session', 'unknown-policy', 'token'] as const
// If a server reads the key from the URL only, these are still dialled: connectTerminal, a page and a wrong key are of interest.
const WORTH_A_KEY: readonly ProbeShape[] = ['token+frame', 'no-headers', 'wrong-key']
const ONE_MORE_URL = skipped('it would have the key in one more URL')

/** The shape that attaches. */
type Works = 'frame' | 'token+frame' | undefined

/** Checks every shape, whether a second user is kept apart, and whether a shape that attaches survives silence. */
export async function checkShapes(context: Context, facts: Facts, check: Check): Promise<void> {
  const attachesWithoutKey = await check('frame', () => checkShape(context, facts, 'frame', false))
  const attachesWithKey = await check('token+frame', () => checkShape(context, facts, 'token+frame', true))
  const works: Works = attachesWithoutKey ? 'frame' : attachesWithKey ? 'token+frame' : undefined
  const checkSilence =
    context.idle > 0 && works !== undefined ? () => check('idle', () => checkIdle(context, facts, works)) : undefined
  // The silence takes longest, so the other checks go on meanwhile. But where the chat is the id of the session, a second
  // session of the chat would replace the silent one.
  const idling = facts.chatId === undefined ? checkSilence?.() : undefined
  // An abort rejects it while nothing waits for it yet.
  idling?.catch(() => {})
  const needsKey = works === 'token+frame'
  try {
    for (const shape of OTHER_SHAPES) {
      // Where no shape attaches, or one without the key in the URL, only `token`, which is about that key, has it there.
      const keyInUrl = needsKey || shape === 'token'
      const isSkipped = needsKey && !WORTH_A_KEY.includes(shape)
      await check(shape, async () => (isSkipped ? ONE_MORE_URL : checkShape(context, facts, shape, keyInUrl)))
    }
    await check('other-user', () => checkOtherUser(context, facts, works))
    await (idling ?? checkSilence?.())
  } finally {
    await idling?.catch(() => {})
  }
}

/** Attaches in one way, to a new session, or for some ways to one that does not exist. */
async function checkShape(context: Context, facts: Facts, name: ProbeShape, keyInUrl: boolean): Promise<ProbeOutcome> {
  const { keyMayShow } = context
  if (name === 'token+frame' && !keyMayShow) return skipped('no key that may go into the URL')
  if (name === 'wrong-key' && facts.authType === 'none') return skipped('no key is sent')
  const dial = async (sessionId: string, changes: Changes = {}): Promise<ProbeOutcome> => {
    const shape = await shapeOf(context, facts, name, sessionId, keyInUrl && keyMayShow, changes)
    return dialBriefly(context, shape)
  }
  if (name.startsWith('unknown')) return dial(UNKNOWN_ID)
  return inNewSession(context, facts, async (sessionId) => {
    const outcome = await dial(sessionId)
    // Not after a handshake that succeeded: the end of the connection has ended the session.
    if (name.endsWith('frame') && outcome.outcome === 'refused') {
      facts.sessionFound = await isSessionFound(context, sessionId)
      if (facts.origin !== undefined && outcome.status === 403) {
        facts.worksWithoutOrigin ||= (await dial(sessionId, { origin: undefined })).outcome === 'attached'
      }
    }
    return outcome
  })
}

/** Calls `use` with a new session, and deletes it. Skips the check if there is no session to be had. */
async function inNewSession(
  context: Context,
  facts: Facts,
  use: (sessionId: string) => Promise<ProbeOutcome>,
): Promise<ProbeOutcome> {
  if (!(await deleteLeftovers(context))) return skipped('earlier sessions cannot be deleted')
  let sessionId: string
  try {
    sessionId = await openSession(context)
  } catch (error) {
    throwIfAborted(context.signal)
    facts.sessionFailure = describeFailure(context, error)
    return skipped(facts.sessionFailure)
  }
  return useSession(context, sessionId, true, () => use(sessionId))
}

/**
 * Looks for a session of the first user as a second one, and attaches to it. Nothing is created for the second user: that
 * would add an account or a container.
 */
async function checkOtherUser(context: Context, facts: Facts, works: Works): Promise<ProbeOutcome> {
  if (works === undefined) return skipped('no shape attaches')
  if (facts.isGateway) return skipped('not tested: the gateway itself knows who the user is')
  if (isBehindOpenWebUI(facts)) return skipped('not tested: Open WebUI itself knows who the user is')
  // An Open WebUI whose path a proxy in front has changed.
  if (sendsCookies(facts.authType)) return skipped('not tested: the token itself says who the user is')
  if (isOrchestrator(facts)) return skipped('not tested: the orchestrator would start a container for that user')
  if (facts.orchestrator === undefined)
    return skipped('not tested: the server may be an orchestrator, and start a container')
  if (works === 'token+frame') return ONE_MORE_URL
  const other = { userId: `${context.target.userId}-probe` }
  return inNewSession(context, facts, async (sessionId) => {
    const finds = await isSessionFound({ ...context, target: { ...context.target, ...other } }, sessionId)
    const { outcome } = await dialBriefly(context, await shapeOf(context, facts, 'frame', sessionId, false, other))
    const does = [finds && 'finds', outcome === 'attached' && 'attaches to'].filter(Boolean).join(' and ')
    if (does === '') return ok('neither finds nor attaches to it')
    if (separatesUsers(facts)) return failed(`${does} it`)
    return { outcome: 'attached', detail: `(${does} it, as on every Open Terminal up to 0.12.3)` }
  })
}

function dialBriefly({ timeout, signal }: Context, shape: Shape): Promise<ProbeOutcome> {
  return dialShape(shape, timeout, signal, async ({ outcome }) => outcome)
}

/** What a dial changes of the caller's options. */
interface Changes {
  readonly userId?: string
  readonly origin?: undefined
}

async function shapeOf(
  context: Context,
  facts: Facts,
  name: ProbeShape,
  sessionId: string,
  keyInUrl: boolean,
  changes: Changes = {},
): Promise<Shape> {
  const change = name === 'wrong-key' ? { key: UNKNOWN_ID } : name === 'unknown-policy' && { policyId: UNKNOWN_ID }
  const target = { ...context.target, ...change, ...changes }
  const { headers, message, redact, wsUrl } = await resolveUpstream(target)
  const url = new URL(wsUrl(sessionId, keyInUrl))
  if (name === 'no-user') url.searchParams.delete('user_id')
  const { Origin } = headers
  return {
    url: url.href,
    headers: name === 'no-headers' ? { ...context.target.headers, ...(Origin !== undefined && { Origin }) } : headers,
    // PROTOCOL 8.1: real servers ignore the offset, and a gateway answers to it.
    message: name === 'token' ? undefined : JSON.stringify({ ...JSON.parse(message), offset: null }),
    // A `key` function may return another key each time. The server may quote both.
    redact: (text) => redact(context.upstream.redact(text)),
    onGateway: () => void (facts.isGateway = true),
  }
}

/** Leaves a terminal silent for a while, and then checks that it still answers. */
async function checkIdle(context: Context, facts: Facts, name: 'frame' | 'token+frame'): Promise<Found> {
  const { timeout, signal, idle } = context
  const sessionId = await openSession(context)
  return useSession(context, sessionId, true, async () => {
    const shape = await shapeOf(context, facts, name, sessionId, name === 'token+frame')
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
