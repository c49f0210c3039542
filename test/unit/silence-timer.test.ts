import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createSilenceTimer } from '../../src/lib/silence-timer.ts'

describe('createSilenceTimer', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  function watched(delays: number[]): { timer: ReturnType<typeof createSilenceTimer>; at: () => number[] } {
    const start = performance.now()
    const times: number[] = []
    const timer = createSilenceTimer(delays, () => times.push(performance.now() - start))
    return { timer, at: () => times }
  }

  it('calls after each of the delays, and then no more', () => {
    const { at } = watched([1_000, 4_000, 16_000])
    vi.advanceTimersByTime(100_000)
    expect(at()).toEqual([1_000, 4_000, 16_000])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('begins again with every reset, before and between and after the calls', () => {
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

  it('keeps one timer, however often it is reset', () => {
    const { timer } = watched([1_000])
    for (let count = 0; count < 1_000; count += 1) timer.reset()
    expect(vi.getTimerCount()).toBe(1)
  })

  it('can be reset by what it calls, and so goes on for ever', () => {
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

  it('leaves no timer when it is stopped, also by what it calls, nor starts one when it is reset then', () => {
    const timer = createSilenceTimer([10, 20], () => timer.stop())
    vi.advanceTimersByTime(10)
    timer.reset()
    expect(vi.getTimerCount()).toBe(0)
  })

  it('does nothing without delays', () => {
    watched([]).timer.reset()
    expect(vi.getTimerCount()).toBe(0)
  })
})
