import https from 'node:https'
import { describe, expect, it, onTestFinished } from 'vitest'
import { connectTerminal, listTerminalSessions, type ConnectTerminalOptions } from '../../src/index.ts'
import type { TestFaults } from '../../src/testing.ts'
import { RUNTIME_CAUSES } from '../../src/upstream/advice-for-browsers.ts'
import { adviceOn, type Evidence } from '../../src/upstream/advice.ts'
import { browserSocket } from '../support/browser-socket.ts'
import { certificate, privateKey } from '../support/certificate.ts'
import { gateway, page, refuse, type Habits } from '../support/gateway.ts'
import { afterwards, clientOf, listen, nobody, rejection, serve, upstreamOf, userOf } from '../support/upstream.ts'

const HTML = { 'content-type': 'text/html; charset=utf-8' }
const BASIC = { 'www-authenticate': 'Basic realm="private"' }
const once = { retry: { attempts: 1 } }

interface Answer {
  readonly refuse: number
  readonly body?: string
  readonly headers?: Record<string, string>
}

/** Returns the answer of a server that gives its reason in JSON. */
const says = (status: number, detail: string): Answer => ({ refuse: status, body: JSON.stringify({ detail }) })
const bare = (status: number, headers: Record<string, string>): Answer => ({ refuse: status, headers })
/** Returns the answer of a proxy with a web page of its own. */
const web = (status: number, headers = {}): Answer => ({ ...bare(status, { ...HTML, ...headers }), body: '<h1>' })

type Options = Partial<ConnectTerminalOptions>

// PROTOCOL 2.4, 2.11, 2.18 to 2.22, 3.7, 8.8 and 8.9
const answers: Array<[answer: Answer, code: string, advice: RegExp, options?: Options]> = [
  [says(400, 'X-User-Id is required in multi-user mode'), 'MISSING_USER', /proxy on the way passes X-User-Id/],
  [says(400, 'context_id is too long'), 'PROTOCOL', /Check `contextId`: the server does not/, { contextId: 'chat:1' }],
  [says(409, 'A saved chat is required'), 'FORBIDDEN', /is required"\. Give the `chatId` of a chat that is saved\.$/],
  [says(404, 'Not Found'), 'NOT_FOUND', /path of the URL, and OPEN_TERMINAL_ENABLE_TERMINAL/],
  [says(404, "Policy 'gold' not found"), 'NOT_FOUND', /Check `policyId`/, { policyId: 'gold' }],
  [says(404, "Terminal server 'x' not found"), 'NOT_FOUND', /last part of the URL/],
  [says(403, 'Origin not allowed'), 'FORBIDDEN', /pass `Host` on unchanged .*, or name the page in `origins`/],
  [says(500, 'Not accepted by the terminal server'), 'UNAVAILABLE', /Ask the operator of the gateway/],
  [says(401, 'Missing Authorization header'), 'UNAUTHORIZED', /forward the Authorization header/],
  [says(401, 'Invalid API key'), 'UNAUTHORIZED', /No key was sent/, { key: '' }],
  [says(429, 'Maximum number of terminal sessions (16) reached'), 'LIMIT', /Delete unused sessions/],
  [says(503, 'Terminal instance not reachable'), 'UNAVAILABLE', /orchestrator or gateway why it cannot start or/, once],
  [bare(500, { 'content-type': 'text/plain' }), 'UNAVAILABLE', /HTTP 500\. Read the server's log .* fails itself/],
  [bare(302, { location: 'https://sso.example/' }), 'PROTOCOL', /to https:\/\/sso\.example\/\. Use that address/],
  [web(200), 'PROTOCOL', /a web site or a login page answers/],
  [web(400), 'PROTOCOL', /Use https:/],
  [web(403), 'FORBIDDEN', /Pass what the proxy in front wants in `headers`/],
  [web(429), 'UNAVAILABLE', /limits the rate .* Retry-After is heeded/, once],
  [web(401, BASIC), 'UNAUTHORIZED', /Take HTTP basic auth off this path, or the key/],
  [web(401, BASIC), 'UNAUTHORIZED', /in `headers` \(.*\), with the `authType` none/, { authType: 'none' }],
]

// PROTOCOL 2.19 and 2.22
const attaches: Array<[closes: string, faults: TestFaults, code: string, advice: RegExp]> = [
  ['4003 A saved chat is required', {}, 'FORBIDDEN', /Give the `chatId` of a chat that is saved/],
  ['4001 Invalid token', { get: says(502, 'Failed to reach Open WebUI') }, 'UNAVAILABLE', /that it reaches Open WebUI/],
  ['4001 Invalid token', { get: says(401, 'Invalid token') }, 'UNAUTHORIZED', /Check `key` and `authType`\.$/],
]

const refuses =
  (...answer: [status: number, type?: string, body?: string]): NonNullable<Habits['upgrade']> =>
  (_request, socket) =>
    refuse(socket, ...answer)
const asPage = { ...once, WebSocket: browserSocket }

const fronts: Array<[what: string, upgrade: NonNullable<Habits['upgrade']>, advice: RegExp, options?: Options]> = [
  ['does not forward upgrades', refuses(200, 'application/json', '{}'), /forward WebSocket upgrades \(nginx/],
  ['answers upgrades with a page', refuses(400, 'text/html', '<p>'), /: HTTP 400\. .*forward WebSocket upgrades/],
  ['does not know upgrades', refuses(404, 'text/html', '<p>'), /forward WebSocket upgrades \(nginx/, once],
  ['hangs up on upgrades', (_request, socket) => socket.destroy(), /they get no answer/, once],
  ['allows no WebSockets', refuses(403, 'text/html', '<p>No'), /allow WebSockets to this path/],
  ['limits WebSockets', refuses(429, 'text/html', '<p>'), /limits the rate/, once],
  ['cannot reach the server with WebSockets', refuses(502, 'text/html', '<p>'), /WebSockets, too/, once],
  ['lets no page through', refuses(400, 'text/html', '<p>'), /connection dropped\. Let the proxy in between/, asPage],
]

/** Connects to a server that fails. */
const connecting = (url: string, options: Options = {}): ReturnType<typeof rejection> =>
  rejection(connectTerminal({ ...clientOf({ url }), ...options }))
/** Lists the sessions of a server that fails. */
const listing = (url: string): ReturnType<typeof rejection> => rejection(listTerminalSessions(userOf({ url })))

describe('connectTerminal says what to do about', () => {
  it.each(answers)('the answer %j: ERR_TERMINAL_%s', async (create, code, advice, options = {}) => {
    const { url } = await upstreamOf({ key: options.key === undefined ? 'sk-canary' : undefined, faults: { create } })
    const error = await connecting(url, options)
    expect(error.code).toBe(`ERR_TERMINAL_${code}`)
    expect(error.message).toMatch(advice)
  })

  it.each(attaches)(
    'a WebSocket that closes with %s, and %j: ERR_TERMINAL_%s',
    async (closes, faults, code, advice) => {
      const attach = { refuse: Number(closes.slice(0, 4)), body: closes.slice(5) }
      const { url } = await upstreamOf({ faults: { attach, ...faults } })
      const error = await connecting(url, once)
      expect(error.code).toBe(`ERR_TERMINAL_${code}`)
      expect(error.message).toMatch(advice)
    },
  )

  // PROTOCOL 3.13
  it.each(fronts)('a proxy that %s', async (_what, upgrade, advice, options = {}) => {
    // Pages cannot attach to newer servers.
    const release = options.WebSocket ? 'open-terminal@0.11' : 'open-terminal@0.14.5'
    const base = await gateway(await upstreamOf({ release }), { upgrade })
    expect((await connecting(base, options)).message).toMatch(advice)
  })

  // PROTOCOL 3.2
  it('a proxy that keeps X-User-Id from WebSockets', async () => {
    const change: Habits['change'] = ({ headers }, isUpgrade) => isUpgrade && delete headers['x-user-id']
    const base = await gateway(await upstreamOf({ release: 'open-terminal@0.14.5' }), { change })
    const { message } = await connecting(base)
    expect(message).toMatch(/closed with 4004.* forward X-User-Id and X-Session-Id with WebSockets/)
  })

  it('a web site, when it lists sessions', async () => {
    const base = await serve((server) => server.on('request', (_request, response) => page(response, 200)))
    const { message } = await listing(base)
    expect(message).toContain('a web site or a login page answers at this one')
  })

  // PROTOCOL 3.11 and 2.19
  it('a chat that Open WebUI wants, and Terminals behind it does not pass on', async () => {
    const upstream = await upstreamOf({ release: 'terminals@0.2.2', inner: 'open-terminal@0.14.5' })
    const answer: Habits['answer'] = ({ method, headers }, response) => {
      if (method !== 'POST' || 'x-session-id' in headers) return false
      response.writeHead(409, { 'content-type': 'application/json' }).end('{"detail":"A saved chat is required"}')
      return true
    }
    const base = await gateway(upstream, { answer })
    const { message } = await connecting(base, { settle: 400, chatId: 'c1' })
    expect(message).toMatch(/closed with 1000\. Put a gateway of this package before Terminals/)
    expect(upstream.sessions).toEqual([])
  })

  it('a port that ends plain connections without an answer', async () => {
    const base = await serve((server) => server.on('request', ({ socket }) => socket.destroy()))
    const { message } = await listing(base)
    expect(message).toMatch(/Check what listens there, and whether it requires https:/)
  })

  it('a port at which nothing listens', async () => {
    const { message } = await connecting(await nobody(), once)
    expect(message).toMatch(/ECONNREFUSED .*\. Start the server, or correct the port: nothing listens there\.$/)
  })
})

describe('TLS: connectTerminal says what to do about', () => {
  /** Starts a server with the certificate of the tests. */
  async function secure(): Promise<string> {
    const server = https.createServer({ cert: certificate, key: privateKey }, (_request, response) => response.end())
    afterwards(server)
    return (await listen(server)).replace('http:', 'https:')
  }

  it('a certificate that is self-signed', async () => {
    const { message } = await connecting(await secure())
    expect(message).toMatch(/: self-signed certificate\. Trust the authority .*\(NODE_EXTRA_CA_CERTS\)/)
  })

  it('a certificate for another host name', async () => {
    const { options } = https.globalAgent
    Object.assign(options, { ca: certificate, servername: 'other.example' })
    onTestFinished(() => {
      delete options.ca
      delete options.servername
    })
    const { message } = await connecting(await secure())
    expect(message).toMatch(/Use a host name that the certificate is for/)
  })

  it('a server that does not speak TLS, without the file names of OpenSSL', async () => {
    const { url } = await upstreamOf()
    const base = url.replace('http:', 'https:')
    const { message } = await connecting(base)
    expect(message).toMatch(/api\/terminals: wrong version number\. Use http:\/\/ instead of https:\/\//)
  })
})

describe('adviceOn', () => {
  it.each<[failure: string, advice: RegExp]>([
    ['ENOTFOUND: getaddrinfo', /does not resolve/],
    ['EAI_AGAIN: getaddrinfo', /does not resolve/],
    ['ConnectionRefused: Unable to connect', /nothing listens there/],
    ['ETIMEDOUT: connect', /firewalls on the way/],
    ['CERT_HAS_EXPIRED: certificate has expired', /Renew the certificate/],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE: unable to verify the first certificate', /whole certificate chain/],
    ['SELF_SIGNED_CERT_IN_CHAIN: self-signed certificate in certificate chain', /NODE_EXTRA_CA_CERTS/],
    ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY: unable to get local issuer certificate', /NODE_EXTRA_CA_CERTS/],
    ['ERR_SSL_WRONG_VERSION_NUMBER: x', /^Use http:/],
    // Who answers in the place of the server must not talk its users out of TLS.
    ["ERR_TLS_CERT_ALTNAME_INVALID: a. is not in the cert's altnames: DNS:http-request.b", /^Use a host name that/],
    ['undefined: valid for DnsName("InvalidContentType") (NotValidForName)', /^Use a host name that/],
  ])('knows the failure %s', (failure, advice) => {
    expect(adviceOn({ failure })).toMatch(advice)
  })

  it('knows a web page with HTTP 400 from a port with TLS', () => {
    expect(adviceOn({ status: 400, type: 'text/html', step: 'GET' })).toMatch(/such as a certificate/)
  })

  it.each<[what: string, evidence: Evidence]>([
    ['nothing', {}],
    ['a close without a reason', { closeCode: 1011 }],
    ['a session that is gone', { status: 404, step: 'POST', says: 'Session not found' }],
    ['a server error of a proxy', { status: 502, step: 'POST', type: 'text/html' }],
    ['a client certificate that OpenSSL misses', { failure: 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: x' }],
  ])('knows no cause of %s', (_what, evidence) => {
    expect(adviceOn(evidence)).toBeUndefined()
  })
})

it.each<[what: string, evidence: Evidence, advice: RegExp]>([
  ['a request waits for a password', { code: 'ERR_TERMINAL_TIMEOUT', step: 'POST' }, /asks for a password/],
  ['a login has expired', { step: 'POST', status: 403, type: 'text/html' }, /^Sign in again/],
])('adviceOn says what to do in a page in which %s', (_what, evidence, advice) => {
  expect(adviceOn(evidence, RUNTIME_CAUSES)).toMatch(advice)
})
