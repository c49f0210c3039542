import type { IncomingMessage } from 'node:http'
import { describeClient, type TerminalClient } from '../client/authorize.ts'
import type { ClientAuth } from '../client/messages.ts'
import type { RefusedEvent } from './events.ts'
import type { GatewaySettings } from './options.ts'

const SHELL_PARTS = ['output', 'input'] as const

/** What a path of a gateway leads to. */
export interface Route {
  readonly policyId: string | undefined
  /** Absent for the path of all sessions, and of the user's shell. */
  readonly sessionId: string | undefined
  /** What is asked of the user's shell (PROTOCOL 2.17); absent for any other path. */
  readonly ofShell: (typeof SHELL_PARTS)[number] | undefined
}

/**
 * Returns what a URL leads to, or `undefined` if it is no path of the gateway (PROTOCOL 2.5, 2.11 and 2.17).
 *
 * @param prefix The path before `/api/terminals`.
 */
export function findRoute(url: string, prefix: string): Route | undefined {
  const [path = ''] = url.split('?', 1)
  if (!path.startsWith(prefix)) return undefined
  const pattern = /^(?:\/p\/([^/]+))?\/api\/terminals(?:\/user\/(output|input)|\/([^/]+))?$/
  const found = pattern.exec(path.slice(prefix.length))
  if (!found) return undefined
  try {
    const [policyId, sessionId] = [found[1], found[3]].map((part) => part && decodeURIComponent(part))
    return { policyId, sessionId, ofShell: SHELL_PARTS.find((part) => part === found[2]) }
  } catch {
    // A percent sign without two digits.
    return undefined
  }
}

/** Returns what a client says of itself. `auth` is what the auth frame of a WebSocket says. */
export function clientOf(request: IncomingMessage, route: Route, auth?: ClientAuth): TerminalClient {
  const { policyId, sessionId } = route
  return {
    ...describeClient(request, auth),
    ...(policyId !== undefined && { policyId }),
    ...(sessionId !== undefined && { sessionId }),
    ...(auth?.watch && { watch: true }),
    request,
  }
}

/** Returns what was compared, for the operator, if the page that a request comes from may not use the gateway. */
export function findForbiddenOrigin(
  request: IncomingMessage,
  origins: GatewaySettings['origins'],
): Pick<RefusedEvent, 'origin' | 'host' | 'origins'> | undefined {
  const { origin, host } = request.headers
  if (origin === undefined || isOriginAllowed(origin, host, origins)) return undefined
  return { origin, ...(host !== undefined && { host }), origins }
}

/**
 * Whether a page may use the gateway. A request without an `Origin` comes from no page.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6455#section-10.2
 */
function isOriginAllowed(origin: string, host: string | undefined, origins: GatewaySettings['origins']): boolean {
  if (origins === 'any') return true
  if (origins !== 'same') return origins.includes(origin)
  // A browser leaves out the default port and writes the host in small letters; a client or a proxy may not do so in
  // `Host`. Which port is the default is known by the scheme of the page: a proxy in front may serve TLS.
  const scheme = /^https?:/i.exec(origin)?.[0]
  const page = scheme && siteOf(origin)
  return page !== undefined && host !== undefined && page === siteOf(`${scheme}//${host}`)
}

/** Returns the host and port of a URL; `undefined` if it has anything else but a scheme. */
function siteOf(url: string): string | undefined {
  return /^\w+:\/\/[^\s/\\?#@]+$/.test(url) && URL.canParse(url) ? new URL(url).host : undefined
}
