import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it, onTestFinished, vi } from 'vitest'
import { ask, type Address, type Headers } from '../support/raw-client.ts'
import { isRunning } from '../support/testing-process.ts'
import { expecting, type Difference, type Subject } from './cases.ts'

/** What POST and status answer. */
export interface Status {
  id: string
  command: string
  status: string
  exit_code: number | null
  output: Array<{ type: string; data: string }>
  next_offset: number
  truncated: boolean
}

export const NOT_FOUND = [404, { detail: 'Process not found' }]
const ERROR = [500, 'Internal Server Error']
const OK = [200, { status: 'ok' }]

/** Runs a command, and resolves with the answer: by default, when it has ended. */
export async function runCommand(
  upstream: Address,
  content: string | { command: string; cwd?: string; env?: Record<string, string> },
  query: string = 'wait=25',
  headers: Headers = {},
): Promise<Status> {
  const body = typeof content === 'string' ? { command: content } : content
  const [status, answer] = await ask(upstream, 'POST', `/execute?${query}`, headers, body)
  expect([status, answer]).toEqual([200, expect.objectContaining({ command: body.command })])
  return answer as Status
}

export async function statusOf(
  upstream: Address,
  id: string,
  query: string = '',
  headers: Headers = {},
): Promise<Status> {
  const [status, answer] = await ask(upstream, 'GET', `/execute/${id}/status?${query}`, headers)
  expect([status, answer]).toEqual([200, expect.objectContaining({ id })])
  return answer as Status
}

/** Resolves with the status when the output contains a text. */
export async function printed(upstream: Address, id: string, text: string): Promise<Status> {
  await expect.poll(async () => textOf(await statusOf(upstream, id)), { interval: 20, timeout: 10_000 }).toContain(text)
  return statusOf(upstream, id)
}

export function textOf({ output }: Status): string {
  return output.map(({ data }) => data).join('')
}

/** Types into a command; resolves with the answer. */
export async function type(upstream: Address, id: string, input: string): Promise<[number, unknown]> {
  return ask(upstream, 'POST', `/execute/${id}/input`, {}, { input })
}

/** Resolves with a new folder, which is removed after the test. */
export async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'commands-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

/** Returns the answer to a value that the server does not accept. */
function invalid(kind: string, ...loc: string[]): unknown {
  return [422, { detail: [expect.objectContaining({ type: kind, loc })] }]
}

const LONGEST = 131_071

/** Answers that are the same in every release (PROTOCOL 9.1 to 9.3, 9.11 and 9.12). */
const answers: Array<[what: string, method: string, path: string, content: object | undefined, answer: unknown]> = [
  ['an unknown id', 'GET', '/nowhere/status', undefined, NOT_FOUND],
  ['an unknown id', 'POST', '/nowhere/input', { input: '' }, NOT_FOUND],
  ['an unknown id', 'DELETE', '/nowhere', undefined, NOT_FOUND],
  ['another method', 'PUT', '', undefined, [405, { detail: 'Method Not Allowed' }]],
  ['another method', 'GET', '/nowhere', undefined, [405, { detail: 'Method Not Allowed' }]],
  ['`wait` over 300', 'POST', '?wait=301', { command: ':' }, invalid('less_than_equal', 'query', 'wait')],
  ['`wait` under 0', 'POST', '?wait=-1', { command: ':' }, invalid('greater_than_equal', 'query', 'wait')],
  ['an empty `wait`', 'POST', '?wait=', { command: ':' }, invalid('float_parsing', 'query', 'wait')],
  ['`wait` in words', 'GET', '/nowhere/status?wait=x', undefined, invalid('float_parsing', 'query', 'wait')],
  ['`offset` under 0', 'GET', '/nowhere/status?offset=-1', undefined, invalid('greater_than_equal', 'query', 'offset')],
  ['a fraction as `tail`', 'POST', '?tail=1.5', { command: ':' }, invalid('int_parsing', 'query', 'tail')],
  ['`force` in other words', 'DELETE', '/nowhere?force=x', undefined, invalid('bool_parsing', 'query', 'force')],
  ['no body', 'POST', '', undefined, invalid('missing', 'body')],
  ['no command', 'POST', '', {}, invalid('missing', 'body', 'command')],
  ['a list', 'POST', '', [], invalid('model_attributes_type', 'body')],
  ['a command that is no text', 'POST', '', { command: 1 }, invalid('string_type', 'body', 'command')],
  ['a `cwd` that is no text', 'POST', '', { command: ':', cwd: 1 }, invalid('string_type', 'body', 'cwd')],
  [
    'a variable that is no text',
    'POST',
    '',
    { command: ':', env: { A: 1 } },
    invalid('string_type', 'body', 'env', 'A'),
  ],
  ['`env` that is a list', 'POST', '', { command: ':', env: [] }, invalid('dict_type', 'body', 'env')],
  ['input that is no text', 'POST', '/nowhere/input', { input: 1 }, invalid('string_type', 'body', 'input')],
  ['no folder', 'POST', '', { command: ':', cwd: '/nowhere' }, ERROR],
  ['a file as folder', 'POST', '', { command: ':', cwd: '/bin/sh' }, ERROR],
  ['NUL', 'POST', '', { command: ':\0' }, ERROR],
  ['a lone surrogate', 'POST', '', { command: ':\ud800' }, ERROR],
  ['`=` in a name', 'POST', '', { command: ':', env: { 'A=B': 'C' } }, ERROR],
  ['a command that is too long', 'POST', '', { command: ':'.padEnd(LONGEST + 1) }, ERROR],
  ['a variable that is too long', 'POST', '', { command: ':', env: { A: 'x'.repeat(LONGEST - 1) } }, ERROR],
]

/** Commands with the same end in every release (PROTOCOL 9.5 to 9.7). */
const ends: Array<[command: string, output: string, exitCode: number]> = [
  ['', '', 0],
  ['echo out; echo err >&2; echo out', 'out\r\nerr\r\nout\r\n', 0],
  ['printf "a\\r\\nb"', 'a\r\r\nb', 0],
  ['exit 3', '', 3],
  ['exit 256', '', 0],
  ['false | true', '', 0],
  ['nowhere 2>/dev/null', '', 127],
  ['/dev/null 2>/dev/null', '', 126],
  ['kill -9 $$', '', -9],
  ['kill $$; sleep 60', '', -15],
  ["sh -c 'kill -PIPE $$'; exit $?", '', 141],
  ["trap 'echo bye; exit 5' TERM; kill $$; sleep 60", 'bye\r\n', 5],
  [':'.padEnd(LONGEST), '', 0],
  ['sleep 0.2 & exit 4', '', 4],
]

/** Tests how a server runs commands. */
export function describeCommands(subject: Subject): void {
  it.each(answers)('answers %s: %s /execute%s', async (_what, method, path, content, answer) => {
    // After an error, a server closes the connection: another request must not have been sent over it.
    expect(await ask(subject, method, `/execute${path}`, { connection: 'close' }, content)).toEqual(answer)
  })

  it.each<[method: string, path: string, content?: object]>([
    ['GET', '/execute'],
    ['POST', '/execute', { command: ':' }],
    ['GET', '/execute/nowhere/status'],
    ['POST', '/files/upload?directory=/nowhere', {}],
    ['DELETE', '/files/delete?path=/nowhere'],
  ])('answers %s %s with another key with 401 (PROTOCOL 9.1)', async (method, path, content) => {
    const headers = { authorization: 'Bearer sk-2' }
    expect(await ask(subject, method, path, headers, content)).toEqual([401, { detail: 'Invalid API key' }])
  })

  it.each(ends.map((end) => [end[0].trim().slice(0, 40), ...end] as const))('runs %s', async (_start, ...end) => {
    const [command, output, exitCode] = end
    const answer = await runCommand(subject, command)
    expect({ ...answer, output: textOf(answer) }).toMatchObject({ status: 'done', output, exit_code: exitCode })
  })

  it('runs a command in a folder and with variables, and merges them over its own', async () => {
    const cwd = await folder()
    const env = { A: 'ä "$HOME" \\ \n', PATH: process.env['PATH'] ?? '' }
    const answer = await runCommand(subject, { command: 'pwd; printf %s "$A" "${HOME:+has a home}"', cwd, env })
    expect(textOf(answer)).toBe(`${cwd}\r\n${env.A.replace('\n', '\r\n')}has a home`)
  })

  it('makes the shell the leader of its group, which another command can kill (PROTOCOL 9.5 and 9.13)', async () => {
    const { id } = await runCommand(subject, 'sleep 60 & echo "<$$ $!>"; wait', 'wait=0')
    const [, shell = '', child = ''] = /<(\d+) (\d+)>/.exec(textOf(await printed(subject, id, '>'))) ?? []
    expect(await runCommand(subject, `kill -s TERM -- -${shell}`)).toMatchObject({ exit_code: 0 })
    expect(await statusOf(subject, id, 'wait=25')).toMatchObject({ status: 'done', exit_code: -15 })
    await expect.poll(() => isRunning(Number(child)), { interval: 20 }).toBe(false)
  })

  it('does not wait for a process that has closed the output', async () => {
    const answer = await runCommand(subject, 'sleep 60 >/dev/null 2>&1 </dev/null & echo $!')
    expect(answer).toMatchObject({ status: 'done', exit_code: 0 })
    process.kill(Number(textOf(answer)))
  })

  it('waits for the end, and not for output (PROTOCOL 9.2)', async () => {
    const { id } = await runCommand(subject, 'echo "<$$>"; exec sleep 60', 'wait=0')
    const [, pid = ''] = /<(\d+)>/.exec(textOf(await printed(subject, id, '>'))) ?? []
    const before = performance.now()
    const answer = await statusOf(subject, id, 'wait=0.3')
    expect(performance.now() - before).toBeGreaterThan(295)
    expect(answer).toMatchObject({ status: 'running', exit_code: null })
    await runCommand(subject, `kill ${pid}`)
    expect(await statusOf(subject, id, 'wait=25')).toMatchObject({ status: 'done', exit_code: -15 })
  })

  it('breaks characters, and counts entries (PROTOCOL 9.8 and 9.9)', async () => {
    const bytes = 40_001
    const answer = await runCommand(subject, `printf x; yes é✓日本語 | tr -d '\\n' | head -c ${bytes - 1}`)
    expect(textOf(answer)).toContain('\ufffd')
    expect(Math.max(...answer.output.map(({ data }) => data.length))).toBeLessThanOrEqual(4096)
    expect(answer.output.length).toBeGreaterThan(9)
    expect(answer).toMatchObject({ next_offset: answer.output.length, truncated: false })
    const rest = await statusOf(subject, answer.id, 'offset=2')
    expect(rest).toMatchObject({ output: answer.output.slice(2), next_offset: answer.next_offset })
    const beyond = await statusOf(subject, answer.id, 'offset=1000')
    expect(beyond).toMatchObject({ output: [], next_offset: answer.next_offset, truncated: false })
  })

  it('lists commands without their output', async () => {
    const { id, command } = await runCommand(subject, 'echo listed; exit 7')
    const [status, list] = await ask(subject, 'GET', '/execute')
    expect(status).toBe(200)
    const entry = { id, command, status: 'done', exit_code: 7, log_path: expect.stringContaining(id) }
    expect((list as Status[]).at(-1)).toEqual(entry)
  })

  it('types a line with escapes, echoes it, and ends the input at Ctrl-D (PROTOCOL 9.6 and 9.11)', async () => {
    const { id } = await runCommand(subject, 'IFS= read -r line; printf "<%s>" "$line"; cat; echo end', 'wait=0')
    expect(await type(subject, id, 'C:\\\\é✓\\x21\\')).toEqual(ERROR)
    expect(await type(subject, id, 'C:\\\\é✓\\x21\n')).toEqual(OK)
    expect(textOf(await printed(subject, id, '<'))).toBe('C:\\é✓!\r\n<C:\\é✓!>')
    expect(await type(subject, id, '\\u0004')).toEqual(OK)
    expect(await statusOf(subject, id, 'wait=25')).toMatchObject({ status: 'done', exit_code: 0 })
    expect(await type(subject, id, 'x')).toEqual([400, { detail: 'Process has already exited' }])
  })

  it('takes a file, and deletes it (PROTOCOL 9.18)', async () => {
    const directory = join(await folder(), 'new')
    const bytes = Uint8Array.from({ length: 300_000 }, (_, index) => index * 7)
    const form = new FormData()
    form.append('file', new Blob([bytes]), 'é 1')
    const path = join(directory, 'é 1')
    const upload = `/files/upload?${new URLSearchParams({ directory })}`
    expect(await ask(subject, 'POST', upload, {}, form)).toEqual([200, { path, size: bytes.length }])
    expect(textOf(await runCommand(subject, { command: 'cksum < "$P"', env: { P: path } }))).toMatch(/^\d+ 300000\r\n$/)
    const remove = `/files/delete?${new URLSearchParams({ path })}`
    expect(await ask(subject, 'DELETE', remove)).toEqual([200, { path, type: 'file' }])
    expect(await ask(subject, 'DELETE', remove)).toEqual([404, { detail: 'Path not found' }])
  })
}

/** What differs between the releases. */
export const commandDifferences: readonly Difference[] = [
  {
    title: 'the command of another user, and of another chat (PROTOCOL 9.15)',
    column: "another's command",
    expected: expecting('visible', 'visible', '404', '404', '404'),
    async observe(subject) {
      const { id } = await runCommand(subject, ':')
      const owners = [{ 'x-user-id': 'bob' }, { 'x-session-id': 'chat-1' }]
      const statuses = owners.map(async (headers) => (await ask(subject, 'GET', `/execute/${id}/status`, headers))[0])
      const outcome = [...new Set(await Promise.all(statuses))].join(', ')
      return outcome.replace('200', 'visible')
    },
  },
  {
    title: 'a log of more than 50 MB (PROTOCOL 9.10)',
    column: 'cut log',
    expected: expecting('none', 'goes back after a 500', 'counts on', 'counts on', 'counts on'),
    async observe(subject) {
      // A NUL takes six bytes in the log.
      const { id } = await runCommand(subject, 'head -c 9000000 /dev/zero', 'wait=0')
      const [code] = await ask(subject, 'GET', `/execute/${id}/status?wait=25`)
      const answer = await statusOf(subject, id, 'wait=25')
      const { output, truncated, next_offset: offset } = answer
      if (textOf(answer).length === 9_000_000) return 'none'
      const outcome = truncated && offset > output.length ? 'counts on' : 'goes back'
      return code === 200 ? outcome : `${outcome} after a ${code}`
    },
  },
  {
    title: 'as many commands as it has threads (PROTOCOL 9.14)',
    column: 'many commands',
    expected: expecting('wait', 'wait', 'wait', 'answered', 'answered'),
    async observe(subject) {
      const go = join(await folder(), 'go')
      const command = { command: 'until [ -e "$GO" ]; do sleep 0.1; done', env: { GO: go } }
      const count = Math.max(6, Math.min(32, availableParallelism() + 4))
      const posts = Array.from({ length: count }, () => runCommand(subject, command, 'wait=0'))
      const countRunning = async (): Promise<number> =>
        ((await ask(subject, 'GET', '/execute'))[1] as Status[]).filter(({ status }) => status === 'running').length
      await expect.poll(countRunning, { interval: 20, timeout: 10_000 }).toBe(count)
      const late = runCommand(subject, ':', 'wait=0')
      // Long enough for a slow machine, if the server should answer.
      const patience = subject.standIn.startsWith('0.14.') ? 10_000 : subject.silence
      const outcome = await Promise.race([late.then(() => 'answered'), sleep(patience, 'wait')])
      await writeFile(go, '')
      const all = await Promise.all([...posts, late])
      for (const { id } of all) await statusOf(subject, id, 'wait=25')
      return outcome
    },
  },
  // The last one: a DELETE harms the next command on old releases (PROTOCOL 9.13).
  {
    title: 'a DELETE of a command (PROTOCOL 9.12)',
    column: "a command's DELETE",
    expected: expecting(
      '404, the shell',
      '404, the group',
      'killed, the group',
      'killed, the group',
      'killed, the group',
    ),
    async observe(subject) {
      const { id } = await runCommand(subject, 'sleep 60 & echo "<$!>"; wait', 'wait=0')
      const [, child = ''] = /<(\d+)>/.exec(textOf(await printed(subject, id, '>'))) ?? []
      expect(await ask(subject, 'DELETE', `/execute/${id}`)).toEqual([200, { status: 'killed' }])
      // Old releases fail to answer some requests after a DELETE (PROTOCOL 9.13).
      const [code, status] = await vi.waitFor(async () => {
        const answer = await ask(subject, 'GET', `/execute/${id}/status`)
        expect(answer[0]).toBeOneOf([200, 404])
        return answer
      }, 10_000)
      if (code === 200) expect(status).toMatchObject({ exit_code: -15 })
      const patience = subject.standIn === '0.8.1' ? subject.silence : 10_000
      const isLeft = await expect
        .poll(() => isRunning(Number(child)), { interval: 20, timeout: patience })
        .toBe(false)
        .then(
          () => false,
          () => true,
        )
      if (isLeft) process.kill(Number(child))
      return `${code === 200 ? (status as Status).status : code}, ${isLeft ? 'the shell' : 'the group'}`
    },
  },
]
