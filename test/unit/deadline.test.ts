import { getEventListeners } from 'node:events'
import { describe, expect, it, vi } from 'vitest'
import { abortable, delay, startDeadline, withDeadline } from '../../src/lib/deadline.ts'

describe('abortable', () => {
  it.each([
    ['resolves', () => Promise.resolve('done')],
    ['rejects', () => Promise.reject(new Error('no'))],
  ])('leaves no listener when the promise %s', async (_how, start) => {
    const { signal } = new AbortController()
    await abortable(start(), signal).catch(() => {})
    await Promise.resolve()
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })
})

describe('delay', () => {
  it('leaves no timer when the signal aborts', async () => {
    vi.useFakeTimers()
    const controller = new AbortController()
    const waiting = delay(1_000, controller.signal)
    controller.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    expect(vi.getTimerCount()).toBe(0)
    vi.useRealTimers()
  })
})

describe('startDeadline', () => {
  it('leaves neither a timer nor a listener when it is stopped', () => {
    vi.useFakeTimers()
    const { signal } = new AbortController()
    startDeadline(1_000, signal, () => new Error('late')).stop()
    expect(getEventListeners(signal, 'abort')).toEqual([])
    expect(vi.getTimerCount()).toBe(0)
    vi.useRealTimers()
  })
})

describe('withDeadline', () => {
  const never = (): Promise<never> => new Promise(() => {})

  it('rejects with ETIMEDOUT although the call never settles and ignores its signal', async () => {
    await expect(withDeadline(10, undefined, never)).rejects.toMatchObject({
      message: 'no answer in 10 ms',
      code: 'ETIMEDOUT',
    })
  })

  it('rejects with the reason of the outer signal although the call never settles', async () => {
    const controller = new AbortController()
    const waiting = withDeadline(60_000, controller.signal, never)
    controller.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
  })

  it('settles as the call does, and leaves no timer', async () => {
    vi.useFakeTimers()
    expect(await withDeadline(60_000, undefined, () => Promise.resolve('done'))).toBe('done')
    expect(vi.getTimerCount()).toBe(0)
    vi.useRealTimers()
  })
})
