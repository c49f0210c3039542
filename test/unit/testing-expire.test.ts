import { once } from 'node:events'
import { Agent, request, type IncomingMessage } from 'node:http'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { TestFaults, TestOperation, TestUpstream } from '../../src/testing.ts'
import { API, attach, create, dial, releases, start, withDefaults } from '../support/raw-client.ts'

interface Answer {
  status: number | undefined
  body: string
  /** Whether the connection had carried a request before. */
  reused: boolean
}

/** A client that has one connection, and keeps it as long as the upstream does. */
function keepingClient(): {
  agent: Agent
  send: (upstream: TestUpstream, method: string, path?: string) => Promise<Answer>
} {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  onTestFinished(() => agent.destroy())
  async function send({ url }: TestUpstream, method: string, path = ''): Promise<Answer> {
    const asking = request(url + API + path, { method, agent, headers: withDefaults({}) }).end()
    const [response] = (await once(asking, 'response')) as [IncomingMessage]
    const body = Buffer.concat(await response.toArray()).toString()
    return { status: response.statusCode, body, reused: asking.reusedSocket }
  }
  return { agent, send }
}

const RESET = { code: 'ECONNRESET' }

describe('expire', () => {
  it.each<[operation: TestOperation, method: string, hasId: boolean, sessions: number]>([
    ['create', 'POST', false, 2],
    ['list', 'GET', false, 1],
    ['get', 'GET', true, 1],
    ['delete', 'DELETE', true, 0],
  ])(
    'the answer to %s arrives, and the next request on the connection is reset',
    async (operation, method, hasId, sessions) => {
      const faults: TestFaults = {}
      const upstream = await start({ faults })
      const { id } = await create(upstream)
      faults[operation] = 'expire'
      const { send } = keepingClient()
      const path = hasId ? `/${id}` : ''
      expect(await send(upstream, method, path)).toMatchObject({ status: 200, reused: false })
      expect(upstream.sessions.length).toBe(sessions)
      const asked = upstream.requests.length
      await expect(send(upstream, 'POST')).rejects.toMatchObject(RESET)
      expect(upstream.sessions.length).toBe(sessions)
      expect(upstream.requests.length).toBe(asked)
      delete faults[operation]
      expect(await send(upstream, 'POST')).toMatchObject({ status: 200, reused: false })
      expect(upstream.sessions.length).toBe(sessions + 1)
    },
  )

  it('an answer is what it would have been without the fault', async () => {
    const upstream = await start({ faults: { get: 'expire' } })
    const { send } = keepingClient()
    expect(await send(upstream, 'GET', '/nowhere')).toMatchObject({
      status: 404,
      body: '{"error":"Session not found"}',
    })
    expect(upstream.requests).toMatchObject([{ status: 404 }])
    await expect(send(upstream, 'GET', '/nowhere')).rejects.toMatchObject(RESET)
  })

  it('another connection stays', async () => {
    const upstream = await start({ faults: { list: ['expire'] } })
    const [expired, other] = [keepingClient(), keepingClient()]
    await other.send(upstream, 'POST')
    await expired.send(upstream, 'GET')
    expect(await other.send(upstream, 'GET')).toMatchObject({ status: 200, reused: true })
  })

  it('a request on a forgotten connection does not use up a fault', async () => {
    const upstream = await start({ faults: { list: ['expire', { refuse: 502 }] } })
    const { send } = keepingClient()
    await send(upstream, 'GET')
    await expect(send(upstream, 'GET')).rejects.toMatchObject(RESET)
    expect(await send(upstream, 'GET')).toMatchObject({ status: 502 })
  })

  it('a handshake on a forgotten connection is reset', async () => {
    const upstream = await start({ faults: { list: 'expire' } })
    const { id } = await create(upstream)
    const { agent, send } = keepingClient()
    await send(upstream, 'GET')
    const asked = upstream.requests.length
    expect(await dial(upstream, id, { options: { agent } }).ended).toMatch(/ECONNRESET|socket hang up/)
    expect(upstream.requests.length).toBe(asked)
  })

  it.each(releases)('an attach on %s goes well', async (release) => {
    const upstream = await start({ release, faults: { attach: 'expire' } })
    const socket = await attach(upstream)
    socket.ws.send(Buffer.from('x'))
    await socket.printed('x')
  })
})
