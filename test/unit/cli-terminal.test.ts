import { describe, expect, it } from 'vitest'
import type { TestFaults } from '../../src/testing.ts'
import { sit, user } from '../support/attach.ts'
import { start, type HostOptions } from '../support/host.ts'
import { announcing } from '../support/raw-client.ts'
import { releases, until, upstreamOf } from '../support/upstream.ts'

describe('attach in a terminal', () => {
  it('sends keys when they are pressed, and restores the terminal when the shell has ended', async () => {
    const { host, status } = await sit()
    expect(host.raw).toEqual([true])
    host.stdin.write('l')
    host.stdin.write('s\r')
    await host.stdout.shows('ls\r')
    host.stdin.write('Q')
    expect(await status).toBe(0)
    expect(host.raw).toEqual([true, false])
    expect(host.stderr.text).toBe('The shell has ended.\n')
    expect(host.eventNames()).toEqual([])
    expect(host.stdin.destroyed).toBe(true)
    expect(host.stdout.listenerCount('resize')).toBe(0)
  })

  it.each(releases.filter((release) => !announcing.includes(release)))(
    'notices on %s that the shell has ended',
    async (release) => {
      const { host, status } = await sit({ release })
      host.stdin.write('Q')
      expect(await status).toBe(0)
    },
  )

  it.each<[what: string, tty: NonNullable<HostOptions['tty']>, window: 'stdout' | 'stderr']>([
    ['on the terminal', true, 'stdout'],
    ['into a file', { stdin: true, stderr: true }, 'stderr'],
  ])('sends the size of the window, and every new size, with output %s', async (_what, tty, window) => {
    const { host, status, session } = await sit({}, { tty, columns: 132, rows: 50 })
    await until(() => session.size.cols === 132)
    expect(session.size).toEqual({ cols: 132, rows: 50 })
    host[window].resizeTo(100, 40)
    await until(() => session.size.cols === 100)
    host[window].resizeTo(0, 0)
    host.stdin.write('Q')
    expect(await status).toBe(0)
    expect(session.size).toEqual({ cols: 100, rows: 40 })
  })

  it('ignores a new size while the terminal is closing', async () => {
    const { host, status } = await sit({ faults: { delete: { delay: 100 } } })
    host.stdin.write('~.')
    host.stdout.resizeTo(100, 40)
    expect(await status).toBe(1)
  })

  it('detaches at ~., and ends its shell', async () => {
    const { host, status, upstream } = await sit({ release: 'terminals@0.0.3' })
    host.stdin.write('ls\r')
    host.stdin.write('~')
    host.stdin.write('.')
    expect(await status).toBe(1)
    expect(host.stderr.text).toBe('\nDetached.\n')
    expect(host.raw).toEqual([true, false])
    expect(upstream.sessions).toEqual([])
  })

  it('detaches at ~. when the server no longer answers', async () => {
    const { host, status, session } = await sit({ release: 'terminals@0.2.2' })
    session.stall()
    host.stdin.write('x'.repeat(100_000))
    host.stdin.write('\r~.')
    expect(await status).toBe(1)
  })

  it.each([
    ['ends', undefined],
    ['fails', new Error('read EIO')],
  ])('ends with 1 when its input %s', async (_what, error) => {
    const { host, status, upstream } = await sit()
    if (error) host.stdin.destroy(error)
    else host.stdin.end()
    expect(await status).toBe(1)
    expect(upstream.sessions).toEqual([])
  })

  it.each([
    ['SIGHUP', 129],
    ['SIGINT', 130],
    ['SIGQUIT', 131],
    ['SIGTERM', 143],
  ])('restores the terminal and deletes the session at %s, and ends with %i', async (signal, expected) => {
    const { host, status, session, upstream } = await sit()
    await session.output('\x1b[?2004h')
    await host.stdout.shows('\x1b[?2004h')
    host.emit(signal, signal)
    expect(await status).toBe(expected)
    expect(host.raw).toEqual([true, false])
    expect(host.stdout.text.endsWith('\x1b[?2004l')).toBe(true)
    expect(host.stderr.text).toBe('\n')
    expect(upstream.sessions).toEqual([])
    expect(host.eventNames()).toEqual([])
  })

  it.each([false, true])('ends at a signal when its output is not read (the shell has ended: %j)', async (hasEnded) => {
    const { host, status, session, upstream } = await sit()
    host.stdout.stick()
    void session.output('x'.repeat(100_000))
    await until(() => host.stdout.writableNeedDrain)
    if (hasEnded) {
      session.exit()
      await until(() => upstream.requests.some(({ method }) => method === 'DELETE'))
    }
    host.emit('SIGTERM', 'SIGTERM')
    expect(await status).toBe(143)
    expect(upstream.sessions).toEqual([])
    // Output that is not read would keep the process alive.
    expect(host.exits).toEqual([143])
  })

  it('shows on one line each that it waits for the terminal, and that it closes it', async () => {
    const faults: TestFaults = { create: { delay: 1_200 }, delete: { delay: 1_200 } }
    const { host, status } = await sit({ faults })
    host.stdin.write('~.')
    expect(await status).toBe(1)
    const [waiting, closing] = ['Waiting for', 'Closing'].map((what) => `\r\x1b[K${what} the terminal … 1 s\r\x1b[K`)
    expect(Buffer.from(host.stderr.text, 'latin1').toString()).toBe(`${waiting}${closing}\nDetached.\n`)
  })

  it('ends at once at a second Ctrl-C, and at no other signal', async () => {
    const faults: TestFaults = { delete: 'stall' }
    const { host } = await sit({ faults })
    for (const name of ['SIGHUP', 'SIGHUP', 'SIGTERM']) host.emit(name, name)
    expect(host.exits).toEqual([])
    host.emit('SIGINT', 'SIGINT')
    expect(host.exits).toEqual([130])
  })

  it('sets raw mode and reads the size again when it continues after a stop', async () => {
    const { host, status, session } = await sit()
    host.on('SIGWINCH', () => host.stdout.resizeTo(100, 40))
    host.emit('SIGCONT', 'SIGCONT')
    expect(host.raw).toEqual([true, false, true])
    await until(() => session.size.cols === 100)
    host.stdin.write('Q')
    expect(await status).toBe(0)
  })

  it('restores the terminal when the process ends', async () => {
    const { host, status } = await sit()
    host.emit('exit', 1)
    expect(host.raw).toEqual([true, false])
    host.stdin.write('Q')
    await status
  })

  it('restores the terminal and ends the shell when it crashes', async () => {
    const { host, status, upstream } = await sit()
    host.emit('uncaughtException', new Error('a mistake of ours'))
    await expect(status).rejects.toThrow('a mistake of ours')
    expect(host.raw).toEqual([true, false])
    expect(upstream.sessions).toEqual([])
  })

  it('ends with 130 at Ctrl-C while it connects, and deletes the session', async () => {
    const upstream = await upstreamOf({ faults: { attach: 'stall' } })
    const { host, status } = start(['attach', upstream.url, ...user], { tty: true })
    await until(() => upstream.requests.some(({ kind }) => kind === 'websocket'))
    host.emit('SIGINT', 'SIGINT')
    expect(await status).toBe(130)
    expect(host.raw).toEqual([])
    expect(upstream.sessions).toEqual([])
  })
})
