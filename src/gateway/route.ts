/** What a path of a gateway leads to. */
export interface Route {
  readonly policyId: string | undefined
  /** Absent for the path of all sessions. */
  readonly sessionId: string | undefined
}

/**
 * Returns what a URL leads to, or `undefined` if it is no path of the gateway (PROTOCOL 2.5 and 2.11).
 *
 * @param prefix The path before `/api/terminals`.
 */
export function findRoute(url: string, prefix: string): Route | undefined {
  const [path = ''] = url.split('?', 1)
  if (!path.startsWith(prefix)) return undefined
  const found = /^(?:\/p\/([^/]+))?\/api\/terminals(?:\/([^/]+))?$/.exec(path.slice(prefix.length))
  if (!found) return undefined
  try {
    const [policyId, sessionId] = [found[1], found[2]].map((part) => part && decodeURIComponent(part))
    return { policyId, sessionId }
  } catch {
    // A percent sign without two digits.
    return undefined
  }
}
