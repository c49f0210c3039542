import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { watchSilence } from '../../src/lib/watch.ts'

describe('watchSilence', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  function watched(delays: number[]): { watch: ReturnType<typeof watchSilence>; at: () => number[] } {
    const start = performance.now()
    const times: number[] = []
    const watch = watchSilence(delays, () => times.push(performance.now() - start))
    return { watch, at: () => times }
  }

  it('calls after each of the delays, and then no more', () => {
    const { at } = watched([1_000, 4_000, 16_000])
    vi.advanceTimersByTime(100_000)
    expect(at()).toEqual([1_000, 4_000, 16_000])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('begins again with every stir, before and between and after the calls', () => {
    const { watch, at } = watched([1_000, 4_000])
    vi.advanceTimersByTime(900)
    watch.stir()
    vi.advanceTimersByTime(2_000)
    watch.stir()
    vi.advanceTimersByTime(10_000)
    watch.stir()
    vi.advanceTimersByTime(1_000)
    expect(at()).toEqual([1_900, 3_900, 6_900, 13_900])
  })

  it('keeps one timer, however often it is stirred', () => {
    const { watch } = watched([1_000])
    for (let count = 0; count < 1_000; count += 1) watch.stir()
    expect(vi.getTimerCount()).toBe(1)
  })

  it('can be stirred by what it calls, and so goes on for ever', () => {
    const start = performance.now()
    const times: number[] = []
    const watch = watchSilence([10], () => {
      times.push(performance.now() - start)
      watch.stir()
    })
    vi.advanceTimersByTime(35)
    expect(times).toEqual([10, 20, 30])
    watch.stop()
  })

  it('leaves no timer when it is stopped, also by what it calls, nor starts one when it is stirred then', () => {
    const watch = watchSilence([10, 20], () => watch.stop())
    vi.advanceTimersByTime(10)
    watch.stir()
    expect(vi.getTimerCount()).toBe(0)
  })

  it('does nothing without delays', () => {
    watched([]).watch.stir()
    expect(vi.getTimerCount()).toBe(0)
  })
})
