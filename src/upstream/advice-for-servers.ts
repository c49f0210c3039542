import type { Cause } from './advice.ts'
import { CLOSE_NOT_FOUND } from './close-codes.ts'

// Advice that the probe gives from other facts, too.
export const REACH_WITH_WEBSOCKETS =
  'Check that the reverse proxy can reach the server with WebSockets, too: the proxy answers in its place.'
export const ALLOW_WEBSOCKETS =
  'Configure the reverse proxy to allow WebSockets to this path: it refuses them, although it allows requests.'
export const FORWARD_UPGRADES =
  'Configure the reverse proxy to forward WebSocket upgrades (nginx: proxy_http_version 1.1, and the headers Upgrade and Connection): the server gets ordinary requests.'
export const ANSWER_UPGRADES =
  'Configure the reverse proxy to forward WebSocket upgrades: they get no answer, although requests do.'
export const FORWARD_USER =
  'Configure the reverse proxy to forward X-User-Id and X-Session-Id with WebSockets, too: the server does not get them.'

// A gateway refuses a page, and not a key (PROTOCOL 8.9).
const NOT_OF_ORIGIN = /^(?!Origin)/

/**
 * The causes that only servers see, or can act on. A browser tells a page neither why a connection failed
 * nor how a handshake was answered, and pages reach a terminal server through a gateway or Open WebUI.
 */
export const RUNTIME_CAUSES: readonly Cause[] = [
  // The first, because its message quotes names of the other side's choice: none of them may pass for another cause.
  [
    { failure: /CERT_ALTNAME_INVALID|NotValidForName/ },
    'Use a host name that the certificate is for, or get a certificate for this one.',
  ],
  [{ failure: /ENOTFOUND|EAI_/ }, "Check the host name, and this machine's DNS: it does not resolve."],
  [{ failure: /ECONNREFUSED|ConnectionRefused/ }, 'Start the server, or correct the port: nothing listens there.'],
  [
    { failure: /ETIMEDOUT|EHOSTUNREACH|ENETUNREACH/ },
    'Check the address, and the firewalls on the way: there is no answer.',
  ],
  [
    { failure: /wrong.version.number|packet.length|http.request|InvalidContentType/i },
    'Use http:// instead of https://: the server does not speak TLS there.',
  ],
  [{ failure: /CERT_HAS_EXPIRED/ }, 'Renew the certificate: it has expired.'],
  [
    { failure: /CERT(?!IFICATE)|SIGNATURE|ISSUER|UnknownIssuer/ },
    'Trust the authority that signed the certificate (NODE_EXTRA_CA_CERTS), and configure the server to send the whole certificate chain.',
  ],
  // RFC 9110, section 11.6.1
  [
    { challenge: /^basic/i, hasKey: true },
    'Take HTTP basic auth off this path, or the key: a request has one Authorization header, and each of them needs it.',
  ],
  [
    { challenge: /^basic/i },
    'Send the name and password of HTTP basic auth in `headers` (Authorization: Basic …), with the `authType` none, or take it off this path.',
  ],
  // PROTOCOL 2.3: the servers answer with JSON.
  [
    { step: /GET|POST|DELETE/, status: /^40[13]$/, type: /^text\/html/i },
    'Pass what the proxy in front wants in `headers`, or let it pass this path on: it answers with a web page of its own.',
  ],
  // PROTOCOL 9.1
  [
    { action: /^Cannot run a command/, status: 404, says: /^(?!Policy |Terminal server )/ },
    'Give the `base` and `key` of the terminal server itself: a gateway runs no commands.',
  ],
  // PROTOCOL 2.11
  [{ says: /^Policy / }, 'Check `policyId`: the orchestrator has no such policy.'],
  // PROTOCOL 3.7
  [{ status: 400, contextId: /./ }, 'Check `contextId`: the server does not accept it.'],
  // PROTOCOL 2.20
  [
    { status: 500, type: /^(?:text\/plain|application\/json)/, says: /^(?!Not accepted)/ },
    "Read the server's log for the cause: it fails itself (HTTP 500), as Open Terminal does when it cannot add an account for `userId` or when the directory of the chat is gone, and Terminals when it cannot start a container.",
  ],
  // PROTOCOL 2.22
  [
    { says: /Open WebUI/, status: 502 },
    'Check on the orchestrator that it reaches Open WebUI (TERMINALS_OPEN_WEBUI_URL), which checks its keys.',
  ],
  [
    { status: 401, says: /missing authorization/i, hasKey: true },
    'Configure the reverse proxy to forward the Authorization header: the server does not get it.',
  ],
  [
    { status: 400, type: /^text\/html/i, step: /GET|POST|DELETE/, action: /http:/ },
    'Use https:// instead of http://: the server requires TLS.',
  ],
  [
    { status: 400, type: /^text\/html/i, step: /GET|POST|DELETE/ },
    'Check what the server requires of every client, such as a certificate: its answer is a web page with HTTP 400.',
  ],
  // PROTOCOL 3.8: its own 404, and not that of a proxy, which says nothing about the header.
  [{ closeCode: CLOSE_NOT_FOUND, isNew: true, sendsHeaders: true, says: /^(?:Session not found)?$/ }, FORWARD_USER],
  // PROTOCOL 3.13
  [{ step: 'handshake', status: /^(?:401|403|407|511)$/, length: /[^0]/ }, ALLOW_WEBSOCKETS],
  // PROTOCOL 3.3
  [
    { step: 'handshake', status: /^40[13]$/, keyInUrl: true, says: NOT_OF_ORIGIN },
    'Check `key`, and that every proxy on the way passes WebSockets on, with the key in the URL.',
  ],
  [
    { step: 'handshake', status: /^40[13]$/, keyInUrl: false, says: NOT_OF_ORIGIN },
    'Terminals up to 0.0.2 wants a `bearer` key in the URL: check `key`, `authType` and `tokenInUrl`.',
  ],
  [{ step: 'handshake', status: /^5/, isNew: true }, REACH_WITH_WEBSOCKETS],
  [{ step: 'handshake', status: /^(?:[23]|400|404|405|426)/ }, FORWARD_UPGRADES],
  [{ step: 'handshake', failure: /ECONNRESET|EPIPE|hang up/, isNew: true }, ANSWER_UPGRADES],
  [
    { failure: /ECONNRESET|EPIPE|hang up/, action: /http:/ },
    'Check what listens there, and whether it requires https://: it ends the connection without an answer.',
  ],
  // PROTOCOL 6.3
  [
    { says: /not reachable|failed to resolve/i },
    'Check on the orchestrator or gateway why it cannot start or reach the terminal server behind it.',
  ],
]
