import { connect, createServer, type Socket } from 'node:net'
import { afterwards, listen } from './upstream.ts'

/**
 * How a connection is cut: `close` ends both sides, `reset` sends RST, `freeze` is half open, so that neither side is
 * told and nothing passes any more.
 */
export type Cut = 'close' | 'reset' | 'freeze'

export interface CuttableRelay {
  /** The base URL of the relay. */
  readonly base: string
  /** Cuts all connections. */
  cut(how: Cut): void
  /** Refuses connections until the returned function is called. */
  refuse(): () => void
}

interface Passage {
  readonly client: Socket
  readonly server: Socket
}

/** Starts a TCP relay to a server, whose connections can be cut. It ends with the test. */
export async function relayTo(server: { base: string }): Promise<CuttableRelay> {
  const relay = await startRelay(server)
  afterwards(relay)
  return relay
}

/** Starts a TCP relay to a server, whose connections can be cut. */
export async function startRelay({ base }: { base: string }): Promise<CuttableRelay & { close(): Promise<unknown> }> {
  const { hostname, port } = new URL(base)
  const passages = new Set<Passage>()
  let isRefusing = false
  const relay = createServer((client) => {
    if (isRefusing) {
      client.destroy()
      return
    }
    const server = connect(Number(port), hostname)
    const passage = { client, server }
    passages.add(passage)
    client.pipe(server).pipe(client)
    for (const socket of [client, server]) {
      socket.on('error', () => {})
      socket.on('close', () => {
        client.destroy()
        server.destroy()
        passages.delete(passage)
      })
    }
  })
  const url = await listen(relay)
  const end = (socket: Socket, how: Cut): void => {
    if (how === 'close') socket.destroy()
    else if (how === 'reset') socket.resetAndDestroy()
  }
  return {
    base: url,
    cut(how) {
      for (const { client, server } of passages) {
        client.unpipe(server)
        server.unpipe(client)
        // A frozen connection takes what it is sent, and passes nothing on.
        for (const socket of [client, server]) socket.resume()
        for (const socket of [client, server]) end(socket, how)
      }
    },
    refuse() {
      isRefusing = true
      return () => void (isRefusing = false)
    },
    close() {
      for (const { client, server } of passages) for (const socket of [client, server]) socket.destroy()
      return new Promise((resolve) => relay.close(resolve))
    },
  }
}
