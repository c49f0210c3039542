import { describe, expect, it } from 'vitest'
import { UpstreamAddon, type UpstreamAddonOptions } from '../../src/xterm.ts'
import { inputFrames, open, sha256, type Opened } from '../support/terminal.ts'
import { until } from '../support/upstream.ts'
import { connected, firstLine, ManualXterm, terminalOf, textOf } from '../support/xterm.ts'

/** An element of a page, as far as the addon uses it. */
class FakeElement {
  readonly children: FakeElement[] = []
  readonly style = { cssText: '' }
  readonly ownerDocument = { createElement: () => new FakeElement() }
  parent: FakeElement | undefined
  className = ''
  textContent = ''

  append(child: FakeElement): void {
    child.parent = this
    this.children.push(child)
  }

  remove(): void {
    this.parent?.children.splice(this.parent.children.indexOf(this), 1)
    this.parent = undefined
  }
}

/** Returns the text messages that the upstream received, without heartbeats. */
function texts({ upstream }: Opened): string[] {
  const frames = upstream.requests.flatMap((request) => request.frames)
  return frames.filter((frame) => typeof frame === 'string').filter((text) => text !== '{"type":"ping"}')
}

describe('the note in a corner', () => {
  it('is shown while the terminal is reconnecting, and not any longer than that', () => {
    const { terminal, change } = terminalOf()
    const xterm = new ManualXterm()
    const addon = new UpstreamAddon(terminal)
    addon.activate(xterm)
    change('reconnecting')
    const element = new FakeElement()
    Object.assign(xterm, { element })
    change('reconnecting')
    const note = { textContent: 'reconnecting…', className: 'terminal-upstream-reconnecting', role: 'status' }
    expect(element.children).toMatchObject([note])
    change('reconnecting')
    expect(element.children).toHaveLength(1)
    change('open')
    expect(element.children).toEqual([])
    change('reconnecting')
    addon.dispose()
    expect(element.children).toEqual([])
  })

  it.each<[what: string, options: UpstreamAddonOptions | undefined, shown: string[]]>([
    ['in English without options', undefined, ['reconnecting…']],
    ['in English when `notes` is undefined', { notes: undefined }, ['reconnecting…']],
    ['not shown at all with `notes: false`', { notes: false }, []],
    ['the text of the caller', { notes: { reconnecting: 'Verbindung … <b>' } }, ['Verbindung … <b>']],
  ])('is %s', (_what, options, shown) => {
    const { terminal, change } = terminalOf()
    const element = new FakeElement()
    new UpstreamAddon(terminal, options).activate(Object.assign(new ManualXterm(), { element }))
    change('reconnecting')
    expect(element.children.map(({ textContent }) => textContent)).toEqual(shown)
  })

  it.each<[options: unknown, code: string, message: string]>([
    [null, 'ERR_INVALID_ARG_TYPE', '`options` must be an object, got null'],
    [{ notes: true }, 'ERR_INVALID_ARG_TYPE', '`notes` must be false or an object, got boolean'],
    [{ notes: null }, 'ERR_INVALID_ARG_TYPE', '`notes` must be false or an object, got null'],
    [{ notes: {} }, 'ERR_INVALID_ARG_TYPE', '`notes.reconnecting` must be a string, got undefined'],
    [{ notes: { reconnecting: '' } }, 'ERR_INVALID_ARG_VALUE', '`notes.reconnecting` must not be empty'],
    [{ note: false }, 'ERR_INVALID_ARG_VALUE', '`note` is not an option of UpstreamAddon. Did you mean `notes`?'],
    [{ notes: { closed: '' } }, 'ERR_INVALID_ARG_VALUE', '`closed` is not an option of `notes`. Did you mean `recon'],
  ])('cannot be set with %j', (options, code, message) => {
    expect(() => new UpstreamAddon(terminalOf().terminal, options as never)).toThrow(
      expect.objectContaining({ name: 'TypeError', code, message: expect.stringContaining(message) }),
    )
  })
})

describe('xterm.js with the addon', () => {
  it('sends keystrokes as bytes, and shows the output', async () => {
    const { upstream, xterm } = await connected()
    for (const key of ['1', 'ä', '€']) xterm.input(key)
    await until(() => firstLine(xterm) === '1ä€')
    expect(textOf(inputFrames(upstream))).toBe('1ä€')
  })

  it('tells the shell the size of its window when it is connected, and each new size', async () => {
    const opened = await connected()
    opened.xterm.resize(132, 50)
    await until(() => opened.session.size.cols === 132)
    const [first, second] = texts(opened).slice(1)
    expect([first, second]).toEqual(['{"type":"resize","cols":80,"rows":24}', '{"type":"resize","cols":132,"rows":50}'])
  })

  it('shows characters whose bytes come one by one', async () => {
    const { session, xterm } = await connected()
    // The second byte of most of them is 0x80.
    const text = 'é€–“•。😀.'
    for (const byte of Buffer.from(text)) await session.output(Uint8Array.of(byte))
    await until(() => firstLine(xterm)?.endsWith('.') === true)
    expect(firstLine(xterm)).toBe(text)
  })

  it('shows what follows bytes that are no character', async () => {
    const { session, xterm } = await connected()
    for (const bytes of [[0xe2, 0x80], [0x1b], [0x5b, 0x31, 0x6d, 0x41], [0xf0], [0xe2], [0x42]]) {
      await session.output(Uint8Array.from(bytes))
    }
    await until(() => firstLine(xterm) === 'AB')
  })

  it('disconnects from the terminal when it is disposed of', async () => {
    const { upstream, terminal, session, xterm } = await connected()
    xterm.dispose()
    await session.output('for the next reader')
    const { value } = await terminal[Symbol.asyncIterator]().next()
    expect(textOf([value ?? new Uint8Array()])).toBe('for the next reader')
    expect(inputFrames(upstream)).toEqual([])
  })
})

describe('an addon', () => {
  /** Opens a terminal on an upstream, and connects it to an xterm.js that the test controls. */
  async function manual(): Promise<Opened & { xterm: ManualXterm; addon: UpstreamAddon }> {
    const opened = await open()
    const xterm = new ManualXterm()
    const addon = new UpstreamAddon(opened.terminal)
    addon.activate(xterm)
    return { ...opened, xterm, addon }
  }

  it('sends binary input byte by byte', async () => {
    const { upstream, xterm } = await manual()
    xterm.binary?.('\x1b[M\xff\x80')
    await until(() => inputFrames(upstream).length > 0)
    expect(inputFrames(upstream)).toEqual([new Uint8Array([0x1b, 0x5b, 0x4d, 0xff, 0x80])])
  })

  it('sends only sizes that a shell can have, and none twice in a row', async () => {
    const opened = await manual()
    const { xterm, terminal } = opened
    for (const size of [100, 100, 0, 70_000, 80]) xterm.sized?.({ cols: size, rows: size + 1 })
    await terminal.write('x')
    await until(() => inputFrames(opened.upstream).length > 0)
    const sizes = texts(opened)
      .slice(1)
      .map((text) => Object.values(JSON.parse(text)).slice(1).join('x'))
    expect(sizes).toEqual(['80x24', '100x101', '1x1', '65535x65535', '80x81'])
  })

  it('reads no more output than xterm.js can show, and loses none of it', async () => {
    const { session, xterm } = await manual()
    const chunk = Buffer.alloc(4096, 'flood')
    const total = 200
    void Promise.all(Array.from({ length: total }, () => session.output(chunk)))
    await until(() => xterm.bytes > 128 * 1024)
    // More output would arrive within this turn of the event loop, if the addon read it.
    await new Promise((resolve) => setImmediate(resolve))
    expect(xterm.bytes).toBeLessThanOrEqual(128 * 1024 + chunk.length)
    while (xterm.bytes < total * chunk.length) {
      for (const shown of xterm.callbacks.splice(0)) shown()
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(sha256(...xterm.shown)).toBe(sha256(...Array.from({ length: total }, () => chunk)))
  })

  it('disconnects the two when it is disposed of, and leaves the terminal open', async () => {
    const { upstream, terminal, session, xterm, addon } = await manual()
    addon.dispose()
    addon.dispose()
    expect(xterm.listeners.size).toBe(0)
    await session.output('for the next reader')
    const { value } = await terminal[Symbol.asyncIterator]().next()
    expect(textOf([value ?? new Uint8Array()])).toBe('for the next reader')
    expect(xterm.shown).toEqual([])
    await terminal.write('still open')
    await until(() => textOf(inputFrames(upstream)) === 'still open')
  })

  it('loses no output if it is disposed of while xterm.js has too much to show', async () => {
    const { session, xterm, addon, terminal } = await manual()
    await session.output(Buffer.alloc(256 * 1024))
    await until(() => xterm.bytes > 128 * 1024)
    addon.dispose()
    for (const shown of xterm.callbacks.splice(0)) shown()
    let rest = 0
    for await (const chunk of terminal) {
      rest += chunk.length
      if (xterm.bytes + rest === 256 * 1024) break
    }
    expect(xterm.bytes + rest).toBe(256 * 1024)
  })

  it('ignores keystrokes and sizes after the end of the terminal', async () => {
    const { terminal, xterm } = await manual()
    const closing = terminal.close()
    xterm.type?.('too late')
    xterm.sized?.({ cols: 100, rows: 30 })
    await closing
    xterm.binary?.('too late')
    xterm.sized?.({ cols: 90, rows: 20 })
    expect(xterm.listeners.size).toBe(3)
  })

  it('connects one terminal to several windows', async () => {
    const { xterm, addon, session } = await manual()
    const second = new ManualXterm()
    addon.activate(second)
    await session.output('both')
    await until(() => xterm.bytes === 4 && second.bytes === 4)
  })

  it.each([
    ['nothing', undefined],
    ['a WebSocket', new EventTarget()],
    ['the promise of a terminal', Promise.resolve()],
  ])('throws ERR_INVALID_ARG_TYPE when it is given %s', (_what, terminal) => {
    const message = expect.stringContaining('`terminal` must be the result of connectTerminal')
    const misuse = expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE', message })
    expect(() => new UpstreamAddon(terminal as never)).toThrow(misuse)
  })
})
