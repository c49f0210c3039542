import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import type { TerminalGatewayOptions } from '../../src/gateway.ts'
import { TerminalError, type TerminalErrorCode } from '../../src/index.ts'
import { clientTo, KIB, neverAuthorize } from '../support/proxy.ts'
import { as, ask, attachAs, createAs, startGateway, type ServedGateway } from '../support/terminal-gateway.ts'
import { afterwards, nobody, serve, until } from '../support/upstream.ts'

/** Tries to open a WebSocket; resolves with the status of the answer, 101 when it is open. */
async function handshake(
  { base }: ServedGateway,
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
    const gateway = await startGateway({ origins: ['https://chat.example'] })
    const Origin = 'https://chat.example'
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

describe('sessionsPerUser', () => {
  it('answers 429 to one more session, also to those that are created at the same time', async () => {
    const gateway = await startGateway({ sessionsPerUser: 2 })
    const answers = await Promise.all([1, 2, 3, 4].map(() => ask(gateway, 'POST')))
    expect(answers.map(({ status }) => status).sort((one, other) => one - other)).toEqual([200, 200, 429, 429])
    expect(answers.find(({ status }) => status === 429)?.body).toEqual({
      error: 'Maximum number of terminal sessions (2) reached',
    })
    expect((await ask(gateway, 'POST', '', as('eve'))).status).toBe(200)
    const [{ id }] = (await ask(gateway, 'GET')).body as [{ id: string }]
    await ask(gateway, 'DELETE', `/${id}`)
    expect((await ask(gateway, 'POST')).status).toBe(200)
  })
})

describe('unauthenticated', () => {
  it('does not count clients that are authorized', async () => {
    const gateway = await startGateway({ unauthenticated: 1 })
    for (let count = 0; count < 3; count += 1) {
      const { ws, printed } = await attachAs(gateway, await createAs(gateway))
      ws.send(Buffer.from('in'))
      await printed('in')
    }
    expect(gateway.gateway.sessions).toHaveLength(3)
  })

  it('counts a client until `authorize` has answered', async () => {
    const gateway = await startGateway({ unauthenticated: 1, authorize: neverAuthorize, authTimeout: 100 })
    const { closed } = await attachAs(gateway, 's1')
    expect(await handshake(gateway)).toBe(503)
    expect(await closed).toEqual({ code: 1013, reason: 'Not authorized, try again later' })
    expect(await handshake(gateway)).toBe(101)
  })
})

describe('authTimeout', () => {
  it('closes a WebSocket that does not say who it is with 4001', async () => {
    const gateway = await startGateway({ authTimeout: 20 })
    const { closed } = await clientTo({ url: `${gateway.base.replace('http', 'ws')}/api/terminals/s1` })
    expect(await closed).toEqual({ code: 4001, reason: 'Auth timeout or invalid payload' })
  })

  it('answers 503 to a request when `authorize` does not answer', async () => {
    const gateway = await startGateway({ authTimeout: 20, authorize: neverAuthorize })
    expect(await ask(gateway, 'GET')).toMatchObject({ status: 503, body: { error: 'Not authorized, try again later' } })
  })
})

describe('a client that is not authorized', () => {
  it('is closed with 1009 when it sends more than an auth frame may have', async () => {
    const gateway = await startGateway()
    const { ws, closed } = await clientTo({ url: `${gateway.base.replace('http', 'ws')}/api/terminals/s1` })
    ws.send('x'.repeat(1024 * KIB))
    expect(await closed).toEqual({ code: 1009, reason: 'Too much input before the terminal was open' })
  })

  it('gets 413 for a body of more than 64 KiB, and no session', async () => {
    const gateway = await startGateway()
    const answer = await rawAsk(gateway, 'POST', as('ada'), 'x'.repeat(65 * KIB))
    expect(answer).toMatchObject({ status: 413, headers: { connection: 'close' } })
    await until(() => gateway.upstream.sessions.length === 0)
    expect(gateway.gateway.sessions).toEqual([])
  })

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

describe('refusals', () => {
  it.each<[TerminalErrorCode, number, number, string]>([
    ['ERR_TERMINAL_UNAUTHORIZED', 401, 4001, 'Not authorized'],
    ['ERR_TERMINAL_FORBIDDEN', 403, 4003, 'Access denied'],
    ['ERR_TERMINAL_NOT_FOUND', 404, 4004, 'Session not found'],
    ['ERR_TERMINAL_MISSING_USER', 422, 4002, 'Missing user_id'],
    ['ERR_TERMINAL_LIMIT', 429, 4003, 'Too many terminal sessions'],
    ['ERR_TERMINAL_PROTOCOL', 503, 1013, 'Not authorized, try again later'],
  ])(
    'of `authorize` with %s is HTTP %i, or the close code %i, and says nothing',
    async (code, status, close, reason) => {
      const gateway = await startGateway({
        authorize: () => {
          throw new TerminalError(code, 'user ada of http://10.0.0.1 with sk-canary')
        },
      })
      const answer = await ask(gateway, 'GET')
      expect(answer.status).toBe(status)
      expect(JSON.stringify(answer.body)).not.toMatch(/ada|10\.0|canary/)
      expect(await (await attachAs(gateway, 's1')).closed).toEqual({ code: close, reason })
    },
  )

  it.each([undefined, null, 'http://h', {}, { base: 'nonsense', userId: 'ada' }, { base: 'http://h', userId: '' }])(
    'are 500 when `authorize` returns %j',
    async (returned) => {
      const gateway = await startGateway({ authorize: () => returned as never })
      for (const method of ['POST', 'GET']) {
        expect(await ask(gateway, method)).toMatchObject({
          status: 500,
          body: { error: 'Not accepted by the terminal server' },
        })
      }
      expect(await (await attachAs(gateway, 's1')).closed).toMatchObject({ code: 4003 })
    },
  )

  // PROTOCOL 8.8
  it.each([
    [302, 500],
    [401, 500],
    [403, 500],
    [404, 500],
    [422, 500],
    [429, 503],
    [500, 503],
    [502, 503],
  ])('of the upstream with %i are answered with %i, and show no address', async (status, answered) => {
    const base = await serve((server) => {
      server.on('request', (_request, response) =>
        response.writeHead(status).end('{"detail":"http://10.0.0.1 sk-canary"}'),
      )
    })
    const gateway = await startGateway({
      retry: { attempts: 1 },
      authorize: () => ({ base, key: 'sk-canary', userId: 'ada' }),
    })
    const { status: got, body } = await ask(gateway, 'POST')
    expect(got).toBe(answered)
    expect(JSON.stringify(body)).not.toMatch(/10\.0|canary|127\.0/)
    expect(gateway.gateway.sessions).toEqual([])
  })

  it('of an upstream that cannot be reached is 503', async () => {
    const base = await nobody()
    const gateway = await startGateway({ retry: { attempts: 1 }, authorize: () => ({ base, userId: 'ada' }) })
    expect(await ask(gateway, 'POST')).toMatchObject({
      status: 503,
      body: { error: 'Terminal instance not reachable' },
    })
  })
})
