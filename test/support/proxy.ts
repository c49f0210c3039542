import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocket, WebSocketServer, type ClientOptions, type ServerOptions } from 'ws'
import { proxyTerminal, type ProxyOptions, type ProxySummary } from '../../src/proxy.ts'
import type { TestSession, TestUpstream, TestUpstreamOptions } from '../../src/testing.ts'
import { afterwards, clientOf, upstreamOf, withoutCanary } from './upstream.ts'

/** The server side of one client of a proxy. */
export interface Served {
  readonly socket: WebSocket
  readonly request: IncomingMessage
  /** What `proxyTerminal` resolved to; must not show a key. */
  readonly summary: Promise<ProxySummary>
}

export interface Proxy {
  readonly url: string
  /** Everybody who has connected so far, oldest first. */
  readonly served: readonly Served[]
}

/** Starts a proxy that ends with the test; `optionsFor` tells where each client is to be joined. */
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

export interface Message {
  readonly data: Buffer
  readonly isBinary: boolean
}

/** A client of a proxy. */
export interface ProxyClient {
  readonly ws: WebSocket
  /** Every message so far. */
  readonly messages: readonly Message[]
  /** The bytes of all of them. */
  readonly bytes: () => Buffer
  /** Resolves once the output has this. */
  readonly printed: (text: string) => Promise<void>
  /** How it ended. */
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
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    ws.once('close', (code, reason) => resolve({ code, reason: reason.toString() }))
  })
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

export interface Joined extends ProxyClient {
  readonly upstream: TestUpstream
  readonly session: TestSession
  readonly proxy: Proxy
  readonly served: Served
}

/** Starts an upstream and a proxy, and joins a client; resolves when the upstream has attached it. */
export async function join(server: TestUpstreamOptions = {}, options: Partial<ProxyOptions> = {}): Promise<Joined> {
  const upstream = await upstreamOf(server)
  const proxy = await startProxy(() => ({ ...clientOf(upstream), ...options }))
  const client = await clientTo(proxy)
  while (upstream.sessions[0]?.attached !== 1) await new Promise((resolve) => setTimeout(resolve, 2))
  const [session] = upstream.sessions
  const [served] = proxy.served
  if (!session || !served) throw new Error('there should be a session')
  return { ...client, upstream, session, proxy, served }
}
