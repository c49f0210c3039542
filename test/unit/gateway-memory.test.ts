import { expect, it } from 'vitest'
import { MIB } from '../support/proxy.ts'
import { attachAs, createAs, startGateway, type ServedGateway } from '../support/terminal-gateway.ts'
import { until } from '../support/upstream.ts'

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
