import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createSilenceTimer } from '../../src/lib/silence-timer.ts'

describe('createSilenceTimer', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  /** Returns a timer, and the times in ms at which it has called back. */
  function watched(delays: number[]): { timer: ReturnType<typeof createSilenceTimer>; at: () => number[] } {
    const start = performance.now()
    const times: number[] = []
    const timer = createSilenceTimer(delays, () => times.push(performance.now() - start))
    return { timer, at: () => times }
  }

  it('calls back after each of the delays, and then no more', () => {
    const { at } = watched([1_000, 4_000, 16_000])
    vi.advanceTimersByTime(100_000)
    expect(at()).toEqual([1_000, 4_000, 16_000])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('starts again at every reset: before, between and after the callbacks', () => {
    const { timer, at } = watched([1_000, 4_000])
    vi.advanceTimersByTime(900)
    timer.reset()
    vi.advanceTimersByTime(2_000)
    timer.reset()
    vi.advanceTimersByTime(10_000)
    timer.reset()
    vi.advanceTimersByTime(1_000)
    expect(at()).toEqual([1_900, 3_900, 6_900, 13_900])
  })

  it('has one timer, also after a thousand resets', () => {
    const { timer } = watched([1_000])
    for (let count = 0; count < 1_000; count += 1) timer.reset()
    expect(vi.getTimerCount()).toBe(1)
  })

  it('calls back for ever when the callback resets it', () => {
    const start = performance.now()
    const times: number[] = []
    const timer = createSilenceTimer([10], () => {
      times.push(performance.now() - start)
      timer.reset()
    })
    vi.advanceTimersByTime(35)
    expect(times).toEqual([10, 20, 30])
    timer.stop()
  })

  it('has no timer after the callback has stopped it, also after a reset', () => {
    const timer = createSilenceTimer([10, 20], () => timer.stop())
    vi.advanceTimersByTime(10)
    timer.reset()
    expect(vi.getTimerCount()).toBe(0)
  })

  it('has no timer without delays', () => {
    watched([]).timer.reset()
    expect(vi.getTimerCount()).toBe(0)
  })
})
