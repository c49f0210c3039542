import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { describe, expect, it, onTestFinished } from 'vitest'
import { readEnvFile } from '../../src/cli/exec.ts'
import { user } from '../support/attach.ts'
import { brokenPipe, run, start, type HostOptions } from '../support/host.ts'
import { answering } from '../support/probe.ts'
import { releases, until, upstreamOf } from '../support/upstream.ts'

/** Runs a command on a new server, with nothing on stdin. */
async function exec(words: string[], flags: string[] = [], options: HostOptions = {}) {
  const { url } = await upstreamOf()
  return run(['exec', url, ...user, ...flags, '--', ...words], { piped: '', ...options })
}

/** Starts a command that sets a trap, prints the id of its process, and then runs for long. Resolves with that id. */
async function begin(trap: string, command = 'sleep 60 & wait') {
  const { url } = await upstreamOf()
  const { host, status } = start(['exec', url, ...user, '--', `trap ${trap}; echo $$; ${command}`], { piped: '' })
  await host.stdout.shows('\n')
  return { host, status, pid: Number.parseInt(host.stdout.text, 10) }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

// More than the pipe of a host takes at once.
const FLOOD = 'x'.repeat(2048)

/** Returns a part of the output, as the program around the command prints it. */
function partOf(name: string, text: string): string {
  const base64 = Buffer.from(text).toString('base64')
  return `${name}:${base64.length}:${base64}\r\n`
}

/** Starts a command that the server runs at once, with this output, whose first part fills the pipe of the host. */
async function beginAtOnce(data: string) {
  const answer = { id: 'c1', status: 'done', exit_code: 0, output: [{ type: 'output', data }], next_offset: 1 }
  const url = await answering(200, JSON.stringify(answer))
  const started = start(['exec', url, ...user, '--', 'ls'], { piped: '' })
  started.host.stdout.stick()
  await started.host.stdout.shows(FLOOD)
  // What is not held back comes in the same turn.
  await new Promise(setImmediate)
  return started
}

/** Writes a file, which is deleted after the test. Returns its path. */
function fileWith(content: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'terminal-upstream-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'env')
  writeFileSync(file, content)
  return file
}

const BYTES = Buffer.from(Array.from({ length: 256 }, (_byte, index) => index))
const ENDED = { status: 0, stdout: '', stderr: '' }

describe('exec', () => {
  it.each(releases)('prints both streams apart on %s, and ends with the status of the command', async (release) => {
    const { url } = await upstreamOf({ release, policies: [] })
    const outcome = await run(['exec', url, ...user, '--', 'echo out; echo err >&2; exit 7'], { piped: '' })
    expect(outcome).toEqual({ status: 7, stdout: 'out\n', stderr: 'err\n' })
  })

  it.each<[words: string[], stdout: string]>([
    // One word is a command line.
    [['echo a  b; echo "$((6 * 7))"'], 'a b\n42\n'],
    [['printf %s, a "b  c"'], 'a,b  c,'],
    // Several are a program and its arguments.
    [['printf', '%s,', 'a  b', '$HOME', '*', "it's", '', ';', '--', '--help'], "a  b,$HOME,*,it's,,;,--,--help,"],
    [['env', 'A=1', 'sh', '-c', 'echo $A'], '1\n'],
  ])('runs %j', async (words, stdout) => {
    expect(await exec(words)).toEqual({ ...ENDED, stdout })
  })

  it('passes every byte of stdin on, and prints every byte', async () => {
    const { status, stdout } = await exec(['cat'], [], { piped: BYTES })
    expect({ status, stdout }).toEqual({ status: 0, stdout: BYTES.toString('latin1') })
  })

  it('reads stdin to its end before the command starts', async () => {
    const upstream = await upstreamOf()
    const { host, status } = start(['exec', upstream.url, ...user, '--', 'cat'])
    host.stdin.write('first ')
    await until(() => host.stdin.readableLength === 0)
    expect(upstream.requests).toEqual([])
    host.stdin.end('last')
    expect(await status).toBe(0)
    expect(host.stdout.text).toBe('first last')
  })

  it('does not read a terminal', async () => {
    const { status, stdout } = await exec(['cat; echo end'], [], { tty: { stdin: true }, piped: 'typed' })
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'end\n' })
  })

  it('says why stdin cannot be read, and runs nothing', async () => {
    const upstream = await upstreamOf()
    const { host, status } = start(['exec', upstream.url, ...user, '--', 'ls'])
    host.stdin.destroy(Object.assign(new Error('read EISDIR'), { code: 'EISDIR' }))
    expect(await status).toBe(125)
    expect(host.stderr.text).toBe('terminal-upstream: EISDIR: The input cannot be read: EISDIR.\n')
    expect(upstream.requests).toEqual([])
  })

  it('prints output no faster than it is read', async () => {
    const { host, status } = await beginAtOnce(partOf('o0', FLOOD) + partOf('e0', 'end\n') + 'o1.\r\ne1.\r\nx3\r\n')
    expect(host.stderr.text).toBe('')
    host.stdout.flow()
    expect(await status).toBe(3)
    expect({ stdout: host.stdout.text, stderr: host.stderr.text }).toEqual({ stdout: FLOOD, stderr: 'end\n' })
  })

  it('ends with 141 when the pipe breaks after the command has ended', async () => {
    const { host, status } = await beginAtOnce(`${partOf('o0', FLOOD)}o1.\r\ne0.\r\nx3\r\n`)
    host.stdout.destroy(brokenPipe())
    expect(await status).toBe(141)
    expect(host.stderr.text).toBe('')
  })

  it('asks for the user, the policy and the chat of the flags', async () => {
    const { url, requests } = await upstreamOf({ release: 'terminals@0.2.2', policies: ['gold'] })
    const flags = ['--user', 'bob', '--policy', 'gold', '--chat', 'c1']
    expect(await run(['exec', url, ...flags, '--', 'true'], { piped: '' })).toEqual(ENDED)
    expect(requests[0]).toMatchObject({
      path: expect.stringMatching(/^\/p\/gold\/execute/) as string,
      headers: { 'x-user-id': 'bob', 'x-session-id': 'c1' },
    })
  })

  it('runs in --cwd, and says what is wrong with it', async () => {
    expect(await exec(['pwd'], ['--cwd', '/usr'])).toEqual({ ...ENDED, stdout: '/usr\n' })
    const { status, stdout, stderr } = await exec(['pwd'], ['--cwd', '/nowhere'])
    expect({ status, stdout }).toEqual({ status: 125, stdout: '' })
    // A probe would not know more.
    expect(stderr).toMatch(/^terminal-upstream: ERR_TERMINAL_NOT_FOUND: .* "\/nowhere" is not there.* Check --cwd\.\n$/)
  })

  it('ends the command at --timeout, says so, and ends with 124', async () => {
    const { status, stdout, stderr } = await exec(['sleep', '60'], ['--timeout', '0.5'])
    expect({ status, stdout }).toEqual({ status: 124, stdout: '' })
    const why = 'The command was ended after 0.5 s, the limit of --timeout.'
    expect(stderr).toBe(`terminal-upstream: ERR_TERMINAL_TIMEOUT: ${why}\n`)
  })

  it.each<[what: string, url: () => Promise<string>, message: RegExp]>([
    ['a host that does not resolve', async () => 'http://nowhere.invalid', /UNAVAILABLE: .* To find out more, run: /],
    ['a server with another key', async () => (await upstreamOf({ key: 'sk-2' })).url, /UNAUTHORIZED: .* probe /],
    ['a server without /execute', () => answering(404, '{"detail":"Not Found"}'), /NOT_FOUND: .* probe /],
  ])('ends with 125 at %s', async (_what, find, message) => {
    const { status, stdout, stderr } = await run(['exec', await find(), ...user, '--', 'ls'], { piped: '' })
    expect({ status, stdout }).toEqual({ status: 125, stdout: '' })
    expect(stderr).toMatch(message)
  })

  it('says that output may be missing', async () => {
    const { host, status } = await beginAtOnce(`${partOf('o1', FLOOD)}o2.\r\ne0.\r\nx3\r\n`)
    host.stdout.flow()
    expect(await status).toBe(3)
    const message = 'Output may be missing: there was more than the 37 MB that a server keeps.'
    expect(host.stderr.text).toBe(`terminal-upstream: ${message}\n`)
  })

  it('shows on a terminal that it waits for stdin, the server, and the end of the command', async () => {
    const { url } = await upstreamOf({ faults: { execute: { delay: 1_200 } } })
    const options = { tty: { stderr: true } }
    const { host, status } = start(
      ['exec', url, ...user, '--', "trap 'sleep 1.5' TERM; echo; sleep 60 & wait"],
      options,
    )
    await host.stderr.shows(' s')
    host.stdin.end()
    await host.stdout.shows('\n')
    host.emit('SIGINT', 'SIGINT')
    expect(await status).toBe(130)
    const shown = Buffer.from(host.stderr.text, 'latin1').toString()
    const lines = new Set(Array.from(shown.matchAll(/[A-Z][a-z ]+(?= … \d s)/g), ([line]) => line))
    expect([...lines]).toEqual(['Reading stdin to its end', 'Waiting for the server', 'Ending the command'])
    // The last one is removed, too.
    expect(shown.endsWith('\r\x1b[K')).toBe(true)
  })
})

describe('exec ends the command on the server', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('at %s, prints its last words, and ends with %i', async (name, expected) => {
    const { host, status, pid } = await begin("'echo last >&2; exit 5' TERM")
    host.emit(name, name)
    expect(await status).toBe(expected)
    expect(host.stderr.text).toBe('last\n')
    expect(isAlive(pid)).toBe(false)
    expect(host.eventNames()).toEqual([])
  })

  it('when its output is not read', async () => {
    const { host, status, pid } = await begin('- TERM', 'yes')
    host.stdout.stick()
    await until(() => host.stdout.writableNeedDrain)
    host.emit('SIGTERM', 'SIGTERM')
    expect(await status).toBe(143)
    expect(isAlive(pid)).toBe(false)
    // Output that is not read would keep the process alive.
    expect(host.exits).toEqual([143])
  })

  it.each([
    ['EPIPE', 141, ''],
    ['ENOSPC', 125, 'terminal-upstream: ENOSPC: The output cannot be written: write ENOSPC.\n'],
  ])('when its output fails with %s, and ends with %i', async (code, expected, stderr) => {
    const { host, status, pid } = await begin('- TERM', 'yes')
    host.stdout.destroy(brokenPipe(code))
    expect(await status).toBe(expected)
    expect(host.stderr.text).toBe(stderr)
    expect(isAlive(pid)).toBe(false)
  })

  it('unless only stderr is closed', async () => {
    const { url } = await upstreamOf()
    const { host, status } = start(['exec', url, ...user, '--', 'seq 1 10000 >&2; echo end'], { piped: '' })
    host.stderr.destroy(brokenPipe())
    expect(await status).toBe(0)
    expect(host.stdout.text).toBe('end\n')
  })

  it('and does not wait for that at a second Ctrl-C', async () => {
    const { host, status, pid } = await begin("'' TERM", 'sleep 60')
    for (const name of ['SIGTERM', 'SIGTERM']) host.emit(name, name)
    // coreutils' timeout sends it twice.
    expect(host.exits).toEqual([])
    host.emit('SIGINT', 'SIGINT')
    expect(host.exits).toEqual([130])
    expect(await status).toBe(143)
    expect(isAlive(pid)).toBe(false)
  })

  it('if it has started: not while stdin is read', async () => {
    const upstream = await upstreamOf()
    const { host, status } = start(['exec', upstream.url, ...user, '--', 'ls'])
    await until(() => host.stdin.listenerCount('readable') > 0)
    host.emit('SIGINT', 'SIGINT')
    expect(await status).toBe(130)
    expect(upstream.requests).toEqual([])
    expect(host.stdin.destroyed).toBe(true)
  })
})

describe('exec --env-file', () => {
  it('sets variables for the command alone, and does not warn of the mode of the file', async () => {
    const words = ['echo "$A $B"; env | grep -c TERMINAL_UPSTREAM_[AB]']
    const file = fileWith('A=1\nexport B="2 # $A"\n')
    expect(await exec(words, ['--env-file', file])).toEqual({ status: 1, stdout: '1 2 # $A\n0\n', stderr: '' })
  })

  it.each([
    '',
    'A=1',
    'A = 1 ',
    '  export A=1',
    'A=1 # a comment',
    'A=1#a comment',
    'A="1 # no comment" # a comment',
    String.raw`A="a\nb"`,
    String.raw`A='a\nb'`,
    String.raw`A=a\nb`,
    'A="a\nB=b"\nC=2',
    'A=`"double" and \'single\'`',
    'A=a "b" c',
    "A=it's",
    'A=',
    'A= \nB=2',
    'A=""',
    'A=$B ${B} $(ls)',
    'A=a=b',
    '\n\n# B=2\nA=1\n',
    'A=1\r\nB=2\r\n',
    'A=1\nA=2',
  ])('reads %j as Node does', (content) => {
    expect(readEnvFile('FILE', content)).toEqual({ ...parseEnv(content) })
  })

  it.each([
    // Node 20 reads these wrongly.
    ['# a comment\nA=1', { A: '1' }],
    ['# "\nA=1 # "\n', { A: '1' }],
    ['\uFEFFA=1', { A: '1' }],
    ['A=\t1\t', { A: '1' }],
  ])('reads %j', (content, env) => {
    expect(readEnvFile('FILE', content)).toEqual(env)
  })

  it.each([
    ['A=1\n\nB 2', 3],
    ['A="a\nb"\n\ncanary', 4],
    ['A="canary', 1],
    ['A="canary" canary', 1],
    ['=canary', 1],
    ['export canary', 1],
  ])('says which line of %j is wrong, without showing it', (content, line) => {
    const message = `Line ${line} of --env-file FILE is not NAME=value.`
    expect(() => readEnvFile('FILE', content)).toThrow(message)
  })

  it.each([
    ['a wrong line', 'canary', 'Line 1 of --env-file FILE is not NAME=value.'],
    ['a wrong name', 'T.U=canary', '--env-file T.U must have a name of letters, digits and _ only'],
    [
      'a name of ours',
      'TERMINAL_UPSTREAM_X=canary',
      '--env-file TERMINAL_UPSTREAM_X must not begin with TERMINAL_UPSTREAM_',
    ],
    ['a long value', `A=${'x'.repeat(140_000)}`, '--env-file A is 8949 bytes too long for Linux: pass it in stdin'],
  ])('is a wrong use with %s', async (_what, content, message) => {
    const file = fileWith(content)
    const { status, stdout, stderr } = await exec(['ls'], ['--env-file', file])
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr.replace(file, 'FILE')).toBe(`terminal-upstream: ERR_INVALID_ARG_VALUE: ${message}\n`)
  })

  it('says that it cannot read the file, without reading stdin', async () => {
    const { host, status } = start(['exec', 'http://h', ...user, '--env-file', '/nowhere/env', '--', 'ls'])
    expect(await status).toBe(2)
    const message = 'Cannot read --env-file /nowhere/env: check that the file exists and that you may read it.'
    expect(host.stderr.text).toBe(`terminal-upstream: ENOENT: ${message}\n`)
  })
})
