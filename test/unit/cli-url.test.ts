import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { run, start } from '../support/host.ts'

const url = (...flags: string[]): string[] => ['url', 'https://h/x', '--user', 'ada', ...flags]

/** Returns the path of a new file with a key, which goes with the test. */
function keyFile(content: string, mode = 0o600): string {
  const folder = mkdtempSync(join(tmpdir(), 'terminal-upstream-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'key')
  writeFileSync(file, content)
  chmodSync(file, mode)
  return file
}

it('prints the URL with *** for the key', async () => {
  const target = ['--session', 's1', '--policy', 'gold', '--context', 'chat:1']
  expect(await run(url(...target))).toEqual({
    status: 0,
    stdout: 'wss://h/x/p/gold/api/terminals/s1?user_id=ada&context_id=chat%3A1&token=***\n',
    stderr: '',
  })
})

it('prints the key too where that is asked for', async () => {
  expect((await run(url('--show-key'))).stdout).toBe('wss://h/x/api/terminals/SESSION_ID?user_id=ada&token=sk-canary\n')
})

const QUERY = '?user_id=old&sig=a=b%2F&gate&Context_Id=x?y=z&%73ig=c&token=old'

it('prints *** for every value in the query of the base, and leaves the names as they are', async () => {
  const { stdout } = await run(['url', `https://h/${QUERY}`, '--user', 'token=x', '--context', 'chat:1'])
  expect(stdout).toBe(
    'wss://h/api/terminals/SESSION_ID?sig=***&gate&Context_Id=***&%73ig=***&user_id=token%3Dx&context_id=chat%3A1&token=***\n',
  )
})

it.each(['?user_id', '%3fuser_id', '+user_id'])(
  'prints *** for the value of %s, which is not user_id',
  async (name) => {
    const { stdout } = await run(['url', `https://h/?${name}=secret`, '--user', 'ada', '--auth-type', 'none'])
    expect(stdout).toBe(`wss://h/api/terminals/SESSION_ID?${name}=***&user_id=ada\n`)
  },
)

it('prints the values in the query of the base with --show-key', async () => {
  const { stdout } = await run(['url', `https://h/${QUERY}`, '--user', 'ada', '--show-key'])
  expect(stdout).toBe(
    'wss://h/api/terminals/SESSION_ID?sig=a=b%2F&gate&Context_Id=x?y=z&%73ig=c&user_id=ada&token=sk-canary\n',
  )
})

it.each([['session'], ['system_oauth'], ['none']])('has no key in it with %s', async (type) => {
  expect((await run(url('--auth-type', type))).stdout).toBe('wss://h/x/api/terminals/SESSION_ID?user_id=ada\n')
})

it('is for the user who is logged in unless it says otherwise', async () => {
  expect((await run(['url', 'https://h'])).stdout).toMatch(
    /^wss:\/\/h\/api\/terminals\/SESSION_ID\?user_id=.+&token=\*\*\*\n$/,
  )
})

it('takes the key from a file, whatever the environment has', async () => {
  const { stdout, stderr } = await run(url('--show-key', '--key-file', keyFile('sk-file\n')))
  expect(stdout).toContain('token=sk-file\n')
  expect(stderr).toBe('')
})

it.each([
  ['644', 0o644],
  ['640', 0o640],
  ['604', 0o604],
  ['620', 0o4620],
])('warns of a key file with the mode %s, which is open to other users', async (shown, mode) => {
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

it('does not warn of the mode of a key file on Windows', async () => {
  const { stderr } = await run(url('--key-file', keyFile('sk-file\n', 0o644)), { platform: 'win32' })
  expect(stderr).toBe('')
})

it('does not warn of the mode of a key file that is no regular file', async () => {
  expect(await run(url('--key-file', '/dev/null'))).toMatchObject({ status: 0, stderr: '' })
})

it('says that there is no such file, and no more', async () => {
  const { status, stderr } = await run(url('--key-file', '/nowhere/key'))
  expect(status).toBe(2)
  expect(stderr).toBe(
    'terminal-upstream: ENOENT: Cannot read --key-file /nowhere/key: check that it is there and yours to read.\n',
  )
})

it('warns of a key that everybody can see', async () => {
  const { status, stdout, stderr } = await run(url('--show-key', '--key', 'sk-flag'))
  expect({ status, stdout }).toEqual({
    status: 0,
    stdout: 'wss://h/x/api/terminals/SESSION_ID?user_id=ada&token=sk-flag\n',
  })
  expect(stderr).toBe('terminal-upstream: ps shows --key to everybody; better: TERMINAL_UPSTREAM_KEY or --key-file\n')
})

it('takes one key', async () => {
  const { status, stderr } = await run(url('--key', 'sk-canary', '--key-file', 'key'))
  expect({ status, stderr }).toEqual({
    status: 2,
    stderr: 'terminal-upstream: ERR_INVALID_ARG_VALUE: Give one of --key and --key-file, not both.\n',
  })
})

it('does not quote a key that cannot be one', async () => {
  const { status, stderr } = await run(url(), { env: { TERMINAL_UPSTREAM_KEY: 'canaryé' } })
  expect(status).toBe(2)
  expect(stderr).toBe('terminal-upstream: ERR_INVALID_ARG_VALUE: the key must be printable ASCII\n')
})

/** Starts with no key in the environment. */
function startKeyless(tty: boolean): ReturnType<typeof start> {
  return start(url('--show-key'), { tty, env: { TERMINAL_UPSTREAM_KEY: undefined } })
}

it('has no key where there is nobody to ask', async () => {
  const { host, status } = startKeyless(false)
  expect(await status).toBe(0)
  expect(host.stdout.text).toBe('wss://h/x/api/terminals/SESSION_ID?user_id=ada\n')
})

it('asks for the key without showing it', async () => {
  const { host, status } = startKeyless(true)
  await host.stderr.shows('Key (Enter for none): ')
  expect(host.raw).toEqual([true])
  host.stdin.write('sk-tipped\u007f\u007f\u007f\u007f\u007fyped\r')
  expect(await status).toBe(0)
  expect(host.stdout.text).toBe('wss://h/x/api/terminals/SESSION_ID?user_id=ada&token=sk-typed\n')
  expect(host.stderr.text).toBe('Key (Enter for none): \n')
  expect(host.raw).toEqual([true, false])
})

it('does not stop at Ctrl-Z, which it would not come back from', async () => {
  const { host, status } = startKeyless(true)
  await host.stderr.shows('Key')
  host.stdin.write('sk-\u001atyped\r')
  expect(await status).toBe(0)
  expect(host.stdout.text).toContain('token=sk-typed\n')
})

it.each([
  ['Enter', '\r'],
  ['Ctrl-D', '\u0004'],
])('takes %s for no key', async (_name, key) => {
  const { host, status } = startKeyless(true)
  await host.stderr.shows('Key')
  host.stdin.write(key)
  expect(await status).toBe(0)
  expect(host.stdout.text).toBe('wss://h/x/api/terminals/SESSION_ID?user_id=ada\n')
})

it('ends with 130 at Ctrl-C while it asks', async () => {
  const { host, status } = startKeyless(true)
  await host.stderr.shows('Key')
  host.stdin.write('sk-\u0003')
  expect(await status).toBe(130)
  expect(host.stdout.text).toBe('')
  expect(host.raw).toEqual([true, false])
})

it('ends with 143 at SIGTERM while it asks, and listens to signals no more', async () => {
  const { host, status } = startKeyless(true)
  await host.stderr.shows('Key')
  host.emit('SIGTERM', 'SIGTERM')
  expect(await status).toBe(143)
  expect(host.raw).toEqual([true, false])
  expect(host.eventNames()).toEqual([])
})
