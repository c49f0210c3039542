import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { TestRelease, TestUpstreamOptions } from '../../src/testing.ts'
import {
  announcing,
  API,
  ask,
  attach,
  authFrame,
  create,
  dial,
  lenient,
  lenientInside,
  next,
  ownServers,
  releases,
  roundTrip,
  start,
  type RawSocket,
} from '../support/raw-client.ts'
import { harmless, poisons } from '../upstream/cases.ts'

/** The end of a client whose input, or last message, ends the shell. */
const endOn = (release: TestRelease): string =>
  release.startsWith('terminals') || announcing.includes(release) ? 'open, 1000' : 'open, 1006'
/** Upstreams that attach several clients to one session, and cut input short. */
const sharing: TestUpstreamOptions[] = [...lenientInside, ...lenient.map((release) => ({ release }))]
/** Upstreams that do not announce the end of the shell. */
const silent: Array<TestUpstreamOptions & { release: TestRelease }> = [
  ...lenientInside,
  ...ownServers.filter((release) => !announcing.includes(release)).map((release) => ({ release })),
]

const type = ({ ws }: RawSocket, text: string): void => ws.send(Buffer.from(text))

/** Sends a message that ends the terminal, and a second one, at which an orchestrator notices the end. */
function sendLast({ ws }: RawSocket, last: string | Uint8Array): void {
  ws.send(last)
  ws.send('{"type":"ping"}')
}

const morePoisons = ['1', '"a"', 'true', '-Infinity', `{"a":${'['.repeat(1100)}${']'.repeat(1100)}}`]
const wrongSizes = ['null', '"24"', '1.5', '8e1', 'NaN', '70000'].flatMap((size) => [
  `{"type":"resize","cols":${size},"rows":24}`,
  `{"type":"resize","cols":80,"rows":${size}}`,
])
const sizes: Array<[text: string, cols: number, rows: number]> = [
  ['{"type":"resize","cols":0,"rows":0}', 0, 0],
  ['{"type":"resize","cols":65535,"rows":50}', 65_535, 50],
  ['{"type":"resize","cols":true,"rows":-0}', 1, -0],
  ['{"type":"resize"}', 80, 24],
  ['{"cols":1,"rows":1}', 80, 24],
]
/** Texts that only look like poison, and texts that are not JSON and not typed either. */
const moreHarmless = [
  'ls\n',
  '{"type":"resize"',
  '{"a":NaN,"b":-Infinity,"c":1.5e3,"d":"\\"[1e5","e":[[]]}',
  `{"a":1${'0'.repeat(4299)}}`,
  `{"a":${'['.repeat(900)}${']'.repeat(900)}}`,
]

describe.each(releases)('%s', (release) => {
  it('takes binary messages as keystrokes (PROTOCOL 5.1)', async () => {
    const socket = await attach(await start({ release }))
    const keys = Buffer.from([0, 3, 0xff, 0xc3, 13])
    socket.ws.send(keys)
    await socket.printed('\r')
    expect(socket.bytes()).toEqual(keys)
  })

  it('takes sizes, and ignores any other text that is harmless (PROTOCOL 5.3)', async () => {
    const upstream = await start({ release })
    const socket = await attach(upstream)
    for (const [text, cols, rows] of sizes) {
      socket.ws.send(text)
      await roundTrip(socket)
      expect(upstream.sessions, text).toMatchObject([{ size: { cols, rows } }])
    }
    for (const text of [...harmless, ...moreHarmless]) socket.ws.send(text)
    type(socket, '.')
    await socket.printed('.')
    expect(socket.bytes().toString()).toBe('.')
  })

  it.each([...poisons, ...morePoisons, ...wrongSizes].map((text) => [text.slice(0, 60), text]))(
    'ends the terminal after the text %s (PROTOCOL 5.4)',
    async (_start, poison) => {
      let killed = false
      const upstream = await start({ release, shell: () => ({ input() {}, kill: () => void (killed = true) }) })
      const socket = await attach(upstream)
      sendLast(socket, poison)
      expect(await socket.ended).toBe(endOn(release))
      expect(killed).toBe(true)
      expect(upstream.sessions).toEqual([])
      expect(`open, ${upstream.requests.at(-1)?.closeCode}`).toBe(endOn(release))
    },
  )

  it('closes with 1009 for a message of more than 16 MiB (PROTOCOL 5.6)', async () => {
    const socket = await attach(await start({ release }))
    socket.ws.send(Buffer.alloc(16 * 1024 * 1024 + 1))
    expect(await socket.ended).toBe('open, 1009')
  })

  it('sends at most 4096 bytes in a message, even if that splits a character', async () => {
    const upstream = await start({ release })
    const session = await create(upstream)
    const socket = await attach(upstream, session.id)
    await session.output('€'.repeat(3000))
    await session.output(new Uint8Array())
    await roundTrip(socket)
    expect(socket.frames.map(({ length }) => length)).toEqual([4096, 4096, 808])
    expect(socket.bytes().toString()).toBe('€'.repeat(3000))
  })

  it('sends output in the order of the shell, and keeps the early output for the first client', async () => {
    const upstream = await start({ release })
    const session = await create(upstream)
    const lines = Array.from({ length: 50 }, (_, index) => `${index}\n`)
    for (const line of lines.slice(0, 25)) void session.output(line)
    const socket = await attach(upstream, session.id)
    await Promise.all(lines.slice(25).map(session.output))
    await socket.printed('49\n')
    expect(socket.bytes().toString()).toBe(lines.join(''))
  })

  it('handles messages right after the auth frame as input, poison too', async () => {
    const upstream = await start({ release })
    const { id } = await create(upstream)
    const first = [authFrame(), '{"type":"resize","cols":132,"rows":50}', 'vanishes', Buffer.from('typed')]
    const socket = dial(upstream, id, { first })
    await socket.printed('typed')
    expect(socket.bytes().toString()).toBe('typed')
    expect(upstream.sessions).toMatchObject([{ size: { cols: 132, rows: 50 } }])
    const poisoned = dial(upstream, (await create(upstream)).id, { first: [authFrame(), '1', '{"type":"ping"}'] })
    expect(await poisoned.ended).toBe(endOn(release))
    expect(upstream.sessions).toMatchObject([{ id }])
  })
})

describe.each(silent)('$release does not announce the end of the shell (PROTOCOL 6.5)', ({ release, ...inside }) => {
  it('but notices it at the next keystroke after a request for the session', async () => {
    const upstream = await start({ release, ...inside })
    const session = await create(upstream)
    const socket = await attach(upstream, session.id)
    session.exit()
    type(socket, 'x')
    socket.ws.send('{"type":"resize","cols":1,"rows":1}')
    expect(await next(socket)).toBe('silence')
    await ask(upstream, 'GET', `${API}/${session.id}`)
    socket.ws.send('{"type":"ping"}')
    expect(await next(socket)).toBe('silence')
    sendLast(socket, Buffer.from('x'))
    expect(await socket.ended).toBe(endOn(release))
  })

  it.each([Buffer.from('x'), '{"type":"resize","cols":80,"rows":24}'])(
    'but notices a DELETE at the next keystroke or size',
    async (last) => {
      const upstream = await start({ release, ...inside })
      const session = await create(upstream)
      const socket = await attach(upstream, session.id)
      await ask(upstream, 'DELETE', `${API}/${session.id}`)
      void session.output('printed without a reader')
      socket.ws.send('{"type":"ping"}')
      expect(await next(socket)).toBe('silence')
      sendLast(socket, last)
      expect(await socket.ended).toBe(endOn(release))
    },
  )
})

describe.each(announcing)('%s closes with 1000', (release) => {
  it('when the shell ends, after all its output', async () => {
    const upstream = await start({ release })
    const session = await create(upstream)
    const socket = await attach(upstream, session.id)
    const text = 'x'.repeat(100_000)
    void session.output(text)
    session.exit()
    expect(await socket.ended).toBe('open, 1000')
    expect(socket.bytes().toString()).toBe(text)
    expect((await ask(upstream, 'GET', `${API}/${session.id}`))[0]).toBe(404)
  })

  it('when the session is deleted', async () => {
    const upstream = await start({ release })
    const { id } = await create(upstream)
    const socket = await attach(upstream, id)
    await ask(upstream, 'DELETE', `${API}/${id}`)
    expect(await socket.ended).toBe('open, 1000')
    expect(upstream.requests.at(-2)?.closeCode).toBe(1000)
  })
})

describe.each(lenientInside)('$release', ({ release, inner }) => {
  it('keeps the session after its client leaves, until the shell prints', async () => {
    const upstream = await start({ release, inner })
    const session = await create(upstream)
    const gone = await attach(upstream, session.id)
    expect(session.attached).toBe(1)
    gone.ws.close()
    await expect.poll(() => session.attached, { interval: 5 }).toBe(0)
    expect((await ask(upstream, 'GET', `${API}/${session.id}`))[0]).toBe(200)
    const socket = await attach(upstream, session.id)
    void session.output('read by the connection of the first client')
    expect((await ask(upstream, 'GET', `${API}/${session.id}`))[0]).toBe(404)
    expect(await next(socket)).toBe('silence')
    sendLast(socket, Buffer.from('x'))
    expect(await socket.ended).toBe('open, 1000')
  })
})

describe.each(sharing)('$release', (options) => {
  it('lets two clients of a session type, and steal its output from each other', async () => {
    let typed = ''
    const upstream = await start({ ...options, shell: () => ({ input: (data) => void (typed += Buffer.from(data)) }) })
    const session = await create(upstream)
    const clients = [await attach(upstream, session.id), await attach(upstream, session.id)]
    expect(session.attached).toBe(2)
    const lines = Array.from({ length: 6 }, (_, index) => `line ${index}`)
    for (const line of lines) await session.output(line)
    for (const client of clients) {
      type(client, 'a')
      await roundTrip(client)
    }
    const received = clients.map(({ frames }) => frames.map(String))
    expect(received.flat().sort()).toEqual(lines)
    for (const own of received) expect(own).not.toEqual([])
    expect(typed).toBe('aa')
  })

  // The PTY takes so much at once (PROTOCOL 5.5).
  it.each<[bytes: number, pause: number, count: number, least: number, most: number]>([
    [102_400, 0, 1, 65_535, 65_535],
    [4096, 0, 512, 65_535, 511 * 4096],
    // The shell reads 4096 bytes in a ms.
    [4096, 2, 25, 102_400, 102_400],
  ])(
    'cuts input short that comes faster than it is read: %i bytes every %i ms',
    async (bytes, pause, count, ...bounds) => {
      const parts: Uint8Array[] = []
      const upstream = await start({ ...options, shell: () => ({ input: (data) => void parts.push(data) }) })
      const socket = await attach(upstream)
      const sent = Array.from({ length: count }, () => randomBytes(bytes))
      for (const data of sent) {
        socket.ws.send(data)
        if (pause > 0) await sleep(pause)
      }
      await roundTrip(socket)
      const input = Buffer.concat(parts)
      expect(input.length).toBeGreaterThanOrEqual(bounds[0])
      expect(input.length).toBeLessThanOrEqual(bounds[1])
      expect(input.subarray(0, 65_535).equals(Buffer.concat(sent).subarray(0, 65_535))).toBe(true)
    },
  )
})

describe.each(lenient)('a client that leaves %s', (release) => {
  it('ends the session, although another client is attached', async () => {
    const upstream = await start({ release })
    const { id } = await create(upstream)
    const [first, second] = [await attach(upstream, id), await attach(upstream, id)]
    first.ws.close()
    await expect.poll(() => upstream.sessions, { interval: 5 }).toEqual([])
    expect(await next(second)).toBe('silence')
    type(second, 'x')
    expect(await second.ended).toBe('open, 1006')
  })
})
