import { adviseOnAnswer, adviseOnNetwork, adviseOnNoAnswer } from './advice-on-requests.ts'
import { adviseOnRefusal, adviseOnSilence, adviseOnWorking } from './advice-on-shapes.ts'
import type { Facts, ProbeCheck, ProbeCheckName } from './facts.ts'
import { familyOf, type ProbeFamily } from './family.ts'

/** What all of it means. */
export interface Verdict {
  /** Whether `connectTerminal` attaches with these options, and nothing else is wrong. */
  readonly ok: boolean
  /** The first shape that attaches, that with the key in the URL last. */
  readonly works: 'frame' | 'token+frame' | undefined
  readonly family: ProbeFamily | undefined
  /** What to do, in one sentence. */
  readonly advice: string
}

/** Draws the conclusion. Pure. */
export function conclude(facts: Facts): Verdict {
  const { checks } = facts
  const works = (['frame', 'token+frame'] as const).find((shape) => checks.get(shape)?.outcome === 'attached')
  const problem = problemOf(facts, works)
  return { ok: problem === undefined, works, family: familyOf(facts), advice: problem ?? adviseOnWorking(facts) }
}

/** What is wrong, in the words of what to do about it. */
function problemOf(facts: Facts, works: Verdict['works']): string | undefined {
  const { checks, alive, answer, sessionless } = facts
  const came = (outcome: ProbeCheck['outcome'], ...names: ProbeCheckName[]): boolean =>
    names.some((name) => checks.get(name)?.outcome === outcome)
  if (came('failed', 'reachable', 'tls')) return adviseOnNetwork(facts)
  if (came('failed', 'session') && alive === false) {
    return 'Have the load balancer send all requests for a session to the same server, or see why its shell ends at once: one that was created is not found.'
  }
  if (came('failed', 'cleanup')) {
    return `Have DELETE requests let through (${checks.get('cleanup')?.detail}), or sessions pile up until the server has no more.`
  }
  if (came('failed', 'rest', 'session')) return answer ? adviseOnAnswer(facts, answer) : adviseOnNoAnswer(facts)
  if (came('skipped', 'session')) {
    return 'Close the terminal of this chat first, or probe without `chatId`: on this server a second one would take its place.'
  }
  if (sessionless !== undefined) {
    return `Probe again when the server is less busy: not every session could be created (${sessionless}).`
  }
  if (works === undefined) return adviseOnRefusal(facts)
  if (works === 'frame' && !came('attached', 'token+frame') && !came('skipped', 'token+frame')) {
    return "Use `tokenInUrl` 'never' or 'fallback', or have WebSockets let through that have the key in the URL: without it there all is well."
  }
  return came('failed', 'idle') ? adviseOnSilence(facts) : undefined
}
