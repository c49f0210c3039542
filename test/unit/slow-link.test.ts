import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { WebSocketServer, type WebSocket } from 'ws'
import { SessionOutput } from '../../src/gateway/session-output.ts'
import { ClientConnection } from '../../src/client/connection.ts'
import { ClientOutput } from '../../src/client/output.ts'
import { unsentBytes } from '../../src/client/tcp.ts'
import { KIB, MIB } from '../support/proxy.ts'
import { afterwards, serve, until } from '../support/upstream.ts'

// More than the operating system takes for one connection.
const LARGE = 64 * MIB
const STEP = 8 * MIB

interface Slow {
  readonly output: SessionOutput
  readonly sink: ClientOutput
  readonly connection: ClientConnection
  readonly socket: WebSocket
  /** What the upstream was asked to do. */
  readonly calls: string[]
  /** How often the client was found to take nothing. */
  readonly stalls: () => number
  /** Lets the client read this many bytes, and resolves when more has left for it. */
  readonly take: (bytes: number) => Promise<void>
  /** Lets the client read everything from now on, and resolves when it has read `text`. */
  readonly takeUntil: (text: string) => Promise<void>
}

/** Joins a client to the output of a session, over a real connection that it reads only as the test says. */
async function joinSlowly(): Promise<Slow> {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] })
  const wss = new WebSocketServer({ noServer: true })
  const base = await serve((server) => {
    server.on('upgrade', (request, tcp, head) =>
      wss.handleUpgrade(request, tcp, head, (ws) => wss.emit('connection', ws)),
    )
  })
  const accepted = once(wss, 'connection') as Promise<[WebSocket]>
  const client = connect(Number(new URL(base).port), '127.0.0.1')
  afterwards({ close: () => client.destroy() })
  client.on('error', () => {})
  const key = Buffer.alloc(16).toString('base64')
  const headers = `Host: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}`
  client.write(`GET / HTTP/1.1\r\n${headers}\r\n\r\n`)
  const [socket] = await accepted
  const connection = new ClientConnection(socket, { onOverflow() {}, onClientGone() {} })
  const calls: string[] = []
  const note = (name: string) => (): void => void calls.push(name)
  const output = new SessionOutput({ pause: note('pause'), resume: note('resume') })
  output.keep(LARGE)
  let stalls = 0
  const counters = { bytesToClient: 0, bytesToUpstream: 0, inputDropped: 0, dropped: 0 }
  const sink = output.join((flow) => new ClientOutput(socket, 64 * KIB, flow, counters, connection), {
    onStalled: () => (stalls += 1),
  })
  const unsent = (): number => unsentBytes(socket)
  onTestFinished(async () => {
    output.part()
    socket.terminate()
    await connection.gone
    vi.useRealTimers()
  })
  return {
    output,
    sink,
    connection,
    socket,
    calls,
    stalls: () => stalls,
    async take(bytes) {
      const before = unsent()
      await read(client, bytes)
      await until(() => unsent() < before)
    },
    async takeUntil(text) {
      let end = ''
      client.on('data', (data) => (end = (end + String(data.subarray(-100))).slice(-100)))
      await until(() => end.includes(text))
    },
  }
}

async function read(client: Socket, bytes: number): Promise<void> {
  for (let rest = bytes; rest > 0;) {
    const chunk = client.read(Math.min(rest, client.readableLength || 1)) as Buffer | null
    if (chunk) rest -= chunk.length
    else await once(client, 'readable')
  }
}

/** Resolves when the operating system takes no more for a client that does not read. */
async function settled(socket: WebSocket): Promise<void> {
  let last = -1
  let same = 0
  await until(() => {
    const now = unsentBytes(socket)
    same = now === last ? same + 1 : 0
    last = now
    return same === 20
  })
}

describe('a client on a slow link, which the upstream waits for while it reads a large replay', () => {
  it('is not cut off, the upstream goes on, and the client gets what it misses', async () => {
    const { output, sink, calls, stalls, take, takeUntil } = await joinSlowly()
    sink.replay(Buffer.alloc(LARGE, 'x'))
    output.push(Buffer.alloc(MIB, 'y'))
    await until(() => calls.length === 1)
    await take(STEP)
    await vi.advanceTimersByTimeAsync(5_200)
    await take(STEP)
    await vi.advanceTimersByTimeAsync(10_200)
    expect([calls, stalls()]).toEqual([['pause', 'resume'], 0])
    output.push(Buffer.from('the end'))
    await takeUntil('the end')
    expect(stalls()).toBe(0)
  })

  it('is cut off after 15 s if it takes nothing', async () => {
    const { output, sink, socket, calls, stalls } = await joinSlowly()
    sink.replay(Buffer.alloc(LARGE, 'x'))
    output.push(Buffer.alloc(MIB, 'y'))
    await until(() => calls.length === 1)
    await settled(socket)
    await vi.advanceTimersByTimeAsync(5_200)
    expect(stalls()).toBe(0)
    await vi.advanceTimersByTimeAsync(10_200)
    expect([calls, stalls()]).toEqual([['pause'], 1])
  })
})

describe.each<[string, (sink: ClientOutput) => void]>([
  ['one large message', (sink) => sink.push(Buffer.alloc(LARGE, 'x'), true)],
  [
    'many messages',
    (sink) => {
      for (let sent = 0; sent < LARGE; sent += 4 * KIB) sink.push(Buffer.alloc(4 * KIB, 'x'), true)
    },
  ],
])('a client on a slow link that reads %s', (_what, send) => {
  it('is not taken for gone, although the answers to pings come after it', async () => {
    const { sink, connection, socket, take } = await joinSlowly()
    connection.keepAlive(1_000)
    send(sink)
    for (let beat = 0; beat < 5; beat += 1) {
      await take(4 * MIB)
      await vi.advanceTimersByTimeAsync(1_200)
    }
    expect(socket.readyState).toBe(socket.OPEN)
  })

  it('is taken for gone if it takes nothing', async () => {
    const { sink, connection, socket } = await joinSlowly()
    connection.keepAlive(1_000)
    send(sink)
    await settled(socket)
    for (let beat = 0; beat < 5; beat += 1) await vi.advanceTimersByTimeAsync(1_200)
    expect(socket.readyState).not.toBe(socket.OPEN)
  })
})
