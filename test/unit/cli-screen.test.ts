import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { paintFor, startProgress } from '../../src/cli/screen.ts'
import { FakeHost } from '../support/host.ts'

describe('paintFor', () => {
  it.each([
    [true, {}, '\x1b[32mok\x1b[0m'],
    [true, { NO_COLOR: '' }, '\x1b[32mok\x1b[0m'],
    [true, { NO_COLOR: '1' }, 'ok'],
    [true, { TERM: 'dumb' }, 'ok'],
    [false, {}, 'ok'],
  ])('with a terminal (%s) and the environment %j paints %j', (tty, env, painted) => {
    const host = new FakeHost({ tty, env })
    expect(paintFor(host.stdout, host).green('ok')).toBe(painted)
  })
})

describe('startProgress', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it.each([
    [true, 900],
    [false, 4_900],
  ])('prints nothing on a terminal (%j) in %i ms, nor when it has stopped', (tty, ms) => {
    const host = new FakeHost({ tty })
    const stop = startProgress(host, 'Waiting')
    vi.advanceTimersByTime(ms)
    stop()
    vi.advanceTimersByTime(60_000)
    expect(host.stderr.text).toBe('')
  })

  it('counts the seconds in one line, and removes the line at the end', () => {
    const host = new FakeHost({ tty: true, columns: 12 })
    const stop = startProgress(host, 'Waiting so long')
    vi.advanceTimersByTime(1_000)
    expect(host.stderr.text).toBe('\r\x1b[KWaiting so ')
    stop()
    stop()
    expect(host.stderr.text).toBe('\r\x1b[KWaiting so \r\x1b[K')
  })

  it('counts from the given time', () => {
    const host = new FakeHost({ tty: true })
    Object.assign(host.stderr, { columns: undefined })
    const stop = startProgress(host, 'Waiting', performance.now() - 9_000)
    vi.advanceTimersByTime(2_000)
    stop()
    expect(host.stderr.text).toMatch(/Waiting .* 10 s.*Waiting .* 11 s/s)
  })

  it.each([{}, { tty: true, env: { TERM: 'dumb' } }])('prints one line that stays in %j', (options) => {
    const host = new FakeHost(options)
    const stop = startProgress(host, 'Waiting')
    vi.advanceTimersByTime(60_000)
    stop()
    expect(Buffer.from(host.stderr.text, 'latin1').toString()).toBe('Waiting …\n')
  })
})
