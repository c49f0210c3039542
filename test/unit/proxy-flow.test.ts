import { fork } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import type { WebSocket } from 'ws'
import { clientTo, join, startProxy } from '../support/proxy.ts'
import { noise, pair, upTo } from '../support/proxy-pair.ts'
import { sha256 } from '../support/terminal.ts'
import { afterwards, until } from '../support/upstream.ts'

const MIB = 1024 * 1024
const MAX_BUFFERED = MIB
const FLOOD = 500_000_000

describe('a client that stops reading', () => {
  // First, because what others have left free would hide some of it.
  it('costs no more than maxBuffered and 16 MiB while 500 MB are pushed, and loses none of it', async () => {
    const { socket, upstream, client } = await startFlood(64 * 1024)
    const before = memory()
    const pushed = upstream.told()
    upstream.tell()
    await until(() => socket.bufferedAmount > MAX_BUFFERED / 2)
    await settled(() => socket.bufferedAmount)
    expect(memory() - before).toBeLessThan(MAX_BUFFERED + 16 * MIB)
    const arrived = client.told()
    client.tell()
    expect(await arrived).toEqual(await pushed)
    expect(await arrived).toMatchObject({ bytes: FLOOD })
  }, 60_000)

  it('does not keep the upstream from being answered before maxBuffered is full, which tiny messages do too', async () => {
    const { ws, messages, upstream, served } = await pair()
    ws.pause()
    const chunk = noise(64 * 1024)
    while (served.socket.bufferedAmount === 0) await sendAndPing(upstream, chunk)
    await sendAndPing(upstream, chunk)
    const large = served.socket.bufferedAmount
    expect(large).toBeLessThan(MAX_BUFFERED)

    // With its header each takes three bytes, and some five hundred of memory.
    tcp(upstream).write(Buffer.alloc(3 * 150_000, Uint8Array.of(0x82, 1, 0x78)))
    await until(() => served.socket.bufferedAmount > large)
    await settled(() => served.socket.bufferedAmount)
    // What has been read together can no longer be left in the upstream.
    const inOneRead = Math.ceil((64 * 1024) / 3)
    expect((served.socket.bufferedAmount - large) / 3).toBeLessThan(MAX_BUFFERED / 512 + inOneRead)

    ws.resume()
    upstream.send('~over')
    const arrived = await upTo('~over', ws, messages)
    expect(arrived.filter(({ data }) => data.equals(Buffer.from('x')))).toHaveLength(150_000)
  }, 60_000)

  it('does not stop another', async () => {
    const { ws, messages, proxy, served, session } = await join()
    ws.pause()
    const flood = noise(24 * MIB)
    void session.output(flood)
    await until(() => served.socket.bufferedAmount > MAX_BUFFERED / 2)
    const other = await clientTo(proxy)
    other.ws.send(Buffer.from('hello'))
    await other.printed('hello')
    ws.resume()
    await until(() => messages.length === flood.length / 4096)
    expect(sha256(...messages.map(({ data }) => data))).toBe(sha256(flood))
  })
})

describe('a client that floods', () => {
  it.each([
    ['text', [false]],
    ['binary and text', [true, false]],
  ])(
    'has to wait for an upstream that stops reading, which gets all of its %s in the end',
    async (_what, kinds) => {
      const { ws, upstream, received, served } = await pair()
      upstream.pause()
      const text = Buffer.from(`~${noise(40 * 1024).toString('base64')}`)
      const sent: Buffer[] = []
      while (sent.length < 512) {
        for (const isBinary of kinds) {
          const data = isBinary ? noise(4096, sent.length) : text
          sent.push(data)
          ws.send(data, { binary: isBinary })
        }
      }
      await settled(() => tcp(served.socket).bytesRead)
      // Some of it is in the kernel's buffers.
      expect(tcp(served.socket).bytesRead).toBeLessThan(MAX_BUFFERED + 11 * MIB)
      expect(ws.bufferedAmount).toBeGreaterThan(4 * MIB)
      upstream.resume()
      ws.send('~over')
      const arrived = await upTo('~over', upstream, received)
      expect(sha256(...arrived.map(({ data }) => data))).toBe(sha256(...sent))
    },
    60_000,
  )

  it('has to wait for the pace that the upstream is spared at', async () => {
    const { ws, upstream, received, served } = await pair({ maxBuffered: 64 * 1024 })
    const paste = noise(MIB)
    for (let start = 0; start < paste.length; start += 1024) ws.send(paste.subarray(start, start + 1024))
    await until(() => served.socket.isPaused)
    expect(tcp(served.socket).bytesRead).toBeLessThan(MIB / 2)
    ws.send('~over')
    const arrived = await upTo('~over', upstream, received)
    expect(sha256(...arrived.map(({ data }) => data))).toBe(sha256(paste))
  }, 60_000)
})

describe('a client that is flooded', () => {
  it.each([4096, 64 * 1024])(
    'leaves its neighbours their turns, with messages of %i bytes',
    async (size) => {
      const { socket, upstream, client } = await startFlood(size)
      const other = await pair()
      other.upstream.on('message', (data) => other.upstream.send(data))
      client.tell()
      upstream.tell()
      await until(() => tcp(socket).bytesWritten > 8 * MIB)
      const meanwhile: number[] = []
      while (meanwhile.length < 50) {
        const before = tcp(socket).bytesWritten
        expect(before).toBeLessThan(FLOOD)
        other.ws.send(Buffer.from('x'))
        await once(other.ws, 'message')
        const moved = tcp(socket).bytesWritten - before
        // Where the machine has no time for the flood's processes, there is nothing to leave a turn to.
        if (moved > 0) meanwhile.push(moved)
      }
      // There and back takes four turns of the event loop; in the first the other may not be known to be there.
      const ranked = meanwhile.sort((a, b) => b - a)
      expect(ranked[5]).toBeLessThan(MIB)
    },
    60_000,
  )
})

interface End {
  /** Has it go on. */
  tell(): void
  /** What it tells next. */
  told(): Promise<unknown>
}

/** Joins two processes that are about to have 500 MB pushed from the one to the other, which does not read. */
async function startFlood(size: number): Promise<{ socket: WebSocket; upstream: End; client: End }> {
  const upstream = end('upstream', FLOOD, size)
  const base = `http://127.0.0.1:${String(await upstream.told())}`
  const proxy = await startProxy(() => ({ base, userId: 'ada', sessionId: 's1' }))
  const client = end('client', proxy.url, FLOOD)
  await client.told()
  const [served] = proxy.served
  if (!served) throw new Error('there should be a client')
  return { socket: served.socket, upstream, client }
}

function end(...args: Array<string | number>): End {
  const child = fork(new URL('../support/flood.mjs', import.meta.url), args.map(String), { execArgv: [] })
  afterwards({ close: () => child.kill('SIGKILL') })
  return {
    tell: () => void child.send('go'),
    told: async () => (await once(child, 'message'))[0],
  }
}

function memory(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  return process.memoryUsage().rss
}

/** Resolves once it has not changed for a while: no event tells that nothing more comes. */
async function settled(value: () => number): Promise<void> {
  for (let before = Number.NaN; before !== value();) {
    before = value()
    await new Promise((resolve) => setTimeout(resolve, 150))
  }
}

/** The connection under a socket of `ws`. */
function tcp(ws: WebSocket): Socket {
  return Reflect.get(ws, '_socket') as Socket
}

async function sendAndPing(ws: WebSocket, data: Buffer): Promise<void> {
  ws.send(data)
  ws.ping()
  await once(ws, 'pong')
}
