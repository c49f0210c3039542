import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { connect, type Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { TerminalError } from '../../src/index.ts'
import { clientTo, neverAuthorize, type ProxyClient } from '../support/proxy.ts'
import {
  ask,
  attachAs,
  createAs,
  handshake,
  startGateway,
  type,
  type ServedGateway,
} from '../support/terminal-gateway.ts'
import { afterwards, clientOf, until, upstreamOf } from '../support/upstream.ts'

const TRY_AGAIN = { code: 1013, reason: 'Too many clients are waiting' }
const BUSY = { status: 503, body: { error: 'Too many clients are waiting' } }

/** Opens a WebSocket that does not say who it is. */
function silentAt({ base }: ServedGateway): Promise<ProxyClient> {
  return clientTo({ url: `${base.replace('http', 'ws')}/api/terminals/s1` })
}

/** A client that does not answer the close frame, and keeps its connection open. */
async function stubborn(gateway: ServedGateway): Promise<Socket> {
  const socket = connect({ port: Number(new URL(gateway.base).port), allowHalfOpen: true })
  afterwards({ close: () => socket.destroy() })
  socket.on('error', () => {})
  const key = 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n'
  socket.write(`GET /api/terminals/s1 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${key}\r\n`)
  await once(socket, 'data')
  return socket
}

/** Sends the auth frame of a token that nobody has, and waits for the close frame. */
async function beRefused(socket: Socket): Promise<void> {
  const frame = '{"type":"auth","token":"wrong"}'
  socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | frame.length, 0, 0, 0, 0]), Buffer.from(frame)]))
  await once(socket, 'data')
}

describe('unauthenticated', () => {
  it('ends a silent WebSocket with 1013 when one more comes, and lets that in', async () => {
    const gateway = await startGateway({ unauthenticated: 3 })
    const silent = await Promise.all([1, 2, 3].map(() => silentAt(gateway)))
    expect(await handshake(gateway)).toBe(101)
    expect(await Promise.race(silent.map(({ closed }) => closed))).toEqual(TRY_AGAIN)
    await until(() => silent.filter(({ ws }) => ws.readyState === WebSocket.OPEN).length === 2)
  })

  it('lets users attach although silent strangers hold all places', async () => {
    const gateway = await startGateway({ unauthenticated: 10 })
    await Promise.all(Array.from({ length: 10 }, () => silentAt(gateway)))
    await type(await attachAs(gateway, await createAs(gateway)), 'in')
  })

  it('ends one that is left to chance, so that a client that is about to say who it is mostly stays', async () => {
    const gateway = await startGateway({ unauthenticated: 20 })
    const ended: number[] = []
    const silent = await Promise.all(Array.from({ length: 20 }, () => silentAt(gateway)))
    for (const [index, { closed }] of silent.entries()) void closed.then(() => ended.push(index))
    for (let count = 0; count < 10; count += 1) await handshake(gateway)
    // The newest ones would be those that have just come, and the oldest ones the first.
    await until(() => ended.length >= 4)
    const first = [...ended.keys()]
    expect(new Set(ended)).not.toEqual(new Set(first))
  })

  it('counts clients that have been refused and ignore the close frame, and ends their connections for new ones', async () => {
    const gateway = await startGateway({ unauthenticated: 2 })
    const ends: number[] = []
    for (let count = 0; count < 20; count += 1) {
      const socket = await stubborn(gateway)
      socket.once('end', () => ends.push(count))
      await beRefused(socket)
    }
    await until(() => ends.length >= 18)
    expect((await ask(gateway, 'GET')).status).toBe(200)
  })

  it('counts requests that wait for `authorize`, and answers 503 when there is no silent WebSocket', async () => {
    const gateway = await startGateway({ unauthenticated: 2, authorize: neverAuthorize, authTimeout: 60_000 })
    const pending = [1, 2].map(() => httpRequest(`${gateway.base}/api/terminals`, { agent: false }))
    for (const request of pending) request.on('error', () => {}).end()
    await expect.poll(() => handshake(gateway)).toBe(503)
    expect(await ask(gateway, 'POST')).toMatchObject(BUSY)
    pending[0]?.destroy()
    await expect.poll(() => handshake(gateway)).toBe(101)
    pending[1]?.destroy()
  })

  it('does not count requests that were let in, or have had their answer', async () => {
    const upstream = await upstreamOf({ faults: { create: { delay: 100 } } })
    const gateway = await startGateway({
      unauthenticated: 1,
      authorize: ({ token }) => {
        if (token === 'jwt-ada') return clientOf(upstream)
        throw new TerminalError('ERR_TERMINAL_UNAUTHORIZED', 'unknown')
      },
    })
    const creating = ask(gateway, 'POST')
    await until(() => upstream.requests.length > 0)
    for (let count = 0; count < 3; count += 1) {
      expect((await ask(gateway, 'GET', '', { Authorization: 'Bearer wrong' })).status).toBe(401)
      expect((await ask(gateway, 'GET')).status).toBe(200)
    }
    expect((await creating).status).toBe(200)
  })

  it('ends the connection of a request that was refused before its body had come', async () => {
    const gateway = await startGateway()
    const request = httpRequest(`${gateway.base}/api/terminals`, { method: 'POST', agent: false })
    request.on('error', () => {})
    request.setHeader('Content-Length', 1_000)
    request.flushHeaders()
    const [response] = await once(request, 'response')
    expect([response.statusCode, response.headers.connection]).toEqual([401, 'close'])
    request.destroy()
  })
})
