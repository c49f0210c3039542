import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import type { TerminalGatewayOptions } from '../../src/gateway.ts'
import { TerminalError } from '../../src/index.ts'
import { clientTo, KIB, neverAuthorize, type ProxyClient } from '../support/proxy.ts'
import {
  as,
  ask,
  attachAs,
  createAs,
  handshake,
  startGateway,
  type,
  type ServedGateway,
} from '../support/terminal-gateway.ts'
import { afterwards, clientOf, until, upstreamOf } from '../support/upstream.ts'

describe('origins', () => {
  const cases: Array<[origins: TerminalGatewayOptions['origins'], origin: string | undefined, allowed: boolean]> = [
    [undefined, undefined, true],
    ['same', 'http://HOST', true],
    ['same', 'https://HOST', true],
    ['same', 'http://HOST:1', false],
    ['same', 'http://evil.example', false],
    ['same', 'null', false],
    ['same', 'not a url', false],
    ['same', 'HTTP://HOST', true],
    ['same', 'foo://HOST', false],
    ['same', 'ws://HOST', false],
    ['same', 'http://ada@HOST', false],
    ['same', 'http://HOST/path', false],
    ['same', 'http://HOST, http://evil.example', false],
    ['any', 'http://evil.example', true],
    ['any', 'null', true],
    [['https://chat.example'], 'https://chat.example', true],
    [['https://chat.example'], 'http://chat.example', false],
    [['https://chat.example'], 'http://HOST', false],
    [['null'], 'null', true],
  ]

  it.each(cases)('%j and the Origin %j: allowed is %j', async (origins, origin, allowed) => {
    const gateway = await startGateway({ origins })
    const headers: Record<string, string> = origin ? { Origin: origin.replace('HOST', new URL(gateway.base).host) } : {}
    expect(await handshake(gateway, headers)).toBe(allowed ? 101 : 403)
    const { status, body } = await rawAsk(gateway, 'GET', { ...as('ada'), ...headers })
    expect([status, body]).toEqual(allowed ? [200, '[]'] : [403, '{"detail":"Origin not allowed"}'])
  })

  it.each([
    ['https://x.example', 'x.example:443', 200],
    ['http://x.example', 'x.example:80', 200],
    ['https://x.example', 'x.example:80', 403],
    ['http://x.example:80', 'x.example', 200],
    ['https://x.example', 'X.Example', 200],
    ['https://x.example:8443', 'x.example:8443', 200],
    ['https://x.example:8443', 'x.example', 403],
    ['http://[::1]', '[0:0::1]:80', 200],
    ['http://x.example', 'x.example/', 403],
    ['http://x.example', 'ada@x.example', 403],
    ['http://undefined', '', 403],
  ])("'same' compares the Origin %j with the Host %j as a browser means it: %i", async (Origin, Host, status) => {
    expect((await rawAsk(await startGateway(), 'GET', { ...as('ada'), Origin, Host })).status).toBe(status)
  })

  it('lets a page of another origin ask before it sends a request, and read the answer', async () => {
    const Origin = 'https://chat.example'
    const origins = [Origin]
    const gateway = await startGateway({ origins })
    // The options were read before.
    origins.length = 0
    const asked = await rawAsk(gateway, 'OPTIONS', { Origin })
    expect(asked).toMatchObject({
      status: 204,
      headers: {
        'access-control-allow-origin': Origin,
        'access-control-allow-methods': 'GET, POST',
        'access-control-allow-headers': expect.stringContaining('X-User-Id'),
        vary: 'Origin',
      },
    })
    const { headers } = await rawAsk(gateway, 'POST', { ...as('ada'), Origin })
    expect(headers['access-control-allow-origin']).toBe(Origin)
  })
})

/** Sends a request with any headers, which fetch does not, and returns the answer. */
async function rawAsk(
  { base }: Pick<ServedGateway, 'base'>,
  method: string,
  headers: Record<string, string>,
  body = '',
): Promise<{ status: number | undefined; body: string; headers: IncomingMessage['headers'] }> {
  const request = httpRequest(`${base}/api/terminals`, { method, headers, agent: false })
  request.on('error', () => {})
  request.end(body)
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  const text = await response.toArray()
  return { status: response.statusCode, body: Buffer.concat(text).toString(), headers: response.headers }
}

describe('maxSessionsPerUser', () => {
  it('answers 429 to one more session, also to those that are created at the same time', async () => {
    const gateway = await startGateway({ maxSessionsPerUser: 2 })
    const answers = await Promise.all([1, 2, 3, 4].map(() => ask(gateway, 'POST')))
    expect(answers.map(({ status }) => status).sort((one, other) => one - other)).toEqual([200, 200, 429, 429])
    const error = 'Maximum number of terminal sessions (2) reached'
    expect(answers.find(({ status }) => status === 429)?.body).toEqual({ error })
    expect((await ask(gateway, 'POST', '', as('eve'))).status).toBe(200)
    const [{ id }] = (await ask(gateway, 'GET')).body as [{ id: string }]
    await ask(gateway, 'DELETE', `/${id}`)
    expect((await ask(gateway, 'POST')).status).toBe(200)
  })
})

describe('authTimeout', () => {
  it('closes a WebSocket that does not say who it is with 4001', async () => {
    const gateway = await startGateway({ authTimeout: 20 })
    const { closed } = await clientTo({ url: `${gateway.base.replace('http', 'ws')}/api/terminals/s1` })
    expect(await closed).toEqual({ code: 4001, reason: 'Auth timeout or invalid payload' })
  })
})

describe('a client that is not authorized', () => {
  it('may send a body of 64 KiB, which is dropped', async () => {
    const gateway = await startGateway()
    expect(await rawAsk(gateway, 'POST', as('ada'), 'x'.repeat(64 * KIB))).toMatchObject({ status: 200 })
  })

  it.each([
    ['/api/terminals', 404],
    ['/api/terminals/s1', 101],
  ])('that opens a WebSocket on %s gets %i', async (path, status) => {
    expect(await handshake(await startGateway(), {}, path)).toBe(status)
  })

  it.each([
    ['PUT', '', 'GET, POST'],
    ['PATCH', '/s1', 'GET, DELETE'],
    ['POST', '/s1', 'GET, DELETE'],
  ])('gets 405 and the methods that are allowed for %s %s', async (method, path, allow) => {
    const { status, headers } = await ask(await startGateway(), method, path)
    expect([status, headers.get('allow')]).toEqual([405, allow])
  })

  it('that resets the connection while its handshake is refused breaks nothing', async () => {
    const gateway = await startGateway({ origins: [] })
    const socket: Socket = connect(Number(new URL(gateway.base).port), '127.0.0.1')
    socket.on('error', () => {})
    const host = 'Host: h\r\nOrigin: http://evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
    socket.write(`GET /api/terminals/s1 HTTP/1.1\r\n${host}`)
    socket.resetAndDestroy()
    expect((await ask(gateway, 'GET')).status).toBe(200)
  })
})

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

describe('maxUnauthenticated', () => {
  it('does not count clients that are authorized', async () => {
    const gateway = await startGateway({ maxUnauthenticated: 1 })
    for (let count = 0; count < 3; count += 1) await type(await attachAs(gateway, await createAs(gateway)), 'in')
    expect(gateway.gateway.sessions).toHaveLength(3)
  })

  it('counts a client until `authorize` has answered', async () => {
    const gateway = await startGateway({ maxUnauthenticated: 1, authorize: neverAuthorize, authTimeout: 100 })
    const { closed } = await attachAs(gateway, 's1')
    expect(await handshake(gateway)).toBe(503)
    expect(await closed).toEqual({ code: 1013, reason: 'Not authorized, try again later' })
    expect(await handshake(gateway)).toBe(101)
  })

  it('ends a silent WebSocket with 1013 when one more comes, and lets that in', async () => {
    const gateway = await startGateway({ maxUnauthenticated: 3 })
    const silent = await Promise.all([1, 2, 3].map(() => silentAt(gateway)))
    expect(await handshake(gateway)).toBe(101)
    expect(await Promise.race(silent.map(({ closed }) => closed))).toEqual(TRY_AGAIN)
    await until(() => silent.filter(({ ws }) => ws.readyState === WebSocket.OPEN).length === 2)
  })

  it('lets users attach although silent strangers hold all places', async () => {
    const gateway = await startGateway({ maxUnauthenticated: 10 })
    await Promise.all(Array.from({ length: 10 }, () => silentAt(gateway)))
    await type(await attachAs(gateway, await createAs(gateway)), 'in')
  })

  it('ends one that is left to chance, so that a client that is about to say who it is mostly stays', async () => {
    const gateway = await startGateway({ maxUnauthenticated: 20 })
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
    const gateway = await startGateway({ maxUnauthenticated: 2 })
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
    const gateway = await startGateway({ maxUnauthenticated: 2, authorize: neverAuthorize, authTimeout: 60_000 })
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
      maxUnauthenticated: 1,
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
