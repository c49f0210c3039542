import { CLOSE_MISSING_USER, CLOSE_NOT_FOUND, CLOSE_UNAUTHORIZED } from '../upstream/close-codes.ts'
import { isBare403, outcomeOf, type Facts } from './facts.ts'

/** A range of releases that require the same of a client; `gateway` is one of this package. */
export type ProbeFamily =
  | 'terminals@<=0.0.2'
  | 'terminals@>=0.0.3 <0.2.0'
  | 'terminals@>=0.2.0'
  | 'open-terminal@<=0.12.3'
  | 'open-terminal@>=0.12.4'
  | 'open-webui'
  | 'gateway'

/** Returns the family that the server behaves as. Where behaviour does not tell, the version that the server says counts. */
export function familyOf(facts: Facts): ProbeFamily | undefined {
  const { orchestrator, contexts, version, checks } = facts
  if (facts.isGateway) return 'gateway'
  if (isBehindOpenWebUI(facts)) return 'open-webui'
  // Only Terminals up to 0.0.2 check the key during the handshake, and only they do not wait for the auth frame.
  if (isBare403(checks.get('frame')) && (orchestrator || outcomeOf(facts, 'token+frame') === 'attached')) {
    return 'terminals@<=0.0.2'
  }
  if (orchestrator && outcomeOf(facts, 'token') === 'attached') return 'terminals@<=0.0.2'
  if (contexts) return 'terminals@>=0.2.0'
  // A proxy may add the user to the headers of every request and hide the orchestrator. It does not change the query.
  if (orchestrator || checks.get('no-user')?.closeCode === CLOSE_MISSING_USER) {
    return checks.get('token')?.closeCode === CLOSE_UNAUTHORIZED ? 'terminals@>=0.0.3 <0.2.0' : undefined
  }
  if (separatesUsers(facts)) return 'open-terminal@>=0.12.4'
  if (version !== undefined) return 'open-terminal@<=0.12.3'
  const attachesWithoutHeaders = outcomeOf(facts, 'no-headers') === 'attached'
  return orchestrator === false && attachesWithoutHeaders ? 'open-terminal@<=0.12.3' : undefined
}

/** The end of a URL under which Open WebUI passes requests to a terminal server: the id of the server, and perhaps a chat. */
export const SERVER_PATH: RegExp = /\/api\/v1\/terminals\/.+$/

/** Whether Open WebUI passes the requests on. */
export function isBehindOpenWebUI({ url }: Facts): boolean {
  return SERVER_PATH.test(url.pathname)
}

/** Whether an orchestrator is in between: then each user has a container, which any request starts. */
export function isOrchestrator(facts: Facts): boolean {
  const isTerminals = familyOf(facts)?.startsWith('terminals') ?? false
  return isTerminals || facts.orchestrator === true || facts.checks.get('no-user')?.closeCode === CLOSE_MISSING_USER
}

/** Whether the server is an Open Terminal that keeps users apart, and so requires the user in a header of the handshake. */
export function separatesUsers({ checks, knowsUserShell, version = '0' }: Facts): boolean {
  return (
    checks.get('no-headers')?.closeCode === CLOSE_NOT_FOUND || knowsUserShell === true || isAtLeast(version, '0.12.4')
  )
}

/** Whether a version is the same as another, or later. */
export function isAtLeast(version: string, other: string): boolean {
  return version.localeCompare(other, 'en', { numeric: true }) >= 0
}
