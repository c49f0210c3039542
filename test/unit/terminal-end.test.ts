import { describe, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import { connectTerminal } from '../../src/index.ts'
import { firstChunks, open, openOn } from '../support/terminal.ts'
import { afterwards, outputWith, releases, serve, until, withoutCanary } from '../support/upstream.ts'

describe('the end', () => {
  it('of the shell is noticed on every release, and everything that it printed arrives', async () => {
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

  it('by close() is local, ends the session, and is the same for everybody who asks', async () => {
    const { terminal, upstream } = await open()
    const close = await terminal.close()
    expect(close).toEqual({ code: 1000, reason: '', cause: 'local' })
    expect(upstream.sessions).toEqual([])
    expect(await terminal.closed).toBe(close)
    expect(await terminal.close()).toBe(close)
    expect(upstream.requests.filter(({ method }) => method === 'DELETE')).toHaveLength(1)
    expect(upstream.requests.at(-1)).toMatchObject({ method: 'DELETE' })
  })

  it('comes with the end of its scope', async () => {
    const { terminal, upstream } = await open()
    await terminal[Symbol.asyncDispose]()
    expect(upstream.sessions).toEqual([])
  })

  it.each<[number, string, object]>([
    [1001, '', { cause: 'remote', error: { code: 'ERR_TERMINAL_UNAVAILABLE' } }],
    [1011, 'keepalive ping timeout', { cause: 'remote', error: { code: 'ERR_TERMINAL_UNAVAILABLE' } }],
    [1012, '', { cause: 'remote', error: { code: 'ERR_TERMINAL_UNAVAILABLE' } }],
    [4001, 'Invalid token', { cause: 'remote', error: { code: 'ERR_TERMINAL_UNAUTHORIZED' } }],
    [4003, 'Terminal instance not reachable', { cause: 'remote', error: { code: 'ERR_TERMINAL_UNAVAILABLE' } }],
    [1000, '', { cause: 'remote', error: { code: 'ERR_TERMINAL_UNAVAILABLE' } }],
  ])('by the server with %i %j is remote, says why, and ends the session', async (code, reason, close) => {
    const { terminal, session, upstream } = await open()
    session.close(code, reason)
    expect(withoutCanary(await terminal.closed)).toMatchObject({ code, reason, ...close })
    expect(upstream.sessions).toEqual([])
  })

  it('by a bare close is explained by the session: ended', async () => {
    const { terminal, session } = await open()
    session.exit()
    session.close(1000)
    expect(await terminal.closed).toEqual({ code: 1000, reason: '', cause: 'exited' })
  })

  it('by a bare close is explained by the session: the key is no longer accepted', async () => {
    const keys = ['sk-canary', 'sk-canary']
    const { terminal, session } = await open({}, { key: () => keys.shift() ?? 'sk-canary-expired' })
    session.close(1000)
    expect(await terminal.closed).toMatchObject({ cause: 'remote', error: { code: 'ERR_TERMINAL_UNAUTHORIZED' } })
  })

  it('by a bare close is not waited for when the session cannot be asked', async () => {
    const { terminal, session } = await open({ faults: { get: 'stall' } })
    session.close(1000)
    expect(await terminal.closed).toMatchObject({
      cause: 'remote',
      error: { code: 'ERR_TERMINAL_UNAVAILABLE', closeCode: 1000 },
    })
  })

  it('by the server does not wait for it to end the connection as well', async () => {
    const terminal = await openOn((ws) => {
      ws.once('message', () => {
        ws.pause()
        setTimeout(() => Reflect.get(ws, '_socket').write(Buffer.from([0x88, 2, 0x03, 0xe9])), 50)
      })
    })
    expect(await terminal.closed).toMatchObject({ code: 1001, cause: 'remote' })
  })

  it('by a socket of another client that comes too late to be refused leaves the session alone', async () => {
    const { terminal, session, upstream } = await open()
    session.close(4009, 'Session already connected')
    expect(await terminal.closed).toMatchObject({ error: { code: 'ERR_TERMINAL_IN_USE' } })
    expect(upstream.sessions).toHaveLength(1)
  })

  it('by a reset is lost', async () => {
    const { terminal, session, upstream } = await open()
    session.reset()
    const close = await terminal.closed
    expect(close).toMatchObject({
      code: 1006,
      cause: 'lost',
      error: { code: 'ERR_TERMINAL_UNAVAILABLE', closeCode: 1006 },
    })
    expect(upstream.sessions).toEqual([])
  })

  it('by something that is no WebSocket frame is lost, and says so', async () => {
    const terminal = await openOn((ws) => {
      ws.on('message', (_data, isBinary) => {
        if (isBinary) Reflect.get(ws, '_socket').write(Buffer.from([0xff, 0xff, 0xff, 0xff]))
      })
    })
    await terminal.write('x')
    expect(await terminal.closed).toMatchObject({
      cause: 'lost',
      error: { cause: { code: expect.stringMatching(/^WS_ERR_/) } },
    })
  })

  it('does not wait for a server that does not answer the close', async () => {
    const { terminal, session } = await open()
    session.stall()
    expect(await terminal.close()).toMatchObject({ cause: 'local' })
  })

  it('lets the output that is already there be read, and unblocks a writer and a reader', async () => {
    const { terminal, session } = await open()
    await session.output('left over')
    session.close(1001)
    await terminal.closed
    expect(await outputWith(terminal, 'left over')).toBe('left over')
  })
})

describe('the shell that ends in silence', () => {
  it('is asked for about a second after the last sign of life', async () => {
    const { upstream } = await open()
    const asked = (): number =>
      upstream.requests.filter(({ kind, method }) => kind === 'http' && method === 'GET').length
    await until(() => asked() === 1)
    expect(upstream.sessions).toHaveLength(1)
  })

  it('is not taken for ended by a server that cannot be asked', async () => {
    const { terminal, upstream } = await open({ faults: { get: { refuse: 502 } } })
    await until(() => upstream.requests.some(({ status }) => status === 502))
    await terminal.write('alive')
    await outputWith(terminal, 'alive')
  })

  it('is not taken for ended as long as its last words are on their way', async () => {
    let say = (_chunk: Uint8Array): void => {}
    const answered: number[] = []
    const base = await serve((server) => {
      new WebSocketServer({ server }).on('connection', (ws) => {
        say = (chunk) => ws.send(chunk)
        say(new Uint8Array(1))
      })
      server.on('request', (_request, response) => {
        response.once('finish', () => answered.push(response.statusCode))
        // The answer that the session is gone overtakes the last of its output.
        if (answered.length === 0) say(new Uint8Array(10_000))
        setTimeout(() => response.writeHead(404).end('{"error":"Session not found"}'), 50)
      })
    })
    const terminal = await connectTerminal({ base, userId: 'ada', sessionId: 's1', settle: 20 })
    afterwards(terminal)
    let received = 0
    terminal.onData(({ length }) => (received += length))
    await until(() => answered.length === 1)
    await new Promise((resolve) => setTimeout(resolve, 50))
    say(new Uint8Array(5_000))
    expect(await terminal.closed).toMatchObject({ cause: 'exited' })
    expect(received).toBe(15_001)
  })

  it('is not asked for while a slow reader has yet to let its last words in', async () => {
    const { terminal, session, upstream } = await open({}, { maxBuffered: 1 })
    void session.output('x'.repeat(20_000))
    session.exit()
    await new Promise((resolve) => setTimeout(resolve, 1_300))
    expect(upstream.requests.filter(({ status }) => status === 404)).toEqual([])
    expect(await firstChunks(terminal, Infinity)).toBe('x'.repeat(20_000))
    expect(await terminal.closed).toMatchObject({ cause: 'exited' })
  })
})

describe('the heartbeat', () => {
  it('is a message that every server ignores, and keeps a terminal that is merely silent', async () => {
    const { terminal, upstream } = await open({}, { keepAlive: 20 })
    const beats = (): number =>
      upstream.requests.flatMap(({ frames }) => frames).filter((frame) => frame === '{"type":"ping"}').length
    await until(() => beats() >= 5)
    await terminal.write('alive')
    await outputWith(terminal, 'alive')
  })

  it('ends a terminal as lost when the server no longer answers', async () => {
    const { terminal, session, upstream } = await open({}, { keepAlive: 30 })
    session.stall()
    const close = await terminal.closed
    expect(close).toMatchObject({
      code: 1006,
      cause: 'lost',
      error: {
        code: 'ERR_TERMINAL_UNAVAILABLE',
        message: expect.stringContaining('no answer to 2 pings'),
      },
    })
    expect(upstream.sessions).toEqual([])
  })

  it('does not count against a server that is not being read', async () => {
    const { terminal, session } = await open({}, { keepAlive: 20, maxBuffered: 1 })
    void session.output('x'.repeat(10_000))
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(await outputWith(terminal, 'x'.repeat(10_000))).toHaveLength(10_000)
    await terminal.write('still here')
    await outputWith(terminal, 'still here')
  })

  it('is sent only to confirm the attach with keepAlive: 0', async () => {
    const { upstream } = await open({}, { keepAlive: 0 })
    await new Promise((resolve) => setTimeout(resolve, 50))
    const frames = upstream.requests.flatMap((request) => request.frames)
    expect(frames).toEqual([expect.stringContaining('"auth"'), '{"type":"ping"}'])
  })
})
