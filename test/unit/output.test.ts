import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { KeptSession } from '../../src/terminal/kept-session.ts'
import { Output } from '../../src/terminal/output.ts'

interface Controlled {
  readonly output: Output
  /** The calls of the source, oldest first. */
  readonly calls: string[]
}

/** Returns an output and records how it controls its source. */
function controlled(maxBuffered: number): Controlled {
  const calls: string[] = []
  const output = new Output(maxBuffered, new KeptSession(false, { onEnd() {}, onGap() {}, onSize() {} }))
  output.connectTo({ pause: () => calls.push('pause'), resume: () => calls.push('resume') })
  return { output, calls }
}

describe('Output', () => {
  it('pauses the source above maxBuffered bytes, and resumes it at half of that', async () => {
    const { output, calls } = controlled(10_000)
    for (let count = 0; count < 3; count += 1) output.push(new Uint8Array(3_000), true)
    expect(calls).toEqual(['pause'])
    expect(output.isPaused()).toBe(true)
    const reader = output[Symbol.asyncIterator]()
    await reader.next()
    expect(calls).toEqual(['pause'])
    await reader.next()
    expect(calls).toEqual(['pause', 'resume'])
    expect(output.isPaused()).toBe(false)
  })

  it('counts the overhead of each chunk, so that tiny chunks do not fill the memory', () => {
    const { output, calls } = controlled(1024 * 1024)
    let pushed = 0
    for (; calls.length === 0; pushed += 1) output.push(new Uint8Array(1), true)
    expect(pushed).toBeLessThan(3_000)
  })

  it('delivers a hundred thousand chunks within the time limit of a test', async () => {
    const { output } = controlled(Number.MAX_SAFE_INTEGER)
    const total = 100_000
    for (let count = 0; count < total; count += 1) output.push(Uint8Array.of(count % 256), true)
    let received = 0
    output.onData(() => (received += 1))
    await Promise.resolve()
    expect(received).toBe(total)
  })

  it.each([undefined, null, 'data', {}])('throws ERR_INVALID_ARG_TYPE when the listener is %o', (listener) => {
    const { output } = controlled(1)
    expect(() => output.onData(listener as never)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
  })

  it('copies a chunk that waits for a reader, so that it does not keep the whole read in memory', async () => {
    const { output } = controlled(10_000)
    const read = new Uint8Array(65_536).fill(7)
    const readers = [output[Symbol.asyncIterator](), output[Symbol.asyncIterator]()]
    const first = readers[0]?.next()
    output.push(read.subarray(10, 20), true)
    expect((await first)?.value?.buffer).toBe(read.buffer)
    const second = readers[1]?.next()
    output.push(read.subarray(20, 30), true)
    await new Promise((resolve) => setImmediate(resolve))
    expect((await second)?.value?.buffer).toBe(read.buffer)
    const { value: late } = (await readers[0]?.next()) ?? {}
    expect(late).toEqual(new Uint8Array(10).fill(7))
    expect(late?.buffer.byteLength).toBe(10)
  })

  it('marks the chunks that begin before `live`, also when they are copied, and shows the mark to nobody', async () => {
    const { output } = controlled(10_000)
    output.push(Buffer.from('{"type":"attached","offset":10,"live":14,"keepFor":1}'), false)
    // Parts of a larger buffer, as ws has them.
    for (const part of ['abc', 'def', 'ghi']) output.push(Buffer.from(`x${part}`).subarray(1), true)
    await nextTurn()
    await nextTurn()
    const chunks: Uint8Array[] = []
    output.onData((chunk) => chunks.push(chunk))
    await nextTurn()
    expect(chunks.map((chunk) => Symbol.for('terminal-upstream:replay') in chunk)).toEqual([true, true, false])
    expect(chunks.map(({ buffer }) => buffer.byteLength)).toEqual([3, 3, 3])
    expect(chunks[0]).toEqual(new Uint8Array([97, 98, 99]))
  })
})
