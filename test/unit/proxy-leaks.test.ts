import fc from 'fast-check'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { describe, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { proxyTerminal, type ProxySummary } from '../../src/proxy.ts'
import type { TestFault, TestSession, TestUpstream } from '../../src/testing.ts'
import { tcpOf } from '../support/frames.ts'
import { CLIENT_AUTH } from '../support/proxy.ts'
import { failOnUnhandledErrors } from '../support/proxy-unhandled.ts'
import { afterwards, clientOf, listen, releases, until, upstreamOf } from '../support/upstream.ts'

failOnUnhandledErrors()

type Kind = 'TCPSocketWrap' | 'TCPServerWrap' | 'TCPConnectWrap' | 'Timeout'
const KINDS: readonly Kind[] = ['TCPSocketWrap', 'TCPServerWrap', 'TCPConnectWrap', 'Timeout']

/** Counts the sockets, servers and timers that keep this process alive. */
function resources(): Record<string, number> {
  const all = process.getActiveResourcesInfo()
  return Object.fromEntries(KINDS.map((kind) => [kind, all.filter((name) => name === kind).length]))
}

function listenersOf(ws: WebSocket): Record<string, number> {
  return Object.fromEntries(ws.eventNames().map((name) => [String(name), ws.listenerCount(name)]))
}

interface OpenedTerminal {
  readonly ws: WebSocket
  readonly session: TestSession
  readonly abort: AbortController
}

/** Ways to end an open terminal. */
const ends: Record<string, (terminal: OpenedTerminal) => unknown> = {
  'the client drops': ({ ws }) => ws.terminate(),
  'the client resets': ({ ws }) => tcpOf(ws).resetAndDestroy(),
  'the client closes': ({ ws }) => ws.close(1000, 'bye'),
  'the client closes, and does not wait': ({ ws }) => {
    ws.close(4000)
    ws.terminate()
  },
  'the client sends garbage': ({ ws }) => tcpOf(ws).end(Buffer.alloc(40, 0xff)),
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
    // An abort has no effect on an open terminal.
    setTimeout(() => ws.close(), 10)
  },
}

const input = fc.oneof(
  fc.constantFrom('{"type":"resize","cols":80,"rows":24}', '1', 'no JSON', CLIENT_AUTH),
  fc.uint8Array({ minLength: 1, maxLength: 10_000 }),
)
const lives = fc.record({
  upstream: fc.nat(releases.length),
  authorizes: fc.boolean(),
  first: fc.constantFrom(CLIENT_AUTH, CLIENT_AUTH, CLIENT_AUTH, 'no auth frame'),
  early: fc.array(input, { maxLength: 3 }),
  late: fc.array(input, { maxLength: 3 }),
  output: fc.nat(100_000),
  maxBuffered: fc.integer({ min: 1, max: 100_000 }),
  keepAlive: fc.constantFrom(0, 5, 30_000),
  // From the connection to the output; `authorize` takes half of it.
  msBefore: fc.nat(150),
  // From the output to the end.
  msAfter: fc.nat(60),
  end: fc.constantFrom(...Object.keys(ends)),
})
type Life = typeof lives extends fc.Arbitrary<infer L> ? L : never

/** Returns faults for the first 300 requests: every fourth gets one of these, on average. */
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
            // The last upstream, of a release that another one also has, may fail to delete.
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
        await sleep(life.msBefore / 2)
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
      await sleep(life.msBefore)
      const session = upstreamOfLife(life).sessions.find(({ userId }) => userId === `user-${index}`)
      void session?.output(new Uint8Array(life.output))
      for (const data of life.late) ws.send(data)
      await sleep(life.msAfter)
      const abort = aborts[index] ?? expect.unreachable()
      // Without a session, the upstream cannot end the terminal.
      if (session) ends[life.end]?.({ ws, session, abort })
      else if (life.end === 'the caller aborts') abort.abort()
      if (!session || !session.attached) ws.close()
      // If a session ends during the opening, the proxy may open another one. Then the client ends it.
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
    // Otherwise the random lives do not reach all code that they should reach.
    for (const by of ['client', 'upstream', 'proxy']) expect(summaries.map(({ endedBy }) => endedBy)).toContain(by)
    expect(summaries.filter(({ sessionId }) => sessionId !== undefined).length).toBeGreaterThan(100)
    expect(kept).toEqual([])
    // The proxy deletes a session that was still being created once the upstream has created it.
    const forgotten = ({ sessions, requests }: TestUpstream): TestSession[] =>
      sessions.filter(({ id }) => !requests.some(({ method, path }) => method === 'DELETE' && path.endsWith(id)))
    await until(() => upstreams.flatMap(forgotten).length === 0)
    expect(upstreams.slice(0, -1).flatMap(({ sessions }) => sessions)).toEqual([])

    await Promise.all([...upstreams.map((upstream) => upstream.close()), new Promise((done) => server.close(done))])
    const isLeft = (kind: Kind): boolean => Number(resources()[kind]) > Number(before[kind])
    // Closed sockets are gone some turns later. `expect.poll` would add timers to those that are counted.
    for (let tries = 0; tries < 100 && KINDS.some(isLeft); tries += 1) await sleep(10)
    expect(KINDS.filter(isLeft)).toEqual([])
  }, 60_000)
})
