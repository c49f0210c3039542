import { createHash } from 'node:crypto'
import type { Socket } from 'node:net'
import { expect } from 'vitest'
import type { ProxySummary } from '../../src/proxy.ts'
import { clientTo, startProxy, summaryOf, type ProxyClient } from './proxy.ts'
import { frame, SERVER } from './proxy-frames.ts'
import { serve } from './upstream.ts'

/** What an upstream does for one client, in order. */
export const STEPS = [
  'accepts a connection',
  'is asked for a session',
  'has sent half of the answer',
  'is asked for an upgrade',
  'has sent half of the upgrade',
  'has upgraded',
  'has read the auth frame',
  'has sent output',
  'is closed',
  'is asked to delete the session',
] as const
// Indexes of steps.
const ACCEPTED = 0
const CREATING = 1
const CREATING_HALF = 2
const UPGRADING = 3
const UPGRADING_HALF = 4
const UPGRADED = 5
export const ATTACHED = 6
export const PRINTED = 7
export const CLOSED = 8
const DELETING = 9

export interface BrokenUpstream {
  readonly base: string
  /** The methods of the requests so far; `upgrade` for a handshake. */
  readonly requested: string[]
}

/** Starts an upstream that follows the protocol up to a step, and calls `act` instead of that step. */
export async function brokenUpstream(step: number, act: (socket: Socket) => void): Promise<BrokenUpstream> {
  const requested: string[] = []
  const base = await serve((server) => {
    server.on('connection', (socket) => {
      socket.on('error', () => {})
      if (step === ACCEPTED) act(socket)
    })
    server.on('request', ({ method, socket }, response) => {
      requested.push(String(method))
      if (step === (method === 'POST' ? CREATING : DELETING)) act(socket)
      else if (step === CREATING_HALF)
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"id":', () => act(socket))
      else response.end('{"id":"s1"}')
    })
    server.on('upgrade', ({ headers }, socket: Socket) => {
      requested.push('upgrade')
      socket.on('end', () => socket.end())
      const key = `${headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`
      const accept = createHash('sha1').update(key).digest('base64')
      const half = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n'
      if (step === UPGRADING) return act(socket)
      if (step === UPGRADING_HALF) return socket.write(half, () => act(socket))
      socket.once('data', () => {
        if (step === ATTACHED) return act(socket)
        socket.on('data', () => (step === CLOSED ? act(socket) : socket.end(frame(SERVER, 0x88, [3, 232]))))
        return socket.write(frame(SERVER, 0x82, [1]), () => step === PRINTED && act(socket))
      })
      const rest = `Connection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`
      return socket.write(half + rest, () => step === UPGRADED && act(socket))
    })
  })
  return { base, requested }
}

/** Joins a client to an upstream; resolves when both connections of the proxy have ended. */
export async function joinTo(
  { base, requested }: BrokenUpstream,
  clientLeaves = true,
): Promise<{ summary: ProxySummary; client: ProxyClient }> {
  const proxy = await startProxy(() => ({ base, userId: 'ada', settle: 300, retry: { attempts: 2, delay: 1 } }))
  const client = await clientTo(proxy)
  // The client leaves after the first output, if the upstream has not ended the terminal by then.
  if (clientLeaves) client.ws.once('message', () => setTimeout(() => client.ws.close(1000), 20))
  const summary = await summaryOf(proxy)
  await client.closed
  // The proxy deletes the session that it created, however the terminal ends.
  if (requested.includes('upgrade')) expect(requested).toContain('DELETE')
  return { summary, client }
}
