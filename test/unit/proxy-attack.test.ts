import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { describe, expect, it, vi } from 'vitest'
import type { WebSocket } from 'ws'
import { connectTerminal, TerminalError } from '../../src/index.ts'
import type { AuthorizeOptions, ProxySummary } from '../../src/proxy.ts'
import { createInbox } from '../../src/proxy/inbox.ts'
import { clientTo, join, startProxy, type Proxy, type ProxyClient } from '../support/proxy.ts'
import { pair } from '../support/proxy-pair.ts'
import { afterwards, clientOf, until, upstreamOf } from '../support/upstream.ts'

const AUTH = '{"type":"auth","token":"jwt"}'
const KIB = 1024
const MIB = 1024 * KIB

/** A proxy whose `authorize` is pending, and a client of it. */
async function pending(
  options: Partial<AuthorizeOptions> = {},
): Promise<ProxyClient & { proxy: Proxy; summary: () => Promise<ProxySummary> }> {
  const proxy = await startProxy((request) => ({ authorize: () => new Promise(() => {}), request, ...options }))
  const client = await clientTo(proxy)
  return { ...client, proxy, summary: async () => proxy.served[0]?.summary ?? expect.unreachable() }
}

/** Parses nothing between the calls of the function and its end; returns how often it was parsed. */
async function parsings(act: () => Promise<void>): Promise<number> {
  const { parse } = JSON
  let count = 0
  JSON.parse = (...given: Parameters<typeof parse>): unknown => {
    count += 1
    return parse(...given)
  }
  try {
    await act()
  } finally {
    JSON.parse = parse
  }
  return count
}

describe('a text frame of a client', () => {
  it.each([
    ['more than 64 KiB of objects', `{"type":"ping","x":[${'{},'.repeat(30_000)}{}]}`],
    ['16 MiB of objects', `{"type":"ping","x":[${'{},'.repeat(5_000_000)}{}]}`],
    ['16 MiB of brackets', '['.repeat(16 * MIB - 1)],
  ])('with %s is dropped without being parsed', async (_what, text) => {
    const { ws, upstream, served, received } = await pair()
    const count = await parsings(async () => {
      ws.send(text)
      ws.send(Buffer.from('over'))
      await once(upstream, 'message')
    })
    expect(count).toBe(0)
    expect(received.map(({ data }) => data.toString())).toEqual(['over'])
    ws.close()
    expect(await served.summary).toMatchObject({ dropped: 1, bytesToUpstream: 4 })
  })

  it('is not parsed as long as authorize is pending, and counts against what may wait', async () => {
    const { ws, closed, summary } = await pending()
    ws.send(AUTH)
    const count = await parsings(async () => {
      for (let sent = 0; sent < 20; sent += 1) ws.send(`[${'1,'.repeat(30_000)}1]`)
      await closed
    })
    expect(count).toBe(1)
    expect(await closed).toEqual({ code: 1009, reason: 'Too much input before the terminal was open' })
    expect(await summary()).toMatchObject({ endedBy: 'proxy', code: 1009, dropped: 0 })
  })

  it('counts against what may wait for the upstream although it is dropped', async () => {
    const upstream = await upstreamOf({ faults: { create: 'stall' } })
    const proxy = await startProxy(() => clientOf(upstream))
    const { ws, closed } = await clientTo(proxy)
    for (let sent = 0; sent < 20; sent += 1) ws.send(`[${'1,'.repeat(30_000)}1]`)
    expect((await closed).code).toBe(1009)
  })
})

/** Sends the beginning of a WebSocket message that never ends, behind a handshake. */
async function sendUnfinished({ url }: Proxy, first: string, length: number): Promise<Socket> {
  const { port } = new URL(url)
  const socket = connect(Number(port), '127.0.0.1')
  afterwards({ close: () => socket.destroy() })
  socket.on('error', () => {})
  socket.write(
    'GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
      'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
  )
  await once(socket, 'data')
  // A mask of zeros leaves the bytes as they are.
  if (first !== '')
    socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | first.length, 0, 0, 0, 0]), Buffer.from(first)]))
  const header = Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
  header.writeUInt32BE(100 * MIB - 1, 6)
  socket.write(header)
  const chunk = Buffer.alloc(64 * KIB)
  for (let sent = 0; sent < length && !socket.destroyed; sent += chunk.length) {
    if (socket.write(chunk)) continue
    await new Promise<void>((resolve) => {
      for (const event of ['drain', 'close']) socket.once(event, () => resolve())
    })
  }
  return socket
}

it('the messages that came while authorize was pending are read in shares, and arrive in order', async () => {
  const upstream = await upstreamOf()
  let allow: ((options: ReturnType<typeof clientOf>) => void) | undefined
  const { ws, printed, proxy, summary } = await pending({
    authorize: () => new Promise((resolve) => (allow = resolve)),
  })
  ws.send(AUTH)
  const texts = Array.from({ length: 8 }, (_item, index) => `{"a":"${String(index).repeat(60_000)}"}`)
  for (const text of texts) ws.send(text)
  ws.send(Buffer.from('typed'))
  await until(() => allow !== undefined && Number(proxy.served[0]?.request.socket.bytesRead) > 480_000)
  allow?.(clientOf(upstream))
  await printed('typed')
  const frames = upstream.requests.flatMap((request) => request.frames)
  expect(frames.filter((frame) => String(frame).startsWith('{"a"'))).toEqual(texts)
  ws.close()
  expect(await summary()).toMatchObject({ dropped: 0 })
})

describe('an unfinished message', () => {
  it.each([
    ['a client that has not said who it is', '', 256 * KIB],
    ['a client that nobody has authorized yet', AUTH, 4 * MIB],
  ])('of %s ends its connection before it has filled the memory', async (_who, first, limit) => {
    const { proxy } = await pending()
    await sendUnfinished(proxy, first, 64 * MIB)
    const stranger = proxy.served[1]
    expect(await stranger?.summary).toMatchObject({ endedBy: 'proxy', code: 1009 })
    expect(stranger?.request.socket.bytesRead).toBeLessThan(limit)
  })

  it('of an authorized client may be as large as the server of the proxy lets it', async () => {
    const upstream = await upstreamOf()
    const proxy = await startProxy(() => ({ authorize: () => clientOf(upstream) }))
    const { ws, printed } = await clientTo(proxy)
    ws.send(AUTH)
    ws.send(Buffer.from('ready'))
    await printed('ready')
    ws.send(Buffer.alloc(3 * MIB, 'x'))
    ws.send(Buffer.from('over'))
    await printed('over')
  })
})

describe('authorize', () => {
  it('that never answers ends the client after authTimeout', async () => {
    const { ws, closed, summary } = await pending({ authTimeout: 50 })
    ws.send(AUTH)
    expect(await closed).toEqual({ code: 4003, reason: 'Terminal instance not reachable' })
    expect(await summary()).toMatchObject({
      endedBy: 'proxy',
      error: { code: 'ERR_TERMINAL_TIMEOUT', message: '`authorize` has not answered within 50 ms' },
    })
  })

  it('that takes its time has its client pinged meanwhile', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    afterwards({ close: () => vi.useRealTimers() })
    const { ws } = await pending({ authTimeout: 600_000 })
    ws.send(AUTH)
    const pinged = once(ws, 'ping')
    vi.advanceTimersByTime(30_000)
    await pinged
  })

  const trap = (): never => {
    throw new Error('a trap')
  }

  it.each<[string, () => unknown]>([
    ['a proxy whose traps throw', () => new Proxy({}, { get: trap, has: trap, getPrototypeOf: trap })],
    [
      'a TerminalError whose closeReason throws',
      () => Object.defineProperty(new TerminalError('ERR_TERMINAL_FORBIDDEN', 'no'), 'closeReason', { get: trap }),
    ],
    ['a TerminalError with a code of its own', () => new TerminalError(new Date() as never, 'no')],
  ])('that throws %s closes with 4003, and the proxy resolves', async (_what, thrown) => {
    const { ws, closed, summary } = await pending({ authorize: () => Promise.reject(thrown()) })
    ws.send(AUTH)
    expect(await closed).toEqual({ code: 4003, reason: '' })
    expect(await summary()).toMatchObject({ endedBy: 'proxy', error: expect.any(Error) })
  })

  it('that returns a base that can be read only once leaves no terminal behind', async () => {
    const upstream = await upstreamOf()
    let reads = 0
    const { ws, closed } = await pending({
      authorize: () => ({
        ...clientOf(upstream),
        get base() {
          reads += 1
          return reads === 1 ? upstream.url : (undefined as never)
        },
      }),
    })
    ws.send(AUTH)
    await closed
    expect(upstream.sessions).toEqual([])
  })
})

it.each([{ aborted: false }, { aborted: false, addEventListener() {} }, 'soon'])(
  'a signal %j is refused as an option, by the proxy and by connectTerminal',
  async (signal) => {
    const options = { base: 'http://127.0.0.1:1', userId: 'ada', signal: signal as never }
    const proxy = await startProxy(() => options)
    expect(await (await clientTo(proxy)).closed).toEqual({ code: 4003, reason: '' })
    expect(await proxy.served[0]?.summary).toMatchObject({ error: { code: 'ERR_INVALID_ARG_TYPE' } })
    await expect(connectTerminal(options)).rejects.toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
  },
)

it.each<[string, (ws: WebSocket) => void]>([
  ['empty messages', (ws) => ws.send(new Uint8Array())],
  ['messages of one byte', (ws) => ws.send(Buffer.from('x'))],
  ['commands', (ws) => ws.send('{"type":"ping"}')],
  ['text that is dropped', (ws) => ws.send('[]')],
])('a client that floods with %s has to wait, and nothing of it is lost', async (_kind, send) => {
  const { ws, served, printed } = await join()
  ws.send(Buffer.from('ready'))
  await printed('ready')
  for (let sent = 0; sent < 20_000; sent += 1) send(ws)
  await until(() => served.socket.isPaused)
  ws.send(Buffer.from('over'))
  await printed('over')
})

it.each([
  ['arrives', 1_000, (ws: WebSocket) => ws.close(1000)],
  ['is given up with a connection that dropped', undefined, (ws: WebSocket) => ws.terminate()],
])('what a client has typed before it closed %s', async (_what, least, leave) => {
  const { ws, upstream, received, served } = await pair()
  for (let sent = 0; sent < 1_000; sent += 1) ws.send(Buffer.from('x'))
  leave(ws)
  const { bytesToUpstream } = await served.summary
  if (least !== undefined) expect(bytesToUpstream).toBe(least)
  expect(upstream.readyState).toBeGreaterThan(1)
  expect(Buffer.concat(received.map(({ data }) => data)).length).toBeLessThanOrEqual(1_000)
})

describe('createInbox', () => {
  function inbox(): { delivered: string[]; paused: () => boolean; box: ReturnType<typeof createInbox> } {
    const delivered: string[] = []
    let paused = false
    const socket = { pause: () => void (paused = true), resume: () => void (paused = false) }
    const box = createInbox((data) => delivered.push(data.toString()), socket)
    return { delivered, paused: () => paused, box }
  }
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

  it('hands on 64 tiny messages in a turn, all of them in order, and makes the client wait meanwhile', async () => {
    const { delivered, paused, box } = inbox()
    for (let index = 0; index < 150; index += 1) box.push(Buffer.from(String(index)), true)
    const counts = [delivered.length]
    expect(paused()).toBe(true)
    for (let turns = 0; turns < 3; turns += 1) {
      await turn()
      counts.push(delivered.length)
    }
    expect(counts.slice(0, 3)).toEqual([64, 128, 150])
    expect(paused()).toBe(false)
    expect(delivered).toEqual(Array.from({ length: 150 }, (_item, index) => String(index)))
  })

  it('hands nothing on during a pause, and goes on in order after it', async () => {
    const { delivered, paused, box } = inbox()
    box.push(Buffer.from('one'), true)
    box.pause()
    box.push(Buffer.from('two'), true)
    await turn()
    expect([delivered, paused()]).toEqual([['one'], true])
    box.resume()
    box.push(Buffer.from('three'), true)
    await turn()
    expect([delivered, paused()]).toEqual([['one', 'two', 'three'], false])
  })

  it('goes on at the end of the turn after a pause that is shorter', async () => {
    const { delivered, box } = inbox()
    box.resume()
    box.push(Buffer.from('one'), true)
    box.pause()
    box.push(Buffer.from('two'), true)
    box.resume()
    expect(delivered).toEqual(['one'])
    await turn()
    expect(delivered).toEqual(['one', 'two'])
  })

  it('tells of its end when everything has been handed on', async () => {
    const { delivered, box } = inbox()
    const ended: number[] = []
    for (let index = 0; index < 70; index += 1) box.push(Buffer.from('x'), true)
    box.end(() => ended.push(delivered.length))
    expect(ended).toEqual([])
    await turn()
    expect(ended).toEqual([70])
  })

  it('makes the client wait for its share of a turn also when it is closed', async () => {
    const { paused, box } = inbox()
    box.close()
    for (let index = 0; index < 64; index += 1) box.push(Buffer.from('x'), true)
    expect(paused()).toBe(true)
    await turn()
    expect(paused()).toBe(false)
  })

  it('drops what waits when it is closed, and does not pause the socket any more', async () => {
    const { delivered, paused, box } = inbox()
    box.pause()
    box.push(Buffer.from('one'), true)
    box.close()
    box.pause()
    box.resume()
    box.push(Buffer.from('two'), true)
    await turn()
    expect([delivered, paused()]).toEqual([[], false])
  })
})
