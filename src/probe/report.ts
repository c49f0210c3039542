import type { ProbeOptions } from './context.ts'
import { CHECKS, type ProbeCheck } from './facts.ts'
import { gatherFacts, type ProbeListener } from './run.ts'
import { conclude, type Verdict } from './verdict.ts'

/** The result of a probe. */
export interface ProbeReport extends Verdict {
  /** The server, without a query. */
  readonly upstream: string
  /** The version that an Open Terminal says it has, behind Open WebUI, too. Absent when it does not answer. */
  readonly version?: string
  /** The checks in order. After a check that fails, those that would fail as well are missing. */
  readonly checks: readonly ProbeCheck[]
}

/** Probes an upstream. The listener follows the checks. */
export async function probe(options: ProbeOptions, listener: ProbeListener): Promise<ProbeReport> {
  const facts = await gatherFacts(options, listener)
  const { advice, ...verdict } = conclude(facts)
  const { url, version, checks } = facts
  return {
    upstream: url.href,
    ...verdict,
    ...(version !== undefined && { version }),
    advice,
    checks: CHECKS.flatMap((name) => checks.get(name) ?? []),
  }
}
