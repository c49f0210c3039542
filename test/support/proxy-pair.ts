import { createCipheriv, createHash } from 'node:crypto'
import { once } from 'node:events'
import { expect } from 'vitest'
import { WebSocketServer, type ClientOptions, type ServerOptions, type WebSocket } from 'ws'
import type { ConnectTerminalOptions } from '../../src/index.ts'
import { clientTo, startProxy, type Message, type ProxyClient, type Served } from './proxy.ts'
import { serve } from './upstream.ts'

/** The first message of the upstream of a pair. */
export const READY = 'ready'

/** A message of the client that arrives as it is, to tell that all before it has arrived. */
export const OVER = '{"type":"resize","cols":9,"rows":9}'

export interface Pair extends ProxyClient {
  /** The upstream's side of the terminal. */
  readonly upstream: WebSocket
  /** What the upstream received after the auth frame. */
  readonly received: readonly Message[]
  readonly served: Served
}

/** Joins a client to an upstream that does only what the test does; resolves when the terminal is open. */
export async function pair(
  options: Partial<ConnectTerminalOptions> = {},
  serverOptions: ServerOptions = {},
  clientOptions: ClientOptions = {},
): Promise<Pair> {
  const received: Message[] = []
  let upstream: WebSocket | undefined
  const base = await serve((server) => {
    // Takes all input, as Open Terminal from 0.12.4 on.
    server.on('request', (_request, response) => {
      response.writeHead(404).end('{"detail":"No connected user shell"}')
    })
    new WebSocketServer({ server, perMessageDeflate: true }).once('connection', (ws) => {
      upstream = ws
      ws.once('message', () => {
        ws.on('message', (data: Buffer, isBinary) => received.push({ data, isBinary }))
        ws.send(READY)
      })
    })
  })
  const proxy = await startProxy(() => ({ base, userId: 'ada', sessionId: 's1', ...options }), serverOptions)
  const client = await clientTo(proxy, clientOptions)
  await client.printed(READY)
  const [served] = proxy.served
  if (!served || !upstream) return expect.unreachable('the client should be joined to the upstream')
  return { ...client, upstream, received, served }
}

/** Returns bytes that look random and are the same for the same seed. */
export function noise(length: number, seed = 0): Buffer {
  const key = Buffer.alloc(16)
  key.writeUInt32BE(seed)
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length))
}

/** Returns a short text that is the same for equal messages. */
export function digest({ data, isBinary }: Message): string {
  return `${isBinary ? 'binary' : 'text'} ${data.length} ${createHash('sha256').update(data).digest('hex')}`
}

/** Resolves with all messages before the first message with this text, once that has come. */
export async function upTo(text: string, socket: WebSocket, messages: readonly Message[]): Promise<Message[]> {
  for (let index = 0; ; index += 1) {
    while (index === messages.length) await once(socket, 'message')
    const message = messages[index]
    if (message?.data.equals(Buffer.from(text))) return messages.slice(0, index)
  }
}
