import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { viewOf, WatchedSession } from '../support/whole-screens.ts'

// So that a slow machine does not make a screen be given up.
beforeEach(() => void vi.spyOn(performance, 'now').mockReturnValue(0))
afterEach(() => void vi.restoreAllMocks())

const numbers = (count: number): number[] => Array.from({ length: count }, (_, number) => number)
const line = (number: number): string => `step ${number} ${'.'.repeat((number * 37) % 90)}\r\n`
const at = (row: number, column: number, text: string): string => `\x1b[${row};${column}H${text}`

// Programs whose last output alone does not tell what is on the screen.
const PROGRAMS: Record<string, (number: number) => string> = {
  'lines that wrap': (number) => `${number} ${'word '.repeat((number * 7) % 60)}\r\n`,
  'progress with CR': (number) => `\r\x1b[K\x1b[36m${'⠋⠙⠹⠸'[number % 4]}\x1b[39m layer ${number}`,
  'bars with cursor up': (number) =>
    `\x1b[2A\r\x1b[Kpulling a ${number}\r\n\x1b[K\x1b[32mpulling b ${number}\x1b[m\r\n`,
  'an agent that draws': (number) =>
    `\x1b[?25l\x1b[4A\r\x1b[J╭────╮\r\n│ \x1b[1m${number % 7}\x1b[22m  │\r\n│ 漢字 │\r\n╰────╯\r\n${number % 9 === 0 ? `done ${number}\r\n` : ''}`,
  'changes by CUP': (number) =>
    at((number % 20) + 1, (number % 70) + 1, `\x1b[4${number % 8}m${number}\x1b[0m`) + at(22, 3, ''),
  'line feeds as cursor down': (number) => at((number % 10) + 2, 5, `${number}\n\b\b|\n\b|`),
  'a region': (number) => `\x1b[3;12r${at(12, 1, `\n\x1b[7mlog ${number}\x1b[27m`)}\x1b[r${at(14, 1, `> ${number}`)}`,
}

describe('the whole screen', () => {
  describe.each(Object.entries(PROGRAMS))('of %s', (_, step) => {
    it.each([1, 2, 3, 4, 5])('is that of a terminal that has shown everything (%i)', async (seed) => {
      const session = new WatchedSession(700 * seed + seed)
      await session.show(numbers(15).map(line).join(''))
      for (let from = 0; from < 600; from += 50)
        await session.show(
          numbers(50 + seed)
            .map((n) => step(from + n * seed))
            .join(''),
        )
      const client = await session.client()
      expect(client.isWhole).toBe(true)
      expect(viewOf(client)).toEqual(viewOf(session.witness))
    })
  })
})

const flood = (row: number): string =>
  at((row % 24) + 1, 1, `\x1b[3${row % 8}m${'~ file '.repeat(10)}${row}\x1b[K\x1b[m`)

describe('a full-screen program', () => {
  const prompt = 'me@host:~$ '
  const start = `${numbers(30).map(line).join('')}${prompt}vim a.txt\r\n`
  const vim = `\x1b[?1049h\x1b[22;0;0t\x1b[>4;2m\x1b[?1h\x1b=\x1b[?2004h\x1b[1;24r\x1b[?12h\x1b[?25h\x1b[2J`

  it('leaves what was behind it, also after 600 KB', async () => {
    const session = new WatchedSession(65_536)
    await session.show(start, vim)
    for (let row = 0; row < 6_600; row += 300)
      await session.show(
        numbers(300)
          .map((n) => flood(row + n))
          .join(''),
      )
    await session.show(`${at(24, 1, ':q')}\x1b[?7l`)
    const during = await session.client()
    expect([during.isWhole, viewOf(during)]).toEqual([true, viewOf(session.witness)])
    const end = `\x1b[?7h\x1b[?1l\x1b>\x1b[?2004l\x1b[?1049l${prompt}ls\r\na  b\r\n${prompt}`
    await session.show(end)
    await during.show(end)
    const after = await session.client()
    expect([after.isWhole, viewOf(after)]).toEqual([true, viewOf(session.witness)])
    expect(viewOf(during)).toEqual(viewOf(session.witness))
  })
})

it('that draws lines leaves a cursor that was saved before to print text', async () => {
  const session = new WatchedSession(100)
  await session.show('\x1b[?1049h\x1b(0lqqk', '\rlqqk'.repeat(100))
  const client = await session.client()
  const end = '\x1b(B\x1b[?1049llqqk'
  await session.show(end)
  await client.show(end)
  expect(viewOf(client)).toEqual(viewOf(session.witness))
  session.output.release()
})

it('of a window that has become narrower has lines of the alternate screen that do not wrap', async () => {
  const session = new WatchedSession(100)
  await session.show('\x1b[?1049h\x1b[H\x1b[2J', 'a line that wraps '.repeat(6), '\x1b[5;1H', '\rspinner'.repeat(100))
  const client = await session.client({ cols: 70, rows: 24 })
  expect([client.isWhole, viewOf(client)]).toEqual([true, viewOf(session.witness)])
  session.output.release()
})

describe('a cursor behind the last column', () => {
  it.each([
    ['stays there', 'x'.repeat(80), 'y'],
    ['stays there in origin mode', `\x1b[3;20r\x1b[?6h${'x'.repeat(80)}`, 'y'],
    ['is saved as such', `${'x'.repeat(80)}\x1b7`, '\x1b8y'],
  ])('%s', async (_, before, after) => {
    const session = new WatchedSession(10)
    await session.show(before, '\x1b[m'.repeat(10))
    const client = await session.client()
    await session.show(after)
    await client.show(after)
    expect([client.isWhole, viewOf(client)]).toEqual([true, viewOf(session.witness)])
  })
})

describe('in a window of another size', () => {
  it.each([
    [0, 60, 24], [0, 120, 30], [0, 80, 10], [5_000, 60, 24], [5_000, 120, 30], [5_000, 100, 12], [5_000, 20, 5],
  ])('is drawn anew after %i lines, as in one of %i × %i that was open all the time', async (lines, cols, rows) => {
    const session = new WatchedSession(20_000)
    await session.show(numbers(lines).map((number) => `${number} ${'x'.repeat(number % 130)}\r\n`).join(''))
    await session.show(`one\r\ntwo\r\n\x1b[32mme@host\x1b[m:$ echo ${'abcdefghij '.repeat(12)}`)
    const client = await session.client({ cols, rows })
    expect(client.isWhole).toBe(true)
    expect(viewOf(client)).toEqual(viewOf(session.witness))
    await session.show('ZZ\r\n$ ')
    await client.show('ZZ\r\n$ ')
    expect(viewOf(client)).toEqual(viewOf(session.witness))
  }) // prettier-ignore

  it('has the last of very many sizes', async () => {
    const session = new WatchedSession(100_000)
    await session.show(`${'word '.repeat(30)}\r\n$ `)
    for (let cols = 80; cols > 10; cols -= 1) session.output.resize({ cols, rows: 24 })
    const client = await session.client({ cols: 40, rows: 24 })
    expect([client.isWhole, ...client.lines.slice(0, 5)]).toEqual([
      true,
      ...Array(3).fill('word '.repeat(8)),
      'word '.repeat(6),
      '$ ',
    ])
  })

  it.each([300, 100_000])('hides what the alternate screen has behind its end (%i are kept)', async (kept) => {
    const session = new WatchedSession(kept)
    const lines = `${'x'.repeat(50)}\x1b[20C${'y'.repeat(10)}zzz\x1b[6H${'x'.repeat(70)}`
    await session.show(`\x1b[?1049h${lines}`, { cols: 60, rows: 24 }, '\rspin'.repeat(80))
    const client = await session.client()
    expect([client.isWhole, viewOf(client)]).toEqual([true, viewOf(session.witness)])
    expect(await session.output.text()).toBe(`${'x'.repeat(50)}\nzzz\n\n\n\nspin${'x'.repeat(56)}`)
  })

  it.each([300, 100_000])('has no scroll region from before the last size (%i are kept)', async (kept) => {
    const session = new WatchedSession(kept)
    await session.show('\x1b[1;20r', { cols: 80, rows: 30 }, 'x'.repeat(400))
    const client = await session.client()
    expect([client.isWhole, client.settings]).toEqual([true, session.witness.settings])
    await client.show('\n'.repeat(30))
    await session.show('\n'.repeat(30))
    expect(viewOf(client)).toEqual(viewOf(session.witness))
  })

  it.each([300, 3_000, 100_000])('has the sizes at the bytes where they came (%i are kept)', async (kept) => {
    const session = new WatchedSession(kept)
    for (const cols of [80, 60, 100, 40, 80]) {
      await session.show({ cols, rows: 24 - (cols % 7) }, numbers(40).map(line).join(''))
      const client = await session.client()
      expect(viewOf(client)).toEqual(viewOf(session.witness))
    }
  })
})
