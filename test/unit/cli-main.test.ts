import { readFileSync } from 'node:fs'
import { runInNewContext } from 'node:vm'
import { describe, expect, it, vi } from 'vitest'
import { main } from '../../src/cli/main.ts'
import { brokenPipe, FakeHost, run } from '../support/host.ts'

const commands = ['attach', 'exec', 'probe', 'list', 'rm', 'url', 'demo']

describe('terminal-upstream', () => {
  it.each([['--help'], ['-h'], ['help']])('%s lists the commands', async (flag) => {
    const { status, stdout, stderr } = await run([flag])
    for (const name of commands) expect(stdout).toMatch(new RegExp(`^  ${name} `, 'm'))
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  })

  it('lists the commands on stderr without a command', async () => {
    const { status, stdout, stderr } = await run([])
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toContain('attach URL')
  })

  it('--version prints the version', async () => {
    expect(await run(['--version'])).toEqual({ status: 0, stdout: '1.2.3\n', stderr: '' })
  })

  it.each([
    ['atach', 'There is no command atach. Did you mean attach?'],
    ['prob', 'There is no command prob. Did you mean probe?'],
    ['--key=sk-canary', 'A command comes first, then its flags. See terminal-upstream --help.'],
    ['a\u001b[2J', 'There is no command a??2J.'],
    ['connect-to-it', 'There is no command connect-to-it. See terminal-upstream --help.'],
  ])('%s is a wrong use, and the message suggests what to write', async (name, message) => {
    const { status, stdout, stderr } = await run([name])
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toMatch(/^terminal-upstream: ERR_INVALID_ARG_VALUE: .*\n$/)
    expect(stderr).toContain(message)
    expect(stderr).not.toContain('canary')
  })

  it('help attach prints the same as attach --help', async () => {
    expect(await run(['help', 'attach'])).toEqual(await run(['attach', '--help']))
  })
})

describe.each(commands)('terminal-upstream %s', (name) => {
  it.each([['--help'], ['-h']])('%s explains every flag, whatever the other arguments are', async (flag) => {
    const { status, stdout, stderr } = await run([name, 'http://h', flag])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toMatch(new RegExp(`^terminal-upstream ${name} .*\\n\\n[A-Z]`))
    expect(stdout).toMatch(/^ {2}--help +print this help$/m)
  })

  it('--version prints the version', async () => {
    expect(await run([name, '--version'])).toEqual({ status: 0, stdout: '1.2.3\n', stderr: '' })
  })
})

it.each([
  ['attach', 'fallback (default, only if the server refuses without it), always or never'],
  ['probe', 'always (default) or never'],
])('%s --help explains when the key may be in the URL', async (name, choice) => {
  const { stdout } = await run([name, '--help'])
  expect(stdout).toContain(`  --token-in-url WHEN    whether the key may be in the URL: ${choice}\n`)
})

const MANY = 'There are more arguments than this command takes.'
const NO_COMMAND = 'Write the command for the server after --, such as terminal-upstream exec URL -- npm test.'
const UP_TO = 'must be a number of seconds from 0 to 2147483.'

it.each([
  ['attach', 'MISSING_POSITIONAL', 'The URL of the server is missing. See terminal-upstream attach --help.'],
  ['attach http://h sk-canary', 'UNEXPECTED_POSITIONAL', MANY],
  ['list http://h sk-canary', 'UNEXPECTED_POSITIONAL', MANY],
  ['demo http://h', 'UNEXPECTED_POSITIONAL', MANY],
  ['exec -- ls', 'MISSING_POSITIONAL', 'The URL of the server is missing. See terminal-upstream exec --help.'],
  ['exec http://h', 'MISSING_POSITIONAL', `${NO_COMMAND} See terminal-upstream exec --help.`],
  ['exec http://h --', 'MISSING_POSITIONAL', NO_COMMAND],
  // What the shell makes of "$COMMAND" when it is not set.
  ['exec http://h -- ', 'MISSING_POSITIONAL', NO_COMMAND],
  ['exec http://h npm test', 'MISSING_POSITIONAL', NO_COMMAND],
  ['exec http://h ls --all', 'MISSING_POSITIONAL', NO_COMMAND],
  ['exec http://h sk-canary -- ls', 'MISSING_POSITIONAL', NO_COMMAND],
  ['exec http://h --cmd /x -- ls', 'UNKNOWN_OPTION', 'There is no flag --cmd. Did you mean --cwd?'],
  ['exec http://h --cwd -- ls', 'INVALID_OPTION_VALUE', '--cwd needs a value.'],
  ['exec http://h --timeout 1m -- ls', 'INVALID_OPTION_VALUE', '--timeout must be a number of seconds from 0.001'],
  ['attach http://h --usr ada', 'UNKNOWN_OPTION', 'There is no flag --usr. Did you mean --user?'],
  ['attach http://h --polcy=x', 'UNKNOWN_OPTION', 'There is no flag --polcy. Did you mean --policy?'],
  ['attach http://h --something', 'UNKNOWN_OPTION', 'There is no flag --something. See'],
  ['attach http://h -x', 'UNKNOWN_OPTION', 'There is no flag -x.'],
  ['url http://h --idle 1', 'UNKNOWN_OPTION', 'There is no flag --idle.'],
  ['probe http://h --keep-alive 1', 'UNKNOWN_OPTION', 'There is no flag --keep-alive.'],
  ['attach http://h --user', 'INVALID_OPTION_VALUE', '--user needs a value.'],
  ['attach http://h --user --chat c', 'INVALID_OPTION_VALUE', '--user needs a value.'],
  ['probe http://h --json=yes', 'INVALID_OPTION_VALUE', '--json takes no value.'],
  ['probe http://h --idle long', 'INVALID_OPTION_VALUE', `--idle ${UP_TO}`],
  ['probe http://h --idle=-1', 'INVALID_OPTION_VALUE', `--idle ${UP_TO}`],
  ['attach http://h --keep-alive -1', 'INVALID_OPTION_VALUE', `--keep-alive ${UP_TO}`],
  [
    'attach http://h --timeout 0',
    'INVALID_OPTION_VALUE',
    '--timeout must be a number of seconds from 0.001 to 2147483.',
  ],
  ['attach http://h --timeout 3000000', 'INVALID_OPTION_VALUE', 'to 2147483.'],
  ['attach http://h --timeout=', 'INVALID_OPTION_VALUE', '--timeout must be a number of seconds from 0.001'],
])('%s is a wrong use, and the message says what to write', async (line, code, message) => {
  const { status, stdout, stderr } = await run(line.split(' '))
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
  expect(stderr).toMatch(new RegExp(`^terminal-upstream: ERR_PARSE_ARGS_${code}: .*\\n$`))
  expect(stderr).toContain(message)
  expect(stderr).not.toContain('canary')
})

it.each([
  ['--auth-type', 'beerer', 'There is no --auth-type beerer. Did you mean bearer? There are bearer, session'],
  ['--auth-type', 'basic', 'There is no --auth-type basic. There are bearer, session, system_oauth, none.'],
  ['--token-in-url', 'nevr', 'There is no --token-in-url nevr. Did you mean never?'],
  ['--user', '', '--user must not be empty'],
  ['--session', '..', '--session must not be "." or ".."'],
  ['--policy', 'a\n', '--policy must not be empty'],
])('attach %s %j is a wrong use, and the message names the flag', async (flag, value, message) => {
  const { status, stderr } = await run(['attach', 'http://127.0.0.1:1', flag, value])
  expect(status).toBe(2)
  expect(stderr).toMatch(/^terminal-upstream: ERR_(INVALID_ARG_VALUE|OUT_OF_RANGE): .*\n$/)
  expect(stderr).toContain(message)
})

const LOGIN = 'must be an absolute http(s) or ws(s) URL: it holds a user name or password, which belong in --header'

it.each([
  ['http://me:canary@h', `the URL ${LOGIN}`],
  ['127.0.0.1:8000', 'Begin the URL with http:// or https://.'],
  ['localhost:8000', 'Begin the URL with http:// or https://.'],
  ['terminals.example/x', 'Begin the URL with http:// or https://.'],
])('attach says what is wrong with the URL %s, without showing it', async (url, message) => {
  const stderr = `terminal-upstream: ERR_TERMINAL_INVALID_URL: ${message}\n`
  expect(await run(['attach', url])).toEqual({ status: 2, stdout: '', stderr })
})

it('main resolves with 0 when stdout and stderr are closed', async () => {
  const host = new FakeHost()
  const status = main(['--help'], host, '1.2.3')
  host.stdout.destroy(brokenPipe())
  host.stderr.destroy(brokenPipe('EIO'))
  expect(await status).toBe(0)
})

/** Runs the command, whose first output fails with the error. */
function failWith(error: unknown): { host: FakeHost; status: Promise<number> } {
  const host = new FakeHost()
  vi.spyOn(host.stdout, 'write').mockImplementation(() => {
    throw error
  })
  return { host, status: main(['--help'], host, '1.2.3') }
}

it('main explains a wrong argument when the error is of another realm', async () => {
  const error: unknown = runInNewContext(
    `Object.assign(new TypeError('\`key\` must be short'), { code: 'ERR_INVALID_ARG_VALUE' })`,
  )
  expect(error).not.toBeInstanceOf(Error)
  const { host, status } = failWith(error)
  expect(await status).toBe(2)
  expect(host.stderr.text).toBe('terminal-upstream: ERR_INVALID_ARG_VALUE: the key must be short\n')
})

it.each([
  new RangeError('broken'),
  Object.assign(new Error('broken'), { code: 'ENOENT' }),
  Object.assign(new Error('broken'), { code: 5 }),
  { code: 'ERR_INVALID_ARG_VALUE' },
  'broken',
  undefined,
])('main rejects with %j, which is a mistake in the program', async (error) => {
  const { host, status } = failWith(error)
  await expect(status).rejects.toBe(error)
  expect(host.stderr.text).toBe('')
})

it('url asks for --user when the machine has no login name', async () => {
  vi.doMock('node:os', async (original) => ({
    ...(await original<typeof import('node:os')>()),
    userInfo() {
      throw new Error('uv_os_get_passwd returned ENOENT')
    },
  }))
  vi.resetModules()
  const fresh = await import('../../src/cli/main.ts')
  const host = new FakeHost()
  expect(await fresh.main(['url', 'http://h'], host, '1.2.3')).toBe(2)
  expect(host.stderr.text).toContain('Say with --user whose terminal it is')
  vi.doUnmock('node:os')
})

it('the executable runs main', async () => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string
  }
  const { argv, exitCode } = process
  const write = vi.spyOn(process.stdout, 'write').mockImplementation(() => true)
  process.argv = ['node', 'cli.js', '--version']
  try {
    await import('../../src/cli.ts')
    expect(write).toHaveBeenCalledWith(`${version}\n`)
    expect(process.exitCode).toBe(0)
  } finally {
    write.mockRestore()
    process.argv = argv
    process.exitCode = exitCode
  }
})
