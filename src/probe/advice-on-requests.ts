import { trimSlashes } from '../lib/slashes.ts'
import type { Facts, RejectedRequest } from './facts.ts'
import { firstAdvice, type Rule } from './rules.ts'

/** Returns a condition on the code of the network error. */
function codeIs(pattern: RegExp): Rule<Facts>[0] {
  return ({ code = '' }) => pattern.test(code)
}

// prettier-ignore
const UNREACHABLE: readonly Rule<Facts>[] = [
  [codeIs(/^(?:ENOTFOUND|EAI_)/),
    ({ url }) => `Check the host name, and this machine's DNS: ${url.host} does not resolve.`],
  [codeIs(/^ECONNREFUSED$/), ({ url }) => `Start the server, or correct the port: nothing listens at ${url.host}.`],
  [codeIs(/^(?:ETIMEDOUT|EHOSTUNREACH|ENETUNREACH)$/),
    ({ url }) => `Check the address, and the firewalls on the way: ${url.host} does not answer.`],
]

/** Says what to do about a server that accepts no connection. */
export function adviseOnReachable(facts: Facts): string {
  return firstAdvice(UNREACHABLE, facts, `Check what listens at ${facts.url.host}: the connection fails.`)
}

// prettier-ignore
const TLS_FAILURES: readonly Rule<Facts>[] = [
  [codeIs(/WRONG_VERSION_NUMBER|PACKET_LENGTH|HTTP_REQUEST/),
    ({ url }) => `Use http:// for ${url.host}: the server does not speak TLS there.`],
  [codeIs(/^CERT_HAS_EXPIRED$/), 'Renew the certificate: it has expired.'],
  [codeIs(/^ERR_TLS_CERT_ALTNAME_INVALID$/),
    'Use a host name that the certificate is for, or get a certificate for this one.'],
  [codeIs(/CERT(?!IFICATE)|SIGNATURE|ISSUER/),
    'Trust the authority that signed the certificate (NODE_EXTRA_CA_CERTS), and configure the server to send the whole certificate chain.'],
]

/** Says what to do about a TLS handshake that fails. */
export function adviseOnTls(facts: Facts): string {
  const otherwise = `Check which TLS versions, server names and client certificates ${facts.url.host} requires, and that it offers HTTP/1.1: it ends the TLS handshake.`
  return firstAdvice(TLS_FAILURES, facts, otherwise)
}

// prettier-ignore
const NO_ANSWERS: readonly Rule<Facts>[] = [
  [({ code }) => code !== 'ETIMEDOUT',
    ({ url }) => `Check what listens at ${url.host}, and whether it requires https://: it ends the connection without an answer.`],
  [({ checks }) => checks.has('session'),
    'Probe again with a longer `timeout`: an orchestrator that starts a container for the first time may need minutes.'],
]

type Rejection = Facts & RejectedRequest

// prettier-ignore
const REJECTIONS: readonly Rule<Rejection>[] = [
  [({ url, redirect }) => redirect?.base !== undefined && redirect.base !== trimSlashes(url.href),
    ({ redirect }) => `Use ${redirect?.base} instead: redirects are not followed, because the other server would get the key.`],
  [({ status, reason }) => status === 429 && /maximum number/i.test(reason),
    'Delete sessions that are not in use, or restart the server: it has as many sessions as it allows, often because clients left theirs behind.'],
  [({ status }) => status === 429, 'Wait, or raise the limit on requests: there were too many (HTTP 429).'],
  [({ status, html }) => status === 500 && !html,
    "Read the server's log for the cause: it fails itself (HTTP 500), as Open Terminal does when it cannot add an account for `userId` or when the directory of the chat is gone, and Terminals when it cannot start a container."],
  [({ status }) => status >= 500,
    'Check that the terminal server runs and that its reverse proxy can reach it, and try again in a minute: a container may be starting.'],
  [({ status, reason }) => status === 422 || (status === 400 && /X-User-Id is required/.test(reason)),
    'Configure the reverse proxy to forward the X-User-Id header: the server does not get it.'],
  [({ status, login, hasKey }) => status === 401 && login === 'Basic' && !hasKey,
    'Send the password in `headers` (Authorization: Basic …), with the `authType` none: the reverse proxy wants a Basic login.'],
  [({ status, login }) => status === 401 && login !== undefined,
    ({ login, url }) => `Take the ${login} login of the reverse proxy off this path of ${url.host}: the header Authorization carries \`key\` or a password, and not both.`],
  [({ checks }) => checks.has('session'),
    ({ status }) => `Configure the reverse proxy to allow POST requests to /api/terminals: the answer to them is HTTP ${status}, although GET works.`],
  [({ status, html, url }) => status === 400 && html && url.protocol === 'http:',
    ({ url }) => `Use https:// for ${url.host}: the server requires TLS.`],
  [({ status, html }) => status === 400 && html,
    ({ url }) => `Check what ${url.host} requires of every client, such as a certificate: its answer is a web page with HTTP 400.`],
  [({ html, redirect }) => html || redirect !== undefined,
    'Give the address of the terminal server itself (through Open WebUI …/api/v1/terminals/SERVER_ID, with `authType` session): a web site or a login page answers at this one.'],
  [({ status, contextId }) => status === 400 && contextId !== undefined,
    'Check `contextId`: the server does not accept it.'],
  [({ status, authType }) => status === 401 && authType === 'none',
    'Set `key`: this server requires one, so `authType` cannot be none.'],
  [({ status, hasKey }) => status === 401 && !hasKey, 'Set `key`: this server requires one.'],
  [({ status, reason }) => status === 401 && /missing authorization/i.test(reason),
    'Configure the reverse proxy to forward the Authorization header: the server does not get it.'],
  [({ status }) => status === 401,
    'Check `key` and `authType`, and that no proxy changes the Authorization header: the server does not accept it.'],
  [({ status }) => status === 403, 'Check on the server who may use it: it refuses this `userId` with this key.'],
  [({ status, reason, policyId }) => status === 404 && /policy/i.test(reason) && policyId !== undefined,
    'Check `policyId`: the orchestrator has no such policy.'],
  [({ status, reason }) => status === 404 && /terminal server/i.test(reason),
    'Check the last part of the URL: Open WebUI has no terminal server with that id.'],
  [({ status, terminalsOff }) => status === 404 && terminalsOff === true,
    'Set OPEN_TERMINAL_ENABLE_TERMINAL=true on the server: its terminals are turned off.'],
  [({ status }) => status === 404,
    'Check the path of the URL: there is no /api/terminals under it, which Open Terminal from 0.8.1 on and Terminals have.'],
]

/** Says what to do about a request that fails. */
export function adviseOnRequest(facts: Facts): string {
  if (facts.rejected) {
    const otherwise = 'Check that the URL leads to Open Terminal or Terminals: no release answers like this.'
    return firstAdvice(REJECTIONS, { ...facts, ...facts.rejected }, otherwise)
  }
  const otherwise = `Check why the server at ${facts.url.host} hangs: it accepts connections, but does not answer requests.`
  return firstAdvice(NO_ANSWERS, facts, otherwise)
}
