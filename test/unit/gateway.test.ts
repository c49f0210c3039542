import { afterEach, describe, expect, it, vi } from 'vitest'
import { connectTerminal, deleteTerminalSession, getTerminalSession, listTerminalSessions } from '../../src/index.ts'
import { createTerminalGateway, type GatewaySession, type TerminalClient } from '../../src/gateway.ts'
import {
  as,
  ask,
  attachAs,
  attached,
  createAs,
  pageOf,
  startGateway,
  type,
  untilAttached,
} from '../support/terminal-gateway.ts'
import { framesOf } from '../support/proxy.ts'
import { clientOf, outputWith, releases, until, upstreamOf } from '../support/upstream.ts'

afterEach(() => void vi.useRealTimers())

describe('a page behind a gateway', () => {
  it.each(releases)('opens a terminal of %s, types, resizes and closes it', async (release) => {
    const gateway = await startGateway({}, { release })
    const terminal = await connectTerminal({ ...pageOf(gateway), size: { cols: 100, rows: 30 } })
    await terminal.write('hello\n')
    expect(await outputWith(terminal, 'hello')).toContain('hello')
    terminal.resize(132, 50)
    await until(() => gateway.upstream.sessions[0]?.size.cols === 132)
    const session: Partial<GatewaySession> = { id: terminal.sessionId, userId: 'ada' }
    expect(gateway.gateway.sessions).toMatchObject([session])
    await terminal.close()
    await until(() => gateway.gateway.sessions.length === 0 && gateway.upstream.sessions.length === 0)
  })

  it('never shows the key of the gateway, and the upstream gets no token of the page', async () => {
    const gateway = await startGateway()
    const terminal = await connectTerminal(pageOf(gateway))
    const seen = JSON.stringify(gateway.upstream.requests)
    expect(seen).toContain('sk-canary')
    expect(seen).not.toContain('jwt-ada')
    await terminal.close()
  })

  it('is told that the shell has ended', async () => {
    const gateway = await startGateway({}, { release: 'open-terminal@0.14.5' })
    const terminal = await connectTerminal(pageOf(gateway))
    gateway.upstream.sessions[0]?.exit()
    expect(await terminal.closed).toMatchObject({ cause: 'exited' })
    await until(() => gateway.gateway.sessions.length === 0)
  })

  it('lists, looks up and deletes its sessions', async () => {
    const gateway = await startGateway()
    const id = await createAs(gateway)
    const { settle: _, ...page } = pageOf(gateway)
    expect(await listTerminalSessions(page)).toMatchObject([{ id, pid: 0 }])
    expect(await getTerminalSession({ ...page, sessionId: id })).toMatchObject({ id })
    expect(await deleteTerminalSession({ ...page, sessionId: id })).toBe(true)
    expect(await deleteTerminalSession({ ...page, sessionId: id })).toBe(false)
    expect(await listTerminalSessions(page)).toEqual([])
    expect(gateway.upstream.sessions).toEqual([])
  })
})

describe('a client of a gateway', () => {
  it('gets the output that came before it attached', async () => {
    const gateway = await startGateway()
    const id = await createAs(gateway)
    await gateway.upstream.sessions[0]?.output('first ')
    await gateway.upstream.sessions[0]?.output('second')
    const { printed, bytes } = await attachAs(gateway, id)
    await printed('second')
    expect(bytes().toString()).toContain('first second')
  })

  it('cannot end its shell with text: only a size and a heartbeat reach the upstream', async () => {
    const { gateway, ws, printed } = await attached()
    for (const text of ['1', '[]', 'x', '{}', '{"type":"resize","cols":-1}', '{ "type": "ping", "a": NaN }'])
      ws.send(text)
    ws.send('{ "type": "ping", "a": 1 }')
    ws.send('{"rows":24,"cols":8e1,"type":"resize"}')
    ws.send(Buffer.from('x'))
    await printed('x')
    const [frames = []] = framesOf(gateway.upstream)
    expect(frames.slice(1)).toEqual(['{"type":"ping"}', '{"type":"resize","cols":80,"rows":24}', 'x'])
  })

  it('ends its session when it leaves, if `keepFor` is 0', async () => {
    const { gateway, ws } = await attached({ keepFor: 0 }, { release: 'terminals@0.2.2' })
    ws.close(1001)
    await until(() => gateway.gateway.sessions.length === 0)
    // The shell is ended first, and then the session (PROTOCOL 5.4).
    await until(() => gateway.upstream.sessions.length === 0)
  })

  it.each([
    [4009, 'Session already connected', 4009, 'Session already connected'],
    [4001, 'Invalid API key', 4003, 'Not accepted by the terminal server'],
    [4004, 'not your session', 1014, ''],
    [1011, 'lost http://10.0.0.1', 1011, ''],
  ])('is closed with a code of its own when the upstream closes with %i %j', async (code, reason, sent, shown) => {
    const { gateway, closed } = await attached({}, { release: 'open-terminal@0.14.5' })
    gateway.upstream.sessions[0]?.close(code, reason)
    expect(await closed).toEqual({ code: sent, reason: shown })
    expect((await ask(gateway, 'GET')).body).toEqual([])
  })

  it('that never comes leaves no session: it ends after 30 s', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const gateway = await startGateway()
    await createAs(gateway)
    vi.advanceTimersByTime(29_000)
    expect(gateway.gateway.sessions).toHaveLength(1)
    vi.advanceTimersByTime(2_000)
    await until(() => gateway.upstream.sessions.length === 0)
    await until(() => gateway.gateway.sessions.length === 0)
  })
})

describe('authorize', () => {
  it('gets what the client says of itself, in requests and on the WebSocket', async () => {
    const seen: Array<Omit<TerminalClient, 'request'>> = []
    const upstream = await upstreamOf()
    const gateway = await startGateway({
      path: '/terminal',
      authorize: ({ request, ...client }) => {
        expect(request.url).toContain('/terminal')
        seen.push(client)
        return { ...clientOf(upstream), chatId: client.chatId }
      },
    })
    const headers = as('ada', { 'X-User-Id': 'eve', 'X-Session-Id': 'c1', 'X-Terminal-Context-Id': 'default' })
    const id = await createAs({ base: `${gateway.base}/p/small` }, headers)
    await attachAs({ base: `${gateway.base}/p/b%20ig` }, `${id}?user_id=bob&context_id=chat:c1&token=query`, {
      token: '',
      chat_id: 'c1',
    })
    await untilAttached(gateway)
    expect(seen).toEqual([
      { token: 'jwt-ada', userId: 'eve', chatId: 'c1', policyId: 'small', contextId: 'default' },
      { token: 'query', userId: 'bob', chatId: 'c1', policyId: 'b ig', contextId: 'chat:c1', sessionId: id },
    ])
  })

  it('passes the chat, the policy and the context on to the upstream if it returns them', async () => {
    const gateway = await startGateway({}, { release: 'terminals@0.2.2', inner: 'open-terminal@0.11' })
    const headers = as('ada', { 'X-Session-Id': 'c1', 'X-Terminal-Context-Id': 'chat:c1' })
    const id = await createAs({ base: `${gateway.base}/p/default` }, headers)
    expect(gateway.upstream.sessions[0]).toMatchObject({ policyId: 'default', contextId: 'chat:c1' })
    await type(await attachAs(gateway, id, { token: 'jwt-ada', chat_id: 'c1' }), 'typed')
  })
})

describe('handleRequest', () => {
  const URLS = ['/', '/api/terminals/', '/api/terminals/a/b', '/api/terminal', '/x/api/terminals', '/api/terminals/%zz']

  it.each(URLS)('leaves %s to the next handler', async (path) => {
    const { server } = await startGateway()
    const answer = await fetch(server + path)
    expect([answer.status, await answer.text()]).toEqual([404, 'not the gateway'])
  })

  it('uses the path before a framework has cut it', () => {
    const gateway = createTerminalGateway({ path: '/t', authorize: () => expect.unreachable() })
    const request = { url: '/api/terminals', originalUrl: '/other/api/terminals' } as never
    expect(gateway.handleRequest(request, {} as never)).toBe(false)
    expect(gateway.handleUpgrade(request, {} as never, Buffer.alloc(0))).toBe(false)
  })
})
