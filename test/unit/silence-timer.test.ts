import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { SilenceTimer } from '../../src/lib/silence-timer.ts'

describe('a silence timer', () => {
  beforeEach(() => void vi.useFakeTimers())
  const timers: SilenceTimer[] = []
  afterEach(() => {
    for (const timer of timers.splice(0)) timer.stop()
    vi.useRealTimers()
  })

  /** Returns a timer, and the times in ms at which it has called back. */
  function watched(delays: number[]): { timer: SilenceTimer; at: () => number[] } {
    const start = performance.now()
    const times: number[] = []
    const timer = new SilenceTimer(delays, { onSilence: () => times.push(performance.now() - start) })
    timers.push(timer)
    return { timer, at: () => times }
  }

  it('calls back after each of the delays, and then no more', () => {
    const { at } = watched([1_000, 4_000, 16_000])
    vi.advanceTimersByTime(100_000)
    expect(at()).toEqual([1_000, 4_000, 16_000])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('knows how much of its silence is left', () => {
    const { timer } = watched([1_000, 4_000])
    vi.advanceTimersByTime(400)
    expect(timer.left).toBe(600)
    vi.advanceTimersByTime(700)
    expect(timer.left).toBe(2_900)
  })

  it('starts again at every reset: before, between and after the callbacks', () => {
    const { timer, at } = watched([1_000, 4_000])
    vi.advanceTimersByTime(900)
    timer.reset()
    vi.advanceTimersByTime(2_000)
    timer.reset()
    vi.advanceTimersByTime(10_000)
    timer.reset()
    vi.advanceTimersByTime(1_100)
    // The silence begins at the next tick after each reset.
    expect(at()).toEqual([2_000, 4_000, 7_000, 14_000])
  })

  it('shares one timer of the runtime with all others, also after a thousand resets', () => {
    for (let count = 0; count < 1_000; count += 1) watched([1_000]).timer.reset()
    expect(vi.getTimerCount()).toBe(1)
    for (const timer of timers) timer.stop()
    expect(vi.getTimerCount()).toBe(0)
  })

  it('calls back for ever when the callback resets it', () => {
    const start = performance.now()
    const times: number[] = []
    const timer = new SilenceTimer([100], {
      onSilence() {
        times.push(performance.now() - start)
        timer.reset()
      },
    })
    vi.advanceTimersByTime(650)
    expect(times).toEqual([100, 200, 300, 400, 500, 600])
    timer.stop()
  })

  it('has no timer after the callback has stopped it, also after a reset', () => {
    const timer = new SilenceTimer([100, 200], { onSilence: () => timer.stop() })
    vi.advanceTimersByTime(100)
    timer.reset()
    expect(vi.getTimerCount()).toBe(0)
  })

  it('has no timer without delays', () => {
    watched([]).timer.reset()
    expect(vi.getTimerCount()).toBe(0)
  })
})
