import { expect, it } from 'vitest'
import { ClientLeg, type ClientClose } from '../../src/client/connection.ts'
import type { ClientSocket } from '../../src/client/socket.ts'
import { tcpOf } from '../support/frames.ts'
import { connectBothSides } from '../support/proxy.ts'

/** Returns the leg of a socket, and a promise of how it ends. */
function legOf(socket: ClientSocket): { leg: ClientLeg; ended: Promise<ClientClose> } {
  let leg: ClientLeg | undefined
  const ended = new Promise<ClientClose>((resolve) => {
    leg = new ClientLeg(socket, { onOverflow() {}, onClientGone: resolve })
  })
  return leg ? { leg, ended } : expect.unreachable()
}

it('a client leg does not pause its socket after close, because a paused socket never receives the close frame', async () => {
  const { client, socket } = await connectBothSides()
  const { leg, ended } = legOf(socket)
  leg.close(4000, 'bye')
  leg.pause()
  expect(socket.isPaused).toBe(false)
  expect(await ended).toEqual({ code: 4000, reason: 'bye' })
  expect(await client.closed).toEqual({ code: 4000, reason: 'bye' })
})

it('a client leg ends by force when the client does not answer the close, or breaks the protocol and stays', async () => {
  const ends = ['silent', 'broken'].map(async (kind) => {
    const { client, socket } = await connectBothSides()
    const { leg, ended } = legOf(socket)
    const tcp = tcpOf(client.ws)
    // The client's process reads nothing more. Its operating system keeps the connection.
    tcp.pause()
    if (kind === 'silent') leg.close(1000, '')
    else tcp.write(Buffer.from([0xff, 0xff, 0xff, 0xff]))
    return ended
  })
  expect(await Promise.all(ends)).toEqual([
    { code: 1006, reason: '' },
    { code: 1006, reason: '' },
  ])
})
