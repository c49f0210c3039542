import { trimSlashes } from '../lib/slashes.ts'
import { adviceOn } from '../upstream/advice.ts'
import type { Facts, RejectedRequest } from './facts.ts'
import { firstAdvice, type Rule } from './rules.ts'

/** Says what to do about a server that accepts no connection. */
export function adviseOnReachable({ code, url }: Facts): string {
  return adviceOn({ failure: code }) ?? `Check what listens at ${url.host}: the connection fails.`
}

/** Says what to do about a TLS handshake that fails. */
export function adviseOnTls({ code = '', url }: Facts): string {
  const otherwise = `Check which TLS versions, server names and client certificates ${url.host} requires, and that it offers HTTP/1.1: it ends the TLS handshake.`
  // A TCP connection was possible a moment ago.
  return (code === 'ETIMEDOUT' ? undefined : adviceOn({ failure: code })) ?? otherwise
}

// prettier-ignore
const NO_ANSWERS: readonly Rule<Facts>[] = [
  [({ code }) => code !== 'ETIMEDOUT',
    ({ url }) => `Check what listens at ${url.host}, and whether it requires https://: it ends the connection without an answer.`],
  [({ checks }) => checks.has('session'),
    'Probe again with a longer `timeout`: an orchestrator that starts a container for the first time may need minutes.'],
]

type Rejection = Facts & RejectedRequest

// What only the probe knows.
// prettier-ignore
const REJECTIONS: readonly Rule<Rejection>[] = [
  [({ url, redirect }) => redirect?.base !== undefined && redirect.base !== trimSlashes(url.href),
    ({ redirect }) => `Use ${redirect?.base} instead: redirects are not followed, because the other server would get the key.`],
  [({ redirect }) => redirect !== undefined,
    'Give the address of the terminal server itself (through Open WebUI …/api/v1/terminals/SERVER_ID, with `authType` session), or get past the login with `headers`: a web site or a login page answers at this one.'],
  [({ status, reason }) => status === 429 && /maximum number/i.test(reason),
    'Delete sessions that are not in use, or restart the server: it has as many sessions as it allows, often because clients left theirs behind.'],
  [({ status }) => status === 429, 'Wait, or raise the limit on requests: there were too many (HTTP 429).'],
  [({ status, html, checks }) => checks.has('session') && status < 500 && (html || [403, 404, 405].includes(status)),
    ({ status }) => `Configure the reverse proxy to allow POST requests to /api/terminals: the answer to them is HTTP ${status}, although GET works.`],
  // The table of causes knows basic auth.
  [({ status, login }) => status === 401 && login !== undefined && login !== 'Basic',
    ({ login, url }) => `Take the ${login} login of the reverse proxy off this path of ${url.host}: the header Authorization carries \`key\` or a password, and not both.`],
  [({ status, login, authType }) => status === 401 && login === undefined && authType === 'none',
    'Set `key`: this server requires one, so `authType` cannot be none.'],
  [({ status, login, hasKey }) => status === 401 && login === undefined && !hasKey, 'Set `key`: this server requires one.'],
  [({ status, terminalsOff }) => status === 404 && terminalsOff === true,
    'Set OPEN_TERMINAL_ENABLE_TERMINAL=true on the server: its terminals are turned off.'],
]

// What to do if the table of causes knows no better.
// prettier-ignore
const OTHERS: readonly Rule<Rejection>[] = [
  // PROTOCOL 2.2 and 2.18
  [({ status, evidence: { code } }) => status === 422 || code === 'ERR_TERMINAL_MISSING_USER',
    'Configure the reverse proxy to forward the X-User-Id header: the server does not get it.'],
  [({ status }) => status >= 500,
    'Check that the terminal server runs and that its reverse proxy can reach it, and try again in a minute: a container may be starting.'],
  [({ status }) => status === 401,
    'Check `key` and `authType`, and that no proxy changes the Authorization header: the server does not accept it.'],
  [({ status }) => status === 403, 'Check on the server who may use it: it refuses this `userId` with this key.'],
  [({ checks }) => checks.has('session'),
    ({ status }) => `Configure the reverse proxy to allow POST requests to /api/terminals: the answer to them is HTTP ${status}, although GET works.`],
]

/** Says what to do about a request that fails. */
export function adviseOnRequest(facts: Facts): string {
  if (facts.rejected) {
    const rejection = { ...facts, ...facts.rejected }
    const otherwise = 'Check that the URL leads to Open Terminal or Terminals: no release answers like this.'
    return (
      firstAdvice(REJECTIONS, rejection, undefined) ??
      adviceOn(facts.rejected.evidence) ??
      firstAdvice(OTHERS, rejection, otherwise)
    )
  }
  const otherwise = `Check why the server at ${facts.url.host} hangs: it accepts connections, but does not answer requests.`
  return firstAdvice(NO_ANSWERS, facts, otherwise)
}
