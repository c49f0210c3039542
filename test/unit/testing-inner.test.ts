import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import type {
  TestInner,
  TestRelease,
  TestRequest,
  TestSession,
  TestUpstream,
  TestUpstreamOptions,
} from '../../src/testing.ts'
import {
  API,
  ask,
  attach,
  authFrame,
  create,
  dial,
  lenientInside,
  next,
  orchestrators,
  roundTrip,
  start,
  strictInside,
  type RawSocket,
} from '../support/raw-client.ts'

const CHAT = { 'x-session-id': 'chat-1' }
const PING = '{"type":"ping"}'
const SIZE = '{"type":"resize","cols":132,"rows":50}'

const get = async (upstream: TestUpstream, id: string, headers = {}): Promise<number> =>
  (await ask(upstream, 'GET', `${API}/${id}`, headers))[0]

/** Dials as a client that the inner server refuses. Resolves after the refusal. */
async function refused(upstream: TestUpstream, id: string, options: TestUpstreamOptions): Promise<RawSocket> {
  // Terminals 0.0.2 expects no auth frame, and closes if one arrives after the refusal.
  const socket = dial(upstream, id, { first: options.release === 'terminals@0.0.2' ? [] : [authFrame()] })
  await once(socket.ws, 'open')
  expect(await next(socket)).toBe('silence')
  return socket
}

/** Creates a session whose only client has left. */
async function left(upstream: TestUpstream): Promise<TestSession> {
  const session = await create(upstream)
  const gone = await attach(upstream, session.id)
  gone.ws.close()
  await expect.poll(() => session.attached, { interval: 5 }).toBe(0)
  return session
}

describe('the inner server', () => {
  it.each<[TestRelease, TestInner]>([
    ['terminals@0.0.2', 'open-terminal@0.11'],
    ['terminals@0.0.3', 'open-terminal@0.11'],
    ['terminals@0.2.2', 'open-terminal@0.14.5'],
  ])('of %s is %s by default', async (release, inner) => {
    for (const options of [{ release }, { release, inner }, { release, inner: undefined }]) {
      const { id } = await create(await start(options), CHAT)
      expect(id === 'chat-1').toBe(inner === 'open-terminal@0.11')
    }
  })

  it.each(orchestrators)('open-terminal@0.8.1 behind %s ignores a chat', async (release) => {
    const upstream = await start({ release, inner: 'open-terminal@0.8.1' })
    const { id } = await create(upstream, CHAT)
    expect(id).not.toBe('chat-1')
    expect(await get(upstream, id)).toBe(200)
    const socket = await attach(upstream, id)
    socket.ws.send(Buffer.from('x'))
    await socket.printed('x')
  })
})

describe.each(strictInside)('$inner behind $release', (options) => {
  it('finds the session of a chat only for its user and with that chat', async () => {
    const upstream = await start(options)
    const { id, chatId, userId } = await create(upstream, CHAT)
    expect([id === 'chat-1', chatId, userId]).toEqual([false, 'chat-1', 'ada'])
    expect(await get(upstream, id)).toBe(404)
    expect(await get(upstream, id, { 'x-session-id': 'chat-2' })).toBe(404)
    expect(await get(upstream, id, { ...CHAT, 'x-user-id': 'bob' })).toBe(404)
    expect(await ask(upstream, 'GET')).toEqual([200, []])
    expect((await ask(upstream, 'DELETE', `${API}/${id}`))[0]).toBe(404)
    expect(await get(upstream, id, CHAT)).toBe(200)
    expect((await ask(upstream, 'DELETE', `${API}/${id}`, CHAT))[0]).toBe(200)
  })

  it.each<[what: string, message: string | Uint8Array]>([
    ['a heartbeat', PING],
    ['an auth frame', authFrame()],
    ['text that is not JSON', 'x'],
    ['poison', '1'],
    ['a keystroke', Buffer.from('x')],
  ])('closes a refused client with 1000 at its next message that is not empty: %s', async (_what, message) => {
    const upstream = await start(options)
    const { id } = await create(upstream, CHAT)
    const socket = await refused(upstream, id, options)
    socket.ws.send('')
    socket.ws.send(Buffer.alloc(0))
    expect(await next(socket)).toBe('silence')
    const isHandshake = ({ kind }: TestRequest): boolean => kind === 'websocket'
    expect(upstream.requests.filter(isHandshake)).toMatchObject([{ status: 101, closeCode: undefined }])
    socket.ws.send(message)
    expect(await socket.ended).toBe('open, 1000')
    expect(upstream.requests.find(isHandshake)?.closeCode).toBe(1000)
    expect(await get(upstream, id, CHAT)).toBe(200)
  })

  it('attaches a client that names a chat to a session without a chat', async () => {
    const upstream = await start(options)
    const socket = await attach(upstream, undefined, { headers: CHAT })
    socket.ws.send(Buffer.from('x'))
    await socket.printed('x')
  })

  it('refuses the second client of a session, and keeps the first', async () => {
    const upstream = await start(options)
    const session = await create(upstream)
    const first = await attach(upstream, session.id)
    const second = await refused(upstream, session.id, options)
    const leaving = await refused(upstream, session.id, options)
    leaving.ws.terminate()
    await leaving.ended
    expect(session.attached).toBe(1)
    void session.output('for the first')
    await first.printed('for the first')
    expect(second.frames).toEqual([])
    second.ws.send(Buffer.from('x'))
    expect(await second.ended).toBe('open, 1000')
    first.ws.send(Buffer.from('still here'))
    await first.printed('still here')
    expect(upstream.sessions).toEqual([session])
  })

  it('refuses a client after another has left, and ends the session when its shell prints', async () => {
    const upstream = await start(options)
    const session = await left(upstream)
    const late = await refused(upstream, session.id, options)
    late.ws.send(PING)
    expect(await late.ended).toBe('open, 1000')
    expect(await get(upstream, session.id)).toBe(200)
    void session.output('x')
    expect(await get(upstream, session.id)).toBe(404)
  })
})

describe.each([...lenientInside, ...strictInside])('$inner behind $release', (options) => {
  it('stays silent after poison until the next message', async () => {
    const upstream = await start(options)
    const socket = await attach(upstream)
    socket.ws.send('1')
    expect(await next(socket)).toBe('silence')
    expect(upstream.sessions).toEqual([])
    socket.ws.send(PING)
    expect(await socket.ended).toBe('open, 1000')
  })
})

// Terminals 0.0.2 expects no auth frame, so its client's messages race against the refusal.
const withAuthFrame = strictInside.filter(({ release }) => release !== 'terminals@0.0.2')

describe.each(withAuthFrame)('$inner behind $release', (options) => {
  it('also refuses a client that names the chat of the session, and ignores what came before', async () => {
    const upstream = await start(options)
    const session = await create(upstream, CHAT)
    const first = [authFrame(undefined, { chat_id: 'chat-1' }), SIZE, Buffer.from('x'), '1']
    const socket = dial(upstream, session.id, { headers: CHAT, first })
    await once(socket.ws, 'open')
    await roundTrip(socket)
    expect(await next(socket)).toBe('silence')
    expect(upstream.sessions).toEqual([session])
    expect(session).toMatchObject({ attached: 0, size: { cols: 80, rows: 24 } })
    expect(upstream.requests.at(-1)?.frames.length).toBe(4)
    socket.ws.send(PING)
    expect(await socket.ended).toBe('open, 1000')
  })
})

const announcing = strictInside.filter(({ inner }) => inner !== 'open-terminal@0.14')
const silent = [...lenientInside, ...strictInside.filter(({ inner }) => inner === 'open-terminal@0.14')]

describe.each(announcing)('$inner behind $release', (options) => {
  it.each<[when: string, end: (upstream: TestUpstream, session: TestSession) => unknown]>([
    ['the end of the shell', (_upstream, session) => session.exit()],
    ['a DELETE', (upstream, { id }) => ask(upstream, 'DELETE', `${API}/${id}`)],
  ])('closes a client with 1000 at its first message after %s', async (_when, end) => {
    const upstream = await start(options)
    const session = await create(upstream)
    const socket = await attach(upstream, session.id)
    await session.output('bye')
    await socket.printed('bye')
    await end(upstream, session)
    expect(await get(upstream, session.id)).toBe(404)
    expect(await next(socket)).toBe('silence')
    socket.ws.send(PING)
    expect(await socket.ended).toBe('open, 1000')
  })

  it('ends the session when the shell ends after its client has left', async () => {
    const upstream = await start(options)
    const session = await left(upstream)
    session.exit()
    expect((await ask(upstream, 'DELETE', `${API}/${session.id}`))[0]).toBe(404)
  })
})

describe.each(silent)('$inner behind $release', (options) => {
  it('does not close a client at a heartbeat after the end of the shell', async () => {
    const upstream = await start(options)
    const session = await create(upstream)
    const socket = await attach(upstream, session.id)
    session.exit()
    expect(await get(upstream, session.id)).toBe(404)
    socket.ws.send(PING)
    socket.ws.send(PING)
    expect(await next(socket)).toBe('silence')
  })
})
