import { afterEach, expect, it, vi } from 'vitest'
import { Input } from '../../src/terminal/input.ts'

afterEach(() => void vi.useRealTimers())

// PROTOCOL 5.5
it('an input sends a full frame only after a pause of 4 ms since the frame before, however small that was', async () => {
  vi.useFakeTimers()
  const frames: Array<[ms: number, bytes: number]> = []
  const start = performance.now()
  const input = new Input({
    assertOpen() {},
    async send(frame) {
      frames.push([performance.now() - start, new Uint8Array(frame as ArrayBuffer).length])
    },
  })
  void input.write(new Uint8Array(1))
  vi.advanceTimersByTime(3)
  void input.write(new Uint8Array(4095))
  vi.advanceTimersByTime(1)
  void input.write(new Uint8Array(4096))
  await vi.advanceTimersByTimeAsync(20)
  expect(frames).toEqual([
    [0, 1],
    [3, 4095],
    [7, 4096],
  ])
})
