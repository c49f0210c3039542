export { probeUpstream } from './probe/probe-upstream.ts'

export type { ProbeOptions } from './probe/context.ts'
export type { ProbeCheck, ProbeCheckName, ProbeFamily, ProbeOutcome, ProbeShape } from './probe/facts.ts'
export type { ProbeReport } from './probe/verdict.ts'
