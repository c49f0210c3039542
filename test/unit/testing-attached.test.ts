import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { TestRelease, TestShell, TestUpstream, TestUpstreamOptions } from '../../src/testing.ts'
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
  strict,
  type RawSocket,
} from '../support/raw-client.ts'

const isOrchestrator = (release: string): boolean => release.startsWith('terminals')
const crashOf = (release: TestRelease): string =>
  isOrchestrator(release) || announcing.includes(release) ? 'open, 1000' : 'open, 1006'
/** Upstreams that attach several clients to one session, and cut input short. */
const sharing: TestUpstreamOptions[] = [...lenientInside, ...lenient.map((release) => ({ release }))]
/** Upstreams that do not announce the end of the shell. */
const silent: Array<TestUpstreamOptions & { release: TestRelease }> = [
  ...lenientInside,
  ...ownServers.filter((release) => !announcing.includes(release)).map((release) => ({ release })),
]

function type({ ws }: RawSocket, text: string): void {
  ws.send(Buffer.from(text))
}

/** Sends a message that ends the terminal, and a second one, at which an orchestrator notices the end. */
function sendLast({ ws }: RawSocket, last: string | Uint8Array): void {
  ws.send(last)
  ws.send('{"type":"ping"}')
}

describe.each(releases)('%s', (release) => {
  // PROTOCOL 5.1
  it('takes binary messages as keystrokes', async () => {
    const socket = await attach(await start({ release }))
    const keys = Buffer.from([0, 3, 0xff, 0xc3, 13])
    socket.ws.send(keys)
    await socket.printed('\r')
    expect(socket.bytes()).toEqual(keys)
  })

  it.each(['ls\n', '{"type":"resize"', '', 'x1'])('drops text that is not JSON: %j', async (text) => {
    const socket = await attach(await start({ release }))
    socket.ws.send(text)
    type(socket, '.')
    await socket.printed('.')
    expect(socket.bytes().toString()).toBe('.')
  })

  const harmless: Array<[text: string, size: { cols: number; rows: number }]> = [
    ['{"type":"ping"}', { cols: 80, rows: 24 }],
    ['{"cols":1,"rows":1}', { cols: 80, rows: 24 }],
    ['{"type":"resize"}', { cols: 80, rows: 24 }],
    ['{"type":"resize","cols":0,"rows":0}', { cols: 0, rows: 0 }],
    ['{"type":"resize","cols":132,"rows":50}', { cols: 132, rows: 50 }],
    ['{"type":"resize","cols":65535,"rows":65535}', { cols: 65_535, rows: 65_535 }],
    ['{"type":"resize","cols":true,"rows":-0}', { cols: 1, rows: -0 }],
    ['{"a":NaN,"b":-Infinity,"c":1.5e3,"d":"\\"[1e5","e":[[]]}', { cols: 80, rows: 24 }],
    [`{"a":1${'0'.repeat(4299)}}`, { cols: 80, rows: 24 }],
    [`{"a":${'['.repeat(900)}${']'.repeat(900)}}`, { cols: 80, rows: 24 }],
  ]
  // PROTOCOL 5.3
  it.each(harmless.map(([text, size]) => [text.slice(0, 60), text, size] as const))(
    'keeps the terminal open after the text %s',
    async (_start, text, size) => {
      const upstream = await start({ release })
      const socket = await attach(upstream)
      socket.ws.send(text)
      type(socket, '.')
      await socket.printed('.')
      expect(socket.bytes().toString()).toBe('.')
      expect(upstream.sessions).toMatchObject([{ size }])
    },
  )

  const poisons = [
    '1',
    '"a"',
    '[]',
    'null',
    'true',
    '{"type":"resize","cols":null,"rows":24}',
    '{"type":"resize","cols":80,"rows":null}',
    '{"type":"resize","cols":80,"rows":"24"}',
    '{"type":"resize","cols":1.5,"rows":24}',
    '{"type":"resize","cols":80,"rows":-1}',
    '{"type":"resize","cols":70000,"rows":24}',
    '{"type":"resize","cols":80.0,"rows":24}',
    '{"type":"resize","cols":8e1,"rows":24}',
    '{"type":"resize","cols":80,"rows":NaN}',
    'NaN',
    '-Infinity',
    `{"a":1${'0'.repeat(4300)}}`,
    `{"a":${'['.repeat(1100)}${']'.repeat(1100)}}`,
    '['.repeat(100_000),
  ]
  // PROTOCOL 5.4
  it.each(poisons.map((text) => [text.slice(0, 60), text]))(
    'ends the terminal after the text %s',
    async (_start, poison) => {
      let killed = false
      const upstream = await start({ release, shell: () => ({ input() {}, kill: () => void (killed = true) }) })
      const socket = await attach(upstream)
      sendLast(socket, poison)
      expect(await socket.ended).toBe(crashOf(release))
      expect(killed).toBe(true)
      expect(upstream.sessions).toEqual([])
      expect(`open, ${upstream.requests.at(-1)?.closeCode}`).toBe(crashOf(release))
    },
  )

  // PROTOCOL 5.6
  it('closes with 1009 for a message of more than 16 MiB', async () => {
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

  it('sends output in the order in which the shell prints it', async () => {
    const upstream = await start({ release })
    const session = await create(upstream)
    const socket = await attach(upstream, session.id)
    const lines = Array.from({ length: 50 }, (_, index) => `${index}\n`)
    await Promise.all(lines.map(session.output))
    await socket.printed('49\n')
    expect(socket.bytes().toString()).toBe(lines.join(''))
  })

  it('keeps output for the first client', async () => {
    const upstream = await start({ release })
    const session = await create(upstream)
    void session.output('early, ')
    void session.output('earlier')
    const socket = await attach(upstream, session.id)
    await roundTrip(socket)
    expect(socket.bytes().toString()).toBe('early, earlier')
  })

  it('handles messages right after the auth frame as input', async () => {
    const upstream = await start({ release })
    const { id } = await create(upstream)
    const first = [authFrame(), '{"type":"resize","cols":132,"rows":50}', 'vanishes', Buffer.from('typed')]
    const socket = dial(upstream, id, { first })
    await socket.printed('typed')
    expect(socket.bytes().toString()).toBe('typed')
    expect(upstream.sessions).toMatchObject([{ size: { cols: 132, rows: 50 } }])
  })

  it('ends the terminal after poison right after the auth frame', async () => {
    const upstream = await start({ release })
    const socket = dial(upstream, (await create(upstream)).id, { first: [authFrame(), '1', '{"type":"ping"}'] })
    expect(await socket.ended).toBe(crashOf(release))
    expect(upstream.sessions).toEqual([])
  })
})

// PROTOCOL 6.5
describe.each(silent)('$release', ({ release, ...inside }) => {
  it('does not announce the end of the shell', async () => {
    const upstream = await start({ release, ...inside })
    const socket = await attach(upstream)
    upstream.sessions[0]?.exit()
    type(socket, 'x')
    socket.ws.send('{"type":"resize","cols":1,"rows":1}')
    expect(await next(socket)).toBe('silence')
  })

  it('notices the end of the shell at the next keystroke after a request for the session', async () => {
    const upstream = await start({ release, ...inside })
    const session = await create(upstream)
    const socket = await attach(upstream, session.id)
    session.exit()
    await ask(upstream, 'GET', `${API}/${session.id}`)
    socket.ws.send('{"type":"ping"}')
    expect(await next(socket)).toBe('silence')
    sendLast(socket, Buffer.from('x'))
    expect(await socket.ended).toBe(crashOf(release))
  })

  it('notices a DELETE at the next keystroke', async () => {
    const upstream = await start({ release, ...inside })
    const session = await create(upstream)
    const socket = await attach(upstream, session.id)
    await ask(upstream, 'DELETE', `${API}/${session.id}`)
    void session.output('printed without a reader')
    socket.ws.send('{"type":"ping"}')
    expect(await next(socket)).toBe('silence')
    sendLast(socket, Buffer.from('x'))
    expect(await socket.ended).toBe(crashOf(release))
  })

  it('notices a DELETE at the next resize', async () => {
    const upstream = await start({ release, ...inside })
    const { id } = await create(upstream)
    const socket = await attach(upstream, id)
    await ask(upstream, 'DELETE', `${API}/${id}`)
    sendLast(socket, '{"type":"resize","cols":80,"rows":24}')
    expect(await socket.ended).toBe(crashOf(release))
  })
})

describe.each(announcing)('%s', (release) => {
  it('closes with 1000 when the shell ends, after all its output', async () => {
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

  it('closes with 1000 when the session is deleted', async () => {
    const upstream = await start({ release })
    const { id } = await create(upstream)
    const socket = await attach(upstream, id)
    await ask(upstream, 'DELETE', `${API}/${id}`)
    expect(await socket.ended).toBe('open, 1000')
    expect(upstream.requests.at(-2)?.closeCode).toBe(1000)
  })
})

// PROTOCOL 6.6
describe.each(ownServers)('%s', (release) => {
  it('ends the session when its client leaves', async () => {
    const upstream = await start({ release })
    const socket = await attach(upstream)
    socket.ws.close()
    await expect.poll(() => upstream.sessions, { interval: 5 }).toEqual([])
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

  it('stays silent after poison until the next message', async () => {
    const socket = await attach(await start({ release }))
    socket.ws.send('1')
    expect(await next(socket)).toBe('silence')
    socket.ws.send('{"type":"ping"}')
    expect(await socket.ended).toBe('open, 1000')
  })
})

describe.each(sharing)('two clients of a session on $release', (options) => {
  it('steal its output from each other', async () => {
    const upstream = await start(options)
    const session = await create(upstream)
    const clients = [await attach(upstream, session.id), await attach(upstream, session.id)]
    expect(session.attached).toBe(2)
    const lines = Array.from({ length: 6 }, (_, index) => `line ${index}`)
    for (const line of lines) await session.output(line)
    await Promise.all(clients.map(roundTrip))
    const received = clients.map(({ frames }) => frames.map(String))
    expect(received.flat().sort()).toEqual(lines)
    for (const own of received) expect(own).not.toEqual([])
  })

  it('can both type', async () => {
    let typed = ''
    const shell: TestShell = () => ({ input: (data) => void (typed += Buffer.from(data).toString()) })
    const upstream = await start({ ...options, shell })
    const { id } = await create(upstream)
    for (const key of ['a', 'b']) {
      const socket = await attach(upstream, id)
      type(socket, key)
      await roundTrip(socket)
    }
    expect(typed).toBe('ab')
  })
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

/** Starts an upstream whose shell records its input. */
async function recording(options: TestUpstreamOptions): Promise<{ upstream: TestUpstream; input: () => Buffer }> {
  const parts: Uint8Array[] = []
  const upstream = await start({ ...options, shell: () => ({ input: (data) => void parts.push(data) }) })
  return { upstream, input: () => Buffer.concat(parts) }
}

const digest = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex')

// PROTOCOL 5.5
describe.each(sharing)('input to $release', (options) => {
  it.each([65_536, 102_400])('is cut short when one message has %i bytes', async (length) => {
    const { upstream, input } = await recording(options)
    const socket = await attach(upstream)
    const data = randomBytes(length)
    socket.ws.send(data)
    await roundTrip(socket)
    expect(input().length).toBe(65_535)
    expect(digest(input())).toBe(digest(data.subarray(0, 65_535)))
  })

  it('is cut short when messages come back to back', async () => {
    const { upstream, input } = await recording(options)
    const socket = await attach(upstream)
    for (let count = 0; count < 512; count += 1) socket.ws.send(randomBytes(4096))
    await roundTrip(socket)
    expect(input().length).toBeGreaterThanOrEqual(65_535)
    expect(input().length).toBeLessThan(512 * 4096)
  })

  it('arrives whole in messages of 4096 bytes with pauses', async () => {
    const { upstream, input } = await recording(options)
    const socket = await attach(upstream)
    const data = randomBytes(102_400)
    for (let at = 0; at < data.length; at += 4096) {
      socket.ws.send(data.subarray(at, at + 4096))
      // The shell reads 4096 bytes per ms.
      await sleep(2)
    }
    await roundTrip(socket)
    expect(digest(input())).toBe(digest(data))
  })
})

describe.each(strict)('input to %s', (release) => {
  it.each([102_400, 4096])('arrives whole in messages of %i bytes', async (length) => {
    const { upstream, input } = await recording({ release })
    const socket = await attach(upstream)
    const data = randomBytes(1_024_000)
    for (let at = 0; at < data.length; at += length) socket.ws.send(data.subarray(at, at + length))
    await roundTrip(socket)
    expect(digest(input())).toBe(digest(data))
  })
})
