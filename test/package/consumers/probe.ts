import {
  probeUpstream,
  type ProbeCheck,
  type ProbeCheckName,
  type ProbeFamily,
  type ProbeOptions,
  type ProbeOutcome,
  type ProbeReport,
  type ProbeShape,
} from '../../../src/probe.ts'

export const options: ProbeOptions[] = [
  { base: 'http://127.0.0.1:8000', userId: 'ada' },
  {
    base: new URL('http://h'),
    key: async () => 'sk-1',
    userId: 'ada',
    tokenInUrl: 'never',
    timeout: 1,
    idle: 0,
    origin: 'https://h',
  },
  // @ts-expect-error -- a probe always tries both
  { base: 'http://h', userId: 'ada', tokenInUrl: 'fallback' },
  // @ts-expect-error -- `userId` is required
  { base: 'http://h' },
]

const families = {
  'terminals@<=0.0.2': true,
  'terminals@>=0.0.3 <0.2.0': true,
  'terminals@>=0.2.0': true,
  'open-terminal@<=0.12.3': true,
  'open-terminal@>=0.12.4': true,
  'open-webui': true,
  gateway: true,
} satisfies Record<ProbeFamily, true>

const shapes = {
  frame: true,
  'token+frame': true,
  token: true,
  'no-user': true,
  'no-headers': true,
  'wrong-key': true,
  'unknown-session': true,
  'unknown-policy': true,
} satisfies Record<ProbeShape, true>

const names: ProbeCheckName[] = ['reachable', 'tls', 'rest', 'session', 'other-user', 'idle', 'cleanup']

export async function use(): Promise<unknown[]> {
  const report: ProbeReport = await probeUpstream({ base: 'http://h', userId: 'ada' })
  const { upstream, ok, works, family, version, advice } = report
  const working: 'frame' | 'token+frame' | undefined = works
  const [first]: readonly ProbeCheck[] = report.checks
  const outcome: ProbeOutcome['outcome'] | undefined = first?.outcome
  // @ts-expect-error -- read-only
  report.ok = true
  return [upstream, ok, working, family, version, advice, first?.ms, first?.status, outcome, families, shapes, names]
}
