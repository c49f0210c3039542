import { describe, expect, it } from 'vitest'
import { connectTerminal, createTerminalSession } from '../../src/index.ts'
import { browserSocket } from '../support/browser-socket.ts'
import { handshakes } from '../support/requests.ts'
import { promptOnly } from '../support/shells.ts'
import { connectTo, firstChunks, open, openOn, refusalOf } from '../support/terminal.ts'
import { afterwards, clientOf, outputWith, rejection, releases, upstreamOf, userOf } from '../support/upstream.ts'

describe.each(releases)('connectTerminal to %s', (release) => {
  it('identifies itself in URL, headers and auth frame, then sends the size, then the input', async () => {
    const { upstream, terminal } = await open({ release }, { size: { cols: 132, rows: 50 } })
    await terminal.write('hello')
    expect(await outputWith(terminal, 'hello')).toBe('hello')
    expect(upstream.sessions).toMatchObject([{ id: terminal.sessionId, attached: 1, size: { cols: 132, rows: 50 } }])
    expect(handshakes(upstream).slice(release === 'terminals@0.0.2' ? 1 : 0)).toMatchObject([
      {
        path: `/api/terminals/${terminal.sessionId}`,
        query: { user_id: 'ada' },
        headers: { authorization: 'Bearer sk-canary', 'x-user-id': 'ada' },
        status: 101,
        frames: [
          '{"type":"auth","token":"sk-canary","offset":null}',
          '{"type":"resize","cols":132,"rows":50}',
          '{"type":"ping"}',
          new TextEncoder().encode('hello'),
        ],
      },
    ])
    expect(handshakes(upstream)[0]?.headers).not.toHaveProperty('sec-websocket-extensions')
  })

  it('asks for a session of its own, which a session without a connection need not be', async () => {
    const { upstream } = await open({ release })
    await createTerminalSession(userOf(upstream))
    const posts = upstream.requests.filter(({ method }) => method === 'POST')
    expect(posts.map(({ query }) => query)).toEqual([{ resume: '0' }, {}])
  })

  it('resolves at the first output, before `settle` ms have passed', async () => {
    const { terminal } = await open({ release, shell: promptOnly }, { settle: 60_000 })
    expect(await outputWith(terminal, '$ ')).toBe('$ ')
  })

  it('opens a terminal without a key when the server wants none', async () => {
    const { upstream, terminal } = await open({ release, key: undefined }, { key: undefined })
    await terminal.write('x')
    await outputWith(terminal, 'x')
    expect(handshakes(upstream)[0]).toMatchObject({
      query: { user_id: 'ada' },
      frames: ['{"type":"auth","token":"","offset":null}', '{"type":"ping"}', expect.anything()],
    })
  })

  it("keeps the key out of the URL with tokenInUrl: 'never', which Terminals 0.0.2 refuses", async () => {
    const upstream = await upstreamOf({ release })
    const connecting = connectTerminal({ ...clientOf(upstream), tokenInUrl: 'never' })
    if (release === 'terminals@0.0.2') {
      expect(await rejection(connecting)).toMatchObject({ code: 'ERR_TERMINAL_UNAUTHORIZED', status: 403 })
      expect(upstream.sessions).toEqual([])
    } else afterwards(await connecting)
    expect(handshakes(upstream).map(({ query }) => query)).toEqual([{ user_id: 'ada' }])
  })

  it.each([
    ['ws', undefined],
    ["a browser's socket", browserSocket],
  ])(
    "adds the key to the URL of Terminals 0.0.2 only, with tokenInUrl: 'fallback' and %s",
    async (_which, WebSocket) => {
      const upstream = await upstreamOf({ release, shell: promptOnly })
      // A browser's socket cannot send the X-User-Id that these releases compare with the owner of the session.
      const isStrict = WebSocket && release.startsWith('open-terminal@0.14')
      const identity = isStrict ? { sessionId: await createOwnerlessSession(upstream.url) } : {}
      await connectTo(upstream, { ...identity, tokenInUrl: 'fallback', WebSocket })
      const tokens = handshakes(upstream).map(({ query }) => 'token' in query)
      expect(tokens).toEqual(release === 'terminals@0.0.2' ? [false, true] : [false])
    },
  )

  it('deletes the session that it created when the terminal ends, but no session of the caller', async () => {
    const upstream = await upstreamOf({ release })
    const client = clientOf(upstream)
    const mine = await createTerminalSession(userOf(upstream))
    const named = await connectTerminal({ ...client, sessionId: mine.id })
    const leased = await connectTerminal(client)
    await Promise.all([named.close(), leased.close()])
    const deleted = upstream.requests.filter(({ method }) => method === 'DELETE').map(({ path }) => path)
    expect(deleted).toEqual([`/api/terminals/${leased.sessionId}`])
    const left = release.startsWith('terminals') ? [mine.id] : []
    await expect.poll(() => upstream.sessions.map(({ id }) => id)).toEqual(left)
  })

  it('rejects with ERR_TERMINAL_UNAUTHORIZED when the key is wrong', async () => {
    const upstream = await upstreamOf({ release })
    const { id } = await createTerminalSession(userOf(upstream))
    const error = await refusalOf(upstream, { key: 'sk-wrong', sessionId: id })
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_UNAUTHORIZED' })
    expect(error.message).toContain(`${upstream.url.replace('http', 'ws')}/api/terminals/${id}`.replace(/^wss?/, ''))
  })

  it('never puts the key of the auth type session into the URL', async () => {
    const upstream = await upstreamOf({ release, key: release === 'terminals@0.0.2' ? undefined : 'jwt' })
    await connectTo(upstream, { authType: 'session', key: 'jwt', cookie: 'sid=1' })
    expect(handshakes(upstream)).toMatchObject([{ headers: { authorization: 'Bearer jwt', cookie: 'sid=1' } }])
    expect(handshakes(upstream)[0]?.query).toEqual({ user_id: 'ada' })
  })
})

/** Creates a session without an owner, to which a client without headers may attach. */
async function createOwnerlessSession(url: string): Promise<string> {
  const headers = { authorization: 'Bearer sk-canary' }
  const response = await fetch(`${url}/api/terminals`, { method: 'POST', headers })
  return ((await response.json()) as { id: string }).id
}

describe('connectTerminal with policyId and contextId', () => {
  it('creates the session and attaches under the same policy and context', async () => {
    const upstream = await upstreamOf({ policies: ['gpu'] })
    const place = { policyId: 'gpu', contextId: 'chat:7' }
    const terminal = await connectTo(upstream, { ...place })
    expect(upstream.sessions).toMatchObject([place])
    expect(handshakes(upstream)).toMatchObject([
      { path: `/p/gpu/api/terminals/${terminal.sessionId}`, query: { context_id: 'chat:7' } },
    ])
  })

  it('rejects with ERR_TERMINAL_NOT_FOUND when the policy is unknown', async () => {
    const upstream = await upstreamOf({ policies: [] })
    const lost = { ...clientOf(upstream), policyId: 'gpu' }
    expect(await rejection(connectTerminal(lost))).toMatchObject({ code: 'ERR_TERMINAL_NOT_FOUND', status: 404 })
    expect(await rejection(connectTerminal({ ...lost, sessionId: 's1' }))).toMatchObject({ closeCode: 4004 })
  })
})

it('connectTerminal keeps the output that arrives before the first listener', async () => {
  const terminal = await openOn((socket) => {
    for (let index = 0; index < 100; index += 1) socket.send(Buffer.from(`${index};`))
  })
  await new Promise((resolve) => setImmediate(resolve))
  const all = Array.from({ length: 100 }, (_item, index) => `${index};`).join('')
  expect(await outputWith(terminal, '99;')).toBe(all)
})

it('connectTerminal reads a text message as output', async () => {
  const terminal = await openOn((socket) => socket.send('grüezi'))
  expect(await firstChunks(terminal, 1)).toBe('grüezi')
})
