import fc from 'fast-check'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { Socket } from 'node:net'
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { TerminalError, type TerminalErrorCode } from '../../src/index.ts'
import { proxyTerminal, type ProxySummary } from '../../src/proxy.ts'
import type { TestFault, TestFaults, TestSession, TestUpstream } from '../../src/testing.ts'
import { clientTo, join, startProxy, type ProxyClient } from '../support/proxy.ts'
import { afterwards, clientOf, listen, releases, serve, until, upstreamOf } from '../support/upstream.ts'

const unhandled: unknown[] = []
const note = (problem: unknown): unknown => unhandled.push(problem)

beforeEach(() => {
  process.on('unhandledRejection', note).on('uncaughtException', note)
})

afterEach(async () => {
  await turn()
  process.off('unhandledRejection', note).off('uncaughtException', note)
  expect(unhandled.splice(0)).toEqual([])
})

const AUTH = '{"type":"auth","token":"jwt"}'
const CLIENT = 0x80
const SERVER = 0

/** A frame as that side has to send it; a client's has a mask, of zeros here. */
function frame(side: number, first: number, payload: readonly number[] = []): Buffer {
  return Buffer.from([first, side | payload.length, ...(side === CLIENT ? [0, 0, 0, 0] : []), ...payload])
}

/** What no peer may send, and the code that RFC 6455 has for it. */
function violations(side: number): Array<[name: string, bytes: Buffer, code: number]> {
  const long = (...length: number[]): Buffer => Buffer.from([0x82, side | 127, ...length])
  return [
    ['an opcode that is none', frame(side, 0x83), 1002],
    ['a control opcode that is none', frame(side, 0x8b), 1002],
    ['the bit of a compression that was not agreed on', frame(side, 0xc2, [1]), 1002],
    ['the other reserved bits', frame(side, 0xb2, [1]), 1002],
    ['a length of 2 ** 64 - 1', long(255, 255, 255, 255, 255, 255, 255, 255), 1009],
    ['a length of 2 ** 40', long(0, 0, 1, 0, 0, 0, 0, 0), 1009],
    ['a mask where there is to be none, or none where there is to be one', frame(side ^ CLIENT, 0x82, [1]), 1002],
    ['a continuation of nothing', frame(side, 0x80, [1]), 1002],
    ['a message within a message', Buffer.concat([frame(side, 0x02, [1]), frame(side, 0x82, [1])]), 1002],
    ['a ping of 126 bytes', Buffer.from([0x89, side | 126, 0, 126]), 1002],
    ['a ping in fragments', frame(side, 0x09), 1002],
    ['text that is not UTF-8', frame(side, 0x81, [0xff]), 1007],
    ['a close with half a code', frame(side, 0x88, [3]), 1002],
    ['a close with 999', frame(side, 0x88, [0x03, 0xe7]), 1002],
    ['a close with 1005', frame(side, 0x88, [0x03, 0xed]), 1002],
    ['a close with 1006', frame(side, 0x88, [0x03, 0xee]), 1002],
    ['a close with 1015', frame(side, 0x88, [0x03, 0xf7]), 1002],
    ['a close with a reason that is not UTF-8', frame(side, 0x88, [0x03, 0xe8, 0xff]), 1007],
  ]
}

/** The TCP socket under a WebSocket, for what `ws` would not send. */
function rawOf(ws: WebSocket): Socket {
  return Reflect.get(ws, '_socket')
}

/** Bytes that may well begin like a frame, which noise alone seldom does. */
function noise(side: number): fc.Arbitrary<Buffer> {
  const any = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes))
  const opcodes = fc.constantFrom(0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8a)
  const framed = fc
    .tuple(opcodes, fc.array(fc.nat(255), { maxLength: 125 }))
    .map(([first, payload]) => frame(side, first, payload))
  const parts = fc.array(fc.oneof(any, framed, framed), { minLength: 1, maxLength: 4 })
  return parts.map((list) => Buffer.concat(list))
}

describe('a client that breaks the protocol', () => {
  it.each(violations(CLIENT))(
    'with %s is told so, and ends nothing but its own terminal',
    async (_name, bytes, code) => {
      const upstream = await upstreamOf()
      const proxy = await startProxy(() => clientOf(upstream))
      const neighbour = await clientTo(proxy)
      const client = await clientTo(proxy)
      await until(() => upstream.sessions.length === 2 && upstream.sessions.every(({ attached }) => attached === 1))
      rawOf(client.ws).write(bytes)
      expect(await client.closed).toMatchObject({ code })
      expect(await proxy.served[1]?.summary).toMatchObject({ endedBy: 'client', code: 1006 })
      expect(upstream.sessions).toHaveLength(1)
      neighbour.ws.send(Buffer.from('alive'))
      await neighbour.printed('alive')
    },
  )

  it.each(violations(CLIENT))('with %s instead of saying who it is is told so', async (_name, bytes, code) => {
    const proxy = await startProxy(() => ({ authorize: () => expect.unreachable('it has not said who it is') }))
    const client = await clientTo(proxy)
    rawOf(client.ws).write(bytes)
    expect(await client.closed).toMatchObject({ code })
    expect(await proxy.served[0]?.summary).toMatchObject({ endedBy: 'client', code: 1006 })
  })

  it('with any bytes, whenever and however it leaves then, does not leave a session behind', async () => {
    const upstream = await upstreamOf()
    const proxies = [
      await startProxy(() => clientOf(upstream)),
      await startProxy(() => ({ authorize: () => clientOf(upstream) })),
    ]
    const moments = fc.constantFrom('at once', 'authorized', 'attached')
    const leave = fc.constantFrom('end', 'destroy', 'resetAndDestroy')
    const run = async (which: number, moment: string, bytes: Buffer, how: 'end' | 'destroy' | 'resetAndDestroy') => {
      const proxy = proxies[which] ?? expect.unreachable()
      const client = await clientTo(proxy)
      const served = proxy.served.at(-1)
      if (moment !== 'at once') client.ws.send(AUTH)
      if (moment === 'attached') await until(() => upstream.sessions.some(({ attached }) => attached === 1))
      rawOf(client.ws).write(bytes)
      rawOf(client.ws)[how]()
      // Noise can be an auth frame that never was, or a close.
      await served?.summary
      await until(() => upstream.sessions.length === 0)
    }
    const wrongWays = fc.asyncProperty(fc.nat(1), moments, noise(CLIENT), leave, (which, moment, bytes, how) =>
      run(which, moment, bytes, how as 'end'),
    )
    await fc.assert(wrongWays, { numRuns: 40 })
  })

  it.each([
    ['pings', [], frame(CLIENT, 0x89)],
    ['pongs that nobody asked for', [], frame(CLIENT, 0x8a)],
    ['empty messages', [], frame(CLIENT, 0x82)],
    ['fragments of one message', [frame(CLIENT, 0x02)], frame(CLIENT, 0x00)],
  ])('by %s without end does not hold its neighbour up', async (_name, first, bytes) => {
    const upstream = await upstreamOf()
    const proxy = await startProxy(() => clientOf(upstream))
    const neighbour = await clientTo(proxy)
    const client = await clientTo(proxy)
    client.ws.send(Buffer.from('open'))
    await client.printed('open')
    rawOf(client.ws).write(Buffer.concat([...first, Buffer.alloc(20_000 * bytes.length, bytes)]))
    neighbour.ws.send(Buffer.from('alive'))
    await neighbour.printed('alive')
    client.ws.terminate()
    expect(await proxy.served[1]?.summary).toMatchObject({ endedBy: 'client' })
    expect(upstream.sessions).toHaveLength(1)
  })
})

/** The steps of an upstream's life, in order. */
const STEPS = [
  'accepts a connection',
  'is asked for a session',
  'has answered half of that',
  'is asked for an upgrade',
  'has answered half of that',
  'has upgraded',
  'has read the auth frame',
  'has printed',
  'is closed',
  'is asked to delete the session',
] as const
const CREATING = 1
const ATTACHED = 6
const CLOSED = 8

interface Crude {
  readonly base: string
  /** The methods of the requests so far, and `upgrade`. */
  readonly asked: string[]
}

/** An upstream that speaks the protocol by hand, and at one of the steps does something else. */
async function crudeUpstream(step: number, act: (socket: Socket) => void): Promise<Crude> {
  const asked: string[] = []
  const base = await serve((server) => {
    server.on('connection', (socket) => {
      socket.on('error', () => {})
      if (step === 0) act(socket)
    })
    server.on('request', ({ method, socket }, response) => {
      asked.push(String(method))
      if (step === (method === 'POST' ? CREATING : 9)) act(socket)
      else if (step === 2) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"id":', () => act(socket))
      else response.end('{"id":"s1"}')
    })
    server.on('upgrade', ({ headers }, socket: Socket) => {
      asked.push('upgrade')
      socket.on('end', () => socket.end())
      const key = `${headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`
      const accept = createHash('sha1').update(key).digest('base64')
      const half = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n'
      if (step === 3) return act(socket)
      if (step === 4) return socket.write(half, () => act(socket))
      socket.once('data', () => {
        if (step === ATTACHED) return act(socket)
        socket.on('data', () => (step === CLOSED ? act(socket) : socket.end(frame(SERVER, 0x88, [3, 232]))))
        return socket.write(frame(SERVER, 0x82, [1]), () => step === 7 && act(socket))
      })
      const rest = `Connection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`
      return socket.write(half + rest, () => step === 5 && act(socket))
    })
  })
  return { base, asked }
}

/** Joins a client to an upstream, sees that both ends of the proxy come to an end, and returns what it says of it. */
async function joinTo(
  { base, asked }: Crude,
  clientLeaves = true,
): Promise<{ summary: ProxySummary | undefined; client: ProxyClient }> {
  const proxy = await startProxy(() => ({ base, userId: 'ada', settle: 300, retry: { attempts: 2, delay: 1 } }))
  const client = await clientTo(proxy)
  // Once it has printed it is the client who ends it, if nothing else has.
  if (clientLeaves) client.ws.once('message', () => setTimeout(() => client.ws.close(1000), 20))
  const summary = await proxy.served[0]?.summary
  await client.closed
  // Whatever became of it, a session that was created is not forgotten.
  if (asked.includes('upgrade')) expect(asked).toContain('DELETE')
  return { summary, client }
}

describe('an upstream that breaks the protocol', () => {
  it.each(violations(SERVER))('with %s ends the terminal, and the client as a gateway does', async (_name, bytes) => {
    const crude = await crudeUpstream(7, (socket) => socket.write(bytes))
    const { summary, client } = await joinTo(crude, false)
    expect(summary).toMatchObject({
      endedBy: 'upstream',
      code: 1006,
      error: { code: 'ERR_TERMINAL_UNAVAILABLE', cause: { code: expect.stringMatching(/^WS_ERR_/) } },
    })
    expect(await client.closed).toEqual({ code: 1014, reason: '' })
  })

  it.each(STEPS.map((name, step) => [name, step] as const))('by a reset when it %s ends it', async (_name, step) => {
    // A reset when it has printed is not to lose a race against the client.
    const crude = await crudeUpstream(step, (socket) => socket.resetAndDestroy())
    const { summary, client } = await joinTo(crude, step >= CLOSED)
    if (step < ATTACHED) {
      expect(summary).toMatchObject({ endedBy: 'proxy', code: 4003, error: { code: 'ERR_TERMINAL_UNAVAILABLE' } })
      expect(await client.closed).toEqual({ code: 4003, reason: 'Terminal instance not reachable' })
    }
    if (step === 7) expect(summary).toMatchObject({ endedBy: 'upstream', code: 1006 })
    if (step >= CLOSED) expect(summary).toMatchObject({ endedBy: 'client', code: 1000 })
  })

  it('with any bytes at any step brings neither the proxy down nor the client into trouble', async () => {
    const run = async (step: number, bytes: Buffer): Promise<void> => {
      const { client } = await joinTo(await crudeUpstream(step, (socket) => socket.end(bytes)))
      // A connection that just drops would say that it is the proxy that failed.
      expect(await client.closed).not.toMatchObject({ code: 1006 })
    }
    const property = fc.asyncProperty(fc.nat(STEPS.length - 1), noise(SERVER), run)
    await fc.assert(property, { numRuns: 40 })
  })

  it('by pings without end ends nothing but its own terminal', async () => {
    const upstream = await upstreamOf()
    const crude = await crudeUpstream(7, (socket) => socket.write(Buffer.alloc(40_000, frame(SERVER, 0x89))))
    const neighbour = await clientTo(await startProxy(() => clientOf(upstream)))
    neighbour.ws.send(Buffer.from('alive'))
    await Promise.all([joinTo(crude), neighbour.printed('alive')])
  })
})

/** A moment in the life of a client, by what its proxy waits for then. */
const moments: Record<string, { faults?: TestFaults; auth?: string; until: (upstream: TestUpstream) => boolean }> = {
  'before its first message': { until: () => true },
  'with half of its first message sent': { auth: AUTH.slice(0, 10), until: () => true },
  'while it is being authorized': { auth: AUTH, until: () => true },
  'while a session is being created': {
    auth: AUTH,
    faults: { create: { delay: 50 } },
    until: ({ requests }) => requests.length > 0,
  },
  'while the upstream is being dialled': {
    auth: AUTH,
    faults: { attach: 'stall' },
    until: ({ requests }) => requests.length > 1,
  },
  'while the upstream has yet to accept': {
    auth: AUTH,
    until: ({ requests }) => requests.some(({ status }) => status === 101),
  },
  'when all is open': { auth: AUTH, until: ({ sessions }) => sessions[0]?.attached === 1 },
}

describe('a client that resets its connection', () => {
  it.each(Object.entries(moments))('%s leaves nothing behind', async (when, { faults, auth = '', until: reached }) => {
    const upstream = await upstreamOf({ faults })
    let authorizing = false
    const proxy = await startProxy(() => ({
      authorize: async () => {
        authorizing = true
        return when.includes('authorized') ? new Promise<never>(() => {}) : { ...clientOf(upstream), settle: 200 }
      },
    }))
    const client = await clientTo(proxy)
    // The head of a text frame that is not all there yet.
    if (auth.length < AUTH.length) rawOf(client.ws).write(Buffer.from([0x81, CLIENT | AUTH.length, 0, 0, 0, 0]))
    else client.ws.send(auth)
    await until(() => authorizing === (auth === AUTH) && reached(upstream))
    rawOf(client.ws).resetAndDestroy()
    expect(await proxy.served[0]?.summary).toMatchObject({ endedBy: 'client', code: 1006 })
    const done = (wanted: string): number =>
      upstream.requests.filter(({ method, status }) => method === wanted && status === 200).length
    await until(() => done('DELETE') === upstream.requests.filter(({ method }) => method === 'POST').length)
    expect(upstream.sessions).toEqual([])
  })

  it('while output for it waits and input of its own, leaves nothing behind', async () => {
    const { ws, session, served, upstream } = await join({}, { maxBuffered: 1 })
    ws.pause()
    void session.output(new Uint8Array(10_000_000))
    ws.send(new Uint8Array(10_000_000))
    await until(() => served.socket.isPaused && served.socket.bufferedAmount > 0)
    rawOf(ws).resetAndDestroy()
    expect(await served.summary).toMatchObject({ endedBy: 'client', code: 1006 })
    expect(upstream.sessions).toEqual([])
  })
})

describe('a proxy', () => {
  it('refuses for a reason that it does not know, as one of a later release of this package would be', async () => {
    const error = new TerminalError('ERR_TERMINAL_OF_TOMORROW' as TerminalErrorCode, 'Not today')
    const proxy = await startProxy(() => ({ authorize: () => Promise.reject(error) }))
    const client = await clientTo(proxy)
    client.ws.send(AUTH)
    expect(await client.closed).toEqual({ code: 4003, reason: '' })
    expect(await proxy.served[0]?.summary).toMatchObject({ endedBy: 'proxy', code: 4003, error })
  })

  it('makes a client wait that sends text to an upstream that does not read', async () => {
    const { ws, session, served, printed } = await join({}, { maxBuffered: 100_000 })
    // Before the terminal is open, so much would be too much.
    await session.output('ready')
    await printed('ready')
    session.stall()
    const text = `{"type":"ping","more":"${'x'.repeat(60_000)}"}`
    for (let sent = 0; sent < 1_000; sent += 1) ws.send(text)
    await until(() => served.socket.isPaused)
    session.reset()
    expect(await served.summary).toMatchObject({ endedBy: 'upstream', code: 1006 })
  })

  it('gives up on a client that does not read, although it has sent more than the upstream takes', async () => {
    const { ws, session, served, upstream } = await join({}, { maxBuffered: 1, keepAlive: 300 })
    ws.pause()
    void session.output(new Uint8Array(20_000_000))
    ws.send(new Uint8Array(20_000_000))
    expect(await served.summary).toMatchObject({ endedBy: 'client', code: 1006 })
    expect(upstream.sessions).toEqual([])
  })
})

type Kind = 'TCPSocketWrap' | 'TCPServerWrap' | 'TCPConnectWrap' | 'Timeout'
const KINDS: readonly Kind[] = ['TCPSocketWrap', 'TCPServerWrap', 'TCPConnectWrap', 'Timeout']

/** How many sockets, servers and timers keep this process alive. */
function resources(): Record<string, number> {
  const all = process.getActiveResourcesInfo()
  return Object.fromEntries(KINDS.map((kind) => [kind, all.filter((name) => name === kind).length]))
}

function listenersOf(ws: WebSocket): Record<string, number> {
  return Object.fromEntries(ws.eventNames().map((name) => [String(name), ws.listenerCount(name)]))
}

interface Ending {
  readonly ws: WebSocket
  readonly session: TestSession
  readonly abort: AbortController
}

/** The ways to end; each has to do, whatever is going on. */
const ends: Record<string, (ending: Ending) => unknown> = {
  'the client drops': ({ ws }) => ws.terminate(),
  'the client resets': ({ ws }) => rawOf(ws).resetAndDestroy(),
  'the client closes': ({ ws }) => ws.close(1000, 'bye'),
  'the client closes, and does not wait': ({ ws }) => {
    ws.close(4000)
    ws.terminate()
  },
  'the client sends garbage': ({ ws }) => rawOf(ws).end(Buffer.alloc(40, 0xff)),
  'the client stops reading, and drops': ({ ws }) => {
    ws.pause()
    setTimeout(() => ws.terminate(), 30)
  },
  'the client sends too much at once': ({ ws }) => {
    ws.send(new Uint8Array(200_000))
    ws.close()
  },
  'the upstream closes': ({ session }) => session.close(1001, 'bye'),
  'the upstream resets': ({ session }) => session.reset(),
  'the shell exits': ({ session }) => {
    session.exit()
    session.close(1000)
  },
  'the upstream stalls': ({ session, ws }) => {
    session.stall()
    ws.close()
  },
  'both close': ({ session, ws }) => {
    session.close(1012)
    ws.close()
  },
  'the caller aborts': ({ abort, ws }) => {
    abort.abort()
    // Which is for connecting only.
    setTimeout(() => ws.close(), 10)
  },
}

const input = fc.oneof(
  fc.constantFrom('{"type":"resize","cols":80,"rows":24}', '1', 'no JSON', AUTH),
  fc.uint8Array({ minLength: 1, maxLength: 10_000 }),
)
const lives = fc.record({
  upstream: fc.nat(releases.length),
  authorizes: fc.boolean(),
  first: fc.constantFrom(AUTH, AUTH, AUTH, 'nobody'),
  early: fc.array(input, { maxLength: 3 }),
  late: fc.array(input, { maxLength: 3 }),
  output: fc.nat(100_000),
  maxBuffered: fc.integer({ min: 1, max: 100_000 }),
  keepAlive: fc.constantFrom(0, 5, 30_000),
  youth: fc.nat(150),
  age: fc.nat(60),
  end: fc.constantFrom(...Object.keys(ends)),
})
type Life = typeof lives extends fc.Arbitrary<infer L> ? L : never

/** What goes wrong with the first 300 requests: every fourth. */
function sometimes(...wrong: TestFault[]): Array<TestFault | undefined> {
  const fault = fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, fc.constantFrom(...wrong))
  return fc.sample(fault, 300)
}

describe('1 000 clients that come and go at random moments', () => {
  it('leave no socket, timer, listener or session behind', async () => {
    const before = resources()
    const all = fc.sample(lives, 1_000)
    const upstreams = await Promise.all(
      [...releases, 'terminals@0.0.3' as const].map((release, index) =>
        upstreamOf({
          release,
          redialDelay: 5,
          faults: {
            create: sometimes('reset', { delay: 20 }, { refuse: 503 }, { refuse: 401 }),
            attach: sometimes('reset', 'drop', 'stall', { delay: 20 }, { refuse: 403 }, { refuse: 1012 }),
            // The one that is there twice may not do as it is told.
            delete: index < releases.length ? sometimes('drop', { delay: 20 }) : sometimes('reset', { refuse: 500 }),
          },
        }),
      ),
    )
    const upstreamOfLife = ({ upstream }: Life): TestUpstream => upstreams[upstream] ?? expect.unreachable()
    const aborts = all.map(() => new AbortController())
    const served: Array<Promise<ProxySummary>> = []
    const kept: unknown[] = []
    const server = createServer()
    afterwards(server)
    new WebSocketServer({ server }).on('connection', (socket, { url = '' }) => {
      const index = Number(url.slice(1))
      const life = all[index] ?? expect.unreachable()
      const options = {
        ...clientOf(upstreamOfLife(life)),
        maxBuffered: life.maxBuffered,
        keepAlive: life.keepAlive,
        signal: aborts[index]?.signal,
        userId: `user-${index}`,
        settle: 20,
        timeout: 300,
        retry: { attempts: 2, delay: 5 },
      }
      const authorize = async (): Promise<typeof options> => {
        await sleep(life.youth / 2)
        return options
      }
      const listeners = listenersOf(socket)
      const summary = proxyTerminal(socket, life.authorizes ? { authorize } : options)
      served[index] = summary.finally(() => {
        if (!isDeepStrictEqual(listenersOf(socket), listeners)) kept.push([life, listeners, listenersOf(socket)])
      })
    })
    const url = (await listen(server)).replace('http', 'ws')

    const live = async (life: Life, index: number): Promise<void> => {
      const ws = new WebSocket(`${url}/${index}`, { perMessageDeflate: false })
      ws.on('error', () => {})
      await once(ws, 'open')
      if (life.authorizes) ws.send(life.first)
      for (const data of life.early) ws.send(data)
      await sleep(life.youth)
      const session = upstreamOfLife(life).sessions.find(({ userId }) => userId === `user-${index}`)
      void session?.output(new Uint8Array(life.output))
      for (const data of life.late) ws.send(data)
      await sleep(life.age)
      const abort = aborts[index] ?? expect.unreachable()
      // An upstream that is not there (yet) cannot be what ends it.
      if (session) ends[life.end]?.({ ws, session, abort })
      else if (life.end === 'the caller aborts') abort.abort()
      if (!session || !session.attached) ws.close()
      // A terminal whose session ends while it opens goes on in another one.
      await Promise.race([served[index], sleep(1_000)])
      ws.close()
      await served[index]
    }
    const queue = all.entries()
    const worker = async (): Promise<void> => {
      for (const [index, life] of queue) await live(life, index)
    }
    await Promise.all(Array.from({ length: 100 }, worker))

    const summaries = await Promise.all(served)
    expect(summaries).toHaveLength(1_000)
    // Otherwise they have not been where it hurts.
    for (const by of ['client', 'upstream', 'proxy']) expect(summaries.map(({ endedBy }) => endedBy)).toContain(by)
    expect(summaries.filter(({ sessionId }) => sessionId !== undefined).length).toBeGreaterThan(100)
    expect(kept).toEqual([])
    // A session that was still being created is deleted when it is there.
    const forgotten = ({ sessions, requests }: TestUpstream): TestSession[] =>
      sessions.filter(({ id }) => !requests.some(({ method, path }) => method === 'DELETE' && path.endsWith(id)))
    await until(() => upstreams.flatMap(forgotten).length === 0)
    expect(upstreams.slice(0, -1).flatMap(({ sessions }) => sessions)).toEqual([])

    await Promise.all([...upstreams.map((upstream) => upstream.close()), new Promise((done) => server.close(done))])
    const isLeft = (kind: Kind): boolean => Number(resources()[kind]) > Number(before[kind])
    // What has been closed is gone some turns later; fetch keeps its connections as long as the server does.
    for (let tries = 0; tries < 100 && KINDS.some(isLeft); tries += 1) await sleep(10)
    expect(KINDS.filter(isLeft)).toEqual([])
  }, 60_000)
})
