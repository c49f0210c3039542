import type { Answer, Facts } from './facts.ts'

const CERTIFICATES: Record<string, string> = {
  CERT_HAS_EXPIRED: 'Renew the certificate: it has expired.',
  ERR_TLS_CERT_ALTNAME_INVALID: 'Use a host name that the certificate is for, or have it issued for this one.',
}
const UNTRUSTED = /CERT(?!IFICATE)|SIGNATURE|ISSUER/
const NO_TLS = /WRONG_VERSION_NUMBER|PACKET_LENGTH|HTTP_REQUEST/
const NO_ROUTE = ['ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH']

/** What to do about a server that cannot be connected to. */
export function adviseOnNetwork({ url, code = '', checks }: Facts): string {
  const { host } = url
  if (checks.has('tls')) {
    if (NO_TLS.test(code)) return `Use http:// for ${host}: it does not speak TLS there.`
    if (!UNTRUSTED.test(code)) {
      return `See which TLS versions, server names and client certificates ${host} wants, and that it offers HTTP/1.1: it ends the handshake.`
    }
    return (
      CERTIFICATES[code] ??
      'Have whoever signed the certificate trusted (NODE_EXTRA_CA_CERTS), and the server send all of its chain.'
    )
  }
  if (/^(?:ENOTFOUND|EAI_)/.test(code)) return `Check the host name, and this machine's DNS: ${host} does not resolve.`
  if (code === 'ECONNREFUSED') return `Start the server, or correct the port: nothing listens at ${host}.`
  if (NO_ROUTE.includes(code)) return `Check the address, and the firewalls on the way: ${host} does not answer.`
  return `See what listens at ${host}: it cannot be connected to.`
}

/** What to do about a request that gets no answer. */
export function adviseOnNoAnswer({ url, code, checks }: Facts): string {
  if (code !== 'ETIMEDOUT') {
    return `See what listens at ${url.host}, and whether it wants https://: it ends the connection without an answer.`
  }
  return checks.has('session')
    ? 'Probe again with a longer `timeout`: an orchestrator that starts a container for the first time may need minutes.'
    : `See why the server at ${url.host} hangs: it takes connections, but does not answer requests.`
}

const ELSEWHERE =
  'Give the address of the terminal server itself: what answers is a site or a login in front of it. (Through Open WebUI that is …/api/v1/terminals/{server id}, with `authType` session.)'

/** What to do about a request that is refused. */
export function adviseOnAnswer(facts: Facts, answer: Answer): string {
  const { url, checks, contextId } = facts
  const { status, html, redirect, said } = answer
  if (redirect?.base !== undefined && redirect.base !== url.href.replace(/\/$/, '')) {
    return `Use ${redirect.base} instead: redirects are not followed, because of the key.`
  }
  if (status === 429) {
    return /maximum number/i.test(said)
      ? 'Delete sessions that nobody uses, or restart the server: all its places are taken, often by clients that came and went.'
      : 'Wait, or raise the limit on how many requests may come: too many have (HTTP 429).'
  }
  if (status >= 500) {
    return 'See that the server behind what answers is running and reachable from there, and try again in a minute: a container may be starting.'
  }
  if (checks.has('session')) {
    return `Have POST requests to /api/terminals let through: they are answered with HTTP ${status}, although GET works.`
  }
  if (html && status === 400) {
    return url.protocol === 'http:'
      ? `Use https:// for ${url.host}: it wants TLS.`
      : `See what ${url.host} wants of a client before it lets it in, such as a certificate: it refuses the request as such.`
  }
  if (html || redirect) return ELSEWHERE
  if (status === 400 && contextId !== undefined) return 'Check `contextId`: the server does not take it.'
  return adviseOnStatus(facts, answer)
}

function adviseOnStatus({ authType, hasKey, policyId, terminalsOff }: Facts, { status, said }: Answer): string {
  switch (status) {
    case 401:
      if (!hasKey) {
        return `Give a \`key\`: this server wants one${authType === 'none' ? ', so `authType` cannot be none' : ''}.`
      }
      return /missing authorization/i.test(said)
        ? 'Have the reverse proxy pass the Authorization header on: it does not arrive.'
        : 'Check `key` and `authType`, and that nothing in between takes out the Authorization header: the server does not accept what it gets.'
    case 403:
      return 'Check on the server who may use it: it does not let this `userId`, with this key.'
    case 404:
      if (/policy/i.test(said) && policyId !== undefined)
        return 'Check `policyId`: the orchestrator has no such policy.'
      if (/terminal server/i.test(said)) {
        return 'Check the last part of the URL: Open WebUI has no terminal server of that id.'
      }
      return terminalsOff
        ? 'Set OPEN_TERMINAL_ENABLE_TERMINAL=true on the server: it has its terminals turned off.'
        : 'Check the path of the URL: there is no /api/terminals under it, as Open Terminal from 0.8.1 on and Terminals have.'
    case 422:
      return 'Have the reverse proxy pass the X-User-Id header on: it does not arrive.'
    default:
      return 'Check that the URL leads to Open Terminal or Terminals: no release answers like this.'
  }
}
