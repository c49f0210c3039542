import { describe, expect, it } from 'vitest'
import { createOutput, type Output } from '../../src/terminal/output.ts'

interface Controlled {
  readonly output: Output
  /** What the source was told to do. */
  readonly told: string[]
}

function controlled(maxBuffered: number): Controlled {
  const told: string[] = []
  const output = createOutput(maxBuffered, { pause: () => told.push('pause'), resume: () => told.push('resume') })
  return { output, told }
}

describe('createOutput', () => {
  it('pauses the source once more than maxBuffered waits, and resumes it when half of that is left', async () => {
    const { output, told } = controlled(10_000)
    for (let count = 0; count < 3; count += 1) output.push(new Uint8Array(3_000))
    expect(told).toEqual(['pause'])
    expect(output.isPaused()).toBe(true)
    const reader = output.iterate()
    await reader.next()
    expect(told).toEqual(['pause'])
    await reader.next()
    expect(told).toEqual(['pause', 'resume'])
    expect(output.isPaused()).toBe(false)
  })

  it('counts what a chunk costs beside its bytes, so that tiny ones do not fill the memory', () => {
    const { output, told } = controlled(1024 * 1024)
    let pushed = 0
    for (; told.length === 0; pushed += 1) output.push(new Uint8Array(1))
    expect(pushed).toBeLessThan(3_000)
  })

  it('hands over a hundred thousand chunks without counting through them each time', async () => {
    const { output } = controlled(Number.MAX_SAFE_INTEGER)
    const total = 100_000
    for (let count = 0; count < total; count += 1) output.push(Uint8Array.of(count % 256))
    let received = 0
    output.onData(() => (received += 1))
    await Promise.resolve()
    expect(received).toBe(total)
  })

  it.each([undefined, null, 'data', {}])('throws ERR_INVALID_ARG_TYPE when the listener is %o', (listener) => {
    const { output } = controlled(1)
    expect(() => output.onData(listener as never)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
  })
})
