import { once } from 'node:events'
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import { describe, expect, it, vi } from 'vitest'
import { createTerminalGateway, type TerminalGateway } from '../../src/gateway.ts'
import { Deferred } from '../../src/lib/deferred.ts'
import { recordRefusals } from '../support/gateway-events.ts'
import { failOnUnhandledErrors } from '../support/proxy-unhandled.ts'
import { KIB } from '../support/proxy.ts'
import { as, ask, createAs, startGateway } from '../support/terminal-gateway.ts'
import { afterwards, clientOf, listen, nobody, until, upstreamOf } from '../support/upstream.ts'

failOnUnhandledErrors()

/** A function that is told when it may return what it is asked for. */
function gate(): { wait: () => Promise<void>; open: () => void; asked: Promise<void> } {
  const [opened, asked] = [new Deferred(), new Deferred()]
  return {
    asked: asked.promise,
    open: () => opened.resolve(),
    wait() {
      asked.resolve()
      return opened.promise
    },
  }
}

/** Starts a gateway in a framework of its own, which calls `handle` for each request. */
async function inFramework(
  gateway: TerminalGateway,
  handle: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<{ base: string }> {
  const server = createServer(handle)
  afterwards({
    async close() {
      await gateway.close({ timeout: 0 })
      server.closeAllConnections()
      server.close()
    },
  })
  return { base: await listen(server) }
}

describe('a response that a framework has sent', () => {
  it.each(['GET', 'POST', 'PUT', 'OPTIONS'])('before the gateway gets the %s stays as it is', async (method) => {
    let asked = 0
    const gateway = createTerminalGateway({ authorize: () => Promise.reject(new Error(`${(asked += 1)}`)) })
    const answers: boolean[] = []
    const served = await inFramework(gateway, (request, response) => {
      response.writeHead(202).end('{}')
      answers.push(gateway.handleRequest(request, response))
    })
    expect((await ask(served, method)).status).toBe(202)
    expect([answers, asked]).toEqual([[true], 0])
  })

  it('while `authorize` works, or while the session is opened, leaves no session', async () => {
    for (const authorizeFirst of [true, false]) {
      const { wait, open, asked } = gate()
      const upstream = await upstreamOf({ faults: { create: { delay: authorizeFirst ? 0 : 50 } } })
      const gateway = createTerminalGateway({
        async authorize() {
          if (authorizeFirst) await wait()
          return clientOf(upstream)
        },
        settle: 50,
      })
      const served = await inFramework(gateway, (request, response) => {
        gateway.handleRequest(request, response)
        const answer = (): unknown => response.writeHead(504).end('{}')
        if (request.method !== 'POST') return
        if (authorizeFirst) void asked.then(answer)
        else void until(() => upstream.requests.length > 0).then(answer)
      })
      expect((await ask(served, 'POST')).status).toBe(504)
      open()
      expect((await ask(served, 'GET')).body).toEqual([])
      await until(() => upstream.sessions.length === 0 && gateway.sessions.length === 0)
    }
  })
})

describe('a client that hangs up', () => {
  it('while `authorize` works gets no session', async () => {
    const { wait, open, asked } = gate()
    const upstream = await upstreamOf()
    let socket: Socket | undefined
    const gateway = await startGateway({
      async authorize({ userId = 'ada', request: { socket: used } }) {
        if (userId === 'ada') {
          socket = used
          await wait()
        }
        return { ...clientOf(upstream), userId }
      },
    })
    const request = httpRequest(`${gateway.base}/api/terminals`, { method: 'POST', headers: as('ada'), agent: false })
    request.on('error', () => {}).end()
    await asked
    request.destroy()
    await until(() => socket?.destroyed === true)
    open()
    await ask(gateway, 'GET', '', { 'X-User-Id': 'eve' })
    expect([upstream.requests, gateway.gateway.sessions]).toEqual([[], []])
  })

  it('or is answered with 413 while `authorize` works gets no session', async () => {
    const { wait, open } = gate()
    const upstream = await upstreamOf()
    const gateway = await startGateway({
      async authorize() {
        await wait()
        return clientOf(upstream)
      },
    })
    const request = httpRequest(`${gateway.base}/api/terminals`, { method: 'POST', headers: as('ada'), agent: false })
    request.on('error', () => {}).end('x'.repeat(65 * KIB))
    const [{ statusCode, headers }] = await once(request, 'response')
    expect([statusCode, headers.connection]).toEqual([413, 'close'])
    open()
    await ask(gateway, 'GET')
    expect([upstream.requests, gateway.gateway.sessions]).toEqual([[], []])
  })

  it('before its answer has left has no session', async () => {
    const upstream = await upstreamOf()
    const gateway = createTerminalGateway({ authorize: () => clientOf(upstream), settle: 50 })
    const served = await inFramework(gateway, (request, response) => {
      // The connection is lost in the moment of the answer.
      vi.spyOn(response, 'writeHead').mockImplementationOnce((status) => {
        request.socket.destroy()
        return response.writeHead(status)
      })
      gateway.handleRequest(request, response)
    })
    await expect(ask(served, 'POST')).rejects.toThrow()
    await until(() => upstream.requests.some(({ method }) => method === 'DELETE'))
    await until(() => upstream.sessions.length === 0 && gateway.sessions.length === 0)
  })
})

describe('a request that offers another protocol', () => {
  it.each(['h2c', 'TLS/1.0, HTTP/1.1'])('%s is answered as if it had not', async (protocol) => {
    const gateway = await startGateway()
    const id = await createAs(gateway)
    for (const [line, status] of [
      ['POST /api/terminals', 200],
      ['GET /api/terminals', 200],
      [`GET /api/terminals/${id}`, 200],
      ['GET /api/terminals/other', 404],
      ['PUT /api/terminals', 405],
    ]) {
      const socket = connect(Number(new URL(gateway.base).port), '127.0.0.1')
      const upgrade = `Connection: Upgrade, HTTP2-Settings\r\nUpgrade: ${protocol}\r\nHTTP2-Settings: AA\r\n`
      socket.write(
        `${line} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer jwt-ada\r\n${upgrade}Content-Length: 2\r\n\r\n{}`,
      )
      const answer = Buffer.concat(await socket.toArray()).toString()
      expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
      expect(answer).toContain('Connection: close')
    }
    expect(gateway.gateway.sessions).toHaveLength(2)
  })

  it('is answered with 503 while the gateway closes', async () => {
    const gateway = await startGateway()
    await gateway.gateway.close()
    const request = httpRequest(`${gateway.base}/api/terminals`, {
      headers: { Connection: 'Upgrade', Upgrade: 'h2c' },
      agent: false,
    }).end()
    const [{ statusCode }] = await once(request, 'response')
    expect(statusCode).toBe(503)
  })
})

describe('when a client leaves before its upstream has answered, the operator is told', () => {
  it('why the last try has failed', async () => {
    const refusals = recordRefusals()
    const base = await nobody()
    const gateway = await startGateway({ retry: { delay: 60_000 }, authorize: () => ({ base, userId: 'ada' }) })
    // Nothing tells when the first try has failed: a client that was too early comes again.
    let patience = 50
    await expect
      .poll(
        async () => {
          const signal = AbortSignal.timeout((patience *= 2))
          await expect(fetch(`${gateway.base}/api/terminals`, { method: 'POST', signal })).rejects.toThrow()
          return refusals.at(-1)
        },
        { timeout: 9_000 },
      )
      .toMatchObject({
        reason: 'upstream',
        status: 503,
        userId: 'ada',
        error: { code: 'ERR_TERMINAL_UNAVAILABLE', message: expect.stringContaining('ECONNREFUSED') },
      })
  })

  it('what the gateway was waiting for, if no try has failed', async () => {
    const refusals = recordRefusals()
    const upstream = await upstreamOf({ faults: { create: { delay: 60_000 } } })
    const gateway = await startGateway({ authorize: () => clientOf(upstream) })
    const leaving = new AbortController()
    const answer = fetch(`${gateway.base}/api/terminals`, { method: 'POST', signal: leaving.signal })
    await until(() => upstream.requests.length === 1)
    leaving.abort()
    await expect(answer).rejects.toThrow()
    await until(() => refusals.length === 1)
    expect(refusals).toMatchObject([
      {
        reason: 'upstream',
        status: 504,
        error: { message: expect.stringContaining('the client has left while the gateway was asking for a session. ') },
      },
    ])
  })

  it('nothing if the client has left by itself before the upstream was asked', async () => {
    const refusals = recordRefusals()
    const upstream = await upstreamOf()
    const letIn: Array<() => void> = []
    const sockets: Socket[] = []
    const gateway = await startGateway({
      authorize: async ({ request }) => {
        sockets.push(request.socket)
        await new Promise<void>((resolve) => letIn.push(resolve))
        return clientOf(upstream)
      },
    })
    const leaving = new AbortController()
    const left = fetch(`${gateway.base}/api/terminals`, { method: 'POST', signal: leaving.signal })
    await until(() => letIn.length === 1)
    leaving.abort()
    await expect(left).rejects.toThrow()
    await until(() => sockets[0]?.destroyed === true)
    const next = ask(gateway, 'GET')
    await until(() => letIn.length === 2)
    for (const each of letIn) each()
    await next
    expect(refusals).toEqual([])
    expect(upstream.requests).toEqual([])
  })
})
