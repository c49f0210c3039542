import { createCipheriv, createHash } from 'node:crypto'
import { once } from 'node:events'
import { WebSocketServer, type ClientOptions, type ServerOptions, type WebSocket } from 'ws'
import type { ConnectTerminalOptions } from '../../src/index.ts'
import { clientTo, startProxy, type Message, type ProxyClient, type Served } from './proxy.ts'
import { serve } from './upstream.ts'

/** What the upstream of a pair says first. */
export const READY = 'ready'

export interface Pair extends ProxyClient {
  /** The upstream's side of the terminal. */
  readonly upstream: WebSocket
  /** What came there behind the auth frame. */
  readonly received: readonly Message[]
  readonly served: Served
}

/** Joins a client to an upstream that does just what the test says; resolves when input goes straight through. */
export async function pair(
  options: Partial<ConnectTerminalOptions> = {},
  serverOptions: ServerOptions = {},
  clientOptions: ClientOptions = {},
): Promise<Pair> {
  const received: Message[] = []
  let upstream: WebSocket | undefined
  const base = await serve((server) => {
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
  if (!served || !upstream) throw new Error('there should be both')
  return { ...client, upstream, received, served }
}

/** Bytes that look random and are the same for the same seed. */
export function noise(length: number, seed = 0): Buffer {
  const key = Buffer.alloc(16)
  key.writeUInt32BE(seed)
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length))
}

/** A message in short, to compare. */
export function digest({ data, isBinary }: Message): string {
  return `${isBinary ? 'binary' : 'text'} ${data.length} ${createHash('sha256').update(data).digest('hex')}`
}

/** Resolves once a message with this text has come, with everything before it. */
export async function upTo(text: string, socket: WebSocket, messages: readonly Message[]): Promise<Message[]> {
  for (let index = 0; ; index += 1) {
    while (index === messages.length) await once(socket, 'message')
    const message = messages[index]
    if (message?.data.equals(Buffer.from(text))) return messages.slice(0, index)
  }
}
