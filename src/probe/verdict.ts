import type { Answer, Facts, ProbeCheck, ProbeCheckName } from './facts.ts'

/** The releases that want the same of a client, as a range of versions. */
export type ProbeFamily =
  | 'terminals@<=0.0.2'
  | 'terminals@>=0.0.3 <0.2.0'
  | 'terminals@>=0.2.0'
  | 'open-terminal@<=0.12.3'
  | 'open-terminal@>=0.12.4'
  | 'open-webui'

/** What all of it means. */
export interface Verdict {
  /** The first shape that attaches, those with the key in the URL last. */
  readonly works: 'frame' | 'token+frame' | undefined
  readonly family: ProbeFamily | undefined
  /** What to do, in one sentence. */
  readonly advice: string
}

/** Draws the conclusion. Pure. */
export function conclude(facts: Facts): Verdict {
  const works = (['frame', 'token+frame'] as const).find((shape) => outcomeOf(facts, shape) === 'attached')
  return { works, family: familyOf(facts), advice: adviseOn(facts, works) }
}

function outcomeOf({ checks }: Facts, name: ProbeCheckName): ProbeCheck['outcome'] | undefined {
  return checks.get(name)?.outcome
}

function isBehindOpenWebUI({ url }: Facts): boolean {
  return /\/api\/v1\/terminals\/[^/]+\/?$/.test(url.pathname)
}

// The first release that wants to see the user in a header.
const STRICT = [0, 12, 4]

function isStrict(version: string): boolean {
  const numbers = version.split('.').map(Number)
  const differing = STRICT.findIndex((number, index) => numbers[index] !== number)
  return differing < 0 || Number(numbers[differing]) > Number(STRICT[differing])
}

function familyOf(facts: Facts): ProbeFamily | undefined {
  const { orchestrator, contexts, version, checks } = facts
  if (isBehindOpenWebUI(facts)) return 'open-webui'
  if (version !== undefined) return isStrict(version) ? 'open-terminal@>=0.12.4' : 'open-terminal@<=0.12.3'
  if (orchestrator === false) {
    const headerless = checks.get('no-headers')
    if (headerless?.outcome === 'attached') return 'open-terminal@<=0.12.3'
    return headerless?.closeCode === 4004 ? 'open-terminal@>=0.12.4' : undefined
  }
  if (contexts) return 'terminals@>=0.2.0'
  // Before 0.0.3 nobody waits for the auth frame, and those after close without it.
  const frameless = checks.get('token')
  const early = frameless?.outcome === 'attached' || isBare403(checks.get('frame'))
  if (orchestrator && early) return 'terminals@<=0.0.2'
  return orchestrator && frameless?.closeCode === 4001 ? 'terminals@>=0.0.3 <0.2.0' : undefined
}

/** The answer of the server itself: others have a page for it. */
function isBare403(check: ProbeCheck | undefined): boolean {
  return check?.status === 403 && check.detail === ''
}

function adviseOn(facts: Facts, works: Verdict['works']): string {
  const hasFailed = (name: ProbeCheckName): boolean => outcomeOf(facts, name) === 'failed'
  if (hasFailed('cleanup')) {
    return 'Have what is in between let DELETE requests through, or sessions pile up until the server has no more: one of this probe is still there.'
  }
  if (hasFailed('reachable') || hasFailed('tls')) return adviseOnNetwork(facts)
  if (hasFailed('rest') || hasFailed('session')) {
    return facts.answer ? adviseOnAnswer(facts, facts.answer) : adviseOnNoAnswer(facts)
  }
  if (outcomeOf(facts, 'session') === 'skipped') {
    return 'Close the terminal of this chat first, or probe without `chatId`: on this server a second one would take its place.'
  }
  if (works === undefined) return adviseOnRefusal(facts)
  return hasFailed('idle') ? adviseOnSilence(facts) : adviseOnWorking(facts, works)
}

const CERTIFICATES: Record<string, string> = {
  CERT_HAS_EXPIRED: 'Renew the certificate: it has expired.',
  ERR_TLS_CERT_ALTNAME_INVALID: 'Use a host name that the certificate is for, or have it issued for this one.',
}
const NO_ROUTE = ['ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH']

function adviseOnNetwork({ url, code = '', checks }: Facts): string {
  const { host } = url
  if (['ENOTFOUND', 'EAI_AGAIN'].includes(code))
    return `Check the host name, and this machine's DNS: ${host} does not resolve.`
  if (code === 'ECONNREFUSED') return `Start the server, or correct the port: nothing listens at ${host}.`
  if (NO_ROUTE.includes(code)) return `Check the address, and the firewalls on the way: ${host} does not answer.`
  if (checks.get('tls')?.outcome === 'failed') {
    if (/SSL|EPROTO|ECONNRESET/.test(code)) return `Use http:// for ${host}: it does not speak TLS there.`
    return (
      CERTIFICATES[code] ??
      'Have whoever signed the certificate trusted (NODE_EXTRA_CA_CERTS), and the server send all of its chain.'
    )
  }
  return `See what listens at ${host}: it cannot be connected to.`
}

function adviseOnNoAnswer({ url, code, checks }: Facts): string {
  if (code !== 'ETIMEDOUT') {
    return `See what listens at ${url.host}, and whether it wants https://: it ends the connection without an answer.`
  }
  return checks.has('session')
    ? 'Probe again with a longer `timeout`: an orchestrator that starts a container for the first time may need minutes.'
    : `See why the server at ${url.host} hangs: it takes connections, but does not answer requests.`
}

function adviseOnAnswer(facts: Facts, answer: Answer): string {
  const { url, authType, hasKey, policyId, terminalsOff } = facts
  const { status, html, said, location } = answer
  if (location !== undefined) return `Use ${location} instead: redirects are not followed, because of the key.`
  if (status >= 500) {
    return 'See that the server behind what answers is running and reachable from there, and try again in a minute: a container may be starting.'
  }
  if (html && status === 400 && url.protocol === 'http:') return `Use https:// for ${url.host}: it wants TLS.`
  if (html) {
    return 'Give the address of the terminal server itself: what answers is a web page, a site or a login in front of it. (Through Open WebUI that is …/api/v1/terminals/{server id}, with `authType` session.)'
  }
  if (status === 401) {
    if (!hasKey)
      return `Give a \`key\`: this server wants one${authType === 'none' ? ', so `authType` cannot be none' : ''}.`
    return /missing authorization/i.test(said)
      ? 'Have the reverse proxy pass the Authorization header on: it does not arrive.'
      : 'Check `key` and `authType`, and that nothing in between takes out the Authorization header: the server does not accept what it gets.'
  }
  if (status === 403) return 'Check on the server who may use it: it does not let this `userId`, with this key.'
  if (status === 404) {
    if (/policy/i.test(said) && policyId !== undefined) return 'Check `policyId`: the orchestrator has no such policy.'
    if (/terminal server/i.test(said))
      return 'Check the last part of the URL: Open WebUI has no terminal server of that id.'
    return terminalsOff
      ? 'Set OPEN_TERMINAL_ENABLE_TERMINAL=true on the server: it has its terminals turned off.'
      : 'Check the path of the URL: there is no /api/terminals under it, as Open Terminal from 0.8.1 on and Terminals have.'
  }
  if (status === 422) return 'Have the reverse proxy pass the X-User-Id header on: it does not arrive.'
  if (status === 429) {
    return 'Delete sessions that nobody uses, or restart the server: all its places are taken, often by clients that came and went.'
  }
  if (status === 400) return 'Check `contextId`: the server does not take it.'
  return 'Check that the URL leads to Open Terminal or Terminals: no release answers like this.'
}

const PROXY_AUTH = [401, 407, 511]

/** Says why no shape attaches although a session could be created. */
function adviseOnRefusal(facts: Facts): string {
  const { checks, authType, chatId, hasKey, orchestrator, alive } = facts
  const withToken = checks.get('token+frame')
  const dialled = withToken && withToken.outcome !== 'skipped' ? withToken : checks.get('frame')
  if (alive === false) {
    return 'See why a session is gone as soon as it is created: its shell may end at its start, or a load balancer send each request to another server.'
  }
  if (dialled?.outcome === 'refused') return adviseOnStatus(facts, dialled)
  if (dialled?.outcome === 'failed') {
    return 'Have the reverse proxy pass WebSocket upgrades on: there is no answer to them, although requests are answered.'
  }
  if (chatId !== undefined && orchestrator) {
    return 'Leave `chatId` out: Terminals does not pass it on with the WebSocket, and the Open Terminal behind it wants it.'
  }
  if (isBehindOpenWebUI(facts) && dialled?.closeCode === 1000) {
    return facts.version === undefined || isStrict(facts.version)
      ? 'Upgrade Open WebUI: up to 0.11.3 it does not pass X-User-Id on with WebSockets, which Open Terminal from 0.12.4 on wants.'
      : "See in Open WebUI's settings that this terminal server is of auth type bearer: with no other does it authenticate its WebSocket."
  }
  switch (dialled?.closeCode) {
    case 4001:
      return hasKey
        ? `Check that what is in between leaves messages as they are, and that the server takes this key (${authType}) for WebSockets too.`
        : 'Give a `key`: this server wants one for WebSockets.'
    case 4002:
      return 'Have the reverse proxy pass the query of the URL on: user_id does not arrive.'
    case 4003:
      return 'See on the orchestrator why it cannot start or reach the container of this user.'
    case 4004:
      return 'Have the reverse proxy pass X-User-Id and X-Session-Id on with WebSockets too: they do not arrive.'
    case undefined:
      return 'See whether the server behind what accepted the WebSocket is there, and whether something holds back messages: nothing comes.'
    default:
      return 'See the log of the server, and of what is in between: the connection is ended as soon as it is open.'
  }
}

function adviseOnStatus({ orchestrator, checks }: Facts, refusal: ProbeCheck): string {
  const status = Number(refusal.status)
  if (isBare403(refusal)) {
    if (!orchestrator) {
      return 'Have the load balancer send all requests for a session to the same server: the one that got the WebSocket does not know it.'
    }
    return checks.get('token+frame')?.outcome === 'skipped'
      ? "Use `authType` bearer and `tokenInUrl` 'always', or upgrade Terminals to 0.0.3: this orchestrator wants the key in the URL, and nowhere else."
      : 'Have the reverse proxy pass the query of the URL on: the orchestrator (Terminals up to 0.0.2) does not see the key in it.'
  }
  if (status === 403 || PROXY_AUTH.includes(status)) {
    return 'Have what is in between let WebSockets to this path through: it refuses them by itself, although requests pass.'
  }
  if (status >= 500) return 'See that the reverse proxy can reach the server with WebSockets too: it answers for it.'
  return 'Have the reverse proxy pass WebSocket upgrades on (nginx: proxy_http_version 1.1, and the headers Upgrade and Connection): they do not arrive as such.'
}

function adviseOnSilence({ checks }: Facts): string {
  const seconds = Math.max(1, Math.round(Number(checks.get('idle')?.ms) / 1_000))
  return `Set \`keepAlive\` to less than the ${seconds} s of silence after which connections are cut, or raise that limit (nginx: proxy_read_timeout).`
}

function adviseOnWorking(facts: Facts, works: 'frame' | 'token+frame'): string {
  const { checks, hasKey, authType } = facts
  if (works === 'token+frame') {
    return checks.get('frame')?.outcome === 'refused'
      ? 'This orchestrator reads the key during the handshake: use a client that sends it in the URL, as connectTerminal does, or upgrade Terminals to 0.0.3.'
      : 'Use a client that sends the key in the URL as well as in the auth frame, as connectTerminal does.'
  }
  if (checks.get('wrong-key')?.outcome === 'attached') {
    return 'Give the server a key: it lets everybody in, whatever key they have.'
  }
  if (checks.get('no-headers')?.closeCode === 4004) {
    return 'All is well for clients that send X-User-Id in the handshake, as connectTerminal does in Node; browsers cannot, and Open WebUI up to 0.11.3 does not: upgrade that if users see the terminal close.'
  }
  return authType === 'bearer' && hasKey
    ? "All is well: connectTerminal attaches, and with `tokenInUrl` 'never' the key stays out of URLs and the logs that keep them."
    : 'All is well: connectTerminal attaches.'
}
