import { trimSlashes } from '../lib/slashes.ts'
import {
  ALLOW_WEBSOCKETS,
  ANSWER_UPGRADES,
  FORWARD_UPGRADES,
  FORWARD_USER,
  REACH_WITH_WEBSOCKETS,
} from '../upstream/advice-for-servers.ts'
import { adviceOn } from '../upstream/advice.ts'
import {
  CLOSE_DENIED,
  CLOSE_MISSING_USER,
  CLOSE_NORMAL,
  CLOSE_NOT_FOUND,
  CLOSE_UNAUTHORIZED,
} from '../upstream/close-codes.ts'
import { NOT_REACHABLE } from '../upstream/failures.ts'
import {
  isAtLeast,
  isBare403,
  isBehindOpenWebUI,
  isHtml,
  loginOf,
  separatesUsers,
  type Facts,
  type Rejection,
} from './facts.ts'

export const RAISE_LIMIT = 'Wait, or raise the limit on requests: there were too many (HTTP 429).'

// Each function gives the first advice that fits. What the table of causes knows as well is not repeated here.

/** Says what to do about a server that accepts no connection. */
export function adviseOnReachable({ code, url }: Facts): string {
  return adviceOn({ failure: code }) ?? `Check what listens at ${url.host}: the connection fails.`
}

/** Says what to do about a TLS handshake that fails. */
export function adviseOnTls({ code, url }: Facts): string {
  const otherwise = `Check which TLS versions, server names and client certificates ${url.host} requires, and that it offers HTTP/1.1: it ends the TLS handshake.`
  // A TCP connection was possible a moment ago.
  return (code === 'ETIMEDOUT' ? undefined : adviceOn({ failure: code })) ?? otherwise
}

/** Says what to do about a request that fails. */
export function adviseOnRequest(facts: Facts): string {
  const { code, url, checks, rejected } = facts
  if (rejected) {
    return adviseOnReply(facts, rejected) ?? adviceOn(rejected.evidence) ?? adviseOnStatus(facts, rejected)
  }
  if (code !== 'ETIMEDOUT')
    return `Check what listens at ${url.host}, and whether it requires https://: it ends the connection without an answer.`
  if (checks.session)
    return 'Probe again with a longer `timeout`: an orchestrator that starts a container for the first time may need minutes.'
  return `Check why the server at ${url.host} hangs: it accepts connections, but does not answer requests.`
}

/** Says what only the probe knows; `undefined` if it knows no more than the table of causes. */
function adviseOnReply(facts: Facts, { evidence, reason, redirect }: Rejection): string | undefined {
  const { url, checks, authType, hasKey, terminalsOff } = facts
  const { status = 0 } = evidence
  const login = loginOf(evidence)
  if (redirect?.base !== undefined && redirect.base !== trimSlashes(url.href))
    return `Use ${redirect.base} instead: redirects are not followed, because the other server would get the key.`
  if (redirect)
    return 'Give the address of the terminal server itself (through Open WebUI …/api/v1/terminals/SERVER_ID, with `authType` session), or get past the login with `headers`: a web site or a login page answers at this one.'
  if (status === 429 && /maximum number/i.test(reason))
    return 'Delete sessions that are not in use, or restart the server: it has as many sessions as it allows, often because clients left theirs behind.'
  if (status === 429) return RAISE_LIMIT
  if (checks.session && status < 500 && (isHtml(evidence) || [403, 404, 405].includes(status))) return allowPost(status)
  if (status === 404 && terminalsOff)
    return 'Set OPEN_TERMINAL_ENABLE_TERMINAL=true on the server: its terminals are turned off.'
  if (status !== 401 || login === 'Basic') return undefined
  if (login !== undefined)
    return `Take the ${login} login of the reverse proxy off this path of ${url.host}: the header Authorization carries \`key\` or a password, and not both.`
  if (authType === 'none') return 'Set `key`: this server requires one, so `authType` cannot be none.'
  return hasKey ? undefined : 'Set `key`: this server requires one.'
}

/** Says what to do if the table of causes knows no better. */
function adviseOnStatus({ checks }: Facts, { evidence: { status = 0, code } }: Rejection): string {
  // PROTOCOL 2.2 and 2.18: some servers say with 400 that the user is missing.
  if (status === 422 || code === 'ERR_TERMINAL_MISSING_USER')
    return 'Configure the reverse proxy to forward the X-User-Id header: the server does not get it.'
  if (status >= 500)
    return 'Check that the terminal server runs and that its reverse proxy can reach it, and try again in a minute: a container may be starting.'
  if (status === 401)
    return 'Check `key` and `authType`, and that no proxy changes the Authorization header: the server does not accept it.'
  if (status === 403) return 'Check on the server who may use it: it refuses this `userId` with this key.'
  if (checks.session) return allowPost(status)
  return 'Check that the URL leads to Open Terminal or Terminals: no release answers like this.'
}

function allowPost(status: number): string {
  return `Configure the reverse proxy to allow POST requests to /api/terminals: the answer to them is HTTP ${status}, although GET works.`
}

/** Says what to do about a server that creates sessions, but lets no shape attach. */
export function adviseOnAttach(facts: Facts): string {
  const { checks, chatId, orchestrator } = facts
  const { frame, 'token+frame': withToken } = checks
  const check = withToken === undefined || withToken.outcome === 'skipped' ? frame : withToken
  const { outcome, status = 0 } = check ?? {}
  if (isBare403(check)) return adviseOnBare403(facts)
  if ([401, 403, 407, 511].includes(status)) return ALLOW_WEBSOCKETS
  if (status === 429) return 'Wait, or raise the limit on WebSockets: there were too many (HTTP 429).'
  if (status >= 500) return REACH_WITH_WEBSOCKETS
  if (outcome === 'refused') return FORWARD_UPGRADES
  if (outcome === 'failed') return ANSWER_UPGRADES
  if (chatId !== undefined && orchestrator)
    return 'Leave `chatId` out, as connectTerminal does by itself: Terminals does not forward it with the WebSocket, and the Open Terminal behind it requires it.'
  return adviseOnClose(facts, check?.closeCode, check?.detail ?? '')
}

/** Says what to do about the 403 of a terminal server itself, which has no body. */
function adviseOnBare403({ sessionFound, orchestrator, checks }: Facts): string {
  if (sessionFound === false)
    return 'Check why the shell ends as soon as it starts: the session is gone before a client attaches to it.'
  if (!orchestrator)
    return 'Configure the load balancer to send all requests for a session to the same server: the server that got the WebSocket does not know the session.'
  if (checks['token+frame']?.outcome === 'skipped')
    return "Use `authType` bearer and `tokenInUrl` 'always', or upgrade Terminals to 0.0.3: this orchestrator reads the key from the URL only."
  return 'Configure the reverse proxy to forward the query of the URL: the orchestrator (Terminals up to 0.0.2) does not see the key in it.'
}

/** Says what to do about WebSockets that open, and then are closed, or get no message. */
function adviseOnClose(facts: Facts, closeCode: number | undefined, reason: string): string {
  if (closeCode === CLOSE_NORMAL && isBehindOpenWebUI(facts)) return adviseOnOpenWebUI(facts)
  if (closeCode === CLOSE_UNAUTHORIZED && !facts.hasKey) return 'Set `key`: this server requires one for WebSockets.'
  // PROTOCOL 2.22: requests with the key work.
  if (closeCode === CLOSE_UNAUTHORIZED && reason.startsWith('Invalid token'))
    return 'Check on the orchestrator that it reaches Open WebUI (TERMINALS_OPEN_WEBUI_URL), which checks its keys: it accepts the key with requests, and not with WebSockets.'
  if (closeCode === CLOSE_UNAUTHORIZED)
    return `Check that no proxy changes messages, and that the server accepts this key (${facts.authType}) for WebSockets, too: it refuses the auth frame.`
  if (closeCode === CLOSE_MISSING_USER)
    return 'Configure the reverse proxy to forward the query of the URL: the server does not get user_id.'
  if (closeCode === CLOSE_DENIED && (reason === '' || NOT_REACHABLE.test(reason)))
    return 'Check on the orchestrator why it cannot start or reach the container of this user.'
  if (closeCode === CLOSE_DENIED)
    return (
      adviceOn({ says: reason }) ?? `Check who may use this terminal: the server says "${reason.replaceAll('"', "'")}".`
    )
  if (closeCode === CLOSE_NOT_FOUND) return FORWARD_USER
  if (closeCode === undefined)
    return 'Check that the terminal server runs and that no proxy holds messages back: the WebSocket opens, but no message comes.'
  return 'Read the logs of the server and of every proxy: the connection closes as soon as it is open.'
}

/** Says what to do about an Open WebUI that closes WebSockets, as it does whatever is wrong (PROTOCOL 7.4). */
function adviseOnOpenWebUI(facts: Facts): string {
  const { orchestrator, openWebUi = '0', version, knowsUserShell } = facts
  if (orchestrator)
    return "Upgrade Terminals to 0.0.3 or later, or put a gateway of this package between Open WebUI and Terminals: up to 0.0.2 it reads the key from the URL, where Open WebUI does not send it; if it is a later release, set its auth type to bearer in Open WebUI's settings."
  const mayWantUser = separatesUsers(facts) || (version === undefined && knowsUserShell === undefined)
  if (mayWantUser && !isAtLeast(openWebUi, '0.11.4'))
    return 'Upgrade Open WebUI: up to 0.11.3 it does not forward X-User-Id with WebSockets, and Open Terminal from 0.12.4 on requires it.'
  return "Set the auth type of this terminal server to bearer in Open WebUI's settings, and check its key there: with another type Open WebUI does not authenticate its WebSocket to Open Terminal, which then ends it."
}
