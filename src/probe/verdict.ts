import { CLOSE_NOT_FOUND } from '../upstream/close-codes.ts'
import { adviseOnAttach, adviseOnReachable, adviseOnRequest, adviseOnTls, RAISE_LIMIT } from './advice.ts'
import { CHECKS, familyOf, isBare403, type Facts, type ProbeCheck, type ProbeFamily } from './facts.ts'

/** The result of a probe. */
export interface ProbeReport {
  /** The server, without a query. */
  readonly upstream: string
  /** Whether `connectTerminal` attaches with these options, and the probe found nothing else that is wrong. */
  readonly ok: boolean
  /**
   * The first shape that attaches: `'frame'` needs no key in the URL (`tokenInUrl: 'never'`), `'token+frame'` does.
   * Absent when none does.
   */
  readonly works?: 'frame' | 'token+frame'
  /** The releases that the server behaves as. Absent when the probe cannot tell. */
  readonly family?: ProbeFamily
  /** The version that an Open Terminal says it has, behind Open WebUI, too. Absent when it does not answer. */
  readonly version?: string
  /** What to do, in one sentence, and for a gateway in a second one that pages were not tested, if they were not. */
  readonly advice: string
  /** The checks in order. After a check that fails, those that would fail as well are missing. */
  readonly checks: readonly ProbeCheck[]
}

/** Draws the conclusion. Pure. */
export function conclude(facts: Facts): ProbeReport {
  const { url, origin, version, checks } = facts
  const works = (['frame', 'token+frame'] as const).find((shape) => checks[shape]?.outcome === 'attached')
  const family = familyOf(facts)
  const problem = adviseOnProblem(facts, works !== undefined)
  const isUntested = family === 'gateway' && origin === undefined
  const untested = isUntested ? ' Pages were not tested: probe again with the address of one as `origin`.' : ''
  const order = Object.keys(CHECKS)
  return {
    upstream: url.href,
    ok: problem === undefined,
    ...(works && { works }),
    ...(family && { family }),
    ...(version !== undefined && { version }),
    advice: (problem ?? adviseOnSuccess(facts)) + untested,
    checks: Object.values(checks).sort((one, other) => order.indexOf(one.name) - order.indexOf(other.name)),
  }
}

/** Says what to do about the first thing that is wrong; `undefined` if nothing is. */
function adviseOnProblem(facts: Facts, attaches: boolean): string | undefined {
  const { url, origin, checks, hiddenFromPages, sessionFound, sessionFailure, isRateLimited } = facts
  const { reachable, tls, rest, session, cleanup, idle, 'token+frame': withToken, 'no-headers': asPage } = checks
  if (reachable?.outcome === 'failed') return adviseOnReachable(facts)
  if (tls?.outcome === 'failed') return adviseOnTls(facts)
  if (facts.worksWithoutOrigin)
    return `Configure the reverse proxy to pass the Host of the page on (nginx: proxy_set_header Host $http_host), or add ${origin} to the \`origins\` of the gateway: ${url.host} refuses this page, and answers whoever sends no Origin.`
  if (hiddenFromPages !== undefined)
    return `Let pages of ${origin} read the answers, in OPEN_TERMINAL_CORS_ALLOWED_ORIGINS of Open Terminal, in \`origins\` of a gateway, or in the reverse proxy (Access-Control-Allow-Origin, to the preflight, too): ${hiddenFromPages}.`
  if (session?.outcome === 'failed' && sessionFound === false)
    return 'Configure the load balancer to send all requests for a session to the same server, or check why the shell ends at once: the server does not find the session that it created.'
  // A proxy's limit on the rate of requests may be reached by those of the probe itself.
  if (isRateLimited && (cleanup?.outcome === 'failed' || sessionFailure !== undefined)) return RAISE_LIMIT
  if (cleanup?.outcome === 'failed')
    return `Configure the reverse proxy to allow DELETE requests (${cleanup.detail}): sessions that cannot be deleted fill the server.`
  if (rest?.outcome === 'failed' || session?.outcome === 'failed') return adviseOnRequest(facts)
  if (session?.outcome === 'skipped')
    return 'Close the terminal of this chat first, or probe without `chatId`: on this server, a second terminal would replace it.'
  if (sessionFailure !== undefined)
    return `Probe again when the server is less busy: not every session could be created (${sessionFailure}).`
  if (!attaches) return adviseOnAttach(facts)
  if (checks['other-user']?.outcome === 'failed')
    return 'Configure the reverse proxy to pass X-User-Id on with requests and WebSockets: the server does not get it, or another one in its place, so every user can use the shells of every other.'
  if (withToken && !['attached', 'skipped'].includes(withToken.outcome))
    return "Use `tokenInUrl` 'never' or 'fallback', or configure the reverse proxy to allow WebSockets with the key in the URL: only WebSockets without it attach."
  if (origin !== undefined && !['attached', 'skipped'].includes(String(asPage?.outcome)))
    return asPage?.closeCode === CLOSE_NOT_FOUND
      ? 'Put a gateway of this package in front of the server: pages cannot send X-User-Id with a WebSocket, and Open Terminal from 0.12.4 on requires it.'
      : 'Configure the reverse proxy to accept WebSockets without headers such as Authorization: pages cannot send them.'
  if (idle?.outcome !== 'failed') return undefined
  const seconds = Math.max(1, Math.round(idle.ms / 1_000))
  return `Set \`keepAlive\` to less than the ${seconds} s of silence after which connections are cut, or raise that limit (nginx: proxy_read_timeout); if busy connections are cut, too, the limit is on how long a connection may last.`
}

/** Says what to know about an upstream that works. */
function adviseOnSuccess({ checks, origin, authType, hasKey }: Facts): string {
  const { frame, 'no-headers': withoutHeaders } = checks
  if (isBare403(frame))
    return 'This orchestrator reads the key during the handshake: use a client that sends it in the URL, as connectTerminal does, or upgrade Terminals to 0.0.3.'
  if (frame?.outcome !== 'attached')
    return 'Use a client that sends the key in the URL as well as in the auth frame, as connectTerminal does.'
  if (checks['wrong-key']?.outcome === 'attached')
    return 'Give the server a key: it accepts every client, whatever key the client sends.'
  if (checks['other-user']?.outcome === 'attached')
    return 'Upgrade Open Terminal to 0.12.4, or put Terminals or a gateway of this package in front of it, if it has more than one user: connectTerminal attaches, but this release keeps no users apart, so everybody with the key can use every shell.'
  if (origin !== undefined) return `All is well: connectTerminal attaches, also in pages of ${origin}.`
  if (withoutHeaders?.closeCode === CLOSE_NOT_FOUND)
    return 'All is well for clients that send X-User-Id in the handshake, as connectTerminal does in Node; browsers cannot, and Open WebUI up to 0.11.3 does not: upgrade Open WebUI if users see the terminal close.'
  if (withoutHeaders && !['attached', 'skipped'].includes(withoutHeaders.outcome))
    return 'All is well for clients that send headers in the handshake, as connectTerminal does in Node; clients that cannot, such as browsers, are refused.'
  if (authType === 'bearer' && hasKey)
    return 'All is well: connectTerminal attaches, and the key stays out of URLs and the logs that keep them.'
  return 'All is well: connectTerminal attaches.'
}
