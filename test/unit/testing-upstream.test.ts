import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { startTestUpstream, type TestUpstreamOptions } from '../../src/testing.ts'
import { tcpOf } from '../support/frames.ts'
import {
  API,
  ask,
  attach,
  authFrame,
  create,
  dial,
  KEY,
  next,
  orchestrators,
  ownServers,
  roundTrip,
  start,
  USER,
} from '../support/raw-client.ts'

describe('startTestUpstream', () => {
  const INNERS =
    'open-terminal@0.8.1, open-terminal@0.11, open-terminal@0.14, open-terminal@0.14.2, open-terminal@0.14.5'
  it.each<[options: object, message: string]>([
    ...['terminals@0.0.1', 'constructor', '', null].map((release): [object, string] => [
      { release },
      `\`release\` must be one of ${orchestrators.join(', ')}, ${INNERS}`,
    ]),
    ...['zsh', 'constructor', '', null, {}].map((shell): [object, string] => [
      { shell },
      "`shell` must be 'echo', 'sh' or a function",
    ]),
    ...['terminals@0.2.2', 'open-terminal@0.12', 'constructor', '', null].map((inner): [object, string] => [
      { inner },
      `\`inner\` must be one of ${INNERS}`,
    ]),
    ...ownServers.flatMap((release): Array<[object, string]> => [
      [{ release, inner: 'open-terminal@0.11' }, `\`inner\` must be left out: ${release} has no containers`],
      [{ release, idleTimeout: 1000 }, `\`idleTimeout\` must be left out: ${release} has no containers`],
    ]),
    [
      { release: 'open-terminal@0.14.2', multiUser: true },
      '`multiUser` must be left out: only open-terminal@0.14.5 has it, not open-terminal@0.14.2',
    ],
    [{ relase: 'x' }, '`relase` is not an option of startTestUpstream. Did you mean `release`?'],
    [{ faults: { attch: 'reset' } }, expect.stringMatching(/^`faults` must not have `attch`: only create, .*remove$/)],
  ])('rejects with a TypeError for %j', async (options, message) => {
    const error = { name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE', message }
    await expect(startTestUpstream(options)).rejects.toMatchObject(error)
  })

  it.each([0, -1, 1.5, Number.NaN, Infinity, 2 ** 31, '1000', null])('rejects an idleTimeout of %j', async (value) => {
    // @ts-expect-error -- not allowed by the types
    const starting = startTestUpstream({ idleTimeout: value })
    await expect(starting).rejects.toMatchObject({ name: 'RangeError', code: 'ERR_OUT_OF_RANGE' })
  })

  it.each<[TestUpstreamOptions | undefined]>([
    [undefined],
    [{}],
    [{ release: undefined, key: undefined, shell: undefined, faults: undefined, policies: undefined }],
  ])('starts a terminals@0.2.2 without a key that echoes, with %j', async (options) => {
    const upstream = await startTestUpstream(options)
    try {
      expect(upstream.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
      expect([upstream.sessions, upstream.requests]).toEqual([[], []])
      const { id } = await create(upstream, { authorization: undefined, 'x-terminal-context-id': 'chat:1' })
      const query = { user_id: USER, context_id: 'chat:1' }
      const socket = await attach(upstream, id, { query, first: [authFrame('')] })
      socket.ws.send(Buffer.from('x'))
      await socket.printed('x')
    } finally {
      await upstream.close()
    }
  })
})

describe('the requests of an upstream', () => {
  it('record HTTP requests and the status of their answers', async () => {
    const upstream = await start()
    await ask(upstream, 'POST', `/p/gold%20bar${API}?a=1&b=%20&a=2`, { 'X-Session-Id': 'chat-1' })
    await ask(upstream, 'PATCH', '/elsewhere')
    expect(upstream.requests).toEqual([
      {
        kind: 'http',
        method: 'POST',
        path: `/p/gold%20bar${API}`,
        query: { a: '2', b: ' ' },
        headers: expect.objectContaining({
          authorization: `Bearer ${KEY}`,
          'x-user-id': USER,
          'x-session-id': 'chat-1',
        }),
        status: 200,
        frames: [],
        closeCode: undefined,
      },
      expect.objectContaining({ method: 'PATCH', path: '/elsewhere', query: {}, status: 404 }),
    ])
  })

  it('record every message of a socket, even of a refused one', async () => {
    const upstream = await start()
    const { id } = await create(upstream)
    const socket = await attach(upstream, id, { headers: { cookie: 'a=b' } })
    socket.ws.send('vanishes')
    socket.ws.send(Buffer.from([0, 255]))
    await roundTrip(socket)
    expect(upstream.requests.at(-1)).toEqual({
      kind: 'websocket',
      method: 'GET',
      path: `${API}/${id}`,
      query: { user_id: USER, token: KEY },
      headers: expect.objectContaining({ cookie: 'a=b', upgrade: 'websocket' }),
      status: 101,
      frames: [authFrame(), 'vanishes', Uint8Array.of(0, 255)],
      closeCode: undefined,
    })

    await dial(upstream, id, { first: [authFrame('sk-2'), 'late'] }).ended
    expect(upstream.requests.at(-1)).toMatchObject({ status: 101, closeCode: 4001 })
    expect(upstream.requests.at(-1)?.frames[0]).toBe(authFrame('sk-2'))
  })

  it('have no close code if the client closes', async () => {
    const upstream = await start()
    const socket = await attach(upstream)
    socket.ws.close(4000)
    await socket.ended
    expect(upstream.requests.at(-1)?.closeCode).toBeUndefined()
  })
})

describe('a session of an upstream', () => {
  it('has its owner', async () => {
    const upstream = await start({ inner: 'open-terminal@0.11' })
    const headers = { 'x-session-id': 'chat-1', 'x-terminal-context-id': 'chat:1' }
    const session = await create(upstream, headers, '/p/gold')
    const owner = { userId: USER, chatId: 'chat-1', policyId: 'gold', contextId: 'chat:1' }
    expect(session).toMatchObject({ id: 'chat-1', ...owner, attached: 0 })
    expect(new Date(session.createdAt).toISOString()).toBe(session.createdAt)
  })

  it('closes its clients with any code', async () => {
    const upstream = await start({ inner: 'open-terminal@0.11' })
    const session = await create(upstream)
    const sockets = [await attach(upstream, session.id), await attach(upstream, session.id)]
    session.close(1012, 'restarting')
    expect(await Promise.all(sockets.map(({ ended }) => ended))).toEqual(Array(2).fill('open, 1012 restarting'))
    expect(upstream.requests.map(({ closeCode }) => closeCode)).toEqual([undefined, 1012, 1012])
    const dropped = await attach(upstream, session.id)
    session.close(1006)
    expect(await dropped.ended).toBe('open, 1006')
  })

  it('resets its clients', async () => {
    const upstream = await start()
    const session = await create(upstream)
    const socket = await attach(upstream, session.id)
    const failed = once(tcpOf(socket.ws), 'error')
    session.reset()
    expect(await failed).toMatchObject([{ code: 'ECONNRESET' }])
    expect(await socket.ended).toBe('open, 1006')
    expect(upstream.requests.at(-1)?.closeCode).toBe(1006)
  })

  it('stops reading and writing when it stalls, and keeps its connections open', async () => {
    const upstream = await start()
    const session = await create(upstream)
    const socket = await attach(upstream, session.id)
    session.stall()
    const ponged = once(socket.ws, 'pong').then(() => 'ponged')
    socket.ws.ping()
    socket.ws.send(Buffer.from('x'))
    void session.output('y')
    expect(await Promise.race([next(socket), ponged])).toBe('silence')
    expect(upstream.requests.at(-1)?.frames).toEqual([authFrame()])
    expect(session.attached).toBe(1)
    await upstream.close()
    expect(await socket.ended).toBe('open, 1006')
  })
})

describe('the close of an upstream', () => {
  it('frees the port, ends every session and connection, and can be called twice, also by `await using`', async () => {
    let killed = 0
    const upstream = await startTestUpstream({
      key: KEY,
      shell: () => ({ input() {}, kill: () => void (killed += 1) }),
    })
    const socket = await attach(upstream)
    await create(upstream)
    const waiting = dial(upstream, 'nowhere')
    await once(waiting.ws, 'open')
    await Promise.all([upstream.close(), upstream.close(), upstream[Symbol.asyncDispose]()])
    expect(await Promise.all([socket.ended, waiting.ended])).toEqual(['open, 1006', 'open, 1006'])
    expect(upstream.sessions).toEqual([])
    expect(killed).toBe(2)
    await expect(ask(upstream, 'GET')).rejects.toMatchObject({ cause: { code: 'ECONNREFUSED' } })
  })
})
