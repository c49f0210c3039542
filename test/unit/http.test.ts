import { once } from 'node:events'
import http, { type Server, type ServerResponse } from 'node:http'
import https from 'node:https'
import { createServer, type Socket } from 'node:net'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { LONGEST_ANSWER_CHARS, type SendHttp } from '../../src/upstream/http.ts'
import { sendHttp as sendByFetch } from '../../src/upstream/http-fetch.ts'
import { sendHttp as sendByNode } from '../../src/upstream/http-node.ts'
import { certificate, privateKey } from '../support/certificate.ts'
import { flood } from '../support/frames.ts'
import { afterwards, listen, nobody, serve } from '../support/upstream.ts'

const transports: ReadonlyArray<[string, SendHttp]> = [
  ['node', sendByNode],
  ['fetch', sendByFetch],
]
const get = { method: 'GET', headers: {}, ownConnection: false }

function answer(respond: (response: ServerResponse) => void): Promise<string> {
  return serve((server) => server.on('request', (_request, response) => respond(response)))
}

describe.each(transports)('the %s transport', (_name, sendHttp) => {
  it('sends the method and the headers, and returns the status, the headers and the body', async () => {
    const url = await serve((server) => {
      server.on('request', ({ method, headers }, response) => {
        response.writeHead(201, { 'x-answer': 'grüezi' })
        response.end([method, headers['x-user-id'], headers['content-length']].join(' '))
      })
    })
    const { status, header, body } = await sendHttp(url, { ...get, method: 'POST', headers: { 'X-User-Id': 'adaü' } })
    expect({ status, body }).toEqual({ status: 201, body: 'POST adaü 0' })
    expect(header('x-answer')).toBe('grüezi')
    expect(header('x-nothing')).toBeUndefined()
  })

  it('sends a body, text or bytes, and reads as much of the answer as is wanted', async () => {
    const url = await serve((server) => {
      server.on('request', (request, response) => request.pipe(response))
    })
    const post = { ...get, method: 'POST' }
    expect((await sendHttp(url, { ...post, body: 'grüezi' })).body).toBe('grüezi')
    expect((await sendHttp(url, { ...post, body: Uint8Array.of(104, 105) })).body).toBe('hi')
    const long = 'x'.repeat(3 * LONGEST_ANSWER_CHARS)
    expect((await sendHttp(url, { ...post, body: long, longest: 2 * long.length })).body).toHaveLength(long.length)
  })

  it('does not follow a redirect', async () => {
    const url = await answer((response) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end())
    const { status, header } = await sendHttp(url, get)
    expect([status, header('location')]).toEqual([302, 'http://127.0.0.1:1/'])
  })

  it('reads UTF-8 that is split between two packets', async () => {
    const [first, second] = [Buffer.from('grü').subarray(0, 3), Buffer.from('grü').subarray(3)]
    const url = await answer((response) => {
      // No event tells that the client has read the first packet. Without a pause, it may read both at once.
      response.write(first, () => setTimeout(() => response.end(second), 20))
    })
    expect((await sendHttp(url, get)).body).toBe('grü')
  })

  it('stops reading an endless body', async () => {
    const url = await answer((response) => flood(response, Buffer.alloc(64 * 1024, 'x')))
    const { body } = await sendHttp(url, get)
    expect(body.length).toBeGreaterThanOrEqual(LONGEST_ANSWER_CHARS)
    expect(body.length).toBeLessThan(2 * LONGEST_ANSWER_CHARS)
  })

  it('rejects with ECONNREFUSED when the connection is refused', async () => {
    const error: unknown = await sendHttp(await nobody(), get).catch((problem: unknown) => problem)
    expect(error).toSatisfy((problem: { code?: string; cause?: { code?: string } }) =>
      [problem.code, problem.cause?.code].includes('ECONNREFUSED'),
    )
  })

  it('rejects when the body is cut', async () => {
    const url = await answer((response) => {
      response.writeHead(200, { 'content-length': '100' })
      response.write('half', () => response.destroy())
    })
    await expect(sendHttp(url, get)).rejects.toThrow()
  })

  it('ends the request when the signal aborts', async () => {
    let gone: Promise<unknown> = Promise.resolve()
    const controller = new AbortController()
    const url = await serve((server) => {
      server.on('request', ({ socket }) => {
        gone = once(socket, 'close')
        controller.abort()
      })
    })
    await expect(sendHttp(url, { ...get, signal: controller.signal })).rejects.toThrow()
    await gone
  })
})

describe('the node transport', () => {
  it('rejects when the answer is 101', async () => {
    const server = createServer((socket) => {
      socket.once('data', () =>
        socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'),
      )
      socket.on('error', () => {})
    })
    afterwards(server)
    await expect(sendByNode(await listen(server), get)).rejects.toMatchObject({ code: 'ECONNRESET' })
  })

  it('does not decompress a body', async () => {
    const url = await answer((response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('{}'))
    })
    expect((await sendByNode(url, get)).body).not.toBe('{}')
  })

  it('opens a new connection for each request with ownConnection, and reuses one for the others', async () => {
    const used = new Set<Socket>()
    const url = await serve((server: Server) => {
      server.on('request', ({ socket }, response) => {
        used.add(socket)
        response.end()
      })
    })
    for (const ownConnection of [false, false, true, true]) await sendByNode(url, { ...get, ownConnection })
    expect(used.size).toBe(3)
  })

  it('gets every connection from the global agent when that is of another class', async () => {
    class Counting extends http.Agent {
      asked = 0
      addRequest(...request: unknown[]): void {
        this.asked += 1
        Reflect.get(http.Agent.prototype, 'addRequest').apply(this, request)
      }
    }
    const { globalAgent } = http
    afterwards({ close: () => (http.globalAgent = globalAgent) })
    const agent = new Counting()
    http.globalAgent = agent
    const url = await answer((response) => response.end())
    await sendByNode(url, get)
    await sendByNode(url, { ...get, ownConnection: true })
    expect(agent.asked).toBe(2)
  })

  it('verifies certificates as the global agent does, also with ownConnection', async () => {
    const server = https.createServer({ key: privateKey, cert: certificate }, (_request, response) => {
      response.end('secure')
    })
    const url = (await listen(server)).replace('http', 'https')
    const { options } = https.globalAgent
    afterwards({
      close() {
        delete options.ca
        https.globalAgent.destroy()
        server.close()
      },
    })
    const own = { ...get, ownConnection: true }
    await expect(sendByNode(url, get)).rejects.toMatchObject({ code: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
    await expect(sendByNode(url, own)).rejects.toMatchObject({ code: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
    options.ca = certificate
    expect((await sendByNode(url, get)).body).toBe('secure')
    expect((await sendByNode(url, own)).body).toBe('secure')
  })
})
