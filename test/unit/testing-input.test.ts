import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { TestInner, TestRelease, TestShell, TestUpstream, TestUpstreamOptions } from '../../src/testing.ts'
import {
  API,
  ask,
  attach,
  create,
  dial,
  lenient,
  orchestrators,
  releases,
  roundTrip,
  start,
  strict,
  strictInside,
  withDefaults,
  type Headers,
  type RawSocket,
} from '../support/raw-client.ts'

const PING = '{"type":"ping"}'
// The bytes that fit into the PTY of a program that does not read.
const PTY = 21_504
// Serves the user's shell to a model (PROTOCOL 2.17).
const OUTPUT = `${API}/user/output`
const NOT_FOUND = [404, { detail: 'Not Found' }]
const NO_SHELL = [404, { detail: 'No connected user shell' }]

const direct = (names: readonly TestInner[]) => names.map((release) => ({ release }))
const behind = (names: readonly TestInner[]) =>
  orchestrators.flatMap((release) => names.map((inner) => ({ release, inner })))

/** Upstreams whose Open Terminal is older than 0.12.4. */
const old: TestUpstreamOptions[] = [...direct(lenient), ...behind(lenient)]
const current: TestUpstreamOptions[] = [...direct(strict), ...strictInside]

function nameOf({ release, inner }: TestUpstreamOptions): string {
  return inner === undefined ? `${release}` : `${inner} behind ${release}`
}

const named = (all: readonly TestUpstreamOptions[]) => all.map((options) => [nameOf(options), options] as const)

interface Stalled {
  readonly upstream: TestUpstream
  readonly socket: RawSocket
  /** The input that the shell has got. */
  readonly input: () => Buffer
  /** Lets the shell read all its input, also the input to come. */
  readonly readOn: () => void
  /** How many shells have been killed. */
  readonly killed: () => number
}

/** Attaches to a shell that gets its first input, and reads no more. */
async function stalled(options: TestUpstreamOptions): Promise<Stalled> {
  const parts: Uint8Array[] = []
  let readOn = (): void => {}
  const reading = new Promise<void>((resolve) => (readOn = resolve))
  let killed = 0
  const shell: TestShell = () => ({
    input(data) {
      parts.push(data)
      return reading
    },
    kill: () => void (killed += 1),
  })
  const upstream = await start({ ...options, shell })
  const socket = await attach(upstream)
  return { upstream, socket, input: () => Buffer.concat(parts), readOn, killed: () => killed }
}

/** Sends input in messages of 1024 bytes. Resolves when the upstream has received it. */
async function send(socket: RawSocket, data: Uint8Array): Promise<void> {
  for (let at = 0; at < data.length; at += 1024) socket.ws.send(data.subarray(at, at + 1024))
  await roundTrip(socket)
}

describe.each(named(old))('input to a shell of %s that does not read (PROTOCOL 5.9)', (_name, options) => {
  const isOrchestrator = options.inner !== undefined

  it('fills the PTY, and the next message ends the shell', async () => {
    const { upstream, socket, killed } = await stalled(options)
    await send(socket, randomBytes(PTY))
    expect(upstream.sessions).toHaveLength(1)
    expect(socket.ws.readyState).toBe(socket.ws.OPEN)
    const [session] = upstream.sessions
    socket.ws.send('x', { binary: true })
    if (isOrchestrator) {
      // The orchestrator notices when it has another message to forward.
      await roundTrip(socket)
      expect(socket.ws.readyState).toBe(socket.ws.OPEN)
      expect([killed(), upstream.sessions]).toEqual([1, []])
      socket.ws.send(PING)
    }
    expect(await socket.ended).toBe(isOrchestrator ? 'open, 1000' : 'open, 1006')
    expect([killed(), upstream.sessions]).toEqual([1, []])
    expect((await ask(upstream, 'GET', `${API}/${session?.id}`))[0]).toBe(404)
  })

  it('loses what does not fit, and the shell goes on if it reads before the next message', async () => {
    const { upstream, socket, input, readOn } = await stalled(options)
    const data = randomBytes(PTY + 1000)
    await send(socket, data.subarray(0, PTY - 1024))
    socket.ws.send(data.subarray(PTY - 1024))
    await roundTrip(socket)
    expect(input()).toEqual(data.subarray(0, 1024))
    readOn()
    await expect.poll(input, { interval: 5 }).toEqual(data.subarray(0, PTY))
    const more = randomBytes(PTY)
    await send(socket, more)
    await expect.poll(() => input().subarray(PTY), { interval: 5 }).toEqual(more)
    expect(upstream.sessions).toHaveLength(1)
  })
})

describe.each(named(current))('input to a shell of %s that does not read', (_name, options) => {
  it('waits until the shell reads, and nothing is lost (PROTOCOL 5.9)', async () => {
    const { upstream, socket, input, readOn, killed } = await stalled(options)
    const data = randomBytes(10 * PTY)
    await send(socket, data)
    socket.ws.send(PING)
    await roundTrip(socket)
    expect(input()).toEqual(data.subarray(0, 1024))
    expect(socket.ws.readyState).toBe(socket.ws.OPEN)
    readOn()
    await expect.poll(() => input().length, { interval: 5 }).toBe(data.length)
    expect(input().equals(data)).toBe(true)
    await send(socket, data)
    await expect.poll(() => input().length, { interval: 5 }).toBe(2 * data.length)
    expect([killed(), upstream.sessions.length]).toEqual([0, 1])
  })
})

const askOutput = (upstream: TestUpstream, headers?: Headers) => ask(upstream, 'GET', OUTPUT, headers)

/** Creates a session, attaches a client to it, and prints the text. */
async function printing(upstream: TestUpstream, text: string, headers: Headers = {}): Promise<RawSocket> {
  const session = await create(upstream, headers)
  const user = headers['x-user-id'] ?? 'ada'
  const socket = await attach(upstream, session.id, { headers, query: { user_id: user, token: 'sk-1' } })
  void session.output(text)
  await socket.printed(text)
  return socket
}

const MISSING_KEY = [401, { detail: 'Missing Authorization header' }]
const WRONG_KEY = [401, { detail: 'Invalid API key' }]
const NO_USER = [422, { detail: [expect.objectContaining({ loc: ['header', 'X-User-Id'] })] }]
const NOT_ALLOWED = [405, { detail: 'Method Not Allowed' }]

it.each(named([...old, ...current]))(
  "answers a request for the output of the user's shell as %s",
  async (_, options) => {
    const upstream = await start(options)
    const isOrchestrator = options.inner !== undefined
    const isOld = old.includes(options)
    const none = isOld ? NOT_FOUND : NO_SHELL
    if (isOld) await printing(upstream, 'hello')
    expect(await askOutput(upstream)).toEqual(none)
    // An orchestrator checks the credentials before it passes the path on; an old Open Terminal does not know the path.
    const [withoutKey, withWrongKey, withoutUser, put] = isOrchestrator
      ? [MISSING_KEY, WRONG_KEY, NO_USER, NOT_ALLOWED]
      : [isOld ? none : WRONG_KEY, isOld ? none : WRONG_KEY, none, isOld ? none : NOT_ALLOWED]
    expect(await askOutput(upstream, { authorization: undefined })).toEqual(withoutKey)
    expect(await askOutput(upstream, { authorization: 'Bearer sk-2' })).toEqual(withWrongKey)
    expect(await askOutput(upstream, { 'x-user-id': undefined })).toEqual(withoutUser)
    for (const method of ['POST', 'DELETE', 'PUT']) expect(await ask(upstream, method, OUTPUT)).toEqual(put)
    const { headers } = await fetch(upstream.url + OUTPUT, { method: 'PUT', headers: withDefaults({}) })
    expect(headers.get('allow')).toBe(put === NOT_ALLOWED ? 'GET' : null)
  },
)

describe.each(named(current))("the output of the user's shell on %s", (_name, options) => {
  it('exists only while it has a client', async () => {
    const upstream = await start(options)
    expect(await askOutput(upstream)).toEqual(NO_SHELL)
    const session = await create(upstream)
    expect(await askOutput(upstream)).toEqual(NO_SHELL)
    const socket = await attach(upstream, session.id)
    expect(await askOutput(upstream)).toEqual([200, { output: '' }])
    void session.output('early ')
    void session.output('läte')
    await socket.printed('läte')
    expect(await askOutput(upstream)).toEqual([200, { output: 'early läte' }])
    socket.ws.close()
    await expect.poll(() => session.attached, { interval: 5 }).toBe(0)
    // The connection of an orchestrator to its container stays until there is output.
    if (options.inner !== undefined) {
      expect(await askOutput(upstream)).toEqual([200, { output: 'early läte' }])
      void session.output('more')
    }
    expect(await askOutput(upstream)).toEqual(NO_SHELL)
    expect(upstream.requests.filter(({ path }) => path === OUTPUT).map(({ status }) => status)).toEqual([
      404,
      404,
      200,
      200,
      ...(options.inner === undefined ? [404] : [200, 404]),
    ])
  })

  it('is that of the newest shell that has a client', async () => {
    const upstream = await start(options)
    await printing(upstream, 'first')
    const second = await printing(upstream, 'second')
    void (await create(upstream)).output('nobody')
    expect(await askOutput(upstream)).toEqual([200, { output: 'second' }])
    second.ws.close()
    if (options.inner !== undefined) {
      await expect.poll(() => upstream.sessions[1]?.attached, { interval: 5 }).toBe(0)
      void upstream.sessions[1]?.output('more')
    }
    await expect.poll(() => askOutput(upstream), { interval: 5 }).toEqual([200, { output: 'first' }])
  })

  it('has the last 64 KiB', async () => {
    const upstream = await start(options)
    const session = await create(upstream)
    await attach(upstream, session.id)
    const text = randomBytes(35_000).toString('hex')
    for (let at = 0; at < text.length; at += 10_000) await session.output(text.slice(at, at + 10_000))
    expect(await askOutput(upstream)).toEqual([200, { output: text.slice(-64 * 1024) }])
  })

  it('is not that of another user', async () => {
    const upstream = await start(options)
    await printing(upstream, 'for ada')
    expect(await askOutput(upstream, { 'x-user-id': 'bob' })).toEqual(NO_SHELL)
    await printing(upstream, 'for bob', { 'x-user-id': 'bob' })
    expect(await askOutput(upstream, { 'x-user-id': 'bob' })).toEqual([200, { output: 'for bob' }])
    expect(await askOutput(upstream)).toEqual([200, { output: 'for ada' }])
  })

  it('has its own faults', async () => {
    const upstream = await start({ ...options, faults: { output: [{ refuse: 503, body: 'busy' }], get: 'reset' } })
    expect(await askOutput(upstream)).toEqual([503, 'busy'])
    expect(await askOutput(upstream)).toEqual(NO_SHELL)
  })
})

describe.each(strictInside)("the output of the user's shell on $inner behind $release", (options) => {
  it('is that of the same policy', async () => {
    const upstream = await start(options)
    await printing(upstream, 'hello')
    expect(await ask(upstream, 'GET', `/p/gold${OUTPUT}`)).toEqual(NO_SHELL)
    expect(await ask(upstream, 'GET', `/p/default${OUTPUT}`)).toEqual([200, { output: 'hello' }])
  })
})

describe("a socket to the output of the user's shell", () => {
  it.each<TestRelease>([...strict, ...orchestrators])('is refused by %s', async (release) => {
    const upstream = await start({ release })
    expect(await dial(upstream, 'user/output').ended).toBe('HTTP 403')
    expect(upstream.requests).toMatchObject([{ kind: 'websocket', status: 403 }])
  })
})

describe.each(releases)('the answers of %s', (release) => {
  const isOrchestrator = orchestrators.some((name) => name === release)

  it(isOrchestrator ? 'have an id each (PROTOCOL 2.16)' : 'have no id', async () => {
    const upstream = await start({ release })
    const ids: Array<string | null> = []
    for (const path of [API, `${API}/nowhere`, OUTPUT, '/elsewhere']) {
      const response = await fetch(upstream.url + path, { headers: withDefaults({}) })
      ids.push(response.headers.get('x-request-id'))
    }
    expect(ids.every((id) => (isOrchestrator ? /^[\da-f-]{36}$/.test(String(id)) : id === null))).toBe(true)
    expect(new Set(ids).size).toBe(isOrchestrator ? ids.length : 1)
  })
})
