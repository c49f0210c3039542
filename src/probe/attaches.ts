import { throwIfAborted } from '../lib/cancellation.ts'
import { carries } from '../upstream/auth.ts'
import { deleteLeftovers, failureOfSession, isSessionFound, openSession, useSession, type Context } from './context.ts'
import { dial, type Attach } from './dial.ts'
import { failed, isBehindOpenWebUI, isOrchestrator, ok, separatesUsers, skipped } from './facts.ts'
import type { Found, ProbeCheckName, ProbeOutcome, ProbeShape } from './facts.ts'
import { UNKNOWN_ID } from './requests.ts'

/** Makes one check. Resolves with whether the outcome is good; rejects only after an abort. */
export type Check = (name: ProbeCheckName, act: () => Promise<Found>) => Promise<boolean>

const OTHER_SHAPES = ['no-headers', 'no-user', 'wrong-key', 'unknown-session', 'unknown-policy', 'token'] as const
// Still tried if a server reads the key from the URL only: what connectTerminal, a page and a wrong key do.
const WORTH_A_KEY: readonly ProbeShape[] = ['token+frame', 'no-headers', 'wrong-key']
const ONE_MORE_URL = skipped('it would have the key in one more URL')

/** The shape that attaches. */
type Works = 'frame' | 'token+frame' | undefined

/** Checks every shape, whether a second user is kept apart, and whether a shape that attaches survives silence. */
export async function checkShapes(context: Context, check: Check): Promise<void> {
  const attachesWithoutKey = await check('frame', () => checkShape(context, 'frame', false))
  const attachesWithKey = await check('token+frame', () => checkShape(context, 'token+frame', true))
  const works: Works = attachesWithoutKey ? 'frame' : attachesWithKey ? 'token+frame' : undefined
  const checkSilence =
    context.idle > 0 && works !== undefined ? () => check('idle', () => checkIdle(context, works)) : undefined
  // The silence takes longest, so the other checks go on meanwhile. But where the chat is the id of the session, a
  // second session of the chat would replace the silent one.
  const idling = context.target.chatId === undefined ? checkSilence?.() : undefined
  // An abort rejects it while nothing waits for it yet.
  idling?.catch(() => {})
  const needsKey = works === 'token+frame'
  try {
    for (const shape of OTHER_SHAPES) {
      // Where a shape attaches without the key in the URL, or none does, only `token`, which is about it, has it there.
      const keyInUrl = needsKey || shape === 'token'
      const isSkipped = needsKey && !WORTH_A_KEY.includes(shape)
      await check(shape, async () => (isSkipped ? ONE_MORE_URL : checkShape(context, shape, keyInUrl)))
    }
    await check('other-user', () => checkOtherUser(context, works))
    await (idling ?? checkSilence?.())
  } finally {
    await idling?.catch(() => {})
  }
}

/** Attaches as `shape` says, to a new session, or to one that does not exist. */
async function checkShape(context: Context, shape: ProbeShape, keyInUrl: boolean): Promise<ProbeOutcome> {
  const { facts } = context
  if (shape === 'token+frame' && !context.keyMayShow) return skipped('no key that may go into the URL')
  if (shape === 'wrong-key' && facts.authType === 'none') return skipped('no key is sent')
  const changes: Attach['changes'] =
    shape === 'wrong-key' ? { key: UNKNOWN_ID } : shape === 'unknown-policy' ? { policyId: UNKNOWN_ID } : {}
  if (shape.startsWith('unknown')) return dial(context, { shape, sessionId: UNKNOWN_ID, keyInUrl, changes })
  return inNewSession(context, async (sessionId) => {
    const attach = { shape, sessionId, keyInUrl, changes }
    const outcome = await dial(context, attach)
    // Not after a handshake that succeeded: the end of the connection has ended the session.
    if (shape.endsWith('frame') && outcome.outcome === 'refused') {
      facts.sessionFound = await isSessionFound(context, sessionId)
      if (facts.origin !== undefined && outcome.status === 403) {
        const asNoPage = await dial(context, { ...attach, changes: { ...changes, origin: undefined } })
        facts.worksWithoutOrigin ||= asNoPage.outcome === 'attached'
      }
    }
    return outcome
  })
}

/** Calls `use` with a new session, and deletes it. Skips the check if it cannot get one. */
async function inNewSession(context: Context, use: (sessionId: string) => Promise<Found>): Promise<Found> {
  if (!(await deleteLeftovers(context))) return skipped('earlier sessions cannot be deleted')
  let sessionId: string
  try {
    sessionId = await openSession(context)
  } catch (error) {
    throwIfAborted(context.signal)
    context.facts.sessionFailure = failureOfSession(context, error)
    return skipped(context.facts.sessionFailure)
  }
  return useSession(context, sessionId, true, () => use(sessionId))
}

/**
 * Looks for a session of the first user as a second one, and attaches to it. Nothing is created for the second user:
 * that would add an account or a container.
 */
async function checkOtherUser(context: Context, works: Works): Promise<ProbeOutcome> {
  const { facts } = context
  if (works === undefined) return skipped('no shape attaches')
  if (facts.isGateway) return skipped('not tested: the gateway itself knows who the user is')
  if (isBehindOpenWebUI(facts)) return skipped('not tested: Open WebUI itself knows who the user is')
  // An Open WebUI whose path a proxy in front has changed.
  if (carries(facts.authType, 'cookie')) return skipped('not tested: the token itself says who the user is')
  if (isOrchestrator(facts)) return skipped('not tested: the orchestrator would start a container for that user')
  if (facts.orchestrator === undefined)
    return skipped('not tested: the server may be an orchestrator, and start a container')
  if (works === 'token+frame') return ONE_MORE_URL
  const userId = `${context.target.userId}-probe`
  return inNewSession(context, async (sessionId) => {
    const finds = await isSessionFound(context, sessionId, userId)
    const { outcome } = await dial(context, { shape: 'frame', sessionId, changes: { userId } })
    const does = [finds && 'finds', outcome === 'attached' && 'attaches to'].filter(Boolean).join(' and ')
    if (does === '') return ok('neither finds nor attaches to it')
    if (separatesUsers(facts)) return failed(`${does} it`)
    return { outcome: 'attached', detail: `(${does} it, as on every Open Terminal up to 0.12.3)` }
  })
}

/** Leaves a terminal silent for a while, and then checks that it still answers. */
async function checkIdle(context: Context, shape: 'frame' | 'token+frame'): Promise<Found> {
  const sessionId = await openSession(context)
  const attach = { shape, sessionId, keyInUrl: shape === 'token+frame' }
  const leaveSilent = (): Promise<Found> =>
    dial(context, attach, async ({ outcome, wait, pressEnter }) => {
      if (outcome.outcome !== 'attached') return skipped('this attach failed')
      const began = performance.now()
      const cut = await wait(context.idle)
      const ms = Math.round(performance.now() - began)
      if (cut) return { ...cut, ...failed('cut while silent'), ms }
      const answer = await pressEnter()
      return { ...(answer.outcome === 'attached' ? ok('alive afterwards') : failed('no answer afterwards')), ms }
    })
  return useSession(context, sessionId, true, leaveSilent)
}
