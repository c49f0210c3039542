import { once } from 'node:events'
import { describe, expect, it, vi } from 'vitest'
import { connectTerminal, TerminalError } from '../../src/index.ts'
import { SessionOutput } from '../../src/gateway/session-output.ts'
import { Watchers } from '../../src/gateway/watchers.ts'
import { relayTo } from '../support/cuttable-relay.ts'
import { recordEvents } from '../support/gateway-events.ts'
import type { ProxyClient } from '../support/proxy.ts'
import { AUTH, output, parked, resume, silent } from '../support/resume.ts'
import {
  ask,
  attachAs,
  attached,
  closeOf,
  createAs,
  pageOf,
  startGateway,
  type,
  untilParked,
} from '../support/terminal-gateway.ts'
import type { ServedGateway } from '../support/terminal-gateway.ts'
import { afterwards, until } from '../support/upstream.ts'
import { recordWarnings, warned } from '../support/warnings.ts'

/** Lets a client look on, and resolves when it has been told where its output begins. */
function watch(
  gateway: ServedGateway,
  id: string,
  offset: number | null = null,
  more: object = {},
): ReturnType<typeof resume> {
  return resume(gateway, id, offset, { watch: true, ...more })
}

/** Returns the text frames that a client has got. */
function frames({ messages }: Pick<ProxyClient, 'messages'>): unknown[] {
  return messages.filter(({ isBinary }) => !isBinary).map(({ data }) => JSON.parse(String(data)))
}

// PROTOCOL 8.12
describe('a client that looks on', () => {
  it('gets the size, what was printed before, and all that follows, sizes in their place', async () => {
    const gateway = await startGateway({}, { shell: silent })
    const id = await createAs(gateway)
    const typist = await attachAs(gateway, id)
    typist.ws.send('{"type":"resize","cols":100,"rows":30}')
    await until(() => gateway.upstream.sessions[0]?.size.cols === 100)
    await gateway.upstream.sessions[0]?.output('before ')
    await typist.printed('before ')
    const watcher = await watch(gateway, id)
    await watcher.printed('before ')
    typist.ws.send('{"type":"resize","cols":90,"rows":20}')
    await until(() => frames(watcher).length === 3)
    await gateway.upstream.sessions[0]?.output('after')
    await watcher.printed('after')
    expect(output(watcher)).toBe(output(typist))
    expect(frames(watcher)).toEqual([
      { type: 'attached', offset: 0, replay: 0, live: 7, keepFor: 300_000, paced: true },
      { type: 'resize', cols: 100, rows: 30 },
      { type: 'resize', cols: 90, rows: 20 },
    ])
  })

  it('types nothing, sets no size, takes nothing over and begins no generation, but gets an answer to a ping', async () => {
    const { gateway, id, ...typist } = await attached()
    const watcher = await watch(gateway, id)
    watcher.ws.send(Buffer.from('rm -rf /\n'))
    watcher.ws.send('{"type":"resize","cols":1,"rows":1}')
    watcher.ws.send('{"type":"ping"}')
    await until(() => frames(watcher).some((frame) => Object(frame).type === 'pong'))
    await type(typist, 'mine')
    await watcher.printed('mine')
    expect(output(watcher)).toBe('mine')
    expect(gateway.upstream.sessions[0]?.size).toEqual({ cols: 80, rows: 24 })
    expect(gateway.gateway.sessions).toMatchObject([{ watchers: 1, bytesToUpstream: 4, bytesToClient: 4 }])
    const resumed = await resume(gateway, id, 0)
    expect(await typist.closed).toMatchObject({ code: 4009 })
    expect(resumed.attached.generation).toBe('2')
  })

  it('holds no shell open, may look on at a parked one, comes back to its place, and ends with it', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    try {
      const { gateway, id, print } = await parked('one ', { keepFor: 60_000 })
      const watcher = await watch(gateway, id)
      await print('two ')
      await watcher.printed('two ')
      watcher.ws.terminate()
      await print('three')
      const again = await watch(gateway, id, 8)
      await again.printed('three')
      expect(again.attached).toMatchObject({ offset: 8 })
      expect(output(again)).toBe('three')
      expect(gateway.gateway.sessions).toMatchObject([{ parkedSince: expect.any(Date), watchers: 1 }])
      vi.advanceTimersByTime(61_000)
      expect(await again.closed).toEqual({ code: 1000, reason: '' })
      expect(gateway.gateway.sessions).toEqual([])
    } finally {
      vi.useRealTimers()
    }
  })

  it.each<[string, (gateway: ServedGateway, id: string) => unknown, object]>([
    ['its shell exits', ({ upstream }) => upstream.sessions[0]?.exit(), { code: 1000 }],
    [
      'its owner deletes it',
      (gateway, id) => ask(gateway, 'DELETE', `/${id}`),
      { code: 1000, reason: 'Session deleted' },
    ],
    ['the gateway closes', ({ gateway }) => gateway.close(), { code: 1012, reason: 'Service restart' }],
  ])('gets the rest and the close frame of every client when %s', async (_, end, frame) => {
    for (const hasClient of [true, false]) {
      const { gateway, id, ...typist } = await attached({}, { shell: silent })
      const watcher = await watch(gateway, id)
      if (!hasClient) {
        typist.ws.close()
        await untilParked(gateway)
      }
      await gateway.upstream.sessions[0]?.output('the last words')
      await watcher.printed('words')
      await end(gateway, id)
      expect(await watcher.closed).toMatchObject(frame)
      expect(output(watcher)).toBe('the last words')
    }
  })

  it('is the 17th: 1013, and an event says why; when one has left, another may come', async () => {
    const events = recordEvents()
    const { gateway, id } = await attached()
    const watchers = await Promise.all(Array.from({ length: 16 }, () => watch(gateway, id)))
    expect(gateway.gateway.sessions).toMatchObject([{ watchers: 16 }])
    const close = await closeOf(gateway, id, { ...AUTH, offset: null, watch: true })
    expect(close).toEqual({ code: 1013, reason: 'Too many clients look on' })
    const refused = [
      'refused',
      { reason: 'limit', closeCode: 1013, userId: 'ada', watch: true, error: expect.any(Error) },
    ]
    await until(() => events.length > 17)
    expect(events.at(-1)).toEqual(refused)
    watchers[0]?.ws.terminate()
    await until(() => gateway.gateway.sessions[0]?.watchers === 15)
    await watch(gateway, id)
  })
})

describe('connectTerminal with `watch`', () => {
  it('sees the screen, the output and the size, comes back after a cut, and is told that it has ended', async () => {
    const { gateway, id, ...typist } = await attached()
    await type(typist, 'before ')
    const relay = await relayTo(gateway)
    const watching = { ...pageOf(relay), sessionId: id, watch: true, reconnect: { delay: 10 } }
    const terminal = await connectTerminal(watching)
    afterwards(terminal)
    let seen = ''
    terminal.onData((chunk) => (seen += Buffer.from(chunk).toString()))
    const sizes: unknown[] = []
    terminal.onResize((size) => sizes.push(size))
    typist.ws.send('{"type":"resize","cols":90,"rows":20}')
    await until(() => sizes.length === 2)
    relay.cut('reset')
    await until(() => terminal.status === 'reconnecting')
    await type(typist, 'meanwhile ')
    await until(() => terminal.status === 'open')
    await type(typist, 'after')
    await until(() => seen.includes('after'))
    expect(seen).toBe('before meanwhile after')
    await gateway.gateway.sessions[0]?.end()
    expect((await terminal.closed).cause).toBe('exited')
    const last = { cols: 90, rows: 20 }
    expect(sizes).toEqual([{ cols: 80, rows: 24 }, last, last])
  })
})

describe('authorize', () => {
  it('knows who looks on, says who that is for the events, and renews nothing of the owner then', async () => {
    const events = recordEvents()
    const seen: unknown[] = []
    const gateway = await startGateway()
    const { authorize } = allowing(
      gateway,
      ({ watch: isWatching, sessionId }) => void seen.push([isWatching, sessionId]),
    )
    const other = await startGateway({ authorize })
    const id = await createAs(other)
    await attachAs(other, id)
    await until(() => events.length === 1)
    const support = await watch(other, id, null, { token: 'jwt-support' })
    support.ws.close(1000)
    await until(() => events.length === 3)
    const who = { userId: 'ada', sessionId: id, watch: true, watchedBy: 'support', ms: expect.any(Number) }
    expect(events.slice(1)).toEqual([
      ['attached', who],
      ['closed', { ...who, closeCode: 1000, bytesToClient: 0, bytesToUpstream: 0 }],
    ])
    expect(seen).toEqual([
      [undefined, undefined],
      [undefined, id],
      [true, id],
    ])
    // With the key that it has returned for the one who looks on, the upstream refuses the first try.
    await other.gateway.sessions[0]?.end()
    expect(gateway.upstream.requests.filter(({ method }) => method === 'DELETE')).toHaveLength(1)
    expect(gateway.upstream.sessions).toEqual([])
  })

  it('warns of a `watchedBy` for a client that does not look on, and refuses one that is no string', async () => {
    const warnings = recordWarnings()
    const gateway = await startGateway()
    const { authorize } = allowing(gateway, () => {})
    const other = await startGateway({ authorize: (client) => ({ ...authorize(client), watchedBy: 7 as never }) })
    const id = await createAs(other)
    await warned()
    expect(warnings.map(({ message }) => message)).toEqual([
      expect.stringContaining('`watchedBy`, which has no effect'),
    ])
    expect(await closeOf(other, id, { ...AUTH, watch: true })).toMatchObject({ code: 4003 })
  })

  it.each([
    ['another user', { token: 'jwt-bea' }],
    ['the owner, of a session that is not there', AUTH],
  ])('lets %s look on at nothing: 4004', async (name, auth) => {
    const { gateway, id } = await attached()
    const close = await closeOf(gateway, name === 'another user' ? id : 'other', { ...auth, watch: true })
    expect(close).toEqual({ code: 4004, reason: 'Session not found' })
  })

  it('lets nobody look on at a shell that has ended, whose last output is for its owner', async () => {
    const { gateway, id } = await parked('text', {}, { release: 'open-terminal@0.14.5' })
    gateway.upstream.sessions[0]?.exit()
    await until(() => gateway.gateway.sessions.length === 0)
    expect(await closeOf(gateway, id, { ...AUTH, watch: true })).toEqual({ code: 4004, reason: 'Session not found' })
    const owner = await resume(gateway, id, 0)
    expect(await owner.closed).toEqual({ code: 1000, reason: 'exited' })
  })

  /** Lets the support look on at what is ada's, with another key. */
  function allowing(
    { upstream }: ServedGateway,
    onCall: (client: { watch?: boolean; sessionId?: string }) => void,
  ): { authorize: (client: { token: string; watch?: boolean }) => { base: string; key: string; userId: string } } {
    return {
      authorize({ token, ...client }) {
        onCall(client)
        const owner = { base: upstream.url, key: 'sk-canary', userId: 'ada' }
        if (token === 'jwt-ada') return owner
        if (!client.watch) throw new TerminalError('ERR_TERMINAL_FORBIDDEN', 'Only looks on')
        return { ...owner, key: 'sk-canary-of-support', watchedBy: 'support' } as typeof owner
      },
    }
  }
})

describe('a client that looks on and is behind', () => {
  const FLOOD = 'x'.repeat(63) + '\n'

  it('skips, is told how much, gets a tail, and goes on; the upstream waits for nobody', async () => {
    const { gateway, id, print } = await parked('', { maxBuffered: 64 * 1024, replayBytes: 32 * 1024 })
    const watcher = await watch(gateway, id)
    watcher.ws.pause()
    // More than the operating system takes.
    const total = 512
    for (let count = 0; count < total; count += 1) await print(FLOOD.repeat(512))
    await until(() => gateway.upstream.sessions[0] !== undefined)
    watcher.ws.resume()
    await until(() => frames(watcher).some((frame) => Object(frame).missing > 0))
    await print('the end')
    await watcher.printed('the end')
    const [, , ...later] = frames(watcher) as Array<{ offset: number; missing: number }>
    const bytes = total * 512 * FLOOD.length + 'the end'.length
    const last = later.at(-1)
    const index = watcher.messages.findIndex(({ data }) => data.toString() === JSON.stringify(last))
    const rest = Buffer.concat(watcher.messages.slice(index + 1).map(({ data }) => data))
    expect(Number(last?.offset) + rest.length).toBe(bytes)
    expect(rest.subarray(0, 3).toString()).toContain('\x1b')
  })

  it('gets its turn in a flood, however many are behind', () => {
    const session = new SessionOutput({ pause() {}, resume() {} })
    session.keep(1024)
    const settings = { maxBuffered: 1024, keepFor: 0 }
    const watchers = new Watchers({ id: 's', owner: AUTH, terminal: AUTH, output: session, settings } as never)
    const got = [0, 0, 0]
    const turn = (): void => {
      session.push(Buffer.alloc(4096, 'x'))
      watchers.serve()
    }
    for (const index of got.keys()) {
      const send = (...[, , sent]: Array<() => void>): void => {
        got[index] = Number(got[index]) + 1
        sent?.()
      }
      const client = { socket: { readyState: 1, bufferedAmount: 0, send }, counters: {}, input: { startSending() {} } }
      watchers.join({ client, onJoined() {} } as never, null)
      turn()
    }
    for (let count = 0; count < 9; count += 1) turn()
    expect(Math.min(...got)).toBeGreaterThan(2)
  })

  it('has to go after 15 s in which it has taken nothing', async () => {
    const events = recordEvents()
    const { gateway, id, print } = await parked('', { replayBytes: 4 * 1024 * 1024 })
    const watcher = await watch(gateway, id)
    watcher.ws.pause()
    vi.useFakeTimers({ toFake: ['performance'] })
    try {
      const isGone = (): boolean =>
        events.some(([name, event]) => name === 'closed' && Object(event).closeCode === 1013)
      const gone = expect.poll(isGone, { timeout: 9_000 }).toBe(true)
      const clock = setInterval(() => {
        // More and more, until the operating system takes no more.
        void print(FLOOD.repeat(64 * 1024))
        vi.advanceTimersByTime(500)
      }, 50)
      await gone.finally(() => clearInterval(clock))
      expect(gateway.gateway.sessions).toMatchObject([{ watchers: 0 }])
    } finally {
      vi.useRealTimers()
    }
    watcher.ws.resume()
    await once(watcher.ws, 'close')
  })
})
