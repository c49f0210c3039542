import { once } from 'node:events'
import { expect, it } from 'vitest'
import { WebSocketServer, type WebSocket } from 'ws'
import { proxyTerminal, type ClientSocket } from '../../src/proxy.ts'
import { createClientLeg } from '../../src/proxy/client-leg.ts'
import { clientTo, startProxy, type ProxyClient } from '../support/proxy.ts'
import { pair } from '../support/proxy-pair.ts'
import { clientOf, serve, upstreamOf } from '../support/upstream.ts'

/** Both sides of a connection. */
async function connect(): Promise<{ client: ProxyClient; socket: WebSocket }> {
  const wss = new WebSocketServer({ noServer: true })
  const base = await serve((server) => {
    server.on('upgrade', (request, tcp, head) => {
      wss.handleUpgrade(request, tcp, head, (ws) => wss.emit('connection', ws, request))
    })
  })
  const connection = once(wss, 'connection')
  const client = await clientTo({ url: base.replace('http', 'ws') })
  const [socket] = await connection
  return { client, socket }
}

it('is not paused once it is being closed, because it would never see the answer', async () => {
  const { client, socket } = await connect()
  const leg = createClientLeg(socket, () => {})
  leg.close(4000, 'bye')
  leg.pause()
  expect(socket.isPaused).toBe(false)
  expect(await leg.gone).toEqual({ code: 4000, reason: 'bye' })
  expect(await client.closed).toEqual({ code: 4000, reason: 'bye' })
})

it('is ended by force when it does not answer the close, or breaks the protocol and stays', async () => {
  const ends = ['silent', 'broken'].map(async (kind) => {
    const { client, socket } = await connect()
    const leg = createClientLeg(socket, () => {})
    const tcp = Reflect.get(client.ws, '_socket')
    // A client of which only the kernel is left.
    tcp.pause()
    if (kind === 'silent') leg.close(1000, '')
    else tcp.write(Buffer.from([0xff, 0xff, 0xff, 0xff]))
    return leg.gone
  })
  expect(await Promise.all(ends)).toEqual([
    { code: 1006, reason: '' },
    { code: 1006, reason: '' },
  ])
})

it('may be a client that hides its TCP socket', async () => {
  const upstream = await upstreamOf()
  const { client, socket } = await connect()
  const bare = new Proxy(socket, {
    get(target, name) {
      const value: unknown = name === '_socket' ? undefined : Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  const summary = proxyTerminal(bare, clientOf(upstream))
  client.ws.send(Buffer.from('hello'))
  await client.printed('hello')
  client.ws.close()
  expect(await summary).toMatchObject({ endedBy: 'client', bytesToClient: 5 })
})

it('may not send a text frame of more than 64 KiB', async () => {
  const { ws, upstream, served, received } = await pair()
  ws.send('x'.repeat(64 * 1024 + 1))
  ws.send('{}')
  await once(upstream, 'message')
  expect(received.map(String)).toHaveLength(1)
  ws.close()
  expect(await served.summary).toMatchObject({ dropped: 1 })
})

it('keeps the listeners of others', async () => {
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
  ['nothing', undefined],
  ['null', null],
  ['a request', { url: '/' }],
])('has to be a socket: %s is thrown back as a TypeError', (_what, client) => {
  const joining = (): unknown => proxyTerminal(client as ClientSocket, { base: 'http://127.0.0.1', userId: 'ada' })
  expect(joining).toThrow(expect.objectContaining({ name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' }))
})
