import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import type { WebSocket } from 'ws'
import type { ConnectTerminalOptions } from '../../src/index.ts'
import type { TestUpstream } from '../../src/testing.ts'
import { closeFrame, flood, tcpOf } from '../support/frames.ts'
import {
  CLIENT_AUTH,
  clientTo,
  connectToAuthorize,
  connectToProxy,
  framesOf,
  KIB,
  MIB,
  neverAuthorize,
  PROXY_AUTH,
  summaryOf,
  type Proxy,
} from '../support/proxy.ts'
import { countJsonParses } from '../support/proxy-json.ts'
import { inputFrames } from '../support/terminal.ts'
import { afterwards, clientOf, until, upstreamOf } from '../support/upstream.ts'

const TOO_MUCH = { code: 1009, reason: 'Too much input before the terminal was open' }

type Connecting = ReturnType<typeof connectToProxy>

/** Connects a client to a proxy without `authorize`. */
function connectTo(upstream: TestUpstream, options: Partial<ConnectTerminalOptions> = {}): Connecting {
  return connectToProxy({ ...clientOf(upstream), ...options })
}

describe('messages of a client before the terminal is open', () => {
  it('arrive in order at the upstream, with only the last of the sizes, where it stood', async () => {
    const upstream = await upstreamOf({ faults: { create: { delay: 20 }, attach: { delay: 20 } } })
    const { ws, printed } = await connectTo(upstream)
    ws.send('{"type":"resize","cols":1,"rows":1}')
    ws.send(Buffer.from('one '))
    ws.send('{"type":"ping"}')
    ws.send('{"type":"resize","cols":2,"rows":2}')
    // A resize that would kill the shell is dropped, and does not replace the size before.
    ws.send('{"type":"resize","cols":-1,"rows":2}')
    ws.send(Buffer.from('two '))
    ws.send('no JSON')
    ws.send('{"type":"resize","cols":3,"rows":3}')
    ws.send(Buffer.from('three'))
    await printed('three')
    expect(framesOf(upstream)).toEqual([
      [PROXY_AUTH, 'one ', '{"type":"ping"}', 'two ', '{"type":"resize","cols":3,"rows":3}', 'three'],
    ])
    ws.send('{"type":"resize","cols":4,"rows":4}')
    ws.send('{"type":"resize","cols":5,"rows":5}')
    ws.send(Buffer.from('four'))
    await printed('four')
    // Every size is forwarded when no message waits.
    expect(framesOf(upstream)[0]?.slice(-3)).toEqual([
      '{"type":"resize","cols":4,"rows":4}',
      '{"type":"resize","cols":5,"rows":5}',
      'four',
    ])
  })

  it('arrive at the upstream after the size of the options', async () => {
    const upstream = await upstreamOf()
    const { ws, printed } = await connectTo(upstream, { size: { cols: 100, rows: 40 } })
    ws.send(Buffer.from('x'))
    await printed('x')
    expect(framesOf(upstream)).toEqual([[PROXY_AUTH, '{"type":"resize","cols":100,"rows":40}', 'x']])
  })

  it('are read in shares after authorize has answered, and arrive in order', async () => {
    const upstream = await upstreamOf()
    let allow: ((options: ConnectTerminalOptions) => void) | undefined
    const { ws, printed, proxy } = await connectToAuthorize(() => new Promise((resolve) => (allow = resolve)))
    ws.send(CLIENT_AUTH)
    for (let cols = 1; cols <= 8; cols += 1) ws.send(`{"type":"resize","cols":${cols},"rows":1}`.padEnd(60_000))
    ws.send(Buffer.from('typed'))
    await until(() => allow !== undefined && Number(proxy.served[0]?.request.socket.bytesRead) > 480_000)
    allow?.(clientOf(upstream))
    await printed('typed')
    expect(upstream.sessions[0]?.size).toEqual({ cols: 8, rows: 1 })
    ws.close()
    expect(await summaryOf(proxy)).toMatchObject({ dropped: 0 })
  })

  it.each<[string, Partial<ConnectTerminalOptions>, number, number]>([
    ['1 MiB of input', {}, 18, 64 * KIB],
    ['what 2 100 empty messages cost', {}, 2_100, 0],
    ['maxBuffered', { maxBuffered: 1_000 }, 1, 1_000],
  ])('close the client with 1009 when they exceed %s, and leave no session', async (_what, options, count, size) => {
    const upstream = await upstreamOf({ faults: { create: { delay: 20 } } })
    const { ws, closed, proxy } = await connectTo(upstream, { settle: 10_000, ...options })
    await until(() => upstream.requests.some(({ status }) => status === 101))
    for (let sent = 0; sent < count; sent += 1) ws.send(Buffer.alloc(size))
    expect(await closed).toEqual(TOO_MUCH)
    expect(await summaryOf(proxy)).toMatchObject({ endedBy: 'proxy', ...TOO_MUCH, bytesToUpstream: 0 })
    expect(upstream.sessions).toEqual([])
    // No input: the message that ends the shell, and the heartbeats after it.
    expect(framesOf(upstream)[0]?.slice(0, 2)).toEqual([PROXY_AUTH, '[]'])
    expect(inputFrames(upstream)).toEqual([])
  })

  it('close the client with 1009 when they exceed maxBuffered while the session is being created', async () => {
    const upstream = await upstreamOf({ faults: { create: { delay: 100 } } })
    const { ws, closed, proxy } = await connectTo(upstream, { maxBuffered: 1_000 })
    ws.send(Buffer.alloc(1_000))
    expect(await closed).toEqual(TOO_MUCH)
    await summaryOf(proxy)
    await until(() => upstream.sessions.length === 0)
    expect(framesOf(upstream)).toEqual([])
  })

  it('close the client with 1009 when they exceed 1 MiB before the client is authorized', async () => {
    const { ws, closed, proxy } = await connectToAuthorize(neverAuthorize)
    ws.send(CLIENT_AUTH)
    for (let sent = 0; sent < 18; sent += 1) ws.send(Buffer.alloc(64 * KIB))
    expect(await closed).toEqual(TOO_MUCH)
    expect(await summaryOf(proxy)).toMatchObject({ endedBy: 'proxy', ...TOO_MUCH })
  })

  it('close the client with 1009 when they exceed 1 MiB while an authorized client is attached', async () => {
    const upstream = await upstreamOf({ faults: { attach: 'stall' } })
    const { ws, closed, proxy } = await connectToAuthorize(() => clientOf(upstream))
    ws.send(CLIENT_AUTH)
    await until(() => upstream.sessions.length === 1)
    for (let sent = 0; sent < 18; sent += 1) ws.send(Buffer.alloc(64 * KIB))
    expect(await closed).toEqual(TOO_MUCH)
    expect(await summaryOf(proxy)).toMatchObject({ endedBy: 'proxy', ...TOO_MUCH })
    expect(upstream.sessions).toEqual([])
  })

  it('may be any number of resizes, of which the upstream gets the last', async () => {
    const upstream = await upstreamOf({ faults: { create: { delay: 20 } } })
    const { ws, printed } = await connectTo(upstream)
    for (let cols = 1; cols <= 5_000; cols += 1) ws.send(`{"type":"resize","cols":${cols},"rows":1}`)
    ws.send(Buffer.from('x'))
    await printed('x')
    expect(upstream.sessions[0]?.size).toEqual({ cols: 5_000, rows: 1 })
  })

  it('are not parsed while authorize is pending, and count as input that waits', async () => {
    const { ws, closed, proxy } = await connectToAuthorize(neverAuthorize)
    ws.send(CLIENT_AUTH)
    const parses = await countJsonParses(async () => {
      for (let sent = 0; sent < 20; sent += 1) ws.send(`[${'1,'.repeat(30_000)}1]`)
      await closed
    })
    expect(parses).toBe(1)
    expect(await closed).toEqual(TOO_MUCH)
    expect(await summaryOf(proxy)).toMatchObject({ endedBy: 'proxy', code: 1009, dropped: 0 })
  })

  it('count as input that waits even if they are dropped', async () => {
    const upstream = await upstreamOf({ faults: { create: 'stall' } })
    const { ws, closed } = await connectTo(upstream)
    for (let sent = 0; sent < 20; sent += 1) ws.send(`[${'1,'.repeat(30_000)}1]`)
    expect((await closed).code).toBe(1009)
  })
})

describe('an unfinished message', () => {
  it.each([
    ['has not sent its first message', '', 256 * KIB],
    ['is not authorized yet', CLIENT_AUTH, 4 * MIB],
  ])('of a client that %s closes it with 1009 before it fills the memory', async (_what, first, limit) => {
    const { proxy } = await connectToAuthorize(neverAuthorize)
    const received = await sendUnfinished(proxy, first, 64 * MIB)
    const sender = proxy.served[1]
    expect(await sender?.summary).toMatchObject({ endedBy: 'proxy', ...TOO_MUCH })
    expect(received.subarray(received.indexOf(closeFrame(1009).subarray(2)) + 2).toString()).toBe(TOO_MUCH.reason)
    expect(heldBy(sender?.socket)).toBeLessThan(limit)
  })

  it('of a client that goes on after its close frame is not kept, and the connection ends after 5 s', async () => {
    const { proxy } = await connectToAuthorize(neverAuthorize)
    const client = await clientTo(proxy)
    flood(tcpOf(client.ws), unfinished(64 * KIB))
    // It neither answers the close frame nor ends its side.
    tcpOf(client.ws).removeAllListeners('data').resume()
    expect(await proxy.served[1]?.summary).toMatchObject({ endedBy: 'proxy', ...TOO_MUCH })
    expect(heldBy(proxy.served[1]?.socket)).toBeLessThan(256 * KIB)
  }, 10_000)

  it('of an authorized client may be as large as the WebSocketServer of the caller permits', async () => {
    const upstream = await upstreamOf()
    const { ws, printed } = await connectToAuthorize(() => clientOf(upstream))
    ws.send(CLIENT_AUTH)
    ws.send(Buffer.from('ready'))
    await printed('ready')
    ws.send(Buffer.alloc(3 * MIB, 'x'))
    ws.send(Buffer.from('over'))
    await printed('over')
  }, 30_000)
})

/** Returns the bytes of messages that ws holds because they are not finished. */
function heldBy(socket: WebSocket | undefined): number {
  return Number(Reflect.get(Reflect.get(socket ?? {}, '_receiver'), '_bufferedBytes'))
}

/** Returns the beginning of a message of 100 MiB. */
function unfinished(length: number): Buffer {
  const frame = Buffer.alloc(14 + length)
  frame.set([0x82, 0xff])
  frame.writeUInt32BE(100 * MIB - 1, 6)
  return frame
}

/**
 * Connects, sends a first text message and a message that never ends, and returns what came when the connection ends.
 */
async function sendUnfinished({ url }: Proxy, first: string, length: number): Promise<Buffer> {
  const { port } = new URL(url)
  const socket: Socket = connect({ port: Number(port), allowHalfOpen: true })
  afterwards({ close: () => socket.destroy() })
  socket.on('error', () => {})
  socket.write(
    'GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
      'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
  )
  await once(socket, 'data')
  const received: Buffer[] = []
  socket.on('data', (chunk) => received.push(chunk))
  const ended = once(socket, 'end')
  // A mask of zeros leaves the bytes unchanged.
  if (first !== '') {
    socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | first.length, 0, 0, 0, 0]), Buffer.from(first)]))
  }
  socket.write(unfinished(0))
  const chunk = Buffer.alloc(64 * KIB)
  for (let sent = 0; sent < length && !socket.destroyed; sent += chunk.length) {
    if (socket.write(chunk)) continue
    await new Promise<void>((resolve) => {
      for (const event of ['drain', 'close']) socket.once(event, () => resolve())
    })
  }
  await ended
  socket.end()
  return Buffer.concat(received)
}
