import { NOT_REACHABLE } from '../upstream/protocol.ts'
import { isBare403, type Facts, type ProbeCheck } from './facts.ts'
import { isBehindOpenWebUI, wantsHeaders } from './family.ts'

/** Says why no shape attaches although a session could be created. */
export function adviseOnRefusal(facts: Facts): string {
  const { checks, authType, chatId, hasKey, orchestrator, version } = facts
  const withToken = checks.get('token+frame')
  const dialled = withToken && withToken.outcome !== 'skipped' ? withToken : checks.get('frame')
  if (dialled?.outcome === 'refused') return adviseOnStatus(facts, dialled)
  if (dialled?.outcome === 'failed') {
    return 'Have the reverse proxy pass WebSocket upgrades on: there is no answer to them, although requests are answered.'
  }
  if (chatId !== undefined && orchestrator) {
    return 'Leave `chatId` out, as connectTerminal does by itself: Terminals does not pass it on with the WebSocket, and the Open Terminal behind it wants it.'
  }
  if (isBehindOpenWebUI(facts) && dialled?.closeCode === 1000) {
    return version === undefined || wantsHeaders(version)
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
      return dialled.detail === '' || NOT_REACHABLE.test(dialled.detail)
        ? 'See on the orchestrator why it cannot start or reach the container of this user.'
        : `See who may have this terminal: the server says "${dialled.detail}".`
    case 4004:
      return 'Have the reverse proxy pass X-User-Id and X-Session-Id on with WebSockets too: they do not arrive.'
    case undefined:
      return 'See whether the server behind what accepted the WebSocket is there, and whether something holds back messages: nothing comes.'
    default:
      return 'See the log of the server, and of what is in between: the connection is ended as soon as it is open.'
  }
}

const PROXY_AUTH = [401, 407, 511]

function adviseOnStatus({ orchestrator, checks, alive }: Facts, refusal: ProbeCheck): string {
  const status = Number(refusal.status)
  if (isBare403(refusal)) {
    if (alive === false)
      return 'See why the shell ends as soon as it starts: the session is gone when it is attached to.'
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
  if (status === 429)
    return 'Wait, or raise the limit on how many WebSockets may be opened: too many have been (HTTP 429).'
  if (status >= 500) return 'See that the reverse proxy can reach the server with WebSockets too: it answers for it.'
  return 'Have the reverse proxy pass WebSocket upgrades on (nginx: proxy_http_version 1.1, and the headers Upgrade and Connection): they do not arrive as such.'
}

/** Says what to do about a terminal that does not survive silence. */
export function adviseOnSilence({ checks }: Facts): string {
  const seconds = Math.max(1, Math.round(Number(checks.get('idle')?.ms) / 1_000))
  return `Set \`keepAlive\` to less than the ${seconds} s of silence after which connections are cut, or raise that limit (nginx: proxy_read_timeout); if busy ones are cut too, it is one on how long they may last.`
}

/** Says what to know of an upstream with which nothing is wrong. */
export function adviseOnWorking({ checks, hasKey, authType }: Facts): string {
  const frame = checks.get('frame')
  const headerless = checks.get('no-headers')
  if (frame?.outcome !== 'attached') {
    return isBare403(frame)
      ? 'This orchestrator reads the key during the handshake: use a client that sends it in the URL, as connectTerminal does, or upgrade Terminals to 0.0.3.'
      : 'Use a client that sends the key in the URL as well as in the auth frame, as connectTerminal does.'
  }
  if (checks.get('wrong-key')?.outcome === 'attached') {
    return 'Give the server a key: it lets everybody in, whatever key they have.'
  }
  if (headerless?.closeCode === 4004) {
    return 'All is well for clients that send X-User-Id in the handshake, as connectTerminal does in Node; browsers cannot, and Open WebUI up to 0.11.3 does not: upgrade that if users see the terminal close.'
  }
  if (headerless && !['attached', 'skipped'].includes(headerless.outcome)) {
    return 'All is well for clients that send headers in the handshake, as connectTerminal does in Node; those that cannot, such as browsers, are refused.'
  }
  return authType === 'bearer' && hasKey
    ? 'All is well: connectTerminal attaches, and the key stays out of URLs and the logs that keep them.'
    : 'All is well: connectTerminal attaches.'
}
