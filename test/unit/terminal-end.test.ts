import { describe, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import { connectTerminal, type TerminalErrorCode } from '../../src/index.ts'
import type { TestFault } from '../../src/testing.ts'
import { closeFrame, tcpOf } from '../support/frames.ts'
import { lookUps } from '../support/requests.ts'
import { firstChunks, open, openOn } from '../support/terminal.ts'
import { nothingHappens } from '../support/timers.ts'
import { afterwards, outputWith, releases, serve, until, withoutCanary } from '../support/upstream.ts'

const SERVER_GONE = { refuse: 404, body: `{"detail":"Terminal server 'x' not found"}` }

describe('a terminal', () => {
  // PROTOCOL 6.5
  it('ends as `exited` with its shell on every release, and delivers all output', async () => {
    const ends = releases.map(async (release) => {
      const { terminal, upstream } = await open({ release, shell: 'sh' })
      const output = firstChunks(terminal, Infinity)
      await terminal.write('echo good; echo bye; exit\n')
      expect(await terminal.closed).toEqual({ code: 1000, reason: '', cause: 'exited' })
      expect(await output).toContain('good\nbye\n')
      expect(upstream.sessions).toEqual([])
    })
    await Promise.all(ends)
  })

  // PROTOCOL 6.6
  it('ends as `local` by close(), deletes the session once, and returns the same result to each caller', async () => {
    const { terminal, upstream } = await open()
    await terminal[Symbol.asyncDispose]()
    const close = await terminal.closed
    expect(close).toEqual({ code: 1000, reason: '', cause: 'local' })
    expect(upstream.sessions).toEqual([])
    expect(await terminal.close()).toBe(close)
    expect(upstream.requests.filter(({ method }) => method === 'DELETE')).toHaveLength(1)
    expect(upstream.requests.at(-1)).toMatchObject({ method: 'DELETE' })
  })

  it.each([
    [1001, '', 'ERR_TERMINAL_UNAVAILABLE'],
    [1011, 'keepalive ping timeout', 'ERR_TERMINAL_UNAVAILABLE'],
    [1012, '', 'ERR_TERMINAL_UNAVAILABLE'],
    [4001, 'Invalid token', 'ERR_TERMINAL_UNAUTHORIZED'],
    [4003, 'Terminal instance not reachable', 'ERR_TERMINAL_UNAVAILABLE'],
    [1000, '', 'ERR_TERMINAL_UNAVAILABLE'],
  ])('ends as `remote` when the server closes with %i %j, and deletes the session', async (code, reason, error) => {
    const { terminal, session, upstream } = await open()
    session.close(code, reason)
    const close = withoutCanary(await terminal.closed)
    expect(close).toMatchObject({ code, reason, cause: 'remote', error: { code: error } })
    expect(upstream.sessions).toEqual([])
  })

  // PROTOCOL 6.2
  it('ends as `exited` after a bare close when the session has ended', async () => {
    const { terminal, session } = await open()
    session.exit()
    session.close(1000)
    expect(await terminal.closed).toEqual({ code: 1000, reason: '', cause: 'exited' })
  })

  // PROTOCOL 2.4: Open WebUI removes its server.
  it.each<[string, number, TestFault | undefined, TerminalErrorCode]>([
    ['is that the server is gone', 1000, SERVER_GONE, 'ERR_TERMINAL_NOT_FOUND'],
    ['does not matter, because the close says why', 4004, SERVER_GONE, 'ERR_TERMINAL_NOT_FOUND'],
    ['refuses the key', 1000, undefined, 'ERR_TERMINAL_UNAUTHORIZED'],
    ['does not come', 1000, 'stall', 'ERR_TERMINAL_UNAVAILABLE'],
  ])('ends as `remote`, not as `exited`, when the answer to a look-up %s', async (_what, code, get, error) => {
    const keys = ['sk-canary', 'sk-canary']
    const key = (): string => (get ? 'sk-canary' : (keys.shift() ?? 'sk-canary-expired'))
    const { terminal, session } = await open({ faults: { get } }, { key })
    session.close(code, code === 4004 ? 'Terminal server not found' : '')
    expect(await terminal.closed).toMatchObject({ code, cause: 'remote', error: { code: error } })
  })

  it('ends after a close frame although the server keeps the connection open', async () => {
    let close = (): void => {}
    const terminal = await openOn((ws) => {
      ws.once('message', () => ws.pause())
      close = () => void tcpOf(ws).write(closeFrame(1001))
    })
    close()
    expect(await terminal.closed).toMatchObject({ code: 1001, cause: 'remote' })
  })

  it('keeps the session when the server closes with 4009, because another client is attached', async () => {
    const { terminal, session, upstream } = await open()
    session.close(4009, 'Session already connected')
    expect(await terminal.closed).toMatchObject({ error: { code: 'ERR_TERMINAL_IN_USE' } })
    expect(upstream.sessions).toHaveLength(1)
  })

  it('ends as `lost` after a reset, and deletes the session', async () => {
    const { terminal, session, upstream } = await open()
    session.reset()
    const error = { code: 'ERR_TERMINAL_UNAVAILABLE', closeCode: 1006 }
    expect(await terminal.closed).toMatchObject({ code: 1006, cause: 'lost', error })
    expect(upstream.sessions).toEqual([])
  })

  it('ends by close() although the server does not answer the close frame', async () => {
    const { terminal, session } = await open()
    session.stall()
    expect(await terminal.close()).toMatchObject({ cause: 'local' })
  })

  it('still delivers the output that it holds when it has ended', async () => {
    const { terminal, session } = await open()
    await session.output('left over')
    session.close(1001)
    await terminal.closed
    expect(await outputWith(terminal, 'left over')).toBe('left over')
  })
})

describe('a silent terminal', () => {
  it('looks its session up about 1 s after the last traffic', async () => {
    const { upstream } = await open()
    await until(() => lookUps(upstream).length === 1)
    expect(upstream.sessions).toHaveLength(1)
  })

  it('does not end as `exited` before its last output has arrived', async () => {
    let print = (_chunk: Uint8Array): void => {}
    let received = 0
    let answers = 0
    const base = await serve((server) => {
      new WebSocketServer({ server }).on('connection', (ws) => {
        print = (chunk) => ws.send(chunk)
        print(new Uint8Array(1))
      })
      server.on('request', (_request, response) => {
        // The terminal receives output between its request and the answer that the session has ended.
        if (answers === 0) print(new Uint8Array(10_000))
        void until(() => received > 10_000).then(() => {
          response.writeHead(404).end('{"error":"Session not found"}', () => (answers += 1))
        })
      })
    })
    const terminal = await connectTerminal({ base, userId: 'ada', sessionId: 's1', settle: 20 })
    afterwards(terminal)
    terminal.onData(({ length }) => (received += length))
    await until(() => answers === 1)
    // The terminal reads the answer, and stays open.
    await nothingHappens(50)
    print(new Uint8Array(5_000))
    expect(await terminal.closed).toMatchObject({ cause: 'exited' })
    expect(received).toBe(15_001)
  })

  it('does not look its session up while a slow reader holds output back', async () => {
    const { terminal, session, upstream } = await open({}, { maxBuffered: 1 })
    void session.output('x'.repeat(20_000))
    session.exit()
    // The first look-up would come after 1 s.
    await nothingHappens(1_300)
    expect(upstream.requests.filter(({ status }) => status === 404)).toEqual([])
    expect(await firstChunks(terminal, Infinity)).toBe('x'.repeat(20_000))
    expect(await terminal.closed).toMatchObject({ cause: 'exited' })
  })
})

describe('the heartbeat', () => {
  it('is a text message, and a silent terminal stays open', async () => {
    const { terminal, upstream } = await open({}, { keepAlive: 20 })
    const beats = (): number =>
      upstream.requests.flatMap(({ frames }) => frames).filter((frame) => frame === '{"type":"ping"}').length
    await until(() => beats() >= 5)
    await terminal.write('alive')
    await outputWith(terminal, 'alive')
  })

  it('ends a terminal as `lost` after 2 pings without an answer', async () => {
    const { terminal, session, upstream } = await open({}, { keepAlive: 30 })
    session.stall()
    const error = { code: 'ERR_TERMINAL_UNAVAILABLE', message: expect.stringContaining('no answer to 2 pings') }
    expect(await terminal.closed).toMatchObject({ code: 1006, cause: 'lost', error })
    expect(upstream.sessions).toEqual([])
  })

  it('does not end a terminal whose output is not read', async () => {
    const { terminal, session } = await open({}, { keepAlive: 20, maxBuffered: 1 })
    void session.output('x'.repeat(10_000))
    // Long enough for ten heartbeats.
    await nothingHappens(200)
    expect(await outputWith(terminal, 'x'.repeat(10_000))).toHaveLength(10_000)
    await terminal.write('still here')
    await outputWith(terminal, 'still here')
  })

  it('is sent only once with keepAlive: 0, to confirm the attach', async () => {
    const { upstream } = await open({}, { keepAlive: 0 })
    await nothingHappens(50)
    const frames = upstream.requests.flatMap((request) => request.frames)
    expect(frames).toEqual([expect.stringContaining('"auth"'), '{"type":"ping"}'])
  })
})
