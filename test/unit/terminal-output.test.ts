import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import type { TestSession, TestShell } from '../../src/testing.ts'
import { firstChunks, open, sha256 } from '../support/terminal.ts'
import { nothingHappens } from '../support/timers.ts'
import { afterwards, outputWith } from '../support/upstream.ts'

describe('a terminal', () => {
  it('delivers early output to its first reader only', async () => {
    const shell: TestShell = ({ output }) => {
      void output('early ')
      return { input: () => {} }
    }
    const { terminal, session } = await open({ shell }, { settle: 60_000 })
    const readers = [outputWith(terminal, 'late'), outputWith(terminal, 'late')]
    await session.output('late')
    expect(await Promise.all(readers)).toEqual(['early late', 'late'])
  })

  it('calls a listener only after onData has returned the function that removes it', async () => {
    const { terminal, session } = await open()
    await session.output('a')
    const chunk = await new Promise<Uint8Array>((resolve) => {
      const stop = terminal.onData((data) => {
        stop()
        resolve(data)
      })
    })
    expect(Buffer.from(chunk).toString()).toBe('a')
    await session.output('b')
    expect(await outputWith(terminal, 'b')).toBe('b')
  })

  it('accepts a second call of the function that removes a listener', async () => {
    const { terminal, session } = await open()
    const stop = terminal.onData(() => expect.unreachable('the listener has been removed'))
    stop()
    stop()
    await session.output('kept')
    expect(await outputWith(terminal, 'kept')).toBe('kept')
  })

  it('delivers to the other readers when a listener throws, and reports the error as uncaught', async () => {
    const { terminal, session } = await open()
    const thrown = new Promise((resolve) => {
      const listeners = process.listeners('uncaughtException')
      process.removeAllListeners('uncaughtException')
      process.once('uncaughtException', resolve)
      afterwards({ close: () => listeners.forEach((listener) => process.on('uncaughtException', listener)) })
    })
    terminal.onData(() => {
      throw new Error('reader is broken')
    })
    const other = outputWith(terminal, 'x')
    await session.output('x')
    expect(await other).toBe('x')
    expect(await thrown).toEqual(new Error('reader is broken'))
  })

  it('ends `for await` when it closes, after all output', async () => {
    const { terminal, session } = await open()
    await session.output('one')
    await session.output('two')
    session.close(1012)
    const { code } = await terminal.closed
    expect(code).toBe(1012)
    expect(await firstChunks(terminal, Infinity)).toBe('onetwo')
    expect(await firstChunks(terminal, Infinity)).toBe('')
  })

  it('loses no output between two `for await` loops', async () => {
    const { terminal, session } = await open()
    for (const text of ['a', 'b', 'c', 'd']) await session.output(text)
    expect(await firstChunks(terminal, 1)).toBe('a')
    expect(await firstChunks(terminal, 2)).toBe('bc')
    expect(await outputWith(terminal, 'd')).toBe('d')
  })

  it('settles pending calls of next() in order, and the rest when it closes', async () => {
    const { terminal, session } = await open()
    const iterator = terminal[Symbol.asyncIterator]()
    const results = [iterator.next(), iterator.next(), iterator.next(), iterator.next()]
    await session.output('a')
    await session.output('b')
    const values = await Promise.all(results.slice(0, 2))
    expect(values.map(({ value }) => value && Buffer.from(value).toString())).toEqual(['a', 'b'])
    await terminal.close()
    const end = { done: true, value: undefined }
    expect(await Promise.all(results.slice(2))).toEqual([end, end])
    expect(await iterator.next()).toEqual({ done: true, value: undefined })
  })

  it('settles a pending next() on return(), also before the first, and delivers later output to the next reader', async () => {
    const { terminal, session } = await open()
    expect(await terminal[Symbol.asyncIterator]().return?.()).toEqual({ done: true, value: undefined })
    const iterator = terminal[Symbol.asyncIterator]()
    const waiting = iterator.next()
    await iterator.return?.()
    expect(await waiting).toEqual({ done: true, value: undefined })
    expect(await iterator.next()).toEqual({ done: true, value: undefined })
    await session.output('kept')
    expect(await outputWith(terminal, 'kept')).toBe('kept')
  })

  it('delivers all output to each of several readers', async () => {
    const { terminal, session } = await open()
    const readers = [firstChunks(terminal, 2), outputWith(terminal, 'b'), firstChunks(terminal, 2)]
    await session.output('a')
    await session.output('b')
    expect(await Promise.all(readers)).toEqual(['ab', 'ab', 'ab'])
  })

  it('works with Readable.from, also after that is destroyed', async () => {
    const { terminal, session } = await open()
    const readable = Readable.from(terminal)
    const chunk = new Promise((resolve) => readable.once('data', resolve))
    await session.output('through')
    expect(String(Buffer.from((await chunk) as Uint8Array))).toBe('through')
    const closed = new Promise((resolve) => readable.once('close', resolve))
    readable.destroy()
    await closed
    await session.output('after')
    expect(await outputWith(terminal, 'after')).toBe('after')
  })

  it('drops the output that arrives after close()', async () => {
    const { terminal, session } = await open()
    const closing = terminal.close()
    void session.output('dropped')
    await closing
    expect(await firstChunks(terminal, Infinity)).toBe('')
  })

  it.each([
    ['it has no reader', false],
    ['its reader does not call next()', true],
  ])('pauses the server while %s, and loses no output', async (_what, hasReader) => {
    const { terminal, session } = await open({}, { maxBuffered: 64 * 1024 })
    const iterator = terminal[Symbol.asyncIterator]()
    const first = hasReader ? iterator.next() : undefined
    const { total, chunk } = await floodUntilItStops(session)
    const { value = new Uint8Array() } = (await first) ?? {}
    const rest = await bytesOf({ [Symbol.asyncIterator]: () => iterator }, total * chunk.length - value.length)
    expect(sha256(value, rest)).toBe(sha256(...Array.from({ length: total }, () => chunk)))
  })
})

/** Prints 24 MiB, and checks that a client that does not read takes only a part of it. */
async function floodUntilItStops(session: TestSession): Promise<{ chunk: Uint8Array; total: number }> {
  const chunk = randomBytes(1024 * 1024)
  const total = 24
  let printed = 0
  void (async () => {
    for (; printed < total; printed += 1) await session.output(chunk)
  })()
  for (let before = -1; before !== printed;) {
    before = printed
    await nothingHappens(150)
  }
  expect(printed).toBeLessThan(total)
  return { chunk, total }
}

/** Returns the first `length` bytes, or a little more. */
async function bytesOf(chunks: AsyncIterable<Uint8Array>, length: number): Promise<Uint8Array> {
  const received: Uint8Array[] = []
  let rest = length
  for await (const chunk of chunks) {
    received.push(chunk)
    rest -= chunk.length
    if (rest <= 0) break
  }
  return Buffer.concat(received)
}
