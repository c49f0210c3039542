import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { browserSocket } from '../support/browser-socket.ts'
import { hashing, inputFrames, open, openOn, sha256 } from '../support/terminal.ts'
import { afterwards, outputWith, rejection, releases, until } from '../support/upstream.ts'

describe('write', () => {
  it('sends strings as UTF-8 and bytes as they are', async () => {
    const { terminal } = await open()
    await terminal.write('grüezi ')
    await terminal.write(Uint8Array.of(0, 255, 10))
    expect(await outputWith(terminal, '\n')).toBe('gr\u00c3\u00bcezi \u0000\u00ff\n')
  })

  it.each([...releases])('brings a paste of 300 KB through %s whole', async (release) => {
    const { terminal, upstream } = await open({ release, shell: hashing(300_000) })
    const paste = randomBytes(300_000)
    await terminal.write(paste)
    expect(await outputWith(terminal, sha256(paste))).toBe(sha256(paste))
    expect(Math.max(...inputFrames(upstream).map(({ length }) => length))).toBe(4096)
  })

  it('keeps the order of calls that are not awaited, long and short', async () => {
    const { terminal } = await open()
    const parts = Array.from({ length: 20 }, (_item, index) => String.fromCharCode(65 + index).repeat(1 + index * 997))
    for (const part of parts) void terminal.write(part)
    await terminal.write('\n')
    expect(await outputWith(terminal, '\n')).toBe(`${parts.join('')}\n`)
  })

  it('is not changed by what the caller does to its buffer afterwards', async () => {
    const { terminal } = await open()
    const buffer = Buffer.alloc(10_000, 'a')
    const written = terminal.write(buffer)
    buffer.fill('b')
    await written
    await terminal.write('\n')
    expect(await outputWith(terminal, '\n')).toBe(`${'a'.repeat(10_000)}\n`)
  })

  it('sends nothing for nothing', async () => {
    const { terminal, upstream } = await open()
    await terminal.write('')
    await terminal.write(new Uint8Array())
    await terminal.write('x')
    await outputWith(terminal, 'x')
    expect(inputFrames(upstream)).toHaveLength(1)
  })

  it.each([undefined, null, 5, {}, ['a'], new ArrayBuffer(1)])(
    'rejects with ERR_INVALID_ARG_TYPE when given %o',
    async (data) => {
      const { terminal } = await open()
      expect(await rejection(terminal.write(data as never))).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
    },
  )

  it('rejects with ERR_TERMINAL_CLOSED what has not been sent when the terminal closes', async () => {
    const { terminal } = await open()
    const writing = rejection(terminal.write('x'.repeat(100_000)))
    const later = rejection(terminal.write('y'))
    await terminal.close()
    expect(await writing).toMatchObject({ code: 'ERR_TERMINAL_CLOSED' })
    expect(await later).toMatchObject({ code: 'ERR_TERMINAL_CLOSED' })
    expect(await rejection(terminal.write('z'))).toMatchObject({ code: 'ERR_TERMINAL_CLOSED' })
  })

  it('rejects with ERR_TERMINAL_CLOSED while the server is closing', async () => {
    const terminal = await openOn((ws) => {
      ws.pause()
      Reflect.get(ws, '_socket').write(Buffer.from([0x88, 2, 0x03, 0xe9]))
    })
    expect(await rejection(terminal.write('x'))).toMatchObject({ code: 'ERR_TERMINAL_CLOSED' })
  })

  it('does not crash the process of a caller that does not wait for it', async () => {
    const { terminal } = await open()
    const unhandled: unknown[] = []
    const note = (reason: unknown): void => void unhandled.push(reason)
    process.on('unhandledRejection', note)
    afterwards({ close: () => process.off('unhandledRejection', note) })
    void terminal.write('x'.repeat(100_000))
    await terminal.close()
    void terminal.write('too late')
    await new Promise((resolve) => setImmediate(resolve))
    expect(unhandled).toEqual([])
  })
})

describe('resize', () => {
  it('tells the shell', async () => {
    const { terminal, session } = await open()
    terminal.resize(132, 50)
    await until(() => session.size.cols === 132)
    expect(session.size).toEqual({ cols: 132, rows: 50 })
  })

  it('throws a RangeError for what would kill the shell, and sends nothing', async () => {
    const { terminal, upstream } = await open()
    for (const [cols, rows] of [
      [0, 1],
      [1.5, 1],
      [-1, 1],
      [70_000, 1],
      [1, Number.NaN],
    ] as const) {
      expect(() => terminal.resize(cols, rows)).toThrow(RangeError)
    }
    await terminal.write('x')
    await outputWith(terminal, 'x')
    const frames = upstream.requests.flatMap((request) => request.frames)
    expect(frames.filter((frame) => String(frame).includes('resize'))).toEqual([])
  })

  it('throws ERR_TERMINAL_CLOSED when the terminal is closed', async () => {
    const { terminal } = await open()
    await terminal.close()
    expect(() => terminal.resize(80, 24)).toThrow(expect.objectContaining({ code: 'ERR_TERMINAL_CLOSED' }))
  })
})

describe("with a browser's socket", () => {
  const browser = { WebSocket: browserSocket, keepAlive: 20 }

  it('writes, reads, beats and closes', async () => {
    const { terminal, upstream } = await open({}, browser)
    const paste = 'x'.repeat(50_000)
    await terminal.write(`${paste}\n`)
    expect(await outputWith(terminal, '\n')).toBe(`${paste}\n`)
    await until(() => upstream.requests.some(({ frames }) => frames.includes('{"type":"ping"}')))
    expect(await terminal.close()).toMatchObject({ cause: 'local' })
    expect(upstream.sessions).toEqual([])
  })

  it('does not wait for a server that does not answer the close, although it cannot end it by force', async () => {
    const { terminal, session } = await open({}, browser)
    session.stall()
    expect(await terminal.close()).toMatchObject({ cause: 'local' })
  })

  it('holds a write back while too much waits in the socket', async () => {
    const { terminal, session } = await open({ shell: () => ({ input: () => {} }) }, { ...browser, keepAlive: 0 })
    session.stall()
    const writing = rejection(terminal.write(new Uint8Array(20 * 1024 * 1024)))
    await new Promise((resolve) => setTimeout(resolve, 300))
    await terminal.close()
    expect(await writing).toMatchObject({ code: 'ERR_TERMINAL_CLOSED' })
  })
})
