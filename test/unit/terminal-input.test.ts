import { describe, expect, it } from 'vitest'
import { browserSocket } from '../support/browser-socket.ts'
import { closeFrame, tcpOf } from '../support/frames.ts'
import { failOnUnhandledErrors } from '../support/proxy-unhandled.ts'
import { mute } from '../support/shells.ts'
import { echoingHash, inputFrames, open, openOn, randomText, sha256 } from '../support/terminal.ts'
import { nothingHappens } from '../support/timers.ts'
import { outputWith, rejection, releases, until } from '../support/upstream.ts'

failOnUnhandledErrors()

describe('terminal.write', () => {
  it('sends strings as UTF-8 and bytes as they are', async () => {
    const { terminal } = await open()
    await terminal.write('grüezi ')
    await terminal.write(Uint8Array.of(0, 255, 10))
    expect(await outputWith(terminal, '\n')).toBe('gr\u00c3\u00bcezi \u0000\u00ff\n')
  })

  // PROTOCOL 5.5
  it.each([...releases])('delivers a paste of 300 KB that the program repeats to %s whole', async (release) => {
    const { terminal, upstream } = await open({ release, shell: echoingHash(300_000) })
    const paste = randomText(300_000)
    const output = outputWith(terminal, sha256(paste))
    await terminal.write(paste)
    expect((await output).replace(sha256(paste), '')).toBe(paste)
    expect(Math.max(...inputFrames(upstream).map(({ length }) => length))).toBeLessThanOrEqual(4096)
  })

  it('keeps the order of long and short calls that are not awaited', async () => {
    const { terminal } = await open()
    const parts = Array.from({ length: 20 }, (_item, index) => String.fromCharCode(65 + index).repeat(1 + index * 997))
    for (const part of parts) void terminal.write(part)
    await terminal.write('\n')
    expect(await outputWith(terminal, '\n')).toBe(`${parts.join('')}\n`)
  })

  it('sends the bytes of the call although the caller changes its buffer later', async () => {
    const { terminal } = await open()
    const buffer = Buffer.alloc(10_000, 'a')
    const written = terminal.write(buffer)
    buffer.fill('b')
    await written
    await terminal.write('\n')
    expect(await outputWith(terminal, '\n')).toBe(`${'a'.repeat(10_000)}\n`)
  })

  it('sends no frame for empty data', async () => {
    const { terminal, upstream } = await open()
    await terminal.write('')
    await terminal.write(new Uint8Array())
    await terminal.write('x')
    await outputWith(terminal, 'x')
    expect(inputFrames(upstream)).toHaveLength(1)
  })

  it.each<[string, unknown]>([
    ['undefined', undefined],
    ['null', null],
    ['a number', 5],
    ['an object', {}],
    ['an array', ['a']],
    ['an ArrayBuffer', new ArrayBuffer(1)],
  ])('rejects with ERR_INVALID_ARG_TYPE when the data is %s', async (_what, data) => {
    const { terminal } = await open()
    expect(await rejection(terminal.write(data as never))).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
  })

  it('rejects with ERR_TERMINAL_CLOSED when the terminal closes before or during the call', async () => {
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
      tcpOf(ws).write(closeFrame(1001))
    })
    expect(await rejection(terminal.write('x'))).toMatchObject({ code: 'ERR_TERMINAL_CLOSED' })
  })

  it('causes no unhandled rejection when the caller does not await it', async () => {
    const { terminal } = await open()
    void terminal.write('x'.repeat(100_000))
    await terminal.close()
    void terminal.write('too late')
  })
})

describe('terminal.resize', () => {
  it('changes the size of the shell', async () => {
    const { terminal, session } = await open()
    terminal.resize(132, 50)
    await until(() => session.size.cols === 132)
    expect(session.size).toEqual({ cols: 132, rows: 50 })
  })

  it('throws a RangeError for a size that would kill the shell, and sends nothing', async () => {
    const { terminal, upstream } = await open()
    for (const size of [0, 1.5, -1, 70_000, Number.NaN]) {
      expect(() => terminal.resize(size, 1)).toThrow(RangeError)
      expect(() => terminal.resize(1, size)).toThrow(RangeError)
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

describe("a terminal over a browser's socket", () => {
  const browser = { WebSocket: browserSocket, keepAlive: 20 }

  it('writes, reads, sends heartbeats and closes', async () => {
    const { terminal, upstream } = await open({}, browser)
    const paste = 'x'.repeat(50_000)
    await terminal.write(`${paste}\n`)
    expect(await outputWith(terminal, '\n')).toBe(`${paste}\n`)
    await until(() => upstream.requests.some(({ frames }) => frames.includes('{"type":"ping"}')))
    expect(await terminal.close()).toMatchObject({ cause: 'local' })
    expect(upstream.sessions).toEqual([])
  })

  it('ends by close() although the server does not answer the close frame', async () => {
    const { terminal, session } = await open({}, browser)
    session.stall()
    expect(await terminal.close()).toMatchObject({ cause: 'local' })
  })

  it('does not resolve a write while the socket holds too much', async () => {
    const { terminal, session } = await open({ shell: mute }, { ...browser, keepAlive: 0 })
    session.stall()
    const writing = rejection(terminal.write(new Uint8Array(20 * 1024 * 1024)))
    await nothingHappens(300)
    await terminal.close()
    expect(await writing).toMatchObject({ code: 'ERR_TERMINAL_CLOSED' })
  })
})
