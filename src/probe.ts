export { probeUpstream } from './probe/probe-upstream.ts'

export type { ProbeOptions } from './probe/context.ts'
export type { ProbeCheck, ProbeCheckName, ProbeOutcome, ProbeShape } from './probe/facts.ts'
export type { ProbeFamily } from './probe/family.ts'
export type { ProbeReport } from './probe/report.ts'
