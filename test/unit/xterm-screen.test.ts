import { describe, expect, it } from 'vitest'
import { connectTerminal } from '../../src/index.ts'
import { UpstreamAddon } from '../../src/xterm.ts'
import { cut, openOnServer, openResumable } from '../support/resumable.ts'
import { silent } from '../support/resume.ts'
import { createAs, pageOf, startGateway } from '../support/terminal-gateway.ts'
import { inputFrames, open } from '../support/terminal.ts'
import { afterwards, until } from '../support/upstream.ts'
import { connected, firstLine, ManualXterm, show, terminalOf, textOf } from '../support/xterm.ts'

// PROTOCOL 8.2
describe('what a program asks the terminal', () => {
  const QUERY = '\x1b[6n'

  it('is answered while it is live, and not if it was printed before the attach', async () => {
    const opened = await openResumable({}, {}, { shell: silent })
    const { terminal, print, gateway } = opened
    const { xterm, answers } = show(terminal)
    const typed = (): string => textOf(inputFrames(gateway.upstream))
    await print(`1${QUERY}`)
    await until(() => typed() === '\x1b[1;2R')
    const stop = opened.relay.refuse()
    await cut(opened)
    await print(`2${QUERY}`)
    stop()
    await until(() => terminal.status === 'open' && firstLine(xterm) === '12')
    xterm.input('key')
    await print(`3${QUERY}`)
    await until(() => answers.length === 4)
    expect(answers).toEqual(['\x1b[1;2R', '\x1b[1;3R', 'key', '\x1b[1;4R'])
    await until(() => typed().endsWith('4R'))
    expect(typed()).toBe('\x1b[1;2Rkey\x1b[1;4R')
  })

  it('is answered for the first client of a session, however late that comes', async () => {
    const gateway = await startGateway({}, { shell: silent })
    const sessionId = await createAs(gateway)
    await gateway.upstream.sessions[0]?.output(`${QUERY}$ `)
    const terminal = await connectTerminal({ ...pageOf(gateway), sessionId })
    afterwards(terminal)
    show(terminal)
    await until(() => textOf(inputFrames(gateway.upstream)) === '\x1b[1;1R')
  })

  it('is not confused with letters that are typed meanwhile', async () => {
    const typed: string[] = []
    const chunk = Object.assign(new Uint8Array(1), { [Symbol.for('terminal-upstream:replay')]: true })
    const results = [{ done: false, value: chunk }, { done: true }]
    const { terminal } = terminalOf()
    Object.assign(terminal, {
      write: (text: string) => typed.push(text),
      [Symbol.asyncIterator]: () => ({ next: () => Promise.resolve(results.shift()) }),
    })
    const xterm = new ManualXterm()
    new UpstreamAddon(terminal).activate(xterm)
    await until(() => xterm.callbacks.length === 2)
    const type = (text: string): void => xterm.type?.(text)
    const [begin, end] = xterm.callbacks
    type('\x1b[A')
    begin?.()
    type('\x1b[1;1R')
    type('letter')
    end?.()
    type('\x1b[B')
    expect(typed).toEqual(['\x1b[A', 'letter', '\x1b[B'])
  })
})

describe('a cursor that a program has hidden', () => {
  const SHOWN = '\x1b[?25h'

  it.each<[chunks: string[], shown: string]>([
    [['a\x1bcb'], `a\x1bc${SHOWN}b`],
    [['\x1bc'], `\x1bc${SHOWN}`],
    [['\x1bc\x1bc\x1bc'], `\x1bc${SHOWN}`.repeat(3)],
    [['a\x1b', 'cb\x1b', '[c', 'c'], `a\x1bc${SHOWN}b\x1b[cc`],
    [['\x1b', '\x1bc\x1b', 'c'], `\x1b\x1bc${SHOWN}\x1bc${SHOWN}`],
    [['c\x1b[c', 'c', '\x1b]c\x07'], `c\x1b[cc\x1b]c\x07`],
  ])('is shown by each reset in %j', async (chunks, shown) => {
    const { session, terminal } = await open()
    const xterm = new ManualXterm()
    new UpstreamAddon(terminal).activate(xterm)
    for (const [index, chunk] of chunks.entries()) {
      await session.output(chunk)
      await until(() => xterm.shown.length > index)
    }
    expect(textOf(xterm.shown)).toBe(shown)
  })

  it('is shown by a reset of xterm.js, too, until the addon is disposed of', async () => {
    const xterm = new ManualXterm()
    const resetOf = (): unknown => Reflect.get(xterm, 'reset')
    const reset = resetOf()
    const addon = new UpstreamAddon(terminalOf().terminal)
    addon.activate(xterm)
    xterm.reset()
    expect([xterm.resets, textOf(xterm.shown)]).toEqual([1, SHOWN])
    addon.dispose()
    expect(resetOf()).toBe(reset)
    addon.activate(xterm)
    const another = (): void => {}
    xterm.reset = another
    addon.dispose()
    expect(resetOf()).toBe(another)
  })

  it('needs no `reset()` of an xterm.js that has none', () => {
    const xterm = new ManualXterm()
    Reflect.set(xterm, 'reset', undefined)
    const addon = new UpstreamAddon(terminalOf().terminal)
    addon.activate(xterm)
    addon.dispose()
    expect(Reflect.get(xterm, 'reset')).toBeUndefined()
  })

  it('is shown by the real one, and hidden again if the program does that', async () => {
    const { session, xterm } = await connected()
    const isHidden = (): unknown => Reflect.get(xterm, '_core').coreService.isCursorHidden
    for (const [output, hidden] of [
      ['\x1b[?25l1', true],
      ['\x1bc2', false],
      ['\x1bc\x1b[?25l3', true],
    ] as const) {
      await session.output(output)
      await until(() => firstLine(xterm)?.endsWith(output.slice(-1)) === true)
      expect(isHidden()).toBe(hidden)
    }
    xterm.reset()
    await until(() => isHidden() === false)
  })
})

// PROTOCOL 8.13
it('a terminal that only looks on gives xterm.js its size, within limits, and gets nothing from it', async () => {
  const frames: string[] = []
  let resize = (_cols: number, _rows: number): void => {}
  const terminal = await openOnServer(
    (ws) => {
      ws.on('message', (data) => frames.push(String(data)))
      ws.send('{"type":"attached","offset":0,"keepFor":1000}')
      resize = (cols, rows) => ws.send(JSON.stringify({ type: 'resize', cols, rows }))
    },
    { watch: true, sessionId: 's1', settle: 60_000 },
  )
  const { xterm, addon } = show(terminal, { scrollback: 0 })
  resize(132, 50)
  await until(() => xterm.cols === 132 && xterm.rows === 50)
  resize(65_535, 65_535)
  await until(() => xterm.cols === 1_000 && xterm.rows === 500)
  xterm.input('x')
  xterm.resize(90, 30)
  addon.dispose()
  resize(80, 24)
  await new Promise<void>((resolve) => void terminal.onResize(({ cols }) => cols === 80 && resolve()))
  expect([xterm.cols, xterm.rows]).toEqual([90, 30])
  expect(frames.filter((frame) => frame !== '{"type":"ping"}')).toEqual([])
})
