import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { createTerminalSession, TerminalError } from '../../src/index.ts'
import type { TestFaults, TestUpstreamOptions } from '../../src/testing.ts'
import { NEWEST, pipe, prompting, sit, user, type Seated } from '../support/attach.ts'
import { FakeHost, run, start } from '../support/host.ts'
import { nobody, until, upstreamOf } from '../support/upstream.ts'

describe('attach', () => {
  it('uses the policy, the context and the --token-in-url of its flags', async () => {
    const flags = ['--policy', 'gold', '--context', 'chat:1', '--token-in-url', 'never', '--timeout', '20']
    const { status, upstream } = await pipe('exit\n', { release: 'terminals@0.2.2', policies: ['gold'] }, flags)
    expect(status).toBe(0)
    const [create] = upstream.requests
    expect(create).toMatchObject({ path: '/p/gold/api/terminals', headers: { 'x-terminal-context-id': 'chat:1' } })
    const [dialled] = upstream.requests.filter(({ kind }) => kind === 'websocket')
    expect(dialled?.query).toEqual({ user_id: 'ada', context_id: 'chat:1' })
  })

  it('sends a heartbeat after the silence that --keep-alive gives in seconds', async () => {
    const upstream = await upstreamOf({ shell: prompting, release: NEWEST })
    const { host, status } = start(['attach', upstream.url, ...user, '--keep-alive', '0.03'], { tty: true })
    await until(() => upstream.requests.some(({ frames }) => frames.includes('{"type":"ping"}')))
    host.stdin.write('Q')
    expect(await status).toBe(0)
  })

  it.each([
    ['0', 0],
    ['2.5', 2_500],
    [undefined, undefined],
  ])('turns --keep-alive %s into the keepAlive %s', async (seconds, keepAlive) => {
    const openTerminal = vi.fn<typeof import('../../src/terminal/connect.ts').openTerminal>()
    openTerminal.mockRejectedValue(new TerminalError('ERR_TERMINAL_LIMIT', 'Cannot attach.'))
    vi.doMock('../../src/terminal/connect.ts', () => ({ openTerminal }))
    onTestFinished(() => {
      vi.doUnmock('../../src/terminal/connect.ts')
    })
    vi.resetModules()
    const { attach } = await import('../../src/cli/attach.ts')
    const flags = { user: 'ada', ...(seconds !== undefined && { 'keep-alive': seconds }) }
    const call = { url: 'http://h', rest: [], headers: [], flags }
    await expect(attach(call, new FakeHost(), new AbortController().signal)).rejects.toThrow('Cannot attach.')
    expect(openTerminal).toHaveBeenCalledWith(expect.objectContaining({ keepAlive }), expect.any(Function))
  })

  /** Creates a session, and attaches to it. */
  async function revisit(faults: TestFaults = {}) {
    const upstream = await upstreamOf({ shell: prompting, release: 'terminals@0.2.2', faults })
    const { id } = await createTerminalSession({ base: upstream.url, key: 'sk-canary', userId: 'ada' })
    return { ...start(['attach', upstream.url, ...user, '--session', id], { tty: true }), upstream, id }
  }

  it.each([{}, { get: { refuse: 503 } }])('does not delete the session of --session (%j)', async (faults) => {
    const { host, status, upstream, id } = await revisit(faults)
    await host.stdout.shows('$ ')
    host.stdin.write('~.')
    expect(await status).toBe(1)
    expect(host.stderr.text).toBe('\nDetached.\n')
    expect(upstream.sessions.map((session) => session.id)).toEqual([id])
  })

  it('ends with 143 at SIGTERM while it looks the session up', async () => {
    const { host, status, upstream } = await revisit({ get: 'stall' })
    await until(() => upstream.requests.some(({ method, status: answered }) => method === 'GET' && !answered))
    host.emit('SIGTERM', 'SIGTERM')
    expect(await status).toBe(143)
    await until(() => upstream.sessions[0]?.attached === 0)
  })

  const full = { refuse: 429, body: '{"error":"Maximum number of terminal sessions (16) reached"}' }
  const more = String.raw`To find out more, run: terminal-upstream probe http\S+ --user ada`

  const failures: Array<[server: TestUpstreamOptions, flags: string[], error: RegExp]> = [
    [{}, ['--key', 'sk-2'], new RegExp(`_UNAUTHORIZED: .* Check the key and --auth-type\\. ${more}$`, 'm')],
    [{}, ['--session', 's1'], /_NOT_FOUND: .* its own --user and --chat/],
    // An orchestrator hides that the session does not exist.
    [{ release: 'terminals@0.2.2' }, ['--session', 's1'], /_NOT_FOUND: /],
    [{ faults: { create: 'stall' } }, ['--timeout', '0.05'], /_TIMEOUT: .*--timeout/],
    [{ faults: { create: full } }, [], /_LIMIT: /],
  ]

  it.each(failures)('ends with 1 and says why with the server %j and the flags %j', async (server, flags, error) => {
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
    const [first, last] = stderr.split('\n')
    expect(first).toMatch(/^terminal-upstream: Cannot create .*ECONNREFUSED.*nothing listens there\. Trying again\.$/)
    expect(last).toMatch(/^terminal-upstream: ERR_TERMINAL_TIMEOUT: .*ECONNREFUSED.*$/)
  })

  it.each<[what: string, end: (session: Seated['session']) => void, error: RegExp]>([
    ['the server closes', (session) => session.close(4003, 'Access denied'), /_FORBIDDEN: .*"Access denied"/],
    ['the connection drops', (session) => session.reset(), /_UNAVAILABLE: .*the connection dropped/],
  ])('ends with 1 and says why when %s, and restores the terminal', async (_what, end, error) => {
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
