import { once } from 'node:events'
import { Agent, request, type IncomingMessage } from 'node:http'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { TestFaults, TestOperation, TestUpstream } from '../../src/testing.ts'
import { API, attach, create, dial, releases, start, withDefaults } from '../support/raw-client.ts'

/**
 * Creates a client with a single kept-alive connection. `send` resolves with the status, or the code of the failure.
 */
function keepAliveClient(): {
  agent: Agent
  send: (upstream: TestUpstream, method: string, path?: string) => Promise<string>
} {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  onTestFinished(() => agent.destroy())
  async function send({ url }: TestUpstream, method: string, path = ''): Promise<string> {
    const asking = request(url + API + path, { method, agent, headers: withDefaults({}) }).end()
    try {
      const [response] = (await once(asking, 'response')) as [IncomingMessage]
      await response.toArray()
      return `${response.statusCode}${asking.reusedSocket ? ', reused' : ''}`
    } catch (error) {
      return String(Reflect.get(Object(error), 'code'))
    }
  }
  return { agent, send }
}

describe('the fault expire (PROTOCOL 2.9)', () => {
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
      expect(await send(upstream, method, hasId ? `/${id}` : '')).toBe('200')
      expect(upstream.sessions.length).toBe(sessions)
      const requests = upstream.requests.length
      expect(await send(upstream, 'POST')).toBe('ECONNRESET')
      expect(upstream.sessions.length).toBe(sessions)
      expect(upstream.requests.length).toBe(requests)
      delete faults[operation]
      expect(await send(upstream, 'POST')).toBe('200')
      expect(upstream.sessions.length).toBe(sessions + 1)
    },
  )

  it('affects neither the answer, nor another connection, nor the next fault', async () => {
    const upstream = await start({ faults: { get: ['expire', { refuse: 502 }] } })
    const [expired, other] = [keepAliveClient(), keepAliveClient()]
    expect(await other.send(upstream, 'GET')).toBe('200')
    expect(await expired.send(upstream, 'GET', '/nowhere')).toBe('404')
    expect(await expired.send(upstream, 'GET', '/nowhere')).toBe('ECONNRESET')
    expect(await other.send(upstream, 'GET')).toBe('200, reused')
    expect(await expired.send(upstream, 'GET', '/nowhere')).toBe('502')
  })

  it('resets a handshake that reuses the connection', async () => {
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
