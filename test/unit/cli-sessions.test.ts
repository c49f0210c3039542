import { describe, expect, it } from 'vitest'
import { createTerminalSession } from '../../src/index.ts'
import type { TestUpstream, TestUpstreamOptions } from '../../src/testing.ts'
import { user } from '../support/attach.ts'
import { run, start, type HostOptions } from '../support/host.ts'
import { answering } from '../support/probe.ts'
import { nobody, until, upstreamOf, userOf } from '../support/upstream.ts'

const keyless: HostOptions = { env: { TERMINAL_UPSTREAM_KEY: undefined } }

/** Starts a server on which ada has three sessions, and bob one. */
async function fill(options: TestUpstreamOptions = {}) {
  const upstream = await upstreamOf(options)
  const lines: string[] = []
  const ids: string[] = []
  for (const userId of ['ada', 'ada', 'bob', 'ada']) {
    const { id, createdAt, pid } = await createTerminalSession({ ...userOf(upstream), userId })
    if (userId === 'bob') continue
    ids.push(id)
    lines.push(`${id}  ${createdAt}  ${pid}\n`)
  }
  const [first = '', second = '', third = ''] = ids
  return { upstream, ids, first, second, third, lines }
}

/** Returns the ids of ada's remaining sessions. */
function left({ sessions }: TestUpstream): string[] {
  return sessions.filter(({ userId }) => userId === 'ada').map(({ id }) => id)
}

/** Runs `list` on the server. */
function list(url: string, flags: string[] = [], options: HostOptions = {}) {
  return run(['list', url, ...user, ...flags], options)
}

const uneven = [
  { id: 'chat-1', created_at: '2026-11-24T00:00:00Z', pid: 7 },
  { id: 's2' },
  { id: 's3', created_at: 'a\u001b[2J\u009b', pid: 12345 },
]

const TABLE = `\
chat-1  2026-11-24T00:00:00Z  7
s2      -                     -
s3      a?[2J?                12345
`
const NARROW = `\
ID  CREATED  PID
s   -        -
`
const onTerminal = { tty: { stdout: true } }

describe('list', () => {
  it("prints one line for each of the user's sessions", async () => {
    const { upstream, lines } = await fill()
    const { status, stdout, stderr } = await list(upstream.url)
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout.split(/(?<=\n)/).sort()).toEqual(lines.sort())
  })

  it.each<[what: string, sessions: object[], options: HostOptions, table: string]>([
    ['no header', uneven, {}, TABLE],
    ['a header on a terminal', uneven, onTerminal, `\u001b[1mID      CREATED               PID\u001b[0m\n${TABLE}`],
    ['a header that is wider than the fields', [{ id: 's' }], { ...onTerminal, env: { NO_COLOR: '1' } }, NARROW],
  ])('aligns its columns, with %s, and prints - for what is left out', async (_what, sessions, options, table) => {
    expect((await list(await answering(200, JSON.stringify(sessions)), [], options)).stdout).toBe(table)
  })

  it('prints JSON with --json, in which no character controls a terminal', async () => {
    const { status, stdout, stderr } = await list(await answering(200, JSON.stringify(uneven)), ['--json'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).not.toMatch(/[^\n\P{Cc}]/u)
    const sessions = uneven.map(({ id, created_at = '', pid = 0 }) => ({ id, createdAt: created_at, pid }))
    expect(JSON.parse(stdout)).toEqual(sessions)
  })

  it('says that there are no sessions, and prints an empty array for a program', async () => {
    const { url } = await upstreamOf()
    expect(await list(url)).toEqual({ status: 0, stdout: '', stderr: 'No sessions.\n' })
    expect(await list(url, ['--json'])).toEqual({ status: 0, stdout: '[]\n', stderr: '' })
  })

  it('sends the user, the policy, the context and the chat', async () => {
    const { url, requests } = await upstreamOf()
    await list(url, ['--policy', 'gold', '--chat', 'c1', '--context', 'chat:1'])
    const headers = { 'x-user-id': 'ada', 'x-session-id': 'c1', 'x-terminal-context-id': 'chat:1' }
    expect(requests).toMatchObject([{ path: '/p/gold/api/terminals', headers }])
  })

  it.each<[what: string, start: () => Promise<string>, flags: string[], options: HostOptions, error: RegExp]>([
    ['a wrong key', urlOf, ['--key', 'sk-2'], {}, /UNAUTHORIZED: .* Check the key/],
    ['no key', urlOf, [], keyless, /UNAUTHORIZED: .* Set TERMINAL_UPSTREAM_KEY, or use --key-file\.\n$/],
    [
      'another problem than the missing key',
      () => urlOf({ refuse: 403 }),
      [],
      keyless,
      /FORBIDDEN: (?!.*UPSTREAM_KEY)/,
    ],
    ['no server', nobody, [], {}, /UNAVAILABLE: .*\n$/],
  ])('ends with 1 and says why with %s', async (_what, begin, flags, options, error) => {
    const { status, stdout, stderr } = await list(await begin(), flags, options)
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
    expect(stderr.split('\n').at(-2) + '\n').toMatch(new RegExp(`^terminal-upstream: ERR_TERMINAL_${error.source}`))
  })

  async function urlOf(fault?: { refuse: number }): Promise<string> {
    return (await upstreamOf(fault && { faults: { list: fault } })).url
  }

  it('ends with 1 when the server does not answer in time', async () => {
    const { url } = await upstreamOf({ faults: { list: 'stall' } })
    const why = 'Cannot list the sessions: no answer in 0.05 s. Try again later, or with a longer --timeout.'
    const stderr = `ERR_TERMINAL_TIMEOUT: ${why} To find out more, run: terminal-upstream probe ${url} --user ada`
    const outcome = { status: 1, stdout: '', stderr: `terminal-upstream: ${stderr}\n` }
    expect(await list(url, ['--timeout', '0.05'])).toEqual(outcome)
  })

  it('ends with 130 at Ctrl-C while it waits for the server', async () => {
    const upstream = await upstreamOf({ faults: { list: 'stall' } })
    const { host, status } = start(['list', upstream.url, ...user])
    await until(() => upstream.requests.length > 0)
    host.emit('SIGINT', 'SIGINT')
    expect(await status).toBe(130)
    expect(host.stdout.text + host.stderr.text).toBe('')
    expect(host.eventNames()).toEqual([])
  })

  it('shows on a terminal that it waits for the server', async () => {
    const { url } = await upstreamOf({ faults: { list: { delay: 1_200 } } })
    const { stderr } = await list(url, [], { tty: true })
    expect(Buffer.from(stderr, 'latin1').toString()).toBe('\r\x1b[KWaiting for the server … 1 s\r\x1b[KNo sessions.\n')
  })
})

describe('rm', () => {
  it('deletes the sessions that it is given, each once, and prints one line for each', async () => {
    const { upstream, first, second, third } = await fill()
    const stdout = `deleted ${third}\ndeleted ${first}\n`
    const outcome = await run(['rm', upstream.url, ...user, third, first, third])
    expect(outcome).toEqual({ status: 0, stdout, stderr: '' })
    expect(left(upstream)).toEqual([second])
  })

  it('takes ids between and after its flags', async () => {
    const { upstream, first, second, third } = await fill()
    const { status } = await run(['rm', upstream.url, first, '--user', 'ada', second, '--', third])
    expect(status).toBe(0)
    expect(left(upstream)).toEqual([])
  })

  it('deletes every session that list shows with --all, each within --timeout', async () => {
    const { upstream, ids } = await fill({ faults: { delete: { delay: 150 } } })
    const stdout = ids.map((id) => `deleted ${id}\n`).join('')
    const outcome = await run(['rm', upstream.url, ...user, '--all', '--timeout', '0.4'])
    expect(outcome).toEqual({ status: 0, stdout, stderr: '' })
    expect(upstream.sessions.map(({ userId }) => userId)).toEqual(['bob'])
    const nothing = await run(['rm', upstream.url, ...user, '--all'])
    expect(nothing).toEqual({ status: 0, stdout: '', stderr: 'No sessions.\n' })
  })

  it('ends with 1 when a session is not there, and deletes the others', async () => {
    const { upstream, first, second, third } = await fill()
    const stdout = `deleted ${first}\nnot there: old-1\ndeleted ${second}\n`
    const outcome = await run(['rm', upstream.url, ...user, first, 'old-1', second])
    expect(outcome).toEqual({ status: 1, stdout, stderr: '' })
    expect(left(upstream)).toEqual([third])
  })

  it('ends with 1 when a session cannot be deleted, says why in one line, and deletes the others', async () => {
    const faults = { delete: [undefined, { refuse: 500 }, 'stall' as const] }
    const { upstream, ids, first, second, third } = await fill({ faults })
    const { status, stdout, stderr } = await run(['rm', upstream.url, ...user, ...ids, '--timeout', '0.2'])
    expect({ status, stdout }).toEqual({ status: 1, stdout: `deleted ${first}\n` })
    const why = `Cannot delete the session ${third}: no answer in 0.2 s. Try again later, or with a longer --timeout.`
    expect(stderr.split('\n')).toEqual([
      expect.stringMatching(new RegExp(`^terminal-upstream: ERR_TERMINAL_UNAVAILABLE: .*${second}: HTTP 500`)),
      expect.stringContaining(`terminal-upstream: ERR_TERMINAL_TIMEOUT: ${why} To find out more, run: `),
      '',
    ])
    expect(left(upstream)).toEqual([second, third])
  })

  it('ends with 1 with --all when it cannot list the sessions', async () => {
    const { upstream, ids } = await fill({ faults: { list: { refuse: 503 } } })
    const { status, stdout, stderr } = await run(['rm', upstream.url, ...user, '--all'])
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
    expect(stderr).toMatch(/^terminal-upstream: ERR_TERMINAL_UNAVAILABLE: .*HTTP 503.*\n$/)
    expect(left(upstream)).toEqual(ids)
  })

  it('ends with 130 at Ctrl-C, and deletes no more sessions', async () => {
    const { upstream, ids, first } = await fill({ faults: { delete: [undefined, 'stall'] } })
    const { host, status } = start(['rm', upstream.url, ...user, ...ids])
    await until(() => upstream.requests.filter(({ method }) => method === 'DELETE').length === 2)
    host.emit('SIGINT', 'SIGINT')
    expect(await status).toBe(130)
    expect({ stdout: host.stdout.text, stderr: host.stderr.text }).toEqual({ stdout: `deleted ${first}\n`, stderr: '' })
    expect(left(upstream)).toEqual(ids.slice(1))
  })

  it.each<[args: string[], message: string]>([
    [[], 'ERR_PARSE_ARGS_MISSING_POSITIONAL: Name the sessions to delete: terminal-upstream rm URL ID, or terminal-up'],
    [['s1', '--all'], 'ERR_INVALID_ARG_VALUE: Give either ids or --all, not both.\n'],
    [['s1', '..'], 'ERR_INVALID_ARG_VALUE: `ID` must not be "." or ".."\n'],
    [['s1', ''], 'ERR_INVALID_ARG_VALUE: `ID` must not be empty, nor contain control characters or lone surrogates\n'],
    [['s1', 's2', '--key', 'é'], 'ERR_INVALID_ARG_VALUE: the key must be printable ASCII\n'],
  ])('URL %j is a wrong use, which deletes nothing', async (args, message) => {
    const { upstream } = await fill()
    const { status, stdout, stderr } = await run(['rm', upstream.url, ...user, ...args])
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toContain(`terminal-upstream: ${message}`)
    expect(upstream.requests.filter(({ method }) => method === 'DELETE')).toEqual([])
  })

  it('is a wrong use, once, when the URL cannot be one', async () => {
    const { status, stderr } = await run(['rm', 'ftp://h', ...user, 's1', 's2'])
    expect(status).toBe(2)
    expect(stderr).toMatch(/^terminal-upstream: ERR_TERMINAL_INVALID_URL: the URL must be [^\n]*\n$/)
  })

  it('hides the characters of an argument that no id has', async () => {
    const { stdout } = await run(['rm', (await upstreamOf()).url, ...user, 'sk+canary[2J=='])
    expect(stdout).toBe('not there: sk?canary?2J??\n')
  })
})

it.each([
  ['list', 'Open Terminal up to 0.11 lists the sessions of all users.'],
  ['list', '  --timeout SECONDS      how long to wait for each answer; default: 30\n'],
  ['rm', 'terminal-upstream rm URL [ID…] [flags]\n'],
  ['rm', 'Open Terminal up to 0.11 deletes the sessions of other users, too'],
  ['rm', '  --all                  delete every session that list shows\n'],
])('%s --help says: %s', async (command, text) => {
  const { stdout } = await run([command, '--help'])
  expect(Buffer.from(stdout, 'latin1').toString()).toContain(text)
})
