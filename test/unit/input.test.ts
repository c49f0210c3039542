import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Input, type InputOwner } from '../../src/terminal/input.ts'

const LIMIT = 16_384
const PASTE_WANTED = '\u001b[?2004h'
const [START, END] = ['\u001b[200~', '\u001b[201~']

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

interface Typed {
  readonly input: Input
  /** What was sent so far: each frame with its time, in ms. */
  readonly frames: ReadonlyArray<{ readonly ms: number; readonly data: string }>
  readonly questions: () => number
  /** All input so far. */
  readonly text: () => string
  /** Prints output. */
  readonly print: (text: string) => void
  /** Ends the terminal. */
  readonly end: () => void
}

/** Returns an input of a server that takes all input, or not. */
function inputOf(answer: boolean | Promise<boolean>, owner: Partial<InputOwner> = {}, known?: boolean): Typed {
  const frames: Array<{ ms: number; data: string }> = []
  const start = performance.now()
  let questions = 0
  let isOpen = true
  const input = new Input(
    {
      assertOpen() {
        if (!isOpen) throw new Error('closed')
      },
      async send(frame) {
        const data = typeof frame === 'string' ? frame : Buffer.from(frame).toString('latin1')
        frames.push({ ms: performance.now() - start, data })
      },
      isPaced: () => false,
      async takesAllInput() {
        questions += 1
        return answer
      },
      where: 'ws://server',
      ...owner,
    },
    known,
  )
  return {
    input,
    frames,
    questions: () => questions,
    text: () => frames.map(({ data }) => data).join(''),
    print: (text) => input.onOutput(Buffer.from(text, 'latin1')),
    end() {
      isOpen = false
      input.stop()
    },
  }
}

/** Returns text that repeats nothing within 8 characters. */
function textOf(length: number): string {
  let text = ''
  for (let line = 0; text.length < length; line += 1) text += `line ${line} of the paste\n`
  return text.slice(0, length)
}

/** Returns the error of a call, `undefined` while it waits or if it has succeeded. */
function errorOf(promise: Promise<void>): () => string | undefined {
  let message: string | undefined
  promise.catch(({ message: full }: Error) => {
    const [, unsent, size] = /(\d+) of (\d+) bytes were not sent/.exec(full) ?? []
    const why = full.includes('was typed') ? 'interrupted' : 'no proof'
    message = unsent ? `${why}, ${Number(size) - Number(unsent)} of ${size}` : full
  })
  return () => message
}

const later = async (ms: number): Promise<void> => void (await vi.advanceTimersByTimeAsync(ms))

describe('input to a server that takes all of it', () => {
  // PROTOCOL 5.5
  it('leaves as a full frame at least 4 ms after the last one, however small that was', async () => {
    const { input, frames } = inputOf(true, {}, true)
    void input.write(new Uint8Array(1))
    await later(3)
    void input.write(new Uint8Array(4095))
    await later(1)
    void input.write(new Uint8Array(4096))
    await later(20)
    expect(frames.map(({ ms, data }) => `${data.length} at ${ms}`)).toEqual(['1 at 0', '4095 at 3', '4096 at 7'])
  })

  it('leaves at 1 MB a second, and needs no proof', async () => {
    const { input, frames, questions, text } = inputOf(true)
    const paste = textOf(100 * 4096)
    void input.write(paste)
    await later(400)
    expect(text()).toBe(paste)
    expect(Number(frames.at(-1)?.ms)).toBe(99 * 4)
    void input.write(paste)
    await later(400)
    expect(questions()).toBe(1)
  })

  it('is asked about a paste of any messages, which then leaves at 1 MB a second', async () => {
    const { input, frames, print, questions, text } = inputOf(true)
    print(PASTE_WANTED)
    const paste = `${START}${textOf(400_000)}${END}`
    for (let at = 0; at < paste.length; at += 4096) void input.write(paste.slice(at, at + 4096))
    await later(450)
    expect([questions(), text() === paste]).toEqual([1, true])
    expect(Number(frames.at(-1)?.ms)).toBeLessThan(450)
  })

  it.each<[string, number, boolean | undefined, number]>([
    ['16 KB are unread', LIMIT, undefined, 0],
    ['more than that is', LIMIT + 1, undefined, 1],
    ['the answer is known', 100_000, true, 0],
  ])('is asked about only if more than 16 KB are unread, once: %s', async (_what, length, known, asked) => {
    const { input, questions } = inputOf(true, {}, known)
    void input.write(textOf(length))
    await later(1_000)
    expect(questions()).toBe(asked)
  })

  it('keeps Ctrl-C behind what was typed before', async () => {
    const { input, text } = inputOf(true)
    const paste = textOf(100_000)
    void input.write(paste)
    await later(50)
    void input.write('\u0003')
    await later(200)
    expect(text()).toBe(`${paste}\u0003`)
  })
})

describe('input to a gateway that paces it', () => {
  it('leaves at once, and asks nothing', async () => {
    const { input, questions, text } = inputOf(false, { isPaced: () => true })
    const paste = textOf(1_000_000)
    void input.write(paste)
    await later(0)
    expect(text()).toBe(paste)
    expect(questions()).toBe(0)
  })
})

// PROTOCOL 5.9
describe('input to an old server', () => {
  it('waits after 16 KB without a proof, and is refused after 30 s', async () => {
    const { input, text } = inputOf(false)
    const error = errorOf(input.write(textOf(50_000)))
    await later(29_000)
    expect([text().length, error()]).toEqual([LIMIT, undefined])
    await later(2_000)
    expect([text().length, error()]).toEqual([LIMIT, 'no proof, 16384 of 50000'])
  })

  it('is refused 30 s after it was typed, not 30 s after what was typed before', async () => {
    const { input } = inputOf(false)
    void input.write(textOf(LIMIT))
    const [first, second] = [errorOf(input.write('first')), errorOf(input.write('second'))]
    await later(20_000)
    const third = errorOf(input.write('third'))
    await later(11_000)
    expect([first(), second(), third()]).toEqual(['no proof, 0 of 5', 'no proof, 0 of 6', undefined])
    await later(20_000)
    expect(third()).toBe('no proof, 0 of 5')
  })

  it('counts keystrokes and mouse reports, however slowly they come', async () => {
    const { input, text } = inputOf(false)
    for (let count = 0; count < 2_000; count += 1) {
      void input.write('\u001b[<35;10;20M')
      await later(100)
    }
    expect(text().length).toBeLessThanOrEqual(LIMIT)
    expect(text().length).toBeGreaterThan(LIMIT - 20)
  })

  it('counts a message of more than one page of the PTY in whole pages', async () => {
    const { input, text } = inputOf(false)
    for (let count = 0; count < 60; count += 1) void input.write(textOf(257))
    await later(20_000)
    expect(text().length).toBe(32 * 257)
  })

  it('takes no proof from output that may repeat the same again', async () => {
    const { input, print, text } = inputOf(false)
    void input.write('f("0001 abcdefghijkl")\n'.repeat(3_000).replaceAll(/0001/g, () => textOf(1)))
    await later(1_000)
    const before = text().length
    print(text().slice(0, 4_000))
    print(text().slice(0, 4_000))
    await later(31_000)
    expect(text().length).toBeLessThanOrEqual(before + 4_000)
  })

  it('goes on while the output repeats it, at no more than 200 KB a second', async () => {
    const { input, frames, print, text } = inputOf(false)
    const paste = textOf(200_000)
    const written = input.write(paste)
    let printed = 0
    while (text().length < paste.length) {
      await later(1)
      print(text().slice(printed))
      printed = text().length
    }
    await written
    expect(text()).toBe(paste)
    expect(Math.max(...frames.map(({ data }) => data.length))).toBe(1024)
    expect(Number(frames.at(-1)?.ms)).toBeGreaterThanOrEqual((200_000 / 1024 - 1) * 5)
  })

  it.each([
    ['a program that ticks', 'tick', 50],
    ['a clock', '12:00:01 ', 1],
    ['a title that repeats it', `\u001b]0;${textOf(50_000).slice(0, 2_000)}\u0007`, 10],
  ])('takes no proof from the output of %s', async (_program, output, count) => {
    const { input, print, text } = inputOf(false)
    const error = errorOf(input.write(textOf(50_000)))
    for (let tick = 0; tick < count; tick += 1) {
      await later(50)
      print(output)
    }
    await later(31_000)
    expect([text().length, error()]).toEqual([LIMIT, 'no proof, 16384 of 50000'])
  })

  it('never has more than 16 KB behind a tty that repeats what no program reads', async () => {
    const { input, print, text } = inputOf(false)
    void input.write(textOf(50_000))
    await later(10)
    print(text().slice(0, 4096))
    await later(31_000)
    expect(text().length).toBe(LIMIT)
  })

  it('keeps its order when text frames come in between, which wait for no program', async () => {
    const { input, frames, text } = inputOf(false)
    void input.write(textOf(LIMIT))
    await later(500)
    void input.write('waits')
    void input.command('{"type":"ping"}')
    await later(0)
    void input.command('{"type":"resize"}')
    await later(0)
    expect(frames.slice(-2).map(({ data }) => data)).toEqual(['{"type":"ping"}', '{"type":"resize"}'])
    expect(text()).not.toContain('waits')
  })

  it('is refused at once when the terminal ends', async () => {
    const { input, end } = inputOf(false)
    const error = errorOf(input.write(textOf(50_000)))
    await later(1_000)
    end()
    await later(0)
    expect(error()).toBe('closed')
    expect(vi.getTimerCount()).toBe(0)
  })
})

// PROTOCOL 5.10
describe('a bracketed paste on an old server', () => {
  it('needs no proof if a program has asked for it, and leaves at 50 KB a second', async () => {
    const { input, frames, print, text } = inputOf(false)
    print(`${PASTE_WANTED}$ `)
    const paste = `${START}${textOf(100_000)}${END}`
    void input.write(paste)
    await later(1_500)
    expect(text().length).toBeLessThan(80_000)
    await later(1_000)
    expect(text()).toBe(paste)
    expect(Math.max(...frames.map(({ data }) => data.length))).toBe(1024)
  })

  it.each([
    ['no program has asked for it', ''],
    ['a program has switched it off again', `${PASTE_WANTED}$ ls\r\n\u001b[?2004l`],
  ])('is plain input if %s', async (_why, output) => {
    const { input, print, text } = inputOf(false)
    print(output)
    const error = errorOf(input.write(`${START}${textOf(50_000)}${END}`))
    await later(31_000)
    expect([text().length, error()]).toEqual([LIMIT, 'no proof, 16384 of 50012'])
  })

  it('is plain input from where a program has switched it off', async () => {
    const { input, print, text } = inputOf(false)
    print(PASTE_WANTED)
    void input.write(`${START}${textOf(100_000)}${END}`)
    await later(500)
    const before = text().length
    print('\u001b[?2004l')
    await later(31_000)
    expect(text().length).toBe(before + LIMIT)
  })

  it('shows that the input before it is read', async () => {
    const { input, print, text } = inputOf(false)
    print(PASTE_WANTED)
    void input.write(textOf(LIMIT))
    await later(500)
    void input.write(`${START}pasted${END}`)
    void input.write(textOf(LIMIT))
    await later(1_000)
    expect(text().length).toBe(2 * LIMIT + `${START}pasted${END}`.length)
  })
})

describe.each([
  ['Ctrl-C', '\u0003', '^C'],
  ['Ctrl-Z', '\u001a', '^Z'],
  ['Ctrl-\\', '\u001c', '^\\'],
])('%s on an old server', (_key, key, shown) => {
  it('throws away what waits, and goes next', async () => {
    const { input, text } = inputOf(false)
    const errors = [errorOf(input.write(textOf(50_000))), errorOf(input.write('later'))]
    await later(1_000)
    void input.write(key)
    await later(0)
    expect(errors.map((error) => error())).toEqual(['interrupted, 16384 of 50000', 'interrupted, 0 of 5'])
    expect(text()).toBe(textOf(LIMIT) + key)
  })

  it('works also while it is not known whether the server is old', async () => {
    let answer: (takesAll: boolean) => void = () => {}
    const { input, text } = inputOf(new Promise((resolve) => (answer = resolve)))
    void input.write('a'.repeat(100))
    const error = errorOf(input.write(textOf(50_000)))
    void input.write(key)
    await later(1_000)
    expect(error()).toBeUndefined()
    answer(false)
    await later(0)
    expect([error(), text()]).toEqual(['interrupted, 0 of 50000', `${'a'.repeat(100)}${key}`])
  })

  it('ends a paste whose rest it throws away', async () => {
    const { input, print, text } = inputOf(false)
    print(PASTE_WANTED)
    void input.write(`${START}${textOf(100_000)}${END}`)
    await later(500)
    void input.write(key)
    await later(90)
    expect(text().endsWith(END)).toBe(true)
    await later(60)
    expect(text().endsWith(`${END}${key}`)).toBe(true)
  })

  it.each([
    ['the tty shows it', shown],
    ['a line editor asks for pastes again', PASTE_WANTED],
  ])('leaves nothing unread once %s', async (_what, output) => {
    const { input, print, text } = inputOf(false)
    void input.write(textOf(LIMIT))
    await later(500)
    void input.write(key)
    print(output)
    void input.write(textOf(LIMIT))
    await later(1_000)
    expect(text().length).toBe(2 * LIMIT + 1)
  })

  it('lets a person leave a program that shows nothing, by short keys', async () => {
    const { input, text } = inputOf(false)
    void input.write(textOf(LIMIT))
    await later(500)
    void input.write(key)
    void input.write('q')
    for (let count = 0; count < 1_000; count += 1) void input.write('\u001b[A')
    await later(31_000)
    expect(text().slice(LIMIT, LIMIT + 2)).toBe(`${key}q`)
    expect(text().length).toBeLessThanOrEqual(LIMIT + 512)
  })
})
