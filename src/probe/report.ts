import type { ProbeOptions } from './context.ts'
import { CHECKS, type ProbeCheck } from './facts.ts'
import type { ProbeFamily } from './family.ts'
import { gatherFacts, type ProbeListener } from './run.ts'
import { conclude } from './verdict.ts'

/** What a probe has found out. */
export interface ProbeReport {
  /** The server, without a query. */
  readonly upstream: string
  /** Whether `connectTerminal` attaches with these options, and nothing else was found that will go wrong. */
  readonly ok: boolean
  /**
   * The first shape that attaches: `'frame'` needs no key in the URL (`tokenInUrl: 'never'`), `'token+frame'` does.
   * Absent when none does.
   */
  readonly works?: 'frame' | 'token+frame'
  /** The releases that it behaves as, where that can be told. */
  readonly family?: ProbeFamily
  /** The version that an Open Terminal says it is, where it can be asked; behind Open WebUI, too. */
  readonly version?: string
  /** What to do, in one sentence. */
  readonly advice: string
  /** Each check that was made, in order; the list ends early where there was no point in going on. */
  readonly checks: readonly ProbeCheck[]
}

/** Probes an upstream, and tells meanwhile what it is at. */
export async function probe(options: ProbeOptions, listener: ProbeListener): Promise<ProbeReport> {
  const facts = await gatherFacts(options, listener)
  const { ok, works, family, advice } = conclude(facts)
  const { url, version, checks } = facts
  return {
    upstream: url.href,
    ok,
    ...(works && { works }),
    ...(family && { family }),
    ...(version !== undefined && { version }),
    advice,
    checks: CHECKS.flatMap((name) => checks.get(name) ?? []),
  }
}
