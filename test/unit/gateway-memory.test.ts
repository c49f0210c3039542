import type { Socket } from 'node:net'
import { expect, it } from 'vitest'
import { Deferred } from '../../src/lib/deferred.ts'
import { clientTo, MIB, type ProxyClient } from '../support/proxy.ts'
import { attachAs, createAs, startGateway, untilParked, type ServedGateway } from '../support/terminal-gateway.ts'
import { clientOf, until, upstreamOf } from '../support/upstream.ts'

/** Resolves when no more output is given to the socket of a client that does not read. */
async function stuck({ gateway }: ServedGateway): Promise<void> {
  let [before, same] = [0, 0]
  await until(() => {
    const now = Number(gateway.sessions[0]?.bytesToClient)
    same = now > 0 && now === before ? same + 1 : 0
    before = now
    return same > 20
  })
}

it('a client that sends heartbeats and does not read is owed one answer, and not one for each', async () => {
  const gateway = await startGateway()
  const client = await attachAs(gateway, await createAs(gateway), { token: 'jwt-ada', offset: null })
  await until(() => client.messages.length > 0)
  client.ws.pause()
  const written = gateway.upstream.sessions[0]?.output('x'.repeat(30 * MIB))
  await stuck(gateway)
  const before = client.messages.length
  for (let sent = 0; sent < 2_000; sent += 1) client.ws.send('{"type":"ping"}')
  client.ws.send(Buffer.from('typed'))
  await until(() => Number(gateway.gateway.sessions[0]?.bytesToUpstream) >= 2_000 * 15 + 5)
  client.ws.resume()
  await written
  await until(() => client.messages.some(({ data }) => data.toString() === '{"type":"pong"}'))
  const answers = client.messages.slice(before).filter(({ isBinary }) => !isBinary)
  expect(answers.length).toBeLessThan(10)
  client.ws.send('{"type":"ping"}')
  await until(() => client.messages.filter(({ isBinary }) => !isBinary).length > answers.length + 1)
})

/** Starts a gateway with a session that is parked, and that has printed more than it keeps. */
async function parkedWithFlood(): Promise<{ gateway: ServedGateway; id: string; sockets: Socket[] }> {
  const upstream = await upstreamOf({ shell: () => ({ input() {} }) })
  const sockets: Socket[] = []
  const gateway = await startGateway({
    replayBytes: 8 * MIB,
    authorize({ sessionId, request }) {
      if (sessionId !== undefined) sockets.push(request.socket)
      return clientOf(upstream)
    },
  })
  const id = await createAs(gateway)
  const { ws, printed } = await attachAs(gateway, id)
  // It takes long to find out what a tail of this is.
  await upstream.sessions[0]?.output(`line\n${'a\x1b[m'.repeat(2.5 * MIB)}the end`)
  await printed('the end')
  ws.close()
  await untilParked(gateway)
  return { gateway, id, sockets }
}

it('clients that attach in a loop and do not read hold no more than two replays', async () => {
  const { gateway, id, sockets } = await parkedWithFlood()
  sockets.length = 0
  const isHeld = ({ destroyed, writableLength }: Socket): boolean => !destroyed && writableLength > MIB
  for (let count = 1; count <= 8; count += 1) {
    const { ws } = await clientTo({ url: `${gateway.base.replace('http', 'ws')}/api/terminals/${id}` })
    ws.pause()
    ws.send(`{"type":"auth","token":"jwt-ada","offset":${4 * MIB}}`)
    await until(() => sockets.length === count && isHeld(sockets[count - 1] as Socket))
  }
  await until(() => sockets.filter(isHeld).length <= 2)
}, 20_000)

it('clients that come at the same time get one replay after another, and most of them none', async () => {
  const { gateway, id } = await parkedWithFlood()
  const url = `${gateway.base.replace('http', 'ws')}/api/terminals/${id}`
  const clients: ProxyClient[] = await Promise.all(Array.from({ length: 20 }, () => clientTo({ url })))
  const ends: number[] = []
  const allButOne = new Deferred()
  for (const { ws, closed } of clients) {
    void closed.then(({ code }) => {
      if (ends.push(code) === clients.length - 1) allButOne.resolve()
    })
    ws.send('{"type":"auth","token":"jwt-ada","offset":null}')
  }
  // Each of the others was told, and most did not cost the time of a replay.
  await allButOne.promise
  expect(new Set(ends)).toEqual(new Set([4009]))
  await clients.find(({ ws }) => ws.readyState === ws.OPEN)?.printed('the end')
  const attached = clients.filter(({ messages }) => messages.length > 0)
  expect(attached.length).toBeLessThan(10)
}, 20_000)

it('a client that waits for its turn and leaves is no client, and one whose session ends meanwhile is told so', async () => {
  const { gateway, id } = await parkedWithFlood()
  const first = await attachAs(gateway, id)
  await first.printed('the end')
  const second = await attachAs(gateway, id)
  second.ws.terminate()
  await second.closed
  const third = await attachAs(gateway, id)
  await gateway.gateway.close({ timeout: 0 })
  expect(await third.closed).toMatchObject({ code: 1012 })
  expect(await first.closed).toMatchObject({ code: 1012 })
}, 20_000)
