import { describe, expect, it } from 'vitest'
import { createTerminalSession } from '../../src/index.ts'
import type { TestFaults, TestUpstreamOptions } from '../../src/testing.ts'
import { pipe, prompting, sit, user, type Seated } from './support/attach.ts'
import { run, start } from './support/host.ts'
import { announcing } from './support/raw-client.ts'
import { nobody, releases, until, upstreamOf } from './support/upstream.ts'

describe('attach', () => {
  it('asks as the flags say', async () => {
    const flags = ['--policy', 'gold', '--context', 'chat:1', '--token-in-url', 'never', '--timeout', '20']
    const { status, upstream } = await pipe('exit\n', { release: 'terminals@0.2.2', policies: ['gold'] }, flags)
    expect(status).toBe(0)
    const [create] = upstream.requests
    expect(create).toMatchObject({ path: '/p/gold/api/terminals', headers: { 'x-terminal-context-id': 'chat:1' } })
    const [dialled] = upstream.requests.filter(({ kind }) => kind === 'websocket')
    expect(dialled?.query).toEqual({ user_id: 'ada', context_id: 'chat:1' })
  })

  /** Creates a session, and attaches to it. */
  async function revisit(faults: TestFaults = {}) {
    const upstream = await upstreamOf({ shell: prompting, release: 'terminals@0.2.2', faults })
    const { id } = await createTerminalSession({ base: upstream.url, key: 'sk-canary', userId: 'ada' })
    return { ...start(['attach', upstream.url, ...user, '--session', id], { tty: true }), upstream, id }
  }

  it.each([{}, { get: { refuse: 503 } }])('leaves a session to whoever created it (%j)', async (faults) => {
    const { host, status, upstream, id } = await revisit(faults)
    await host.stdout.shows('$ ')
    host.stdin.write('~.')
    expect(await status).toBe(1)
    expect(host.stderr.text).toBe('\nDetached.\n')
    expect(upstream.sessions.map((session) => session.id)).toEqual([id])
  })

  it('can be interrupted while it looks whether the session is there', async () => {
    const { host, status, upstream } = await revisit({ get: 'stall' })
    await until(() => upstream.requests.some(({ method, status: answered }) => method === 'GET' && !answered))
    host.emit('SIGTERM', 'SIGTERM')
    expect(await status).toBe(143)
    await until(() => upstream.sessions[0]?.attached === 0)
  })

  const failures: Array<[what: string, server: TestUpstreamOptions, flags: string[], error: RegExp]> = [
    ['the key is wrong', {}, ['--key', 'sk-2'], /ERR_TERMINAL_UNAUTHORIZED: .* Check the key and --auth-type\.$/m],
    ['the session is not there', {}, ['--session', 's1'], /ERR_TERMINAL_NOT_FOUND: .* its own --user and --chat/],
    [
      'the server hides that the session is not there',
      { release: 'terminals@0.2.2' },
      ['--session', 's1'],
      /ERR_TERMINAL_NOT_FOUND: /,
    ],
    [
      'nobody answers in time',
      { faults: { create: 'stall' } },
      ['--timeout', '0.05'],
      /ERR_TERMINAL_TIMEOUT: .*--timeout/,
    ],
    ['there is no room', { faults: { create: { refuse: 429 } } }, [], /ERR_TERMINAL_LIMIT: /],
  ]

  it.each(failures)('ends with 1 and says why when %s', async (_what, server, flags, error) => {
    const { status, stdout, stderr, upstream } = await pipe('exit\n', server, flags)
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
    expect(stderr).toMatch(error)
    expect(stderr.split('\n').at(-2)).toMatch(/^terminal-upstream: /)
    expect(stderr).not.toContain('canary')
    expect(upstream.sessions).toEqual([])
  })

  it('ends with 1 and says why when there is no server', async () => {
    const { status, stderr } = await run(['attach', await nobody(), ...user, '--timeout', '1'])
    expect(status).toBe(1)
    expect(stderr).toMatch(/^terminal-upstream: ERR_TERMINAL_TIMEOUT: .*ECONNREFUSED.*\n$/)
  })

  it.each<[what: string, end: (session: Seated['session']) => void, error: RegExp]>([
    [
      'the server closes',
      (session) => session.close(4003, 'Access denied'),
      /ERR_TERMINAL_FORBIDDEN: .*"Access denied"/,
    ],
    ['the connection drops', (session) => session.reset(), /ERR_TERMINAL_UNAVAILABLE: .*the connection dropped/],
  ])('ends with 1 and says why when %s, and gives the terminal back', async (_what, end, error) => {
    const { host, status, session, upstream } = await sit()
    await session.output('\x1b[?1049h\x1b[?25l')
    await host.stdout.shows('\x1b[?25l')
    end(session)
    expect(await status).toBe(1)
    expect(host.stderr.text).toMatch(error)
    expect(host.raw).toEqual([true, false])
    expect(host.stdout.text.endsWith('\x1b[?25h\x1b[?1049l')).toBe(true)
    expect(upstream.sessions).toEqual([])
  })
})

describe('in a terminal, attach', () => {
  it('passes keys on as they are pressed, and gives the terminal back when the shell has ended', async () => {
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
    'notices on %s, too, that the shell has ended',
    async (release) => {
      const { host, status } = await sit({ release })
      host.stdin.write('Q')
      expect(await status).toBe(0)
    },
  )

  it('tells the size of the window, and every other', async () => {
    const { host, status, session } = await sit({}, { columns: 132, rows: 50 })
    await until(() => session.size.cols === 132)
    expect(session.size).toEqual({ cols: 132, rows: 50 })
    host.stdout.resizeTo(100, 40)
    await until(() => session.size.cols === 100)
    host.stdout.resizeTo(0, 0)
    host.stdin.write('Q')
    expect(await status).toBe(0)
    expect(session.size).toEqual({ cols: 100, rows: 40 })
  })

  it('knows the size although the output goes into a file', async () => {
    const { host, status, session } = await sit({}, { tty: { stdin: true, stderr: true }, columns: 132, rows: 50 })
    await until(() => session.size.cols === 132)
    host.stdin.write('Q')
    expect(await status).toBe(0)
  })

  it('does not mind a window that changes while the terminal is closing', async () => {
    const { host, status } = await sit({ faults: { delete: { delay: 100 } } })
    host.stdin.write('~.')
    host.stdout.resizeTo(100, 40)
    expect(await status).toBe(1)
  })

  it('detaches at ~., and the shell that was started for it is ended', async () => {
    const { host, status, upstream } = await sit({ release: 'terminals@0.0.3' })
    host.stdin.write('ls\r')
    host.stdin.write('~')
    host.stdin.write('.')
    expect(await status).toBe(1)
    expect(host.stderr.text).toBe('\nDetached.\n')
    expect(host.raw).toEqual([true, false])
    expect(upstream.sessions).toEqual([])
  })

  it('detaches at ~. although the server has hung up without a word', async () => {
    const { host, status, session } = await sit({ release: 'terminals@0.2.2' })
    session.stall()
    host.stdin.write('x'.repeat(100_000))
    host.stdin.write('\r~.')
    expect(await status).toBe(1)
  })

  it.each([
    ['ends', undefined],
    ['fails', new Error('read EIO')],
  ])('leaves when its terminal %s', async (_what, error) => {
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
  ])('ends at %s with %i, with the terminal and the server as they were', async (signal, expected) => {
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

  it('ends at a signal although nobody takes its output', async () => {
    const { host, status, session, upstream } = await sit()
    host.stdout.stick()
    void session.output('x'.repeat(100_000))
    await until(() => host.stdout.writableNeedDrain)
    host.emit('SIGTERM', 'SIGTERM')
    expect(await status).toBe(143)
    expect(upstream.sessions).toEqual([])
    // What is stuck would keep the process.
    expect(host.exits).toEqual([143])
  })

  it('says that it is closing when that takes long', async () => {
    const { host, status } = await sit({ faults: { delete: { delay: 1_200 } } })
    host.stdin.write('~.')
    expect(await status).toBe(1)
    expect(Buffer.from(host.stderr.text, 'latin1').toString()).toBe(
      '\r\x1b[KClosing the terminal … 1 s\r\x1b[K\nDetached.\n',
    )
  })

  it('ends at a signal that comes when the shell has ended and its output has not been taken', async () => {
    const { host, status, session, upstream } = await sit()
    host.stdout.stick()
    void session.output('x'.repeat(100_000))
    await until(() => host.stdout.writableNeedDrain)
    session.exit()
    await until(() => upstream.requests.some(({ method }) => method === 'DELETE'))
    host.emit('SIGTERM', 'SIGTERM')
    expect(await status).toBe(143)
  })

  it('ends at once at a second Ctrl-C, and at no other signal', async () => {
    const faults: TestFaults = { delete: 'stall' }
    const { host } = await sit({ faults })
    for (const name of ['SIGHUP', 'SIGHUP', 'SIGTERM']) host.emit(name, name)
    expect(host.exits).toEqual([])
    host.emit('SIGINT', 'SIGINT')
    expect(host.exits).toEqual([130])
  })

  it('takes the terminal again, and looks at its size, when it goes on after it was stopped', async () => {
    const { host, status, session } = await sit()
    host.on('SIGWINCH', () => host.stdout.resizeTo(100, 40))
    host.emit('SIGCONT', 'SIGCONT')
    expect(host.raw).toEqual([true, false, true])
    await until(() => session.size.cols === 100)
    host.stdin.write('Q')
    expect(await status).toBe(0)
  })

  it('gives the terminal back when the process ends', async () => {
    const { host, status } = await sit()
    host.emit('exit', 1)
    expect(host.raw).toEqual([true, false])
    host.stdin.write('Q')
    await status
  })

  it('gives the terminal back, and ends the shell, when it crashes', async () => {
    const { host, status, upstream } = await sit()
    host.emit('uncaughtException', new Error('a mistake of ours'))
    await expect(status).rejects.toThrow('a mistake of ours')
    expect(host.raw).toEqual([true, false])
    expect(upstream.sessions).toEqual([])
  })

  it('can be interrupted while it connects, and leaves nothing behind', async () => {
    const upstream = await upstreamOf({ faults: { attach: 'stall' } })
    const { host, status } = start(['attach', upstream.url, ...user], { tty: true })
    await until(() => upstream.requests.some(({ kind }) => kind === 'websocket'))
    host.emit('SIGINT', 'SIGINT')
    expect(await status).toBe(130)
    expect(host.raw).toEqual([])
    expect(upstream.sessions).toEqual([])
  })

  it('shows that it is waiting, and takes that away', async () => {
    const { host, status } = await sit({ faults: { create: { delay: 1_200 } } })
    expect(host.stderr.text).toBe(
      '\r\x1b[KWaiting for the terminal … 1 s'.replace('…', '\u00e2\u0080\u00a6') + '\r\x1b[K',
    )
    host.stdin.write('Q')
    await status
  })
})
