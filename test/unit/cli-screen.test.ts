import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { paintFor, startProgress } from '../../src/cli/screen.ts'
import { FakeHost } from '../support/host.ts'

describe('colours', () => {
  it.each([
    [true, {}, '\x1b[32mok\x1b[0m'],
    [true, { NO_COLOR: '' }, '\x1b[32mok\x1b[0m'],
    [true, { NO_COLOR: '1' }, 'ok'],
    [true, { TERM: 'dumb' }, 'ok'],
    [false, {}, 'ok'],
  ])('on a terminal: %s, with %j: %j', (tty, env, painted) => {
    const host = new FakeHost({ tty, env })
    expect(paintFor(host.stdout, host).green('ok')).toBe(painted)
  })
})

describe('a line of progress', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it('is not there for what is quick', () => {
    const host = new FakeHost({ tty: true })
    const progress = startProgress(host, 'Waiting')
    vi.advanceTimersByTime(900)
    progress.stop()
    vi.advanceTimersByTime(60_000)
    expect(host.stderr.text).toBe('')
  })

  it('counts the seconds in its place, and goes once it is over', () => {
    const host = new FakeHost({ tty: true, columns: 12 })
    const progress = startProgress(host, 'Waiting so long')
    vi.advanceTimersByTime(1_000)
    expect(host.stderr.text).toBe('\r\x1b[KWaiting so ')
    progress.stop()
    progress.stop()
    expect(host.stderr.text).toBe('\r\x1b[KWaiting so \r\x1b[K')
  })

  it('counts from when it began', () => {
    const host = new FakeHost({ tty: true })
    Object.assign(host.stderr, { columns: undefined })
    const progress = startProgress(host, 'Waiting', performance.now() - 9_000)
    vi.advanceTimersByTime(2_000)
    progress.stop()
    expect(host.stderr.text).toMatch(/Waiting .* 10 s.*Waiting .* 11 s/s)
  })

  it('is a line like any other, once, where it is no terminal', () => {
    const host = new FakeHost()
    const progress = startProgress(host, 'Waiting')
    vi.advanceTimersByTime(60_000)
    progress.stop()
    expect(Buffer.from(host.stderr.text, 'latin1').toString()).toBe('Waiting …\n')
  })

  it('is a line like any other on a terminal that can only print', () => {
    const host = new FakeHost({ tty: true, env: { TERM: 'dumb' } })
    const progress = startProgress(host, 'Waiting')
    vi.advanceTimersByTime(60_000)
    progress.stop()
    expect(host.stderr.text).not.toContain('\x1b')
  })

  it('is not there where it is no terminal for what is over in 5 s', () => {
    const host = new FakeHost()
    const progress = startProgress(host, 'Waiting')
    vi.advanceTimersByTime(4_900)
    progress.stop()
    vi.advanceTimersByTime(60_000)
    expect(host.stderr.text).toBe('')
  })
})
