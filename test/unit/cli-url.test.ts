import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { run, start } from '../support/host.ts'

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

it('url prints the URL with *** for the key', async () => {
  const target = ['--session', 's1', '--policy', 'gold', '--context', 'chat:1']
  expect(await run(url(...target))).toEqual({
    status: 0,
    stdout: 'wss://h/x/p/gold/api/terminals/s1?user_id=ada&context_id=chat%3A1&token=***\n',
    stderr: '',
  })
})

it('url prints the key with --show-key', async () => {
  expect((await run(url('--show-key'))).stdout).toBe('wss://h/x/api/terminals/SESSION_ID?user_id=ada&token=sk-canary\n')
})

const QUERY = '?user_id=old&sig=a=b%2F&gate&Context_Id=x?y=z&%73ig=c&token=old'

it('url prints *** for every value in the query of the base, and does not change the names', async () => {
  const { stdout } = await run(['url', `https://h/${QUERY}`, '--user', 'token=x', '--context', 'chat:1'])
  expect(stdout).toBe(
    'wss://h/api/terminals/SESSION_ID?sig=***&gate&Context_Id=***&%73ig=***&user_id=token%3Dx&context_id=chat%3A1&token=***\n',
  )
})

it.each(['?user_id', '%3fuser_id', '+user_id'])(
  'url prints *** for the value of %s, which is not user_id',
  async (name) => {
    const { stdout } = await run(['url', `https://h/?${name}=secret`, '--user', 'ada', '--auth-type', 'none'])
    expect(stdout).toBe(`wss://h/api/terminals/SESSION_ID?${name}=***&user_id=ada\n`)
  },
)

it('url prints the values in the query of the base with --show-key', async () => {
  const { stdout } = await run(['url', `https://h/${QUERY}`, '--user', 'ada', '--show-key'])
  expect(stdout).toBe(
    'wss://h/api/terminals/SESSION_ID?sig=a=b%2F&gate&Context_Id=x?y=z&%73ig=c&user_id=ada&token=sk-canary\n',
  )
})

it.each([['session'], ['system_oauth'], ['none']])('url prints no key for the auth type %s', async (type) => {
  expect((await run(url('--auth-type', type))).stdout).toBe('wss://h/x/api/terminals/SESSION_ID?user_id=ada\n')
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
  expect({ status, stdout }).toEqual({
    status: 0,
    stdout: 'wss://h/x/api/terminals/SESSION_ID?user_id=ada&token=sk-file\n',
  })
  expect(stderr).toBe(
    `terminal-upstream: --key-file ${file} is open to other users, its mode is ${shown}; better: chmod 600 ${file}\n`,
  )
})

it('url does not warn of the mode of a key file on Windows', async () => {
  const { stderr } = await run(url('--key-file', keyFile('sk-file\n', 0o644)), { platform: 'win32' })
  expect(stderr).toBe('')
})

it('url does not warn of the mode of a key file that is not a regular file', async () => {
  expect(await run(url('--key-file', '/dev/null'))).toMatchObject({ status: 0, stderr: '' })
})

it('url says that it cannot read the key file', async () => {
  const { status, stderr } = await run(url('--key-file', '/nowhere/key'))
  expect(status).toBe(2)
  expect(stderr).toBe(
    'terminal-upstream: ENOENT: Cannot read --key-file /nowhere/key: check that the file exists and that you may read it.\n',
  )
})

it('url warns of --key, which every user can see', async () => {
  const { status, stdout, stderr } = await run(url('--show-key', '--key', 'sk-flag'))
  expect({ status, stdout }).toEqual({
    status: 0,
    stdout: 'wss://h/x/api/terminals/SESSION_ID?user_id=ada&token=sk-flag\n',
  })
  expect(stderr).toBe('terminal-upstream: ps shows --key to every user; better: TERMINAL_UPSTREAM_KEY or --key-file\n')
})

it('url rejects --key together with --key-file', async () => {
  const { status, stderr } = await run(url('--key', 'sk-canary', '--key-file', 'key'))
  expect({ status, stderr }).toEqual({
    status: 2,
    stderr: 'terminal-upstream: ERR_INVALID_ARG_VALUE: Give one of --key and --key-file, not both.\n',
  })
})

it('url does not show a wrong key', async () => {
  const { status, stderr } = await run(url(), { env: { TERMINAL_UPSTREAM_KEY: 'canaryé' } })
  expect(status).toBe(2)
  expect(stderr).toBe('terminal-upstream: ERR_INVALID_ARG_VALUE: the key must be printable ASCII\n')
})

/** Starts `url` without a key in the environment. */
function startKeyless(tty: boolean): ReturnType<typeof start> {
  return start(url('--show-key'), { tty, env: { TERMINAL_UPSTREAM_KEY: undefined } })
}

it('url prints no key when it has none and no terminal to ask on', async () => {
  const { host, status } = startKeyless(false)
  expect(await status).toBe(0)
  expect(host.stdout.text).toBe('wss://h/x/api/terminals/SESSION_ID?user_id=ada\n')
})

it('url asks for the key without showing it', async () => {
  const { host, status } = startKeyless(true)
  await host.stderr.shows('Key (Enter for none): ')
  expect(host.raw).toEqual([true])
  host.stdin.write('sk-tipped\u007f\u007f\u007f\u007f\u007fyped\r')
  expect(await status).toBe(0)
  expect(host.stdout.text).toBe('wss://h/x/api/terminals/SESSION_ID?user_id=ada&token=sk-typed\n')
  expect(host.stderr.text).toBe('Key (Enter for none): \n')
  expect(host.raw).toEqual([true, false])
})

it('url ignores Ctrl-Z while it asks for the key', async () => {
  const { host, status } = startKeyless(true)
  await host.stderr.shows('Key')
  host.stdin.write('sk-\u001atyped\r')
  expect(await status).toBe(0)
  expect(host.stdout.text).toContain('token=sk-typed\n')
})

it.each([
  ['Enter', '\r'],
  ['Ctrl-D', '\u0004'],
])('url uses no key after %s', async (_name, key) => {
  const { host, status } = startKeyless(true)
  await host.stderr.shows('Key')
  host.stdin.write(key)
  expect(await status).toBe(0)
  expect(host.stdout.text).toBe('wss://h/x/api/terminals/SESSION_ID?user_id=ada\n')
})

it('url ends with 130 at Ctrl-C while it asks for the key', async () => {
  const { host, status } = startKeyless(true)
  await host.stderr.shows('Key')
  host.stdin.write('sk-\u0003')
  expect(await status).toBe(130)
  expect(host.stdout.text).toBe('')
  expect(host.raw).toEqual([true, false])
})

it('url ends with 143 at SIGTERM while it asks for the key, and removes its listeners', async () => {
  const { host, status } = startKeyless(true)
  await host.stderr.shows('Key')
  host.emit('SIGTERM', 'SIGTERM')
  expect(await status).toBe(143)
  expect(host.raw).toEqual([true, false])
  expect(host.eventNames()).toEqual([])
})
