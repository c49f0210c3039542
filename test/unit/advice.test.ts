import https from 'node:https'
import type { IncomingMessage } from 'node:http'
import { describe, expect, it, onTestFinished } from 'vitest'
import { connectTerminal, listTerminalSessions, type ConnectTerminalOptions } from '../../src/index.ts'
import type { TestFaults, TestRelease } from '../../src/testing.ts'
import { RUNTIME_CAUSES } from '../../src/upstream/advice-for-browsers.ts'
import { adviceOn, type Evidence } from '../../src/upstream/advice.ts'
import { browserSocket } from '../support/browser-socket.ts'
import { certificate, privateKey } from '../support/certificate.ts'
import { gateway, page, refuse, type Habits } from '../support/gateway.ts'
import { afterwards, clientOf, listen, nobody, rejection, serve, upstreamOf } from '../support/upstream.ts'

const HTML = { 'content-type': 'text/html; charset=utf-8' }
const TEXT = { 'content-type': 'text/plain; charset=utf-8' }
const once = { retry: { attempts: 1 } }

/** Returns a fault: the answer of a server that gives its reason in JSON. */
function says(status: number, detail: string): { refuse: number; body: string } {
  return { refuse: status, body: JSON.stringify({ detail }) }
}

type Row = [what: string, faults: TestFaults, options: Partial<ConnectTerminalOptions>, code: string, advice: RegExp]

// PROTOCOL 2.4, 2.11, 2.18 to 2.22, 3.7, 8.8 and 8.9
const answers: Row[] = [
  [
    'multi-user mode without the user',
    { create: says(400, 'X-User-Id is required in multi-user mode') },
    {},
    'ERR_TERMINAL_MISSING_USER',
    /proxy on the way passes X-User-Id/,
  ],
  [
    'a context that the server does not accept',
    { create: says(400, 'context_id is too long') },
    { contextId: 'chat:1' },
    'ERR_TERMINAL_PROTOCOL',
    /Check `contextId`: the server does not accept it/,
  ],
  [
    'a chat that is not saved',
    { create: says(409, 'A saved chat is required') },
    {},
    'ERR_TERMINAL_FORBIDDEN',
    /"A saved chat is required"\. Give the `chatId` of a chat that is saved\.$/,
  ],
  [
    'the same with the WebSocket',
    { attach: { refuse: 4003, body: 'A saved chat is required' } },
    {},
    'ERR_TERMINAL_FORBIDDEN',
    /Give the `chatId` of a chat that is saved/,
  ],
  [
    'a server that fails itself',
    { create: { refuse: 500, body: 'Internal Server Error', headers: TEXT } },
    {},
    'ERR_TERMINAL_UNAVAILABLE',
    /HTTP 500\. Read the server's log for the cause: it fails itself/,
  ],
  [
    'terminals that are switched off',
    { create: says(404, 'Not Found') },
    {},
    'ERR_TERMINAL_NOT_FOUND',
    /path of the URL, and OPEN_TERMINAL_ENABLE_TERMINAL/,
  ],
  [
    'an unknown policy',
    { create: says(404, "Policy 'gold' not found") },
    { policyId: 'gold' },
    'ERR_TERMINAL_NOT_FOUND',
    /Check `policyId`/,
  ],
  [
    'an unknown server of Open WebUI',
    { create: says(404, "Terminal server 'x' not found") },
    {},
    'ERR_TERMINAL_NOT_FOUND',
    /last part of the URL/,
  ],
  [
    'a page that a gateway refuses',
    { create: says(403, 'Origin not allowed') },
    {},
    'ERR_TERMINAL_FORBIDDEN',
    /pass `Host` on unchanged .*, or name the page in `origins`/,
  ],
  [
    'a gateway whose terminal server refuses it',
    { create: { refuse: 500, body: '{"error":"Not accepted by the terminal server"}' } },
    {},
    'ERR_TERMINAL_UNAVAILABLE',
    /Ask the operator of the gateway/,
  ],
  [
    'a proxy in front that lets nobody pass who does not send its headers',
    { create: { refuse: 403, headers: HTML, body: '<h1>Access denied' } },
    {},
    'ERR_TERMINAL_FORBIDDEN',
    /Pass what the proxy in front wants in `headers`/,
  ],
  [
    'HTTP basic auth, with a key',
    { create: { refuse: 401, headers: { ...HTML, 'www-authenticate': 'Basic realm="private"' }, body: '<h1>' } },
    {},
    'ERR_TERMINAL_UNAUTHORIZED',
    /Take HTTP basic auth off this path, or the key/,
  ],
  [
    'HTTP basic auth, without a key',
    { create: { refuse: 401, headers: { ...HTML, 'www-authenticate': 'Basic realm="private"' }, body: '<h1>' } },
    { authType: 'none' },
    'ERR_TERMINAL_UNAUTHORIZED',
    /basic auth in `headers` \(Authorization: Basic …\), with the `authType` none, or take it off this path/,
  ],
  [
    'a login page',
    { create: { refuse: 200, headers: HTML, body: '<form>' } },
    {},
    'ERR_TERMINAL_PROTOCOL',
    /a web site or a login page answers/,
  ],
  [
    'a redirect to a login page',
    { create: { refuse: 302, headers: { location: 'https://sso.example/' } } },
    {},
    'ERR_TERMINAL_PROTOCOL',
    /redirected to https:\/\/sso\.example\/\. Use that address, or get past its login page with `headers`/,
  ],
  [
    'plain HTTP to a port with TLS',
    { create: { refuse: 400, headers: HTML, body: '<title>400' } },
    {},
    'ERR_TERMINAL_PROTOCOL',
    /Use https:/,
  ],
  [
    'a proxy that removes the key',
    { create: says(401, 'Missing Authorization header') },
    {},
    'ERR_TERMINAL_UNAUTHORIZED',
    /forward the Authorization header/,
  ],
  [
    'a limit on the rate of requests',
    { create: { refuse: 429, headers: HTML, body: '<h1>429' } },
    once,
    'ERR_TERMINAL_UNAVAILABLE',
    /limits the rate .* Retry-After is heeded/,
  ],
  [
    'a server that is full',
    { create: says(429, 'Maximum number of terminal sessions (16) reached') },
    {},
    'ERR_TERMINAL_LIMIT',
    /Delete unused sessions/,
  ],
  [
    'a server behind an orchestrator that cannot be reached',
    { create: says(503, 'Terminal instance not reachable') },
    once,
    'ERR_TERMINAL_UNAVAILABLE',
    /on the orchestrator or gateway why it cannot start or reach/,
  ],
  [
    'a token that Terminals cannot check now, and says is invalid',
    { attach: { refuse: 4001, body: 'Invalid token' }, get: says(502, 'Failed to reach Open WebUI') },
    once,
    'ERR_TERMINAL_UNAVAILABLE',
    /Check on the orchestrator that it reaches Open WebUI/,
  ],
  [
    'a token that is invalid',
    { attach: { refuse: 4001, body: 'Invalid token' }, get: says(401, 'Invalid token') },
    {},
    'ERR_TERMINAL_UNAUTHORIZED',
    /Check `key` and `authType`\.$/,
  ],
  [
    'a key that is missing',
    { create: says(401, 'Invalid API key') },
    { key: '' },
    'ERR_TERMINAL_UNAUTHORIZED',
    /No key was sent/,
  ],
]

const NEWEST = 'open-terminal@0.14.5'
const refuses =
  (...answer: [status: number, type?: string, body?: string]): NonNullable<Habits['upgrade']> =>
  (_request, socket) =>
    refuse(socket, ...answer)

const fronts: Array<[what: string, habits: Habits, options: Partial<ConnectTerminalOptions>, advice: RegExp]> = [
  [
    'keeps X-User-Id from WebSockets',
    { change: ({ headers }, isUpgrade) => isUpgrade && delete headers['x-user-id'] },
    {},
    /closed with 4004.* forward X-User-Id and X-Session-Id with WebSockets/,
  ],
  [
    'does not forward upgrades',
    { upgrade: refuses(200, 'application/json', '{}') },
    {},
    /forward WebSocket upgrades \(nginx/,
  ],
  [
    'answers upgrades with a page of its own',
    { upgrade: refuses(400, 'text/html', '<p>') },
    {},
    /: HTTP 400\. .*forward WebSocket upgrades/,
  ],
  ['does not know upgrades', { upgrade: refuses(404, 'text/html', '<p>') }, once, /forward WebSocket upgrades \(nginx/],
  ['hangs up on upgrades', { upgrade: (_request, socket) => socket.destroy() }, once, /they get no answer/],
  ['allows no WebSockets', { upgrade: refuses(403, 'text/html', '<p>No') }, {}, /allow WebSockets to this path/],
  ['limits WebSockets', { upgrade: refuses(429, 'text/html', '<p>') }, once, /limits the rate/],
  ['cannot reach the server with WebSockets', { upgrade: refuses(502, 'text/html', '<p>') }, once, /WebSockets, too/],
  [
    'lets no WebSockets of a page through',
    { upgrade: refuses(400, 'text/html', '<p>') },
    { ...once, WebSocket: browserSocket },
    /the connection dropped\. Let the proxy in between pass WebSockets on/,
  ],
]

describe('connectTerminal says what to do about', () => {
  it.each(answers)('%s', async (_what, faults, options, code, advice) => {
    const upstream = await upstreamOf({ key: options.key === undefined ? 'sk-canary' : undefined, faults })
    const error = await rejection(connectTerminal({ ...clientOf(upstream), ...options }))
    expect(error).toMatchObject({ code, message: expect.stringMatching(advice) as string })
  })

  // PROTOCOL 3.2 and 3.13
  it.each(fronts)('a proxy that %s', async (_what, habits, options, advice) => {
    // Pages cannot attach to newer servers.
    const release: TestRelease = options.WebSocket ? 'open-terminal@0.11' : NEWEST
    const base = await gateway(await upstreamOf({ release }), habits)
    expect((await rejection(connectTerminal({ ...clientOf({ url: base }), ...options }))).message).toMatch(advice)
  })

  it('a base that ends in /api/terminals', async () => {
    const { url } = await upstreamOf()
    const { message } = await rejection(connectTerminal(clientOf({ url: `${url}/api/terminals` })))
    expect(message).toContain('Leave /api/terminals out of `base`')
  })

  it('a web site, when it lists sessions', async () => {
    const base = await serve((server) => server.on('request', (_request, response) => page(response, 200)))
    const { message } = await rejection(listTerminalSessions(clientOf({ url: base })))
    expect(message).toContain('a web site or a login page answers at this one')
  })

  // PROTOCOL 3.11 and 2.19
  it('a chat that Open WebUI wants, and Terminals behind it does not pass on', async () => {
    const upstream = await upstreamOf({ release: 'terminals@0.2.2', inner: NEWEST })
    const answer: Habits['answer'] = ({ method, headers }: IncomingMessage, response) => {
      if (method !== 'POST' || 'x-session-id' in headers) return false
      response.writeHead(409, { 'content-type': 'application/json' }).end('{"detail":"A saved chat is required"}')
      return true
    }
    const base = await gateway(upstream, { answer })
    const error = await rejection(connectTerminal({ ...clientOf({ url: base }), settle: 400, chatId: 'c1' }))
    expect(error.message).toMatch(/closed with 1000\. Put a gateway of this package before Terminals/)
    expect(upstream.sessions).toEqual([])
  })

  it('a port that ends plain connections without an answer', async () => {
    const base = await serve((server) => server.on('request', ({ socket }) => socket.destroy()))
    const { message } = await rejection(listTerminalSessions(clientOf({ url: base })))
    expect(message).toMatch(/Check what listens there, and whether it requires https:/)
  })

  it('a port at which nothing listens', async () => {
    const { message } = await rejection(connectTerminal({ ...clientOf({ url: await nobody() }), ...once }))
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
    const { message } = await rejection(connectTerminal(clientOf({ url: await secure() })))
    expect(message).toMatch(/: self-signed certificate\. Trust the authority .*\(NODE_EXTRA_CA_CERTS\)/)
  })

  it('a certificate for another host name', async () => {
    const { options } = https.globalAgent
    Object.assign(options, { ca: certificate, servername: 'other.example' })
    onTestFinished(() => {
      delete options.ca
      delete options.servername
    })
    const { message } = await rejection(connectTerminal(clientOf({ url: await secure() })))
    expect(message).toMatch(/Use a host name that the certificate is for/)
  })

  it('a server that does not speak TLS, without the file names of OpenSSL', async () => {
    const { url } = await upstreamOf()
    const base = url.replace('http:', 'https:')
    const { message } = await rejection(connectTerminal(clientOf({ url: base })))
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
    [
      "ERR_TLS_CERT_ALTNAME_INVALID: Host: a. is not in the cert's altnames: DNS:http-request.b",
      /^Use a host name that/,
    ],
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
  [
    'a request waits for the password of basic auth',
    { code: 'ERR_TERMINAL_TIMEOUT', step: 'POST' },
    /asks for a password/,
  ],
  ['a login has expired', { step: 'POST', status: 403, type: 'text/html' }, /^Sign in again/],
])('adviceOn says what to do in a page in which %s', (_what, evidence, advice) => {
  expect(adviceOn(evidence, RUNTIME_CAUSES)).toMatch(advice)
})
