import { SerializeAddon } from '@xterm/addon-serialize'
import { Terminal } from '@xterm/headless'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Canvas } from '../../src/screen/canvas.ts'
import { ClearSearch } from '../../src/screen/clear-search.ts'
import { Cutter } from '../../src/screen/cutter.ts'
import { DrawingBudget } from '../../src/screen/drawing-budget.ts'
import { DrawingTurns } from '../../src/screen/drawing-turns.ts'
import { observe } from '../../src/gateway/observer.ts'
import { SessionOutput } from '../../src/gateway/session-output.ts'
import { countedTerminals, viewOf, WatchedSession } from '../support/whole-screens.ts'
import { Witness } from '../support/witness.ts'

afterEach(() => void vi.restoreAllMocks())

const SIZE = { cols: 80, rows: 24 }

describe('what is given to a terminal', () => {
  it.each([
    ['lines', '\x1b[999L\x1b[999M\x1b[999S\x1b[999T', '\x1b[24L\x1b[24M\x1b[24S\x1b[24T'],
    ['characters and tabs', '\x1b[999@\x1b[999P\x1b[999X\x1b[999I\x1b[999Z', '\x1b[80@\x1b[80P\x1b[80X\x1b[80I\x1b[80Z'],
    ['columns', "\x1b[999 @\x1b[999 A\x1b[999'}\x1b[999'~", "\x1b[80 @\x1b[80 A\x1b[80'}\x1b[80'~"],
    ['what repeats a character', 'a\x1b[65535b', 'a\x1b[1920b'],
    ['a parameter with parts', '\x1b[1:99999L', '\x1b[L'],
    ['characters that join another', `a${'\u0301'.repeat(99)}b${'\u200d'.repeat(17)}\u20dd`, `a${'\u0301'.repeat(16)}b${'\u200d'.repeat(16)}`],
    ['what is not UTF-8', Buffer.from('caf\xe9 \xff\xcd\x80a', 'latin1'), Buffer.from('caf\xe9 \xff\xcd\x80a', 'latin1')],
    ['a control character within', '\x1b[99\n99L\x1b[3\r1m', '\n\x1b[24L\r\x1b[31m'],
    ['numbers that draw nothing', '\x1b[999;999H\x1b[38;2;255;255;255m\x1b[?1049h', '\x1b[999;999H\x1b[38;2;255;255;255m\x1b[?1049h'],
    ['strings', 'a\x1b]0;title\x07b\x1bP0;1q#0~\x1b\\c\x1b_Gi=1\x1b\\d', 'ab\x1b\\c\x1b\\d'],
    ['text in UTF-8', 'grüße € 漢字 ©', 'grüße € 漢字 ©'],
  ])('has %s cut to the window, wherever the output is split', (_, output, given) => {
    for (const piece of [1, 2, 3, 7, 1_000]) {
      const cutter = new Cutter()
      const bytes = Buffer.from(output as string)
      const pieces: Buffer[] = []
      for (let at = 0; at < bytes.length; at += piece) pieces.push(...cutter.cut(bytes.subarray(at, at + piece), SIZE))
      expect(Buffer.concat(pieces).toString()).toBe(given.toString())
    }
  }) // prettier-ignore

  // xterm.js loses some that are written in two parts.
  it('has whole characters, wherever the output is split', () => {
    const cutter = new Cutter()
    const pieces = [...Buffer.from('– “•” …')].flatMap((byte) => cutter.cut(Buffer.of(byte), SIZE))
    expect(pieces.join('|')).toBe('–| |“|•|”| |…')
  })

  it.each([
    [{ cols: 80, rows: 24 }, '\x1b[2J\x1bc', 20],
    [{ cols: 316, rows: 316 }, '\x1b[2J\x1bc', 1],
    [{ cols: 2, rows: 500 }, '\x1b[H', 40],
    [{ cols: 2, rows: 500 }, '\x1b[999S', 1],
    [{ cols: 80, rows: 24 }, 'a\x1b[999b', 2],
  ])('in a window of %o has at most so many sequences at once', (size, sequences, most) => {
    const pieces = new Cutter().cut(Buffer.from(sequences.repeat(100)), size)
    // eslint-disable-next-line no-control-regex
    expect(Math.max(...pieces.map((piece) => String(piece).match(/\x1b/g)?.length ?? 0))).toBe(most)
  })

  it('comes in pieces of 1 KiB at most, and takes 50 ms of a second', async () => {
    vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'setImmediate', 'clearTimeout'] })
    const lengths: number[] = []
    class Slow extends Terminal {
      override write(data: string | Uint8Array, done?: () => void): void {
        if (data.length > 0) lengths.push(data.length)
        setTimeout(done ?? (() => {}), data.length > 0 ? 2 : 0)
      }
    }
    const canvas = new Canvas({ Terminal: Slow, SerializeAddon }, SIZE, 0, new DrawingBudget())
    canvas.push(Buffer.alloc(100_000, 'a'))
    await vi.advanceTimersByTimeAsync(900)
    const inFirstSecond = lengths.length
    await vi.advanceTimersByTimeAsync(10_000)
    expect(Math.max(...lengths)).toBe(1024)
    expect(inFirstSecond).toBeLessThanOrEqual(50)
    expect(lengths.length - inFirstSecond).toBeLessThanOrEqual(260)
    canvas.dispose()
    const atEnd = lengths.length
    await vi.advanceTimersByTimeAsync(10_000)
    expect(lengths.length).toBe(Math.min(atEnd, 98))
    vi.useRealTimers()
  })

  it('takes 50 ms at most at once: longer ones are those of a process that stood still', () => {
    const now = vi.spyOn(performance, 'now').mockReturnValue(0)
    const budget = new DrawingBudget()
    budget.measure(() => void now.mockReturnValue(60_000))
    expect(budget.wait()).toBe(100)
  })
})

describe('what is drawn', () => {
  it('is read a few lines at a time, and nothing is drawn meanwhile', async () => {
    const passing = vi.spyOn(performance, 'now').mockReturnValue(0)
    let [ms, lines, most] = [0, 0, 0]
    class Slow extends SerializeAddon {
      override serialize(options?: object): string {
        passing.mockReturnValue((ms += 1))
        most = Math.max(most, (lines += 1))
        if (lines === 1) canvas.push(Buffer.from('\x1b[20Hmore'))
        return super.serialize(options)
      }
    }
    const canvas = new Canvas({ Terminal, SerializeAddon: Slow }, SIZE, 0, new DrawingBudget())
    await canvas.drawn()
    canvas.push(Buffer.from('line\r\n'.repeat(20)))
    await canvas.drawn()
    const nextTurn = async (): Promise<void> => {
      for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setTimeout(resolve))
      lines = 0
    }
    expect((await canvas.picture(nextTurn)).main.text).not.toContain('more')
    expect(most).toBe(3)
    await canvas.drawn()
    expect(await canvas.text(nextTurn)).toBe(`${'line\n'.repeat(19)}more`)
    canvas.dispose()
  })
})

describe('a screen that takes more than 5 s', () => {
  it('is not waited for, nor is one that waits for it', async () => {
    vi.useFakeTimers()
    const turns = new DrawingTurns(new DrawingBudget())
    const never = { isDrawn: false, drawn: () => new Promise<void>(() => {}) } as Canvas
    const waiting = [turns.take(() => true, (wait) => wait(never)), turns.take(() => true, (wait) => wait(never))] // prettier-ignore
    await vi.advanceTimersByTimeAsync(5_000)
    expect(await Promise.all(waiting)).toEqual([undefined, undefined])
    expect(vi.getTimerCount()).toBe(0)
    vi.useRealTimers()
  })
})

describe('a screen that is being drawn', () => {
  const PRINTED = 'first\r\n'.padEnd(600, '\rspinner')

  /** Returns the output of a session that has printed more than is kept. Calls back when its screen is read first. */
  function printed(kept: number, onRead: (output: SessionOutput) => void): SessionOutput {
    let isRead = false
    class Late extends SerializeAddon {
      override serialize(...options: Parameters<SerializeAddon['serialize']>): string {
        if (!isRead) onRead(output)
        isRead = true
        return super.serialize(...options)
      }
    }
    const output = new SessionOutput({ pause() {}, resume() {} }, SIZE, { Terminal, SerializeAddon: Late })
    output.join(() => ({ push() {}, end() {}, replay() {} }) as never, { onStalled() {} })
    output.part()
    output.keep(kept)
    output.push(Buffer.from(PRINTED))
    return output
  }

  it.each([100, 0])('is followed by what is printed meanwhile, if that is kept (%i bytes)', async (kept) => {
    const output = printed(kept, () => output.push(Buffer.from('\r\nmeanwhile\r\n')))
    const replay = await output.replayFrom(null)
    expect([replay.needsRedraw, replay.offset + replay.data.length]).toEqual(kept > 0 ? [false, 600] : [true, 613])
    output.release()
  })

  it('is followed by what is printed meanwhile for an observer, too', async () => {
    const output = printed(100, () => output.push(Buffer.from('\r\nmeanwhile\r\n')))
    const events = observe(output, 1_000_000)
    const [size, screen, rest] = [await events.next(), await events.next(), await events.next()]
    expect([size.value?.type, screen.value?.type]).toEqual(['resize', 'output'])
    expect(rest.value).toEqual({ type: 'output', data: new Uint8Array(Buffer.from('\r\nmeanwhile\r\n')) })
    await events.return?.()
    output.release()
  })

  it.each([100, 0])('is drawn again if the window gets another size (%i bytes are kept)', async (kept) => {
    const output = printed(kept, () => output.resize({ cols: 4, rows: 10 }))
    const { data, needsRedraw } = await output.replayFrom(null)
    const [client, witness] = [new Witness(4, 10), new Witness()]
    await client.show(data)
    await witness.show(PRINTED)
    witness.terminal.resize(4, 10)
    expect([needsRedraw, viewOf(client)]).toEqual([false, viewOf(witness)])
    output.release()
  })
})

it('asked for by many at once is drawn once, and holds nobody up', async () => {
  const { Counted, count } = countedTerminals()
  const session = new WatchedSession(300, SIZE, 100, 0, Counted)
  await session.show('some text'.padEnd(600))
  const texts = Array.from({ length: 1_000 }, () => session.output.text())
  const client = session.client()
  await session.show('\r\nmore')
  expect(new Set(await Promise.all(texts))).toEqual(new Set([await session.output.text()]))
  expect([(await client).isWhole, count.made]).toEqual([true, 3])
  session.output.release()
})

describe('a screen that is given up', () => {
  const flood = 'a line of a flood\r\n'.repeat(100_000)

  it.each([
    ['RIS', '\x1bc'],
    ['ED', '\x1b[H\x1b[2J'],
    ['the alternate screen', '\x1b[?1049h\x1b[H'],
    ['the main screen', '\x1b[?1049h\x1b[?1049l\x1b[H\x1b[J'],
  ])('because of a flood is one again after %s', async (_, clear) => {
    const session = new WatchedSession(2_000, SIZE, 1_021)
    await session.show(flood)
    expect((await session.client()).isWhole).toBe(false)
    await session.show('\x1b[2;20r\x1b[1;31m', clear, 'first line\r\n'.repeat(5), '\r\x1b[Kspinner '.repeat(400))
    const client = await session.client()
    expect(client.isWhole).toBe(true)
    expect({ ...viewOf(client), main: [] }).toEqual({ ...viewOf(session.witness), main: [] })
    expect(client.settings).toEqual(session.witness.settings)
    session.output.release()
  })

  it('is not searched for what clears it while the flood goes on', async () => {
    const now = vi.spyOn(performance, 'now').mockReturnValue(0)
    const session = new WatchedSession(2_000, SIZE, 65_536)
    const clear = `\x1b[H\x1b[2J${'x'.repeat(3_000)}`
    await session.show(flood, flood, clear)
    expect((await session.client()).isWhole).toBe(false)
    now.mockReturnValue(1_000)
    await session.show(clear)
    expect((await session.client()).isWhole).toBe(true)
    session.output.release()
  })

  it('because of a flood is one again as long as what clears it is kept', async () => {
    const session = new WatchedSession(20_000)
    await session.show(flood)
    expect((await session.client()).isWhole).toBe(false)
    await session.show('\x1b[1;31m\x1b[H\x1b[2Jfirst \x1b[mline\r\n')
    for (const size of [SIZE, { cols: 60, rows: 24 }]) {
      const client = await session.client(size)
      expect([client.isWhole, viewOf(client)]).toEqual([true, viewOf(session.witness)])
    }
    session.output.release()
  })

  it.each([
    [400, 300],
    [10, 600],
    [2_000, 10],
  ])('because of a window of %i × %i is one again in a smaller one', async (cols, rows) => {
    const session = new WatchedSession(2_000)
    await session.show({ cols, rows }, 'x'.repeat(3_000), '\x1b[2J', 'x'.repeat(3_000))
    expect((await session.client()).isWhole).toBe(false)
    await session.show(SIZE, 'x'.repeat(3_000))
    expect((await session.client()).isWhole).toBe(false)
    await session.show('\x1b[H\x1b[2Jfirst\r\n', '\rspinner'.repeat(800))
    const client = await session.client()
    expect([client.isWhole, viewOf(client)]).toEqual([true, viewOf(session.witness)])
    session.output.release()
  })

  it.each(['\x1bc', '\x1b[2J', '\x1b[?1049h', '\x1b[?1049l'])('finds %j, wherever it is split', (clear) => {
    for (let split = 0; split <= clear.length; split += 1) {
      const search = new ClearSearch()
      const found = [`x${clear.slice(0, split)}`, `${clear.slice(split)}x`].map((part) =>
        search.finds(Buffer.from(part)),
      )
      expect(found).toContain(true)
      search.reset()
      expect(search.finds(Buffer.from('\x1b[2KJ'))).toBe(false)
    }
  })
})

describe('the terminals of a session', () => {
  it('are none before the first byte that is not kept, one after that, and none at the end', async () => {
    const { Counted, count } = countedTerminals()
    const session = new WatchedSession(1_000, SIZE, 100, 0, Counted)
    await session.show('x'.repeat(1_000))
    await session.client()
    expect(count).toEqual({ made: 0, disposed: 0 })
    const shown = session.show('x'.repeat(1_000))
    // In a later turn: many sessions may print for the first time in one.
    expect(count).toEqual({ made: 0, disposed: 0 })
    await shown
    await vi.waitFor(() => expect(count).toEqual({ made: 1, disposed: 0 }))
    await session.client({ cols: 100, rows: 24 })
    await session.output.text()
    expect(count).toEqual({ made: 3, disposed: 2 })
    session.output.release()
    expect(count).toEqual({ made: 3, disposed: 3 })
    expect((await session.client()).isWhole).toBe(false)
  })

  it('that fail leave the last output to be shown', async () => {
    class Broken extends Terminal {
      override readonly buffer = undefined as never
    }
    const session = new WatchedSession(1_000, SIZE, 100, 0, Broken)
    await session.show('x'.repeat(2_000))
    for (let times = 0; times < 2; times += 1) expect((await session.client()).isWhole).toBe(false)
    session.output.release()
  })

  it('are drawn in a later turn if others have taken all of this one', async () => {
    class Busy extends DrawingBudget {
      asked = 0
      override get isTurnOver(): boolean {
        return (this.asked += 1) % 3 === 0
      }
    }
    const canvas = new Canvas({ Terminal, SerializeAddon }, SIZE, 0, new Busy())
    for (const item of [Buffer.from(`${'x'.repeat(100)}\r\n`), { cols: 50, rows: 10 }, Buffer.from('yy')])
      canvas.push(item)
    await canvas.drawn()
    expect(await canvas.text(() => Promise.resolve())).toBe(`${'x'.repeat(50)}\n${'x'.repeat(50)}\nyy`)
    canvas.dispose()
  })

  it('draw nothing for somebody who has gone', async () => {
    const session = new WatchedSession(1_000)
    await session.show('x'.repeat(2_000))
    const replay = session.output.replayFrom(null, () => ({ isGone: true, sized: () => Promise.resolve(SIZE) }))
    expect(replay).toBeInstanceOf(Promise)
    expect(await replay).toMatchObject({ needsRedraw: true })
    session.output.release()
  })
})

describe('the text of a screen', () => {
  it('is what the window shows', async () => {
    const session = new WatchedSession(300)
    await session.show(
      'first\r\n\x1b[1mbold\x1b[m 漢字\r\n',
      '\x1b[5;3Hfive',
      '\x1b[7;1H',
      '\rspinner'.repeat(200),
      '\x1b[12;1H',
    )
    expect(await session.output.text()).toBe('first\nbold 漢字\n\n\n  five\n\nspinner')
    session.output.release()
  })
})
