import { once } from 'node:events'
import { Agent, request, type IncomingMessage } from 'node:http'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { TestFaults, TestOperation, TestUpstream } from '../../src/testing.ts'
import { API, attach, create, dial, releases, start, withDefaults } from '../support/raw-client.ts'

interface KeepAliveAnswer {
  status: number | undefined
  body: string
  /** Whether the connection has carried an earlier request. */
  reused: boolean
}

/** Creates a client with a single kept-alive connection. */
function keepAliveClient(): {
  agent: Agent
  send: (upstream: TestUpstream, method: string, path?: string) => Promise<KeepAliveAnswer>
} {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  onTestFinished(() => agent.destroy())
  async function send({ url }: TestUpstream, method: string, path = ''): Promise<KeepAliveAnswer> {
    const asking = request(url + API + path, { method, agent, headers: withDefaults({}) }).end()
    const [response] = (await once(asking, 'response')) as [IncomingMessage]
    const body = Buffer.concat(await response.toArray()).toString()
    return { status: response.statusCode, body, reused: asking.reusedSocket }
  }
  return { agent, send }
}

const RESET = { code: 'ECONNRESET' }

// PROTOCOL 2.9
describe('the fault expire', () => {
  it.each<[operation: TestOperation, method: string, hasId: boolean, sessions: number]>([
    ['create', 'POST', false, 2],
    ['list', 'GET', false, 1],
    ['get', 'GET', true, 1],
    ['delete', 'DELETE', true, 0],
  ])(
    'lets the answer to %s arrive, and resets the next request on the connection',
    async (operation, method, hasId, sessions) => {
      const faults: TestFaults = {}
      const upstream = await start({ faults })
      const { id } = await create(upstream)
      faults[operation] = 'expire'
      const { send } = keepAliveClient()
      const path = hasId ? `/${id}` : ''
      expect(await send(upstream, method, path)).toMatchObject({ status: 200, reused: false })
      expect(upstream.sessions.length).toBe(sessions)
      const requests = upstream.requests.length
      await expect(send(upstream, 'POST')).rejects.toMatchObject(RESET)
      expect(upstream.sessions.length).toBe(sessions)
      expect(upstream.requests.length).toBe(requests)
      delete faults[operation]
      expect(await send(upstream, 'POST')).toMatchObject({ status: 200, reused: false })
      expect(upstream.sessions.length).toBe(sessions + 1)
    },
  )

  it('gives the same answer as without the fault', async () => {
    const upstream = await start({ faults: { get: 'expire' } })
    const { send } = keepAliveClient()
    expect(await send(upstream, 'GET', '/nowhere')).toMatchObject({
      status: 404,
      body: '{"error":"Session not found"}',
    })
    expect(upstream.requests).toMatchObject([{ status: 404 }])
    await expect(send(upstream, 'GET', '/nowhere')).rejects.toMatchObject(RESET)
  })

  it('does not affect another connection', async () => {
    const upstream = await start({ faults: { list: ['expire'] } })
    const [expired, other] = [keepAliveClient(), keepAliveClient()]
    await other.send(upstream, 'POST')
    await expired.send(upstream, 'GET')
    expect(await other.send(upstream, 'GET')).toMatchObject({ status: 200, reused: true })
  })

  it('does not use up the next fault for a request on a forgotten connection', async () => {
    const upstream = await start({ faults: { list: ['expire', { refuse: 502 }] } })
    const { send } = keepAliveClient()
    await send(upstream, 'GET')
    await expect(send(upstream, 'GET')).rejects.toMatchObject(RESET)
    expect(await send(upstream, 'GET')).toMatchObject({ status: 502 })
  })

  it('resets a handshake on a forgotten connection', async () => {
    const upstream = await start({ faults: { list: 'expire' } })
    const { id } = await create(upstream)
    const { agent, send } = keepAliveClient()
    await send(upstream, 'GET')
    const requests = upstream.requests.length
    expect(await dial(upstream, id, { options: { agent } }).ended).toMatch(/ECONNRESET|socket hang up/)
    expect(upstream.requests.length).toBe(requests)
  })

  it.each(releases)('lets an attach on %s succeed', async (release) => {
    const upstream = await start({ release, faults: { attach: 'expire' } })
    const socket = await attach(upstream)
    socket.ws.send(Buffer.from('x'))
    await socket.printed('x')
  })
})
