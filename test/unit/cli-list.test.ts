import { expect, it } from 'vitest'
import { createTerminalSession, type TerminalSession } from '../../src/index.ts'
import type { TestUpstream } from '../../src/testing.ts'
import { user } from '../support/attach.ts'
import { run, start, type HostOptions } from '../support/host.ts'
import { clientOf, nobody, serve, until, upstreamOf } from '../support/upstream.ts'

/** Runs `list` on the server. */
function list({ url }: { url: string }, flags: string[] = [], options: HostOptions = {}) {
  return run(['list', url, ...user, ...flags], options)
}

/** Creates as many sessions. */
async function fill(upstream: TestUpstream, count: number, userId = 'ada'): Promise<TerminalSession[]> {
  const creating = Array.from({ length: count }, () => createTerminalSession({ ...clientOf(upstream), userId }))
  return Promise.all(creating)
}

/** Returns the URL of a server that answers every request with this JSON. */
async function answering(json: unknown): Promise<{ url: string }> {
  const url = await serve((server) => {
    server.on('request', (_request, response) => response.end(JSON.stringify(json)))
  })
  return { url }
}

it('list prints one line for each session', async () => {
  const upstream = await upstreamOf()
  const sessions = await fill(upstream, 16)
  await fill(upstream, 1, 'bob')
  const { status, stdout, stderr } = await list(upstream)
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  const lines = sessions.map(({ id, createdAt, pid }) => `${id}  ${createdAt}  ${pid}\n`)
  expect(stdout.split(/(?<=\n)/).sort()).toEqual(lines.sort())
})

const uneven = [
  { id: 'chat-1', created_at: '2026-11-24T00:00:00Z', pid: 7 },
  { id: 's2' },
  { id: 's3', created_at: 'a\u001b[2J\u009b', pid: 12345 },
]

it('list aligns its columns, and prints - for a field that the server leaves out', async () => {
  const { stdout } = await list(await answering(uneven))
  expect(stdout).toBe(`\
chat-1  2026-11-24T00:00:00Z  7
s2      -                     -
s3      a?[2J?                12345
`)
})

it('list prints a header on a terminal', async () => {
  const { stdout } = await list(await answering(uneven), [], { tty: { stdout: true } })
  const [header, session] = stdout.split('\n')
  expect(header).toBe('\u001b[1mID      CREATED               PID\u001b[0m')
  expect(session).toBe('chat-1  2026-11-24T00:00:00Z  7')
})

it('list aligns its columns with a header that is wider than the fields', async () => {
  const options = { tty: { stdout: true }, env: { NO_COLOR: '1' } }
  expect((await list(await answering([{ id: 's' }]), [], options)).stdout).toBe(`\
ID  CREATED  PID
s   -        -
`)
})

it('list --json prints the sessions as JSON', async () => {
  const upstream = await upstreamOf()
  const sessions = await fill(upstream, 2)
  const { status, stdout, stderr } = await list(upstream, ['--json'])
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(JSON.parse(stdout)).toEqual(expect.arrayContaining(sessions))
})

it('list says on stderr that there are no sessions', async () => {
  expect(await list(await upstreamOf())).toEqual({ status: 0, stdout: '', stderr: 'No sessions.\n' })
})

it('list --json escapes what controls a terminal', async () => {
  const { stdout } = await list(await answering(uneven), ['--json'])
  expect(stdout).not.toMatch(/[^\n\P{Cc}]/u)
  expect(JSON.parse(stdout)).toMatchObject([{}, {}, { createdAt: uneven[2]?.created_at }])
})

it('list --json prints an empty array when there are no sessions', async () => {
  expect(await list(await upstreamOf(), ['--json'])).toEqual({ status: 0, stdout: '[]\n', stderr: '' })
})

it('list sends the user, the policy, the context and the chat', async () => {
  const upstream = await upstreamOf()
  await list(upstream, ['--policy', 'gold', '--chat', 'c1', '--context', 'chat:1'])
  expect(upstream.requests).toMatchObject([
    {
      path: '/p/gold/api/terminals',
      headers: { 'x-user-id': 'ada', 'x-session-id': 'c1', 'x-terminal-context-id': 'chat:1' },
    },
  ])
})

it('list --help says that old servers list the sessions of all users', async () => {
  const { stdout } = await run(['list', '--help'])
  expect(stdout).toContain('Open Terminal up to 0.11 lists the sessions of all users.')
  expect(stdout).toMatch(/^ {2}--timeout SECONDS +how long to wait for each answer; default: 30$/m)
})

it('list ends with 1 and one line on stderr when the key is wrong', async () => {
  const { status, stdout, stderr } = await list(await upstreamOf(), ['--key', 'sk-2'])
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
  expect(stderr).toMatch(/^terminal-upstream: ERR_TERMINAL_UNAUTHORIZED: .* Check the key/m)
})

it('list says where a key can come from when the server refuses it without a key', async () => {
  const { stderr } = await list(await upstreamOf(), [], { env: { TERMINAL_UPSTREAM_KEY: undefined } })
  expect(stderr).toMatch(/ERR_TERMINAL_UNAUTHORIZED: .* Set TERMINAL_UPSTREAM_KEY, or use --key-file\.\n$/)
})

it('list does not say where a key can come from when it fails for another reason', async () => {
  const options = { env: { TERMINAL_UPSTREAM_KEY: undefined } }
  const { stderr } = await list(await upstreamOf({ faults: { list: { refuse: 403 } } }), [], options)
  expect(stderr).toMatch(/ERR_TERMINAL_FORBIDDEN: /)
  expect(stderr).not.toContain('TERMINAL_UPSTREAM_KEY')
})

it('list ends with 1 when no server listens', async () => {
  const { status, stderr } = await list({ url: await nobody() })
  expect(status).toBe(1)
  expect(stderr).toMatch(/^terminal-upstream: ERR_TERMINAL_UNAVAILABLE: .*\n$/)
})

it('list ends with 1 when the server does not answer in time', async () => {
  const upstream = await upstreamOf({ faults: { list: 'stall' } })
  const { status, stderr } = await list(upstream, ['--timeout', '0.05'])
  const why = 'Cannot list the sessions: no answer in 0.05 s. Try again later, or with a longer --timeout.'
  const more = `To find out more, run: terminal-upstream probe ${upstream.url} --user ada`
  expect({ status, stderr }).toEqual({ status: 1, stderr: `terminal-upstream: ERR_TERMINAL_TIMEOUT: ${why} ${more}\n` })
})

it('list ends with 130 at Ctrl-C while it waits for the server', async () => {
  const upstream = await upstreamOf({ faults: { list: 'stall' } })
  const { host, status } = start(['list', upstream.url, ...user])
  await until(() => upstream.requests.length > 0)
  host.emit('SIGINT', 'SIGINT')
  expect(await status).toBe(130)
  expect(host.stdout.text + host.stderr.text).toBe('')
  expect(host.eventNames()).toEqual([])
})

it('list shows on a terminal that it waits for the server', async () => {
  const { stderr } = await list(await upstreamOf({ faults: { list: { delay: 1_200 } } }), [], { tty: true })
  expect(Buffer.from(stderr, 'latin1').toString()).toBe('\r\x1b[KWaiting for the server … 1 s\r\x1b[KNo sessions.\n')
})
