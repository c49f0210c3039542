import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect } from 'vitest'
import { WebSocket, WebSocketServer, type ClientOptions, type ServerOptions } from 'ws'
import { proxyTerminal, type AuthorizeOptions, type ProxyOptions, type ProxySummary } from '../../src/proxy.ts'
import type { ConnectTerminalOptions } from '../../src/index.ts'
import type { TestSession, TestUpstream, TestUpstreamOptions } from '../../src/testing.ts'
import { afterwards, clientOf, serve, until, upstreamOf, withoutCanary } from './upstream.ts'

export const KIB = 1024
export const MIB: number = 1024 * KIB

/** The auth frame of a client. */
export const CLIENT_AUTH = '{"type":"auth","token":"jwt"}'
/** The auth frame that the proxy sends to an upstream of `upstreamOf`. */
export const PROXY_AUTH = '{"type":"auth","token":"sk-canary"}'

/** The server side of one client of a proxy. */
export interface Served {
  readonly socket: WebSocket
  readonly request: IncomingMessage
  /** The result of `proxyTerminal`, which must not show a key. */
  readonly summary: Promise<ProxySummary>
}

export interface Proxy {
  readonly url: string
  /** All clients that have connected so far, oldest first. */
  readonly served: readonly Served[]
}

/** Starts a proxy that ends with the test. `optionsFor` returns the options for each client. */
export async function startProxy(
  optionsFor: (request: IncomingMessage) => ProxyOptions,
  serverOptions: ServerOptions = {},
): Promise<Proxy> {
  const server = createServer()
  const wss = new WebSocketServer({ server, ...serverOptions })
  const served: Served[] = []
  wss.on('connection', (socket, request) => {
    const summary = proxyTerminal(socket, optionsFor(request)).then(withoutCanary)
    served.push({ socket, request, summary })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  afterwards({
    async close() {
      for (const client of wss.clients) client.terminate()
      await new Promise((resolve) => server.close(resolve))
      await Promise.all(served.map(({ summary }) => summary))
    },
  })
  return { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`, served }
}

/** Returns the summary of the first client of a proxy. */
export async function summaryOf({ served }: Proxy): Promise<ProxySummary> {
  return served[0]?.summary ?? expect.unreachable('no client has connected')
}

export interface Message {
  readonly data: Buffer
  readonly isBinary: boolean
}

/** A client of a proxy. */
export interface ProxyClient {
  readonly ws: WebSocket
  /** The messages so far. */
  readonly messages: readonly Message[]
  /** The bytes of all messages so far. */
  readonly bytes: () => Buffer
  /** Resolves once the output contains the text. */
  readonly printed: (text: string) => Promise<void>
  /** The close frame that the client received; code 1006 without one. */
  readonly closed: Promise<{ code: number; reason: string }>
}

/** Connects to a proxy; resolves when the socket is open. */
export async function clientTo({ url }: { url: string }, options: ClientOptions = {}): Promise<ProxyClient> {
  const ws = new WebSocket(url, { perMessageDeflate: false, ...options })
  afterwards({ close: () => ws.terminate() })
  const messages: Message[] = []
  const bytes = (): Buffer => Buffer.concat(messages.map(({ data }) => data))
  ws.on('message', (data: Buffer, isBinary) => messages.push({ data, isBinary }))
  ws.on('error', () => {})
  const closed = closeOf(ws)
  await once(ws, 'open')
  return {
    ws,
    messages,
    bytes,
    closed,
    async printed(text) {
      while (!bytes().includes(text)) await once(ws, 'message')
    },
  }
}

/** Resolves with the close code and reason that a socket receives. */
export function closeOf(ws: WebSocket): Promise<{ code: number; reason: string }> {
  return new Promise((resolve) => {
    ws.once('close', (code, reason) => resolve({ code, reason: reason.toString() }))
  })
}

export interface Joined extends ProxyClient {
  readonly upstream: TestUpstream
  readonly session: TestSession
  readonly proxy: Proxy
  readonly served: Served
}

/** Starts an upstream and a proxy, and joins a client; resolves when the upstream has attached the client. */
export async function join(
  server: TestUpstreamOptions = {},
  options: Partial<ConnectTerminalOptions> = {},
): Promise<Joined> {
  const upstream = await upstreamOf(server)
  const proxy = await startProxy(() => ({ ...clientOf(upstream), ...options }))
  const client = await clientTo(proxy)
  await until(() => upstream.sessions[0]?.attached === 1)
  const [session] = upstream.sessions
  const [served] = proxy.served
  if (!session || !served) return expect.unreachable('there should be a session')
  return { ...client, upstream, session, proxy, served }
}

/** Starts a proxy with `authorize`, and connects a client to it. */
export async function connectToAuthorize(
  authorize: AuthorizeOptions['authorize'],
  options: Partial<AuthorizeOptions> = {},
): Promise<ProxyClient & { proxy: Proxy }> {
  const proxy = await startProxy((request) => ({ authorize, request, settle: 50, ...options }))
  return { ...(await clientTo(proxy)), proxy }
}

const trap = (): never => {
  throw new Error('a trap')
}

/** Throws whatever is done with it. */
export const hostile: never = new Proxy(trap, { get: trap, has: trap, getPrototypeOf: trap }) as never

/** An `authorize` that never answers. */
export function neverAuthorize(): Promise<never> {
  return new Promise(() => {})
}

/** Starts a proxy with options of any kind, and connects a client to it. */
export async function connectToProxy(options: unknown): Promise<ProxyClient & { proxy: Proxy }> {
  const proxy = await startProxy(() => options as ProxyOptions)
  return { ...(await clientTo(proxy)), proxy }
}

/** Connects a client to a server directly, and returns both sides. */
export async function connectBothSides(
  onConnection: (socket: WebSocket) => void = () => {},
): Promise<{ socket: WebSocket; client: ProxyClient }> {
  const wss = new WebSocketServer({ noServer: true }).on('connection', onConnection)
  const base = await serve((server) => {
    server.on('upgrade', (request, tcp, head) => {
      wss.handleUpgrade(request, tcp, head, (ws) => wss.emit('connection', ws, request))
    })
  })
  const connection = once(wss, 'connection')
  const client = await clientTo({ url: base.replace('http', 'ws') })
  const [socket] = (await connection) as [WebSocket]
  return { socket, client }
}

/** Resolves when the other side has received all messages that this side has sent. */
export async function roundTrip(ws: WebSocket): Promise<void> {
  ws.ping()
  await once(ws, 'pong')
}

/** Returns the frames that an upstream received on its sockets, one list for each socket. */
export function framesOf({ requests }: TestUpstream): string[][] {
  const sockets = requests.filter(({ status }) => status === 101)
  return sockets.map(({ frames }) => {
    const texts = frames.map((frame) => Buffer.from(frame).toString())
    // Without the heartbeat that confirms a silent attach, which is not from the client.
    const heartbeat = texts.indexOf('{"type":"ping"}')
    return texts.filter((_text, index) => index !== heartbeat)
  })
}

/** Counts the sessions that an upstream was asked to delete. */
export function deletions({ requests }: TestUpstream): number {
  return requests.filter(({ method }) => method === 'DELETE').length
}
