import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import type { ConnectTerminalOptions } from '../../src/index.ts'
import { proxyTerminal, type ClientSocket, type ProxyOptions } from '../../src/proxy.ts'
import type { TestUpstream } from '../../src/testing.ts'
import {
  CLIENT_AUTH,
  clientTo,
  connectBothSides,
  deletions,
  framesOf,
  join,
  PROXY_AUTH,
  startProxy,
  summaryOf,
  type ProxyClient,
} from '../support/proxy.ts'
import { runningTimers } from '../support/timers.ts'
import { clientOf, releases, until, upstreamOf, withoutCanary } from '../support/upstream.ts'

describe('proxyTerminal', () => {
  it('joins a client on every release, with and without authorize', async () => {
    const joined = releases.flatMap((release) =>
      [false, true].map(async (authorizes) => {
        const upstream = await upstreamOf({ release })
        const options = clientOf(upstream)
        const proxy = await startProxy(() => (authorizes ? { authorize: () => options } : options))
        const { ws, printed, closed } = await clientTo(proxy)
        if (authorizes) ws.send(CLIENT_AUTH)
        ws.send('{"type":"resize","cols":132,"rows":50}')
        ws.send(Buffer.from('hello'))
        await printed('hello')
        expect(framesOf(upstream)).toEqual([[PROXY_AUTH, '{"type":"resize","cols":132,"rows":50}', 'hello']])
        ws.close(1000)
        await closed
        const summary = await summaryOf(proxy)
        expect(summary).toMatchObject({ endedBy: 'client', code: 1000, dropped: 0 })
        expect(summary).not.toHaveProperty('error')
        expect([upstream.sessions, deletions(upstream)]).toEqual([[], 1])
      }),
    )
    await Promise.all(joined)
  })

  it('loses no message of a client that was paused until the call', async () => {
    const upstream = await upstreamOf()
    const { socket, client } = await connectBothSides((ws) => ws.pause())
    client.ws.send(CLIENT_AUTH)
    await new Promise((resolve) => client.ws.send(Buffer.from('hello'), resolve))
    const summary = proxyTerminal(socket, { authorize: () => clientOf(upstream) })
    await client.printed('hello')
    client.ws.close()
    expect(await summary).toMatchObject({ endedBy: 'client', bytesToUpstream: 5 })
  })

  it('opens no terminal for a client that is closing or closed', async () => {
    const upstream = await upstreamOf()
    const { socket, client } = await connectBothSides()
    socket.close(1001)
    const closing = proxyTerminal(socket, clientOf(upstream))
    await client.closed
    expect(await closing).toMatchObject({ endedBy: 'client', bytesToClient: 0 })
    expect(await proxyTerminal(socket, clientOf(upstream))).toMatchObject({ endedBy: 'client', code: 1006 })
    const authorize = vi.fn(() => clientOf(upstream))
    expect(await proxyTerminal(socket, { authorize })).toMatchObject({ endedBy: 'client', code: 1006 })
    expect(authorize).not.toHaveBeenCalled()
    // A request for a session would have come by then. There is no event to await.
    await sleep(20)
    expect(upstream.requests).toEqual([])
  })

  const leave = ({ ws }: ProxyClient): void => ws.close()

  it.each<[string, (options: ConnectTerminalOptions) => ProxyOptions, (client: ProxyClient, up: TestUpstream) => void]>(
    [
      ['the client has left', (options) => options, leave],
      ['an authorized client has left', (options) => ({ authorize: () => options }), leave],
      ['the upstream has closed', (options) => options, (_client, { sessions }) => sessions[0]?.close(1001)],
      ['authorize has refused', () => ({ authorize: () => Promise.reject(new Error('no')) }), () => {}],
    ],
  )(
    'leaves no listener and no timer when %s',
    async (_what, optionsFor, end) => {
      const upstream = await upstreamOf()
      const { socket, client } = await connectBothSides()
      const listeners = socket.eventNames()
      const summary = proxyTerminal(socket, optionsFor(clientOf(upstream)))
      client.ws.send(CLIENT_AUTH)
      client.ws.send(Buffer.from('x'))
      await Promise.race([client.printed('x'), client.closed])
      end(client, upstream)
      await summary
      expect(socket.eventNames()).toEqual(listeners)
      // The upstream and the client run in this process. Their timers end within the time limit of this test, and those
      // of the proxy would not. (`expect.poll` would add a timer.)
      while (runningTimers() > 0) await turn()
    },
    3_000,
  )

  it('joins a client whose socket hides its TCP socket', async () => {
    const upstream = await upstreamOf()
    const { client, socket } = await connectBothSides()
    const withoutTcp = new Proxy(socket, {
      get(target, name) {
        const value: unknown = name === '_socket' ? undefined : Reflect.get(target, name)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    const summary = proxyTerminal(withoutTcp, clientOf(upstream))
    client.ws.send(Buffer.from('hello'))
    await client.printed('hello')
    client.ws.close()
    expect(await summary).toMatchObject({ endedBy: 'client', bytesToClient: 5 })
  })

  it("keeps the caller's listeners on the client's socket", async () => {
    const upstream = await upstreamOf()
    const proxy = await startProxy(() => clientOf(upstream))
    const client = await clientTo(proxy)
    const [served] = proxy.served
    const heard: string[] = []
    served?.socket.on('message', (data) => heard.push(String(data)))
    client.ws.send(Buffer.from('hello'))
    await client.printed('hello')
    client.ws.close()
    await served?.summary
    expect(heard).toEqual(['hello'])
    expect(served?.socket.listenerCount('message')).toBe(1)
  })

  it.each<[string, unknown]>([
    ['undefined', undefined],
    ['null', null],
    ['a request', { url: '/' }],
  ])('throws a TypeError when the client is %s', (_what, client) => {
    const joining = (): unknown => proxyTerminal(client as ClientSocket, { base: 'http://127.0.0.1', userId: 'ada' })
    expect(joining).toThrow(expect.objectContaining({ name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' }))
  })
})

describe('the summary', () => {
  it('counts bytes in each direction and dropped text frames, and names the session', async () => {
    const { ws, printed, session, served } = await join()
    const { id } = session
    ws.send('{"type":"ping"}')
    ws.send('1')
    ws.send('[]')
    ws.send('{"type":"resize","cols":null}')
    ws.send(Buffer.from('é'))
    await printed('é')
    await session.output('more')
    await printed('more')
    ws.close(3001, 'enough')
    expect(await served.summary).toStrictEqual({
      endedBy: 'client',
      code: 3001,
      reason: 'enough',
      sessionId: id,
      bytesToClient: 6,
      bytesToUpstream: 17,
      inputDropped: 0,
      dropped: 3,
    })
  })

  it('names no session when the client left before the terminal was open', async () => {
    const upstream = await upstreamOf({ faults: { attach: 'stall' } })
    const proxy = await startProxy(() => clientOf(upstream))
    const { ws, closed } = await clientTo(proxy)
    await until(() => upstream.sessions.length === 1)
    ws.close()
    await closed
    expect(withoutCanary(await summaryOf(proxy))).toStrictEqual({
      endedBy: 'client',
      code: 1005,
      reason: '',
      bytesToClient: 0,
      bytesToUpstream: 0,
      inputDropped: 0,
      dropped: 0,
    })
    expect(upstream.sessions).toEqual([])
  })
})
