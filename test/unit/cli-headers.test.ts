import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished, vi } from 'vitest'
import { user } from '../support/attach.ts'
import { startFront, TOKEN } from '../support/front.ts'
import { run, type HostOptions } from '../support/host.ts'
import { QUICK } from '../support/probe.ts'
import { upstreamOf } from '../support/upstream.ts'

vi.setConfig({ testTimeout: 60_000 })

/** The flags that pass a front of {@link startFront}. */
const passing = Object.entries(TOKEN).flatMap(([name, value]) => ['--header', `${name}: ${value}`])

/** Writes a file that is removed after the test, and returns its path. */
function fileWith(text: string, mode = 0o600): string {
  const folder = mkdtempSync(join(tmpdir(), 'terminal-upstream-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'headers')
  writeFileSync(path, text, { mode })
  return path
}

/** Runs `list` on a server that nobody runs, for errors of the command itself. */
function list(...flags: string[]) {
  return run(['list', 'http://127.0.0.1:1', ...user, ...flags])
}

it.each<[command: string, args: string[], options: HostOptions]>([
  ['attach', [], { piped: 'exit\n' }],
  ['list', [], {}],
  ['rm', ['--all'], {}],
  ['probe', ['--idle', '0'], {}],
])('%s sends the headers of --header, also several', async (command, args, options) => {
  const upstream = await upstreamOf({
    release: 'open-terminal@0.14.5',
    shell: 'sh',
    ...(command === 'probe' && { ...QUICK, authTimeout: 3_000 }),
  })
  const front = await startFront(upstream)
  const { status, stdout, stderr } = await run([command, front.url, ...user, ...args, ...passing], options)
  expect({ status, refused: front.refused }).toEqual({ status: 0, refused: [] })
  expect(stdout + stderr).not.toContain('canary')
})

it('list reads one header from each line of --header-file', async () => {
  const upstream = await upstreamOf()
  const front = await startFront(upstream)
  const [[id, idValue], [secret, secretValue]] = Object.entries(TOKEN) as [[string, string], [string, string]]
  const file = fileWith(`${id}:${idValue}\r\n\r\n  ${secret}:   ${secretValue}  \n`)
  expect(await run(['list', front.url, ...user, '--header-file', file, '--header', 'X-A: a: b '])).toMatchObject({
    status: 0,
    stderr: 'No sessions.\n',
  })
  expect(upstream.requests).toMatchObject([{ headers: { 'x-a': 'a: b' } }])
})

it('list does not send the headers of another call', async () => {
  const front = await startFront(await upstreamOf())
  expect((await run(['list', front.url, ...user])).status).toBe(1)
})

it('list says that other users can read the file of --header-file', async () => {
  const file = fileWith('CF-Access-Client-Secret: canary-file\n', 0o644)
  const { stderr } = await list('--header-file', file)
  expect(stderr).toContain(`--header-file ${file} is open to other users, its mode is 644; better: chmod 600 ${file}\n`)
  expect(stderr).not.toContain('canary')
})

it('list says that it cannot read the file of --header-file', async () => {
  const { status, stderr } = await list('--header-file', '/nowhere/headers')
  expect(status).toBe(2)
  expect(stderr).toMatch(/^terminal-upstream: ENOENT: Cannot read --header-file \/nowhere\/headers: check that .*\n$/)
})

it.each([
  ['no colon', ['canary'], '--header wants a name, a colon and a value, such as'],
  ['an empty name', [': canary'], '--header wants a name, a colon and a value'],
  ['a blank before the colon', ['X-A : canary'], '--header wants a name, a colon and a value'],
  ['the same name twice', ['X-A: canary', 'x-a: canary'], 'Give the header x-a once in --header and --header-file.'],
  ['a name that the command sets', ['X-User-Id: canary'], '--header must not have X-User-Id, which is set for you'],
  ['basic auth beside a key', ['Authorization: Basic canary'], 'Authorization, which carries the key: take one of the'],
  ['a line break', ['X-A: canary\r\nX-B: 1'], '--header X-A must not be empty, nor contain control characters'],
  ['no value', ['X-A:'], '--header X-A must not be empty'],
])('list refuses a --header with %s, and does not show it', async (_what, headers, message) => {
  const { status, stderr } = await list(...headers.flatMap((header) => ['--header', header]))
  expect(status).toBe(2)
  expect(stderr).toMatch(/^terminal-upstream: ERR_INVALID_ARG_VALUE: .*\n$/)
  expect(stderr).toContain(message)
  expect(stderr).not.toContain('canary')
})

it('list refuses a line of --header-file without a colon, and names the flag', async () => {
  const { status, stderr } = await list('--header-file', fileWith('CF-Access-Client-Secret canary\n'))
  expect({ status, stderr }).toMatchObject({ status: 2 })
  expect(stderr).toContain('--header-file wants a name, a colon and a value')
  expect(stderr).not.toContain('canary')
})

it.each(['attach', 'list', 'rm', 'probe'])('%s --help says where secrets belong', async (command) => {
  const { stdout } = await run([command, '--help'])
  expect(stdout).toMatch(/--header-file FILE +read headers .* for secrets\n/)
  expect(stdout).toMatch(/--header HEADER +.*'Name: value', which ps shows to every user/)
})

it('url takes no --header: it sends nothing', async () => {
  const { status, stderr } = await run(['url', 'http://127.0.0.1:1', '--header', 'X-A: 1'])
  expect(status).toBe(2)
  expect(stderr).toContain('There is no flag --header.')
})
