import { adviseOnOrigin, adviseOnPages, adviseOnReading, UNTESTED_PAGES } from './advice-on-pages.ts'
import { adviseOnReachable, adviseOnRequest, adviseOnTls } from './advice-on-requests.ts'
import { adviseOnAttach, adviseOnSilence, adviseOnSuccess } from './advice-on-shapes.ts'
import { outcomeOf, type Facts } from './facts.ts'
import { familyOf, type ProbeFamily } from './family.ts'
import { firstAdvice, type Rule } from './rules.ts'

/** The conclusion from the facts. */
export interface Verdict {
  /** Whether `connectTerminal` attaches with these options, and the probe found nothing else that is wrong. */
  readonly ok: boolean
  /**
   * The first shape that attaches: `'frame'` needs no key in the URL (`tokenInUrl: 'never'`), `'token+frame'` does.
   * Absent when none does.
   */
  readonly works?: 'frame' | 'token+frame'
  /** The releases that the server behaves as. Absent when the probe cannot tell. */
  readonly family?: ProbeFamily
  /** What to do, in one sentence, and for a gateway in a second one that pages were not tested, if they were not. */
  readonly advice: string
}

// prettier-ignore
const PROBLEMS: readonly Rule<Facts>[] = [
  [(facts) => outcomeOf(facts, 'reachable') === 'failed', adviseOnReachable],
  [(facts) => outcomeOf(facts, 'tls') === 'failed', adviseOnTls],
  [({ worksWithoutOrigin }) => worksWithoutOrigin === true, adviseOnOrigin],
  [({ hiddenFromPages }) => hiddenFromPages !== undefined, adviseOnReading],
  [(facts) => outcomeOf(facts, 'session') === 'failed' && facts.sessionFound === false,
    'Configure the load balancer to send all requests for a session to the same server, or check why the shell ends at once: the server does not find the session that it created.'],
  [(facts) => outcomeOf(facts, 'cleanup') === 'failed',
    ({ checks }) => `Configure the reverse proxy to allow DELETE requests (${checks.get('cleanup')?.detail}): sessions that cannot be deleted fill the server.`],
  [(facts) => outcomeOf(facts, 'rest') === 'failed' || outcomeOf(facts, 'session') === 'failed', adviseOnRequest],
  [(facts) => outcomeOf(facts, 'session') === 'skipped',
    'Close the terminal of this chat first, or probe without `chatId`: on this server, a second terminal would replace it.'],
  [({ sessionFailure }) => sessionFailure !== undefined,
    ({ sessionFailure }) => `Probe again when the server is less busy: not every session could be created (${sessionFailure}).`],
  [(facts) => workingShape(facts) === undefined, adviseOnAttach],
  [(facts) => outcomeOf(facts, 'other-user') === 'failed',
    'Configure the reverse proxy to pass X-User-Id on with requests and WebSockets: the server does not get it, or another one in its place, so every user can use the shells of every other.'],
  [(facts) => !['attached', 'skipped', undefined].includes(outcomeOf(facts, 'token+frame')),
    "Use `tokenInUrl` 'never' or 'fallback', or configure the reverse proxy to allow WebSockets with the key in the URL: only WebSockets without it attach."],
  [(facts) => facts.origin !== undefined && !['attached', 'skipped'].includes(String(outcomeOf(facts, 'no-headers'))),
    adviseOnPages],
  [(facts) => outcomeOf(facts, 'idle') === 'failed', adviseOnSilence],
]

/** Draws the conclusion. Pure. */
export function conclude(facts: Facts): Verdict {
  const problem = firstAdvice(PROBLEMS, facts, undefined)
  const works = workingShape(facts)
  const family = familyOf(facts)
  const untested = family === 'gateway' && facts.origin === undefined ? ` ${UNTESTED_PAGES}` : ''
  const advice = (problem ?? adviseOnSuccess(facts)) + untested
  return { ok: problem === undefined, ...(works && { works }), ...(family && { family }), advice }
}

function workingShape(facts: Facts): Verdict['works'] | undefined {
  return (['frame', 'token+frame'] as const).find((shape) => outcomeOf(facts, shape) === 'attached')
}
