import { expect, it } from 'vitest'
import { createTerminalSession } from '../../src/index.ts'
import type { TestUpstream, TestUpstreamOptions } from '../../src/testing.ts'
import { user } from '../support/attach.ts'
import { run, start } from '../support/host.ts'
import { clientOf, until, upstreamOf } from '../support/upstream.ts'

/** Runs `rm` on the server. */
function rm({ url }: { url: string }, ...args: string[]) {
  return run(['rm', url, ...user, ...args])
}

interface Filled {
  readonly upstream: TestUpstream
  readonly ids: string[]
}

/** Starts a server on which ada has three sessions. */
async function fill(options: TestUpstreamOptions = {}): Promise<Filled> {
  const upstream = await upstreamOf(options)
  const ids: string[] = []
  for (let count = 0; count < 3; count += 1) ids.push((await createTerminalSession(clientOf(upstream))).id)
  return { upstream, ids }
}

/** Returns the ids of the remaining sessions. */
function left({ sessions }: TestUpstream): string[] {
  return sessions.map(({ id }) => id)
}

it('rm deletes the sessions that it is given, and prints one line for each', async () => {
  const { upstream, ids } = await fill()
  const [first = '', second = '', third = ''] = ids
  expect(await rm(upstream, third, first)).toEqual({
    status: 0,
    stdout: `deleted ${third}\ndeleted ${first}\n`,
    stderr: '',
  })
  expect(left(upstream)).toEqual([second])
})

it('rm takes ids between and after its flags', async () => {
  const { upstream, ids } = await fill()
  const [first = '', second = '', third = ''] = ids
  const { status } = await run(['rm', upstream.url, first, '--user', 'ada', second, '--', third])
  expect(status).toBe(0)
  expect(left(upstream)).toEqual([])
})

it('rm deletes a session once although its id is given twice', async () => {
  const { upstream, ids } = await fill()
  const [first = ''] = ids
  expect(await rm(upstream, first, first)).toEqual({ status: 0, stdout: `deleted ${first}\n`, stderr: '' })
})

it('rm --all deletes every session that list shows', async () => {
  const { upstream, ids } = await fill()
  await createTerminalSession({ ...clientOf(upstream), userId: 'bob' })
  const { status, stdout, stderr } = await rm(upstream, '--all')
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(stdout).toBe(ids.map((id) => `deleted ${id}\n`).join(''))
  expect(upstream.sessions.map(({ userId }) => userId)).toEqual(['bob'])
})

it('rm --all says on stderr that there are no sessions', async () => {
  expect(await rm(await upstreamOf(), '--all')).toEqual({ status: 0, stdout: '', stderr: 'No sessions.\n' })
})

it('rm ends with 1 when a session is not there, and deletes the others', async () => {
  const { upstream, ids } = await fill()
  const [first = '', second = '', third = ''] = ids
  expect(await rm(upstream, first, 'old-1', second)).toEqual({
    status: 1,
    stdout: `deleted ${first}\nnot there: old-1\ndeleted ${second}\n`,
    stderr: '',
  })
  expect(left(upstream)).toEqual([third])
})

it('rm ends with 1 when a session cannot be deleted, says why in one line, and deletes the others', async () => {
  const { upstream, ids } = await fill({ faults: { delete: [undefined, { refuse: 500 }, 'stall'] } })
  const [first = '', second = '', third = ''] = ids
  const { status, stdout, stderr } = await rm(upstream, ...ids, '--timeout', '0.2')
  expect({ status, stdout }).toEqual({ status: 1, stdout: `deleted ${first}\n` })
  expect(stderr.split('\n')).toEqual([
    expect.stringMatching(new RegExp(`^terminal-upstream: ERR_TERMINAL_UNAVAILABLE: .*${second}: HTTP 500`)),
    `terminal-upstream: ERR_TERMINAL_TIMEOUT: Cannot delete the session ${third}: no answer in 0.2 s. Try again later, or with a longer --timeout. To find out more, run: terminal-upstream probe ${upstream.url} --user ada`,
    '',
  ])
  expect(left(upstream)).toEqual([second, third])
})

it('rm --timeout applies to each request', async () => {
  const { upstream } = await fill({ faults: { delete: { delay: 150 } } })
  const { status } = await rm(upstream, '--all', '--timeout', '0.4')
  expect(status).toBe(0)
})

it('rm --all ends with 1 when it cannot list the sessions', async () => {
  const { upstream, ids } = await fill({ faults: { list: { refuse: 503 } } })
  const { status, stdout, stderr } = await rm(upstream, '--all')
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
  expect(stderr).toMatch(/^terminal-upstream: ERR_TERMINAL_UNAVAILABLE: .*HTTP 503.*\n$/)
  expect(left(upstream)).toEqual(ids)
})

it('rm ends with 130 at Ctrl-C, and deletes no more sessions', async () => {
  const { upstream, ids } = await fill({ faults: { delete: [undefined, 'stall'] } })
  const { host, status } = start(['rm', upstream.url, ...user, ...ids])
  await until(() => upstream.requests.filter(({ method }) => method === 'DELETE').length === 2)
  host.emit('SIGINT', 'SIGINT')
  expect(await status).toBe(130)
  expect(host.stdout.text).toBe(`deleted ${ids[0]}\n`)
  expect(host.stderr.text).toBe('')
  expect(left(upstream)).toEqual(ids.slice(1))
})

const misuse: Array<[args: string[], message: string]> = [
  [
    [],
    'ERR_PARSE_ARGS_MISSING_POSITIONAL: Name the sessions to delete: terminal-upstream rm URL ID, or terminal-upstream rm URL --all for all of them.',
  ],
  [['s1', '--all'], 'ERR_INVALID_ARG_VALUE: Give either ids or --all, not both.'],
  [['s1', '..'], 'ERR_INVALID_ARG_VALUE: `ID` must not be "." or ".."'],
  [['s1', ''], 'ERR_INVALID_ARG_VALUE: `ID` must not be empty, nor contain control characters or lone surrogates'],
  [['s1', 's2', '--key', 'é'], 'ERR_INVALID_ARG_VALUE: the key must be printable ASCII'],
]

it.each(misuse)('rm URL %j is a wrong use, which deletes nothing', async (args, message) => {
  const { upstream } = await fill()
  const { status, stdout, stderr } = await rm(upstream, ...args)
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
  expect(stderr.split('\n').slice(-2)).toEqual([`terminal-upstream: ${message}`, ''])
  expect(upstream.requests.filter(({ method }) => method === 'DELETE')).toEqual([])
})

it('rm is a wrong use when the URL cannot be one', async () => {
  const { status, stderr } = await rm({ url: 'ftp://h' }, 's1', 's2')
  expect(status).toBe(2)
  expect(stderr).toMatch(/^terminal-upstream: ERR_TERMINAL_INVALID_URL: the URL must be [^\n]*\n$/)
})

it('rm hides the characters of an argument that no id has', async () => {
  const { stdout } = await rm(await upstreamOf(), 'sk+canary[2J==')
  expect(stdout).toBe('not there: sk?canary?2J??\n')
})

it('rm --help says that old servers delete the sessions of other users, too', async () => {
  const { stdout } = await run(['rm', '--help'])
  expect(stdout).toMatch(/^terminal-upstream rm URL \[ID\u00e2\u0080\u00a6\] \[flags\]\n/)
  expect(stdout).toContain('Open Terminal up to 0.11 deletes the sessions of other users, too')
  expect(stdout).toMatch(/^ {2}--all +delete every session that list shows$/m)
})
