import { adviceOn } from '../upstream/advice.ts'
import {
  CLOSE_DENIED,
  CLOSE_MISSING_USER,
  CLOSE_NORMAL,
  CLOSE_NOT_FOUND,
  CLOSE_UNAUTHORIZED,
} from '../upstream/close-codes.ts'
import { NOT_REACHABLE } from '../upstream/failures.ts'
import { isBare403, outcomeOf, type Facts, type ProbeCheck } from './facts.ts'
import { isAtLeast, isBehindOpenWebUI, separatesUsers } from './family.ts'
import { firstAdvice, type Rule } from './rules.ts'

/** The facts and the fields of the check that failed to attach. */
type FailedAttach = Facts & Partial<ProbeCheck>

/** Whether the Open WebUI does not forward the user, to an Open Terminal that requires it (PROTOCOL 7.4). */
function isOldOpenWebUI(facts: FailedAttach): boolean {
  if (facts.openWebUi !== undefined && isAtLeast(facts.openWebUi, '0.11.4')) return false
  return separatesUsers(facts) || (facts.version ?? facts.knowsUserShell) === undefined
}

const isClosedByOpenWebUI = (facts: FailedAttach): boolean =>
  isBehindOpenWebUI(facts) && facts.closeCode === CLOSE_NORMAL

// prettier-ignore
const FAILED_ATTACHES: readonly Rule<FailedAttach>[] = [
  [(facts) => isBare403(facts) && facts.sessionFound === false,
    'Check why the shell ends as soon as it starts: the session is gone before a client attaches to it.'],
  [(facts) => isBare403(facts) && !facts.orchestrator,
    'Configure the load balancer to send all requests for a session to the same server: the server that got the WebSocket does not know the session.'],
  [(facts) => isBare403(facts) && outcomeOf(facts, 'token+frame') === 'skipped',
    "Use `authType` bearer and `tokenInUrl` 'always', or upgrade Terminals to 0.0.3: this orchestrator reads the key from the URL only."],
  [isBare403,
    'Configure the reverse proxy to forward the query of the URL: the orchestrator (Terminals up to 0.0.2) does not see the key in it.'],
  [({ status = 0 }) => [401, 403, 407, 511].includes(status),
    'Configure the reverse proxy to allow WebSockets to this path: it refuses them, although it allows requests.'],
  [({ status }) => status === 429, 'Wait, or raise the limit on WebSockets: there were too many (HTTP 429).'],
  [({ status = 0 }) => status >= 500,
    'Check that the reverse proxy can reach the server with WebSockets, too: the proxy answers in its place.'],
  [({ outcome }) => outcome === 'refused',
    'Configure the reverse proxy to forward WebSocket upgrades (nginx: proxy_http_version 1.1, and the headers Upgrade and Connection): the server gets ordinary requests.'],
  [({ outcome }) => outcome === 'failed',
    'Configure the reverse proxy to forward WebSocket upgrades: they get no answer, although requests do.'],
  [({ chatId, orchestrator }) => chatId !== undefined && orchestrator === true,
    'Leave `chatId` out, as connectTerminal does by itself: Terminals does not forward it with the WebSocket, and the Open Terminal behind it requires it.'],
  [(facts) => isClosedByOpenWebUI(facts) && facts.orchestrator === true,
    "Upgrade Terminals to 0.0.3 or later, or put a gateway of this package between Open WebUI and Terminals: up to 0.0.2 it reads the key from the URL, where Open WebUI does not send it; if it is a later release, set its auth type to bearer in Open WebUI's settings."],
  [(facts) => isClosedByOpenWebUI(facts) && isOldOpenWebUI(facts),
    'Upgrade Open WebUI: up to 0.11.3 it does not forward X-User-Id with WebSockets, and Open Terminal from 0.12.4 on requires it.'],
  [isClosedByOpenWebUI,
    "Set the auth type of this terminal server to bearer in Open WebUI's settings, and check its key there: with another type Open WebUI does not authenticate its WebSocket to Open Terminal, which then ends it."],
  [({ closeCode, hasKey }) => closeCode === CLOSE_UNAUTHORIZED && !hasKey, 'Set `key`: this server requires one for WebSockets.'],
  // PROTOCOL 2.22: requests with the key work.
  [({ closeCode, detail = '' }) => closeCode === CLOSE_UNAUTHORIZED && detail.startsWith('Invalid token'),
    'Check on the orchestrator that it reaches Open WebUI (TERMINALS_OPEN_WEBUI_URL), which checks its keys: it accepts the key with requests, and not with WebSockets.'],
  [({ closeCode }) => closeCode === CLOSE_UNAUTHORIZED,
    ({ authType }) => `Check that no proxy changes messages, and that the server accepts this key (${authType}) for WebSockets, too: it refuses the auth frame.`],
  [({ closeCode }) => closeCode === CLOSE_MISSING_USER,
    'Configure the reverse proxy to forward the query of the URL: the server does not get user_id.'],
  [({ closeCode, detail = '' }) => closeCode === CLOSE_DENIED && (detail === '' || NOT_REACHABLE.test(detail)),
    'Check on the orchestrator why it cannot start or reach the container of this user.'],
  [({ closeCode }) => closeCode === CLOSE_DENIED,
    ({ detail = '' }) =>
      adviceOn({ says: detail }) ?? `Check who may use this terminal: the server says "${detail.replaceAll('"', "'")}".`],
  [({ closeCode }) => closeCode === CLOSE_NOT_FOUND,
    'Configure the reverse proxy to forward X-User-Id and X-Session-Id with WebSockets, too: the server does not get them.'],
  [({ closeCode }) => closeCode === undefined,
    'Check that the terminal server runs and that no proxy holds messages back: the WebSocket opens, but no message comes.'],
]

/** Says what to do about a server that creates sessions, but lets no shape attach. */
export function adviseOnAttach(facts: Facts): string {
  const shape = ['skipped', undefined].includes(outcomeOf(facts, 'token+frame')) ? 'frame' : 'token+frame'
  const otherwise = 'Read the logs of the server and of every proxy: the connection closes as soon as it is open.'
  return firstAdvice(FAILED_ATTACHES, { ...facts, ...facts.checks.get(shape) }, otherwise)
}

/** Says what to do about connections that end when they are silent. */
export function adviseOnSilence({ checks }: Facts): string {
  const seconds = Math.max(1, Math.round(Number(checks.get('idle')?.ms) / 1_000))
  return `Set \`keepAlive\` to less than the ${seconds} s of silence after which connections are cut, or raise that limit (nginx: proxy_read_timeout); if busy connections are cut, too, the limit is on how long a connection may last.`
}

// prettier-ignore
const REMARKS: readonly Rule<Facts>[] = [
  [({ checks }) => isBare403(checks.get('frame')),
    'This orchestrator reads the key during the handshake: use a client that sends it in the URL, as connectTerminal does, or upgrade Terminals to 0.0.3.'],
  [(facts) => outcomeOf(facts, 'frame') !== 'attached',
    'Use a client that sends the key in the URL as well as in the auth frame, as connectTerminal does.'],
  [(facts) => outcomeOf(facts, 'wrong-key') === 'attached',
    'Give the server a key: it accepts every client, whatever key the client sends.'],
  [(facts) => outcomeOf(facts, 'other-user') === 'attached',
    'Upgrade Open Terminal to 0.12.4, or put Terminals or a gateway of this package in front of it, if it has more than one user: connectTerminal attaches, but this release keeps no users apart, so everybody with the key can use every shell.'],
  [({ origin }) => origin !== undefined, ({ origin }) => `All is well: connectTerminal attaches, also in pages of ${origin}.`],
  [({ checks }) => checks.get('no-headers')?.closeCode === CLOSE_NOT_FOUND,
    'All is well for clients that send X-User-Id in the handshake, as connectTerminal does in Node; browsers cannot, and Open WebUI up to 0.11.3 does not: upgrade Open WebUI if users see the terminal close.'],
  [(facts) => !['attached', 'skipped', undefined].includes(outcomeOf(facts, 'no-headers')),
    'All is well for clients that send headers in the handshake, as connectTerminal does in Node; clients that cannot, such as browsers, are refused.'],
  [({ authType, hasKey }) => authType === 'bearer' && hasKey,
    'All is well: connectTerminal attaches, and the key stays out of URLs and the logs that keep them.'],
]

/** Says what to know about an upstream that works. */
export function adviseOnSuccess(facts: Facts): string {
  return firstAdvice(REMARKS, facts, 'All is well: connectTerminal attaches.')
}
