import { createServer, type Server, type ServerResponse } from 'node:http'
import { WebSocket } from 'ws'
import { createTerminalGateway, type TerminalGateway, type TerminalGatewayOptions } from '../../src/gateway.ts'
import { TerminalError, type ConnectTerminalOptions } from '../../src/index.ts'
import type { TestUpstream, TestUpstreamOptions } from '../../src/testing.ts'
import { clientTo, type ProxyClient } from './proxy.ts'
import { promptAndEcho } from './shells.ts'
import { afterwards, clientOf, listen, until, upstreamOf } from './upstream.ts'

export interface ServedGateway {
  readonly upstream: TestUpstream
  readonly gateway: TerminalGateway
  /** The base URL of the gateway, with its path. */
  readonly base: string
  /** The base URL of the server in which the gateway is. */
  readonly server: string
}

/**
 * Starts an upstream, and a gateway in front of it; both end with the test. The token `jwt-NAME` stands for the user
 * NAME, and any other token is refused.
 */
export async function startGateway(
  options: Partial<TerminalGatewayOptions> = {},
  upstreamOptions: TestUpstreamOptions = {},
): Promise<ServedGateway> {
  const upstream = await upstreamOf(upstreamOptions)
  const { base, key } = clientOf(upstream)
  const gateway = createTerminalGateway({
    authorize: ({ token, chatId, policyId, contextId }) => {
      return { base, key, userId: userOf(token), chatId, policyId, contextId }
    },
    settle: 50,
    ...options,
  })
  const url = await serveGateway(gateway)
  return { upstream, gateway, base: `${url}${options.path ?? ''}`, server: url }
}

/**
 * Starts a gateway that waits for the prompts of shells, and not for a time: an orchestrator may notice late that its
 * own connection is refused (PROTOCOL 3.11).
 */
export function startPromptGateway(
  options: Partial<TerminalGatewayOptions> = {},
  upstreamOptions: TestUpstreamOptions = {},
): Promise<ServedGateway> {
  return startGateway({ settle: undefined, ...options }, { shell: promptAndEcho, ...upstreamOptions })
}

/** Returns a server that a gateway answers, and `next` what is not for the gateway. */
export function serverOf(
  gateway: Pick<TerminalGateway, 'handleRequest' | 'handleUpgrade'>,
  next = (response: ServerResponse): void => void response.writeHead(404).end('not the gateway'),
): Server {
  const server = createServer((request, response) => {
    gateway.handleRequest(request, response, () => next(response))
  })
  return server.on('upgrade', (request, socket, head) => {
    if (!gateway.handleUpgrade(request, socket, head)) socket.destroy()
  })
}

/** Serves a gateway until the end of the test. Returns the URL of its server. */
export async function serveGateway(
  gateway: TerminalGateway,
  next?: (response: ServerResponse) => void,
): Promise<string> {
  const server = serverOf(gateway, next)
  afterwards({
    async close() {
      await gateway.close({ timeout: 0 })
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  })
  return listen(server)
}

function userOf(token: string): string {
  const [, user] = /^jwt-(\w+)$/.exec(token) ?? []
  if (user === undefined) throw new TerminalError('ERR_TERMINAL_UNAUTHORIZED', 'No token of a user')
  return user
}

/** Returns options with which a page of the user connects to a gateway. */
export function pageOf({ base }: Pick<ServedGateway, 'base'>, userId = 'ada'): ConnectTerminalOptions {
  return { base, authType: 'session', key: `jwt-${userId}`, userId, settle: 50 }
}

/** Sends a request of a user to a gateway, and returns the status and the body. */
export async function ask(
  { base }: Pick<ServedGateway, 'base'>,
  method: string,
  path = '',
  headers: Record<string, string> = { Authorization: 'Bearer jwt-ada' },
): Promise<{ status: number; body: unknown; headers: Headers }> {
  const answer = await fetch(`${base}/api/terminals${path}`, { method, headers })
  const text = await answer.text()
  return { status: answer.status, body: text === '' ? undefined : JSON.parse(text), headers: answer.headers }
}

/** Returns the header that says who a user is. */
export function as(userId: string, more: Record<string, string> = {}): Record<string, string> {
  return { Authorization: `Bearer jwt-${userId}`, ...more }
}

/** Creates a session of a user, and returns its id. */
export async function createAs(gateway: Pick<ServedGateway, 'base'>, headers = as('ada')): Promise<string> {
  const { body } = await ask(gateway, 'POST', '', headers)
  return (body as { id: string }).id
}

/** Connects a WebSocket to a session, and sends the auth frame. */
export async function attachAs(
  { base }: Pick<ServedGateway, 'base'>,
  id: string,
  auth: object = { token: 'jwt-ada' },
): Promise<ProxyClient> {
  const url = `${base.replace('http', 'ws')}/api/terminals/${id}`
  // The certificate of the tests is self-signed.
  const client = await clientTo({ url }, { rejectUnauthorized: false })
  client.ws.send(JSON.stringify({ type: 'auth', ...auth }))
  return client
}

/** Tries to open a WebSocket; resolves with the status of the answer, 101 when it is open. */
export async function handshake(
  { base }: Pick<ServedGateway, 'base'>,
  headers: Record<string, string> = {},
  path = '/api/terminals/s1',
): Promise<number> {
  const ws = new WebSocket(base.replace('http', 'ws') + path, { headers })
  afterwards({ close: () => ws.terminate() })
  ws.on('error', () => {})
  return new Promise((resolve) => {
    ws.once('open', () => resolve(101))
    ws.once('unexpected-response', (_request, { statusCode }) => resolve(Number(statusCode)))
  })
}

/** Connects a WebSocket as {@link attachAs}, and resolves with how it is closed. */
export async function closeOf(...client: Parameters<typeof attachAs>): Promise<{ code: number; reason: string }> {
  return (await attachAs(...client)).closed
}

/** Types a text, and resolves when the shell has repeated it: the client has the shell. */
export async function type({ ws, printed }: ProxyClient, text: string): Promise<void> {
  ws.send(Buffer.from(text))
  await printed(text)
}

/** Starts a gateway with one session, and attaches a client to it. */
export async function attached(
  ...options: Parameters<typeof startGateway>
): Promise<{ gateway: ServedGateway; id: string } & ProxyClient> {
  const gateway = await startGateway(...options)
  const id = await createAs(gateway)
  const client = await attachAs(gateway, id)
  await untilAttached(gateway)
  return { gateway, id, ...client }
}

/** Resolves when the first session of a gateway has a client. */
export function untilAttached({ gateway }: Pick<ServedGateway, 'gateway'>): Promise<void> {
  return until(() => gateway.sessions[0]?.attachedSince !== undefined)
}

/** Resolves when the client of the first session of a gateway has left. */
export function untilParked({ gateway }: Pick<ServedGateway, 'gateway'>): Promise<void> {
  return until(() => gateway.sessions[0]?.parkedSince !== undefined)
}
