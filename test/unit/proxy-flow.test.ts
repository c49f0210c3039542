import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import type { WebSocket } from 'ws'
import { tcpOf } from '../support/frames.ts'
import { clientTo, join, KIB, MIB, roundTrip, startProxy } from '../support/proxy.ts'
import { noise, OVER, pair, upTo } from '../support/proxy-pair.ts'
import { sha256 } from '../support/terminal.ts'
import { afterwards, until } from '../support/upstream.ts'

const MAX_BUFFERED_BYTES = MIB
const FLOOD = 500_000_000

describe('a client that stops reading', () => {
  // This test is the first: memory that other tests have freed would hide some of the memory that it takes.
  it('costs at most maxBuffered and 16 MiB of memory while the upstream sends 500 MB, and loses none of it', async () => {
    const { socket, upstream, client } = await startFlood(64 * KIB)
    const before = memory()
    const pushed = upstream.report()
    upstream.start()
    await until(() => socket.bufferedAmount > MAX_BUFFERED_BYTES / 2)
    await unchanged(() => socket.bufferedAmount)
    expect(memory() - before).toBeLessThan(MAX_BUFFERED_BYTES + 16 * MIB)
    const arrived = client.report()
    client.start()
    expect(await arrived).toEqual(await pushed)
    expect(await arrived).toMatchObject({ bytes: FLOOD })
  }, 60_000)

  it('lets the proxy read the upstream until maxBuffered is full, also with tiny messages', async () => {
    const { ws, messages, upstream, served } = await pair()
    ws.pause()
    const chunk = noise(64 * KIB)
    while (served.socket.bufferedAmount === 0) await sendAndWait(upstream, chunk)
    await sendAndWait(upstream, chunk)
    const large = served.socket.bufferedAmount
    expect(large).toBeLessThan(MAX_BUFFERED_BYTES)

    // With its header, each message has three bytes. It takes about 512 bytes of memory.
    tcpOf(upstream).write(Buffer.alloc(3 * 150_000, Uint8Array.of(0x82, 1, 0x78)))
    await until(() => served.socket.bufferedAmount > large)
    await unchanged(() => served.socket.bufferedAmount)
    // The proxy cannot give back messages that came in one read.
    const inOneRead = Math.ceil((64 * KIB) / 3)
    expect((served.socket.bufferedAmount - large) / 3).toBeLessThan(MAX_BUFFERED_BYTES / 512 + inOneRead)

    ws.resume()
    upstream.send('~over')
    const arrived = await upTo('~over', ws, messages)
    expect(arrived.filter(({ data }) => data.equals(Buffer.from('x')))).toHaveLength(150_000)
  }, 60_000)

  it('does not delay another client', async () => {
    const { ws, messages, proxy, served, session } = await join()
    ws.pause()
    const flood = noise(24 * MIB)
    void session.output(flood)
    await until(() => served.socket.bufferedAmount > MAX_BUFFERED_BYTES / 2)
    const other = await clientTo(proxy)
    other.ws.send(Buffer.from('hello'))
    await other.printed('hello')
    ws.resume()
    await until(() => messages.length === flood.length / 4096)
    expect(sha256(...messages.map(({ data }) => data))).toBe(sha256(flood))
  })
})

describe('a client that floods', () => {
  it('has to wait for the pace of input that slow servers need', async () => {
    const { ws, upstream, received, served } = await pair({ maxBuffered: 64 * KIB })
    const paste = noise(MIB)
    for (let start = 0; start < paste.length; start += 1024) ws.send(paste.subarray(start, start + 1024))
    await until(() => served.socket.isPaused)
    expect(tcpOf(served.socket).bytesRead).toBeLessThan(MIB / 2)
    ws.send(OVER)
    const arrived = await upTo(OVER, upstream, received)
    expect(sha256(...arrived.map(({ data }) => data))).toBe(sha256(paste))
  }, 60_000)

  it.each<[string, (ws: WebSocket) => void]>([
    ['empty messages', (ws) => ws.send(new Uint8Array())],
    ['messages of one byte', (ws) => ws.send(Buffer.from('x'))],
    ['commands', (ws) => ws.send('{"type":"ping"}')],
    ['text frames that are dropped', (ws) => ws.send('[]')],
  ])('with %s has to wait, and loses none of it', async (_kind, send) => {
    const { ws, served, printed } = await join()
    ws.send(Buffer.from('ready'))
    await printed('ready')
    for (let sent = 0; sent < 20_000; sent += 1) send(ws)
    await until(() => served.socket.isPaused)
    ws.send(Buffer.from('over'))
    await printed('over')
  })
})

describe('a client that gets a flood of output', () => {
  it.each([4096, 64 * KIB])(
    'leaves other clients their turns, with messages of %i bytes',
    async (size) => {
      const { socket, upstream, client } = await startFlood(size)
      const other = await pair()
      other.upstream.on('message', (data) => other.upstream.send(data))
      client.start()
      upstream.start()
      await until(() => tcpOf(socket).bytesWritten > 8 * MIB)
      const meanwhile: number[] = []
      while (meanwhile.length < 50) {
        const before = tcpOf(socket).bytesWritten
        expect(before).toBeLessThan(FLOOD)
        other.ws.send(Buffer.from('x'))
        await once(other.ws, 'message')
        const moved = tcpOf(socket).bytesWritten - before
        // A busy machine may not run the processes of the flood meanwhile. Such a round says nothing.
        if (moved > 0) meanwhile.push(moved)
      }
      // A round trip takes four turns of the event loop. In the first turn, the proxy may not know of the other client.
      const ranked = meanwhile.sort((a, b) => b - a)
      expect(ranked[5]).toBeLessThan(MIB)
    },
    60_000,
  )
})

/** One end of a flood, in a process of its own. */
interface FloodEnd {
  /** Lets the upstream send, or the client read again. */
  start(): void
  /** Resolves with the next report of the process. */
  report(): Promise<unknown>
}

/** Joins a client process that does not read to an upstream process that will send 500 MB. */
async function startFlood(size: number): Promise<{ socket: WebSocket; upstream: FloodEnd; client: FloodEnd }> {
  const upstream = startFloodEnd('upstream', FLOOD, size)
  const base = `http://127.0.0.1:${String(await upstream.report())}`
  const proxy = await startProxy(() => ({ base, userId: 'ada', sessionId: 's1' }))
  const client = startFloodEnd('client', proxy.url, FLOOD)
  await client.report()
  const [served] = proxy.served
  if (!served) return expect.unreachable('there should be a client')
  return { socket: served.socket, upstream, client }
}

function startFloodEnd(...args: Array<string | number>): FloodEnd {
  const child = fork(new URL('../support/flood.mjs', import.meta.url), args.map(String), { execArgv: [] })
  afterwards({ close: () => child.kill('SIGKILL') })
  return {
    start: () => void child.send('go'),
    report: async () => (await once(child, 'message'))[0],
  }
}

/** Returns the memory of this process after garbage collection. */
function memory(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  return process.memoryUsage().rss
}

/** Resolves once a value has not changed for 150 ms. No event tells that no more bytes come. */
async function unchanged(value: () => number): Promise<void> {
  for (let before = Number.NaN; before !== value();) {
    before = value()
    await sleep(150)
  }
}

async function sendAndWait(ws: WebSocket, data: Buffer): Promise<void> {
  ws.send(data)
  await roundTrip(ws)
}
