import { isBare403, type Facts } from './facts.ts'

/** The releases that want the same of a client, as a range of versions. */
export type ProbeFamily =
  | 'terminals@<=0.0.2'
  | 'terminals@>=0.0.3 <0.2.0'
  | 'terminals@>=0.2.0'
  | 'open-terminal@<=0.12.3'
  | 'open-terminal@>=0.12.4'
  | 'open-webui'

/** Tells the family from how the server behaves, and where it cannot be seen from what the server says that it is. */
export function familyOf(facts: Facts): ProbeFamily | undefined {
  const { orchestrator, contexts, version, checks } = facts
  if (isBehindOpenWebUI(facts)) return 'open-webui'
  const [frame, frameless, nameless, headerless] = (['frame', 'token', 'no-user', 'no-headers'] as const).map((name) =>
    checks.get(name),
  )
  // The only ones that look at the key before they accept; the first, too, that do not wait for the auth frame.
  if (isBare403(frame) && (orchestrator || checks.get('token+frame')?.outcome === 'attached')) {
    return 'terminals@<=0.0.2'
  }
  if (orchestrator && frameless?.outcome === 'attached') return 'terminals@<=0.0.2'
  if (contexts) return 'terminals@>=0.2.0'
  // Something in between may have put the user into every request; not into the query.
  if (orchestrator || nameless?.closeCode === 4002) {
    return frameless?.closeCode === 4001 ? 'terminals@>=0.0.3 <0.2.0' : undefined
  }
  if (headerless?.closeCode === 4004) return 'open-terminal@>=0.12.4'
  if (version !== undefined) return wantsHeaders(version) ? 'open-terminal@>=0.12.4' : 'open-terminal@<=0.12.3'
  return orchestrator === false && headerless?.outcome === 'attached' ? 'open-terminal@<=0.12.3' : undefined
}

/** Whether Open WebUI answers for the server, which its own path tells. */
export function isBehindOpenWebUI({ url }: Facts): boolean {
  return /\/api\/v1\/terminals\/[^/]+\/?$/.test(url.pathname)
}

// The first Open Terminal that wants to see the user in a header.
const STRICT = [0, 12, 4]

/** Whether an Open Terminal of this version wants to see the user in a header. */
export function wantsHeaders(version: string): boolean {
  const numbers = version.split('.').map((part) => Number.parseInt(part, 10))
  const differing = STRICT.findIndex((number, index) => numbers[index] !== number)
  return differing < 0 || Number(numbers[differing]) > Number(STRICT[differing])
}
