import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { WebSocketServer, type WebSocket } from 'ws'
import { createTerminalSession } from '../../src/index.ts'
import type { TestUpstream, TestUpstreamOptions } from '../../src/testing.ts'
import { INVALID_FRAME, tcpOf } from '../support/frames.ts'
import { clientTo, closeOf, deletions, join, MIB, startProxy, type Joined } from '../support/proxy.ts'
import { pair } from '../support/proxy-pair.ts'
import { clientOf, releases, serve, until, upstreamOf, userOf } from '../support/upstream.ts'

/** Joins a client; resolves when the terminal is open: a close of the upstream before that would be a refusal. */
async function joinOpen(...options: Parameters<typeof join>): Promise<Joined> {
  const joined = await join(...options)
  joined.ws.send(Buffer.from('~'))
  await joined.printed('~')
  return joined
}

describe('proxyTerminal, when the upstream closes,', () => {
  it.each<[number, string]>([
    [1000, ''],
    [1001, ''],
    [1003, ''],
    [1008, ''],
    [1011, 'keepalive ping timeout'],
    [1012, 'Service restart'],
    [1014, ''],
    [3000, ''],
    [4001, 'Invalid API key'],
    [4003, 'Access denied'],
    [4999, ''],
  ])('closes the client with the same code and reason: %i %j', async (code, reason) => {
    const { session, closed, served, upstream } = await joinOpen()
    session.close(code, reason)
    expect(await closed).toEqual({ code, reason })
    const error = { closeCode: code }
    expect(await served.summary).toMatchObject({ endedBy: 'upstream', code, reason, sessionId: session.id, error })
    expect([upstream.sessions, deletions(upstream)]).toEqual([[], 1])
  })

  it('closes the client without a code if there was none', async () => {
    // After a close without a code, the terminal asks the server for the session.
    const base = await serve((server) => {
      server.on('request', (_request, response) => response.end('{"id":"s1"}'))
      new WebSocketServer({ server }).on('connection', (ws) =>
        ws.on('message', (_data, isBinary) => isBinary && ws.close()),
      )
    })
    const proxy = await startProxy(() => ({ base, userId: 'ada', sessionId: 's1', settle: 0 }))
    const { ws, closed } = await clientTo(proxy)
    ws.send(Buffer.from('x'))
    expect(await closed).toEqual({ code: 1005, reason: '' })
    expect(await proxy.served[0]?.summary).toMatchObject({ endedBy: 'upstream', code: 1005, reason: '' })
  })

  it('closes the client with 1014 if it was a reset, because 1006 may not be sent', async () => {
    const { session, closed, served, upstream } = await joinOpen()
    session.reset()
    expect(await closed).toEqual({ code: 1014, reason: '' })
    const error = { code: 'ERR_TERMINAL_UNAVAILABLE' }
    expect(await served.summary).toMatchObject({ endedBy: 'upstream', code: 1006, error })
    expect([upstream.sessions, deletions(upstream)]).toEqual([[], 1])
  })

  // PROTOCOL 6.8
  const naming = ['no such host postgres', 'Session not found at 10.0.3.7:8000']

  it.each(naming)(
    'hides from the client, not from the operator, what no known server says: %j',
    async (closeReason) => {
      const { session, closed, served } = await joinOpen()
      session.close(1011, closeReason)
      expect(await closed).toEqual({ code: 1011, reason: '' })
      expect(await served.summary).toMatchObject({ reason: '', error: { closeReason } })
    },
  )

  it('closes the client with 1000 and returns no error if the shell has ended, on every release', async () => {
    const ends = releases.map(async (release) => {
      const { upstream, session, printed, closed, served } = await joinOpen({ release })
      await session.output('bye')
      session.exit()
      await printed('bye')
      expect(await closed).toEqual({ code: 1000, reason: '' })
      const summary = await served.summary
      expect(summary).toMatchObject({ endedBy: 'upstream', code: 1000, reason: '', bytesToClient: 4 })
      expect(summary).not.toHaveProperty('error')
      expect(upstream.sessions).toEqual([])
    })
    await Promise.all(ends)
  })

  it.each<[string, (ws: WebSocket) => void, number, boolean]>([
    ['reads again', (ws) => ws.resume(), 1001, true],
    ['leaves', (ws) => ws.terminate(), 1006, false],
  ])('keeps a client open that has not taken all output, until the client %s', async (_what, move, code, complete) => {
    const { ws, session, bytes, closed, served, upstream } = await joinOpen({}, { maxBuffered: 64 * MIB })
    ws.pause()
    // More than the operating system holds for a client that does not read.
    await session.output(Buffer.alloc(20_000_000))
    session.close(1001)
    await until(() => upstream.sessions.length === 0)
    // A close would have come by then. There is no event to await.
    await sleep(20)
    expect(served.socket.readyState).toBe(ws.OPEN)
    move(ws)
    expect(await closed).toMatchObject({ code })
    expect(bytes().length === 20_000_001).toBe(complete)
    expect(await served.summary).toMatchObject({ endedBy: 'upstream', code: 1001, bytesToClient: 20_000_001 })
  })
})

describe('proxyTerminal, when the client closes,', () => {
  it.each<[number, string]>([
    [1000, ''],
    [1001, 'going away'],
    [1008, ''],
    [1011, ''],
    [1014, ''],
    [3000, 'mine'],
    [4001, ''],
    [4999, '€'.repeat(41)],
  ])('closes the upstream with the same code and reason: %i %j', async (code, reason) => {
    const { ws, upstream, served } = await pair()
    const told = closeOf(upstream)
    ws.close(code, reason)
    expect(await told).toEqual({ code, reason })
    expect(await served.summary).toMatchObject({ endedBy: 'client', code, reason })
  })

  it.each<[codes: number[], why: string, end: (ws: WebSocket) => unknown, code: number]>([
    [[1000], 'there was no code', (ws) => ws.close(), 1005],
    [[1001], 'the connection dropped', (ws) => ws.terminate(), 1006],
    [[1001, 1002], 'the client sent bytes that are not a frame', (ws) => tcpOf(ws).write(INVALID_FRAME), 1006],
  ])('closes the upstream with one of %j if %s', async (codes, _why, end, code) => {
    const { ws, upstream, served } = await pair()
    const told = closeOf(upstream)
    end(ws)
    expect(await told).toEqual({ code: expect.toBeOneOf(codes), reason: '' })
    expect(await served.summary).toMatchObject({ endedBy: 'client', code, reason: '' })
  })

  it.each<[string, TestUpstreamOptions, (upstream: TestUpstream) => boolean]>([
    ['the session is being created', { faults: { create: { delay: 50 } } }, ({ requests }) => requests.length === 1],
    ['the upstream is being dialled', { faults: { attach: 'stall' } }, ({ requests }) => requests.length === 2],
    ['the proxy waits whether the upstream refuses', {}, ({ sessions }) => sessions[0]?.attached === 1],
  ])('leaves no session, even while %s', async (_when, server, reached) => {
    const upstream = await upstreamOf(server)
    const proxy = await startProxy(() => ({ ...clientOf(upstream), settle: 10_000 }))
    const { ws } = await clientTo(proxy)
    await until(() => reached(upstream))
    ws.terminate()
    expect(await proxy.served[0]?.summary).toMatchObject({ endedBy: 'client', code: 1006 })
    // The proxy waits for a session that is still being created, to delete it.
    await until(() => upstream.sessions.length === 0 && deletions(upstream) === 1)
  })

  it.each([
    ['sends the upstream all input that came before the close', 1_000, (ws: WebSocket) => ws.close(1000)],
    ['may drop the input that came before if the connection dropped', undefined, (ws: WebSocket) => ws.terminate()],
  ])('%s', async (_what, sent, end) => {
    const { ws, upstream, received, served } = await pair()
    for (let count = 0; count < 1_000; count += 1) ws.send(Buffer.from('x'))
    end(ws)
    const { bytesToUpstream } = await served.summary
    if (sent !== undefined) expect(bytesToUpstream).toBe(sent)
    expect(upstream.readyState).toBeGreaterThan(1)
    expect(Buffer.concat(received.map(({ data }) => data)).length).toBeLessThanOrEqual(1_000)
  })
})

describe('proxyTerminal, for a session that the options name,', () => {
  async function joinNamed(): Promise<Pick<Joined, 'ws' | 'upstream' | 'served'>> {
    const upstream = await upstreamOf()
    const { id } = await createTerminalSession(userOf(upstream))
    const proxy = await startProxy(() => ({ ...clientOf(upstream), sessionId: id }))
    const { ws, printed } = await clientTo(proxy)
    await until(() => upstream.sessions[0]?.attached === 1)
    void upstream.sessions[0]?.output('open')
    await printed('open')
    const [served] = proxy.served
    return served ? { ws, upstream, served } : expect.unreachable('the client should be served')
  }

  it.each<[string, (joined: Awaited<ReturnType<typeof joinNamed>>) => void]>([
    ['the client closes', ({ ws }) => ws.close()],
    ['the connection of the client drops', ({ ws }) => ws.terminate()],
    ['the upstream closes', ({ upstream }) => upstream.sessions[0]?.close(1001)],
    ['the upstream resets the connection', ({ upstream }) => upstream.sessions[0]?.reset()],
  ])('does not delete it when %s', async (_what, end) => {
    const joined = await joinNamed()
    end(joined)
    await joined.served.summary
    expect(joined.upstream.sessions).toHaveLength(1)
    expect(deletions(joined.upstream)).toBe(0)
  })
})
