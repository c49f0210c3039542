import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { run, start, type FakeHost } from '../support/host.ts'

const url = (...flags: string[]): string[] => ['url', 'https://h/x', '--user', 'ada', ...flags]

/** Creates a file with a key, which is deleted after the test. Returns its path. */
function keyFile(content: string, mode = 0o600): string {
  const folder = mkdtempSync(join(tmpdir(), 'terminal-upstream-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'key')
  writeFileSync(file, content)
  chmodSync(file, mode)
  return file
}

const QUERY = '?user_id=old&sig=a=b%2F&gate&Context_Id=x?y=z&%73ig=c&token=old'
const PLAIN = 'wss://h/x/api/terminals/SESSION_ID?user_id=ada'

it.each<[args: string[], printed: string]>([
  [
    url('--session', 's1', '--policy', 'gold', '--context', 'chat:1'),
    'wss://h/x/p/gold/api/terminals/s1?user_id=ada&context_id=chat%3A1&token=***',
  ],
  [url('--show-key'), `${PLAIN}&token=sk-canary`],
  [['url', 'https://h/x', '--user=--ada'], `${PLAIN.replace('ada', '--ada')}&token=***`],
  [url('--auth-type', 'session'), PLAIN],
  [url('--auth-type', 'system_oauth'), PLAIN],
  [url('--auth-type', 'none'), PLAIN],
  // Values in the query of the base may be secret, and names are not.
  [
    ['url', `https://h/${QUERY}`, '--user', 'token=x', '--context', 'chat:1'],
    'wss://h/api/terminals/SESSION_ID?sig=***&gate&Context_Id=***&%73ig=***&user_id=token%3Dx&context_id=chat%3A1&token=***',
  ],
  [
    ['url', `https://h/${QUERY}`, '--user', 'ada', '--show-key'],
    'wss://h/api/terminals/SESSION_ID?sig=a=b%2F&gate&Context_Id=x?y=z&%73ig=c&user_id=ada&token=sk-canary',
  ],
  // None of these is user_id.
  ...['?user_id', '%3fuser_id', '+user_id'].map((name): [string[], string] => [
    ['url', `https://h/?${name}=secret`, '--user', 'ada', '--auth-type', 'none'],
    `wss://h/api/terminals/SESSION_ID?${name}=***&user_id=ada`,
  ]),
])('%j prints %s', async (args, printed) => {
  expect(await run(args)).toEqual({ status: 0, stdout: `${printed}\n`, stderr: '' })
})

it('url uses the login name without --user', async () => {
  expect((await run(['url', 'https://h'])).stdout).toMatch(
    /^wss:\/\/h\/api\/terminals\/SESSION_ID\?user_id=.+&token=\*\*\*\n$/,
  )
})

it('url prefers the key of --key-file to the key of the environment', async () => {
  const { stdout, stderr } = await run(url('--show-key', '--key-file', keyFile('sk-file\n')))
  expect(stdout).toContain('token=sk-file\n')
  expect(stderr).toBe('')
})

it.each([
  ['644', 0o644],
  ['640', 0o640],
  ['604', 0o604],
  ['620', 0o4620],
])('url warns of a key file with the mode %s, which is open to other users', async (shown, mode) => {
  const file = keyFile('sk-file\n', mode)
  const { status, stdout, stderr } = await run(url('--show-key', '--key-file', file))
  expect({ status, stdout }).toEqual({ status: 0, stdout: `${PLAIN}&token=sk-file\n` })
  const warning = `--key-file ${file} is open to other users, its mode is ${shown}; better: chmod 600 ${file}`
  expect(stderr).toBe(`terminal-upstream: ${warning}\n`)
})

it('url does not warn of the mode of a key file on Windows', async () => {
  const { stderr } = await run(url('--key-file', keyFile('sk-file\n', 0o644)), { platform: 'win32' })
  expect(stderr).toBe('')
})

it('url does not warn of the mode of a key file that is not a regular file', async () => {
  expect(await run(url('--key-file', '/dev/null'))).toMatchObject({ status: 0, stderr: '' })
})

it('url warns of --key, which every user can see', async () => {
  const stderr = 'terminal-upstream: ps shows --key to every user; better: TERMINAL_UPSTREAM_KEY or --key-file\n'
  const outcome = await run(url('--show-key', '--key', 'sk-flag'))
  expect(outcome).toEqual({ status: 0, stdout: `${PLAIN}&token=sk-flag\n`, stderr })
})

const UNREADABLE = 'Cannot read --key-file /nowhere/key: check that the file exists and that you may read it.'

it.each([
  [['--key-file', '/nowhere/key'], 'sk-canary', `ENOENT: ${UNREADABLE}`],
  [
    ['--key', 'sk-canary', '--key-file', 'key'],
    '',
    'ERR_INVALID_ARG_VALUE: Give one of --key and --key-file, not both.',
  ],
  [[], 'canaryé', 'ERR_INVALID_ARG_VALUE: the key must be printable ASCII'],
])('url %j with the key %j in the environment is a wrong use, and shows no key', async (flags, key, message) => {
  const outcome = await run(url(...flags), { env: { TERMINAL_UPSTREAM_KEY: key } })
  expect(outcome).toEqual({ status: 2, stdout: '', stderr: `terminal-upstream: ${message}\n` })
})

/** Starts `url` without a key in the environment. */
function startKeyless(tty: boolean): ReturnType<typeof start> {
  return start(url('--show-key'), { tty, env: { TERMINAL_UPSTREAM_KEY: undefined } })
}

it('url prints no key when it has none and no terminal to ask on', async () => {
  const { host, status } = startKeyless(false)
  expect(await status).toBe(0)
  expect(host.stdout.text).toBe(`${PLAIN}\n`)
})

it.each([
  ['the keys', 'sk-tipped\u007f\u007f\u007f\u007f\u007fyped\r', '&token=sk-typed'],
  // Ctrl-Z is ignored.
  ['Ctrl-Z', 'sk-\u001atyped\r', '&token=sk-typed'],
  ['Enter', '\r', ''],
  ['Ctrl-D', '\u0004', ''],
])('url asks for the key without showing it, and reads %s', async (_what, typed, token) => {
  const { host, status } = startKeyless(true)
  await host.stderr.shows('Key (Enter for none): ')
  expect(host.raw).toEqual([true])
  host.stdin.write(typed)
  expect(await status).toBe(0)
  expect(host.stdout.text).toBe(PLAIN + token + '\n')
  expect(host.stderr.text).toBe('Key (Enter for none): \n')
  expect(host.raw).toEqual([true, false])
})

it.each<[what: string, end: (host: FakeHost) => void, expected: number]>([
  ['Ctrl-C', (host) => void host.stdin.write('sk-\u0003'), 130],
  ['SIGTERM', (host) => void host.emit('SIGTERM', 'SIGTERM'), 143],
])('url ends at %s while it asks for the key, and removes its listeners', async (_what, end, expected) => {
  const { host, status } = startKeyless(true)
  await host.stderr.shows('Key')
  end(host)
  expect(await status).toBe(expected)
  expect(host.stdout.text).toBe('')
  expect(host.raw).toEqual([true, false])
  expect(host.eventNames()).toEqual([])
})
