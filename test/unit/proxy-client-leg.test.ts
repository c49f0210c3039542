import { expect, it } from 'vitest'
import { createClientLeg } from '../../src/proxy/client-leg.ts'
import { connectBothSides, tcpOf } from '../support/proxy.ts'

it('a client leg does not pause its socket after close, because a paused socket never receives the close frame', async () => {
  const { client, socket } = await connectBothSides()
  const leg = createClientLeg(socket, () => {})
  leg.close(4000, 'bye')
  leg.pause()
  expect(socket.isPaused).toBe(false)
  expect(await leg.gone).toEqual({ code: 4000, reason: 'bye' })
  expect(await client.closed).toEqual({ code: 4000, reason: 'bye' })
})

it('a client leg ends by force when the client does not answer the close, or breaks the protocol and stays', async () => {
  const ends = ['silent', 'broken'].map(async (kind) => {
    const { client, socket } = await connectBothSides()
    const leg = createClientLeg(socket, () => {})
    const tcp = tcpOf(client.ws)
    // The client's process reads nothing more. Its operating system keeps the connection.
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
