import { request, type IncomingMessage, type RequestOptions } from 'node:http'
import type { Duplex } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { connectTerminal } from '../../src/index.ts'
import type { TestUpstream } from '../../src/testing.ts'
import { handshakes, operations } from '../support/requests.ts'
import { open, refusalOf } from '../support/terminal.ts'
import { clientOf, serve, until, upstreamOf } from '../support/upstream.ts'

const release = 'open-terminal@0.14.5'

/** Starts two servers, and a proxy that sends each request to the one that `pick` names. */
async function replicas(pick: (turn: number, method: string) => number): Promise<[string, TestUpstream[]]> {
  const servers = [await upstreamOf({ release }), await upstreamOf({ release })]
  let turn = 0
  const toServer = ({ url, method = '', headers }: IncomingMessage): [string, RequestOptions] => {
    const server = servers[pick(turn++, headers.upgrade ? 'attach' : method)]
    return [`${server?.url}${url}`, { method, headers }]
  }
  const base = await serve((proxy) => {
    proxy.on('request', (incoming, response) => {
      const outgoing = request(...toServer(incoming), (answer) => {
        response.writeHead(Number(answer.statusCode), answer.headers)
        answer.pipe(response)
      })
      incoming.pipe(outgoing)
    })
    proxy.on('upgrade', (incoming: IncomingMessage, socket: Duplex) => {
      const outgoing = request(...toServer(incoming))
      outgoing.on('response', ({ statusCode }) => {
        socket.end(`HTTP/1.1 ${statusCode} Refused\r\nContent-Length: 0\r\n\r\n`)
      })
      outgoing.on('upgrade', ({ headers }, other) => {
        const lines = Object.entries(headers).map(([name, value]) => `${name}: ${String(value)}`)
        socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join('\r\n')}\r\n\r\n`)
        socket.pipe(other).pipe(socket)
        for (const each of [socket, other]) each.on('error', () => {})
      })
      outgoing.end()
    })
  })
  return [base, servers]
}

/** Whether a server was sent the key in a URL. */
function sawKey(servers: TestUpstream[]): boolean {
  return servers.flatMap(handshakes).some(({ query }) => 'token' in query)
}

// PROTOCOL 3.8
describe('connectTerminal, when two servers answer in turn,', () => {
  it('tries again, says what may be wrong, keeps the key out of the URL, and leaves no session', async () => {
    const [base, servers] = await replicas((turn) => turn % 2)
    const error = await refusalOf({ url: base }, { retry: { attempts: 3, delay: 1 } })
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_UNAVAILABLE', status: 403 })
    expect(error.message).toContain('Perhaps several servers answer at `base`')
    expect(servers.flatMap(handshakes)).toHaveLength(3)
    expect(sawKey(servers)).toBe(false)
    await until(() => servers.every(({ sessions }) => sessions.length === 0))
  })

  it('attaches when the right one answers, and deletes the session that the other did not know', async () => {
    // The first session is looked for on the other server, and the second on its own.
    const [base, servers] = await replicas((turn, method) => (method === 'DELETE' || turn === 0 ? 0 : 1))
    const terminal = await connectTerminal({ ...clientOf({ url: base }), retry: { attempts: 3, delay: 1 } })
    await until(() => servers[0]?.sessions.length === 0)
    expect(servers[1]?.sessions.map(({ id }) => id)).toEqual([terminal.sessionId])
    expect(sawKey(servers)).toBe(false)
  })

  it('says so, too, when no server knows the session', async () => {
    const [base] = await replicas((_turn, method) => (['POST', 'DELETE'].includes(method) ? 0 : 1))
    const error = await refusalOf({ url: base }, { retry: { attempts: 2, delay: 1 } })
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_NOT_FOUND' })
    expect(error.message).toContain('Perhaps several servers answer at `base`')
  })
})

it('connectTerminal tries again after HTTP 404 to the handshake of a session that was just created', async () => {
  const { upstream } = await open({ faults: { attach: [{ refuse: 404 }] } }, { retry: { delay: 1 } })
  expect(handshakes(upstream)).toHaveLength(2)
})

// PROTOCOL 2.7: where the chat is the id of the session, the second has the same, and must not be deleted.
it.each([
  [2, 'the session', {}, {}],
  [1, 'the session of a chat', { release: 'open-terminal@0.11' }, { chatId: '7' }],
] as const)('connectTerminal sends %i DELETEs when a server has denied %s', async (count, _what, server, client) => {
  const faults = { attach: [{ refuse: 403 }], get: [{ refuse: 404, body: '{"error":"Session not found"}' }] }
  const { upstream, terminal } = await open({ ...server, faults }, { ...client, retry: { delay: 1 } })
  await terminal.close()
  await until(() => upstream.sessions.length === 0)
  expect(operations(upstream).filter((name) => name !== 'GET')).toEqual(
    ['POST', 'attach', 'POST', 'attach', 'DELETE', 'DELETE'].slice(0, 4 + count),
  )
})
