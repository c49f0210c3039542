import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { runCommand, startCommand, type CommandOptions } from '../../src/command.ts'
import { startTestUpstream, type TestFaults, type TestUpstream } from '../../src/testing.ts'
import { KEY } from '../support/raw-client.ts'
import { isRunning } from '../support/testing-process.ts'

interface Served extends TestUpstream {
  readonly options: Omit<CommandOptions, 'command'>
}

async function start(faults: TestFaults): Promise<Served> {
  const upstream = await startTestUpstream({ key: KEY, faults })
  onTestFinished(() => upstream.close())
  return Object.assign(upstream, { options: { base: upstream.url, key: KEY, userId: 'ada' } })
}

function answer(body: unknown, refuse = 200): { refuse: number; body: string; headers: Record<string, string> } {
  return { refuse, body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
}

/** Returns the answer of a server on which a program has printed a line and ended. */
function printed(line: string): ReturnType<typeof answer> {
  return answer({ id: 'a1', status: 'done', exit_code: 1, output: [{ data: `${line}\r\n` }], next_offset: 1 })
}

const INPUT = 'x'.repeat(40_000)

it.each<[what: string, faults: TestFaults, code: string, why: string]>([
  [
    'a server that has forgotten the command',
    { status: answer({ detail: 'Process not found' }, 404) },
    'ERR_TERMINAL_NOT_FOUND',
    'the server has forgotten it, as it does 300 s after the end, and when it restarts. The command may have run',
  ],
  [
    'an answer of something else',
    { execute: answer({ hello: 'there' }) },
    'ERR_TERMINAL_PROTOCOL',
    'the answer is not that of a terminal server',
  ],
  [
    'an id that would lead elsewhere',
    { execute: answer({ id: '..', output: [], next_offset: 0 }) },
    'ERR_TERMINAL_PROTOCOL',
    'the answer is not that of a terminal server',
  ],
  ['an input that is not taken', { upload: { refuse: 403 } }, 'ERR_TERMINAL_FORBIDDEN', 'HTTP 403'],
  [
    'a server without a program',
    { execute: printed('!mkfifo') },
    'ERR_TERMINAL_UNAVAILABLE',
    'the server has no `mkfifo`. Install it there.',
  ],
  [
    'a server that cannot write',
    { execute: printed('!folder') },
    'ERR_TERMINAL_UNAVAILABLE',
    'the server cannot make a folder in /tmp. Let it write there.',
  ],
  [
    'a server that drops variables',
    { execute: printed('!variables') },
    'ERR_TERMINAL_UNAVAILABLE',
    'the server passes no variables on',
  ],
])('a command rejects because of %s', async (_what, faults, code, why) => {
  const { options } = await start(faults)
  const run = runCommand({ ...options, command: 'wc -c', stdin: INPUT })
  await expect(run).rejects.toMatchObject({ code, message: expect.stringContaining(why) })
})

it('a shell that is ended before it reports leaves an end that is not known', async () => {
  const { options } = await start({})
  const run = runCommand({ ...options, command: 'kill -9 -$PPID; sleep 60' })
  await expect(run).rejects.toThrow(
    'the shell around it ended before it could report. The command may have run, and may still run. Look for what it does',
  )
})

it('an input is sent again when the server did not take it at first', async () => {
  const { options } = await start({ upload: [{ refuse: 503 }, 'drop'] })
  expect(await runCommand({ ...options, command: 'wc -c', stdin: INPUT })).toMatchObject({ stdout: '40000\n' })
})

it('the file with the input is deleted when the command does not run', async () => {
  const { options, requests } = await start({ execute: { refuse: 401 } })
  await expect(runCommand({ ...options, command: 'true', stdin: INPUT })).rejects.toThrow('HTTP 401')
  const removal = requests.find(({ method }) => method === 'DELETE')
  expect(removal).toMatchObject({ path: '/files/delete', status: 200 })
  expect(existsSync(String(removal?.query['path']))).toBe(false)
})

it('a command whose input is still on its way can be cancelled, and never starts', async () => {
  const { options, requests } = await start({ upload: 'stall' })
  const controller = new AbortController()
  const run = runCommand({ ...options, command: 'true', stdin: INPUT, signal: controller.signal })
  await expect.poll(() => requests.length).toBe(1)
  controller.abort(new Error('enough'))
  await expect(run).rejects.toThrow('enough')
  expect(requests.some(({ path }) => path === '/execute')).toBe(false)
})

it('a signal is sent again when the server did not take it at first', async () => {
  const { options } = await start({ execute: [undefined, { refuse: 502 }, 'drop'] })
  const command = await startCommand({ ...options, command: 'exec sleep 60' })
  await command.kill()
  expect(await command.result).toMatchObject({ exitCode: 143, signal: 'SIGTERM' })
})

it('a time limit that cannot end the command says that it may still run', async () => {
  const { options } = await start({ execute: [undefined, { refuse: 401 }] })
  await expect(runCommand({ ...options, command: 'sleep 60', timeout: 50 })).rejects.toThrow(
    'HTTP 401. The command may have run, and may still run. Look for what it does before you run it again.',
  )
})

it('a kill that could not be sent can be called again', async () => {
  const { options } = await start({ execute: [undefined, { refuse: 401 }] })
  const command = await startCommand({ ...options, command: 'exec sleep 60' })
  // Nobody handles the first one.
  void command.kill()
  await expect(command.kill()).rejects.toThrow('HTTP 401')
  await command.kill()
  expect(await command.result).toMatchObject({ signal: 'SIGTERM' })
})

it('a command whose end is not known any more can be ended', async () => {
  const { options } = await start({ status: answer({ detail: 'Process not found' }, 404) })
  const folder = mkdtempSync(join(tmpdir(), 'terminal-upstream-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'runs')
  const command = await startCommand({
    ...options,
    command: `trap 'rm ${path}; exit' TERM; echo >${path}; sleep 60 & wait`,
  })
  await expect(command.result).rejects.toThrow('may still run')
  await expect.poll(() => existsSync(path)).toBe(true)
  await command.kill()
  expect(existsSync(path)).toBe(false)
})

it('a command whose end is not known any more can be ended although a child of it ignores SIGTERM', async () => {
  const { options } = await start({ status: answer({ detail: 'Process not found' }, 404) })
  const folder = mkdtempSync(join(tmpdir(), 'terminal-upstream-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'runs')
  const child = `exec sh -c 'echo $$ >${path}.new; mv ${path}.new ${path}; sleep 60; sleep 60'`
  const command = await startCommand({ ...options, command: `trap '' TERM; (${child}); true`, grace: 50 })
  await expect(command.result).rejects.toThrow('may still run')
  await expect.poll(() => existsSync(path)).toBe(true)
  const pid = Number(readFileSync(path, 'utf8'))
  await command.kill()
  await expect.poll(() => isRunning(pid)).toBe(false)
})

it('a command whose folder somebody deletes is not taken for one that never began', async () => {
  const { options } = await start({})
  // The text of the program around it names the folder.
  const folder = String.raw`tr '\0' '\n' </proc/$PPID/cmdline | sed -n 's/^tu_dir=//p'`
  const command = await startCommand({ ...options, command: `rm -r "$(${folder})"; echo gone; exec sleep 60` })
  for await (const { stream } of command) {
    expect(stream).toBe('stdout')
    break
  }
  await expect(command.kill()).rejects.toThrow('its folder in /tmp is gone')
})

it('a signal that nobody has got does not count', async () => {
  const { options } = await start({ execute: [undefined, ...Array.from({ length: 6 }, () => ({ refuse: 503 }))] })
  const result = await runCommand({ ...options, command: 'sleep 0.3; exit 143', timeout: 50 })
  expect(result).toEqual({ exitCode: 143, stdout: '', stderr: '', timedOut: false, truncated: false })
})

it('a command that the server has not begun never begins', async () => {
  const running = answer({ id: 'a1', status: 'running', exit_code: null, output: [], next_offset: 0 })
  const { options } = await start({ execute: [running], status: running })
  const command = await startCommand({ ...options, command: 'true' })
  await command.kill()
  expect(await command.result).toMatchObject({ exitCode: 143, signal: 'SIGTERM', stdout: '' })
})

it('a key that cannot be had leaves a command that can be ended later', async () => {
  const { options } = await start({})
  let isThere = true
  const key = (): string => {
    if (isThere) return KEY
    throw new Error('the vault says hunter2')
  }
  const command = await startCommand({ ...options, key, command: 'exec sleep 60' })
  isThere = false
  const error: Error = await command.kill().then(() => expect.fail('resolved'), Object)
  expect(error.message).toContain('the key cannot be asked for. The command may have run')
  expect(error.message).not.toContain('hunter2')
  isThere = true
  await command.kill()
  expect(await command.result).toMatchObject({ signal: 'SIGTERM' })
})

it('a log that is cut while it is read is read again, and no part of it twice', async () => {
  const entry = { id: 'a1', status: 'running', exit_code: null }
  const known = answer({ ...entry, output: [{ data: 'o0:4:aGk=\r\n' }], next_offset: 9 })
  const { options } = await start({ status: [known, answer({ ...entry, output: [], next_offset: 2 })] })
  expect(await runCommand({ ...options, command: 'printf hi' })).toMatchObject({ stdout: 'hi', truncated: false })
})

it('a list that is none, or has other commands, does not mislead', async () => {
  const { options } = await start({
    execute: ['drop', 'drop'],
    commands: [answer({}), answer([{ id: '..', command: 'x' }])],
  })
  await runCommand({ ...options, command: 'true' })
  expect(await runCommand({ ...options, command: 'echo once' })).toMatchObject({ stdout: 'once\n' })
})

it('a loop that pauses makes the output wait, and misses none of it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'terminal-upstream-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'printed')
  const { options, requests } = await start({})
  const command = await startCommand({ ...options, command: `head -c 9000000 /dev/zero; echo >${path}; exec sleep 60` })
  let size = 0
  for await (const { data } of command) {
    size += data.length
    if (size === data.length) {
      await expect.poll(() => existsSync(path)).toBe(true)
      // Then no more is asked for: the rest of the output is here, or waits there.
      let asked = -1
      await expect
        .poll(
          () => {
            const before = asked
            asked = requests.length
            return asked - before
          },
          { interval: 1_000 },
        )
        .toBe(0)
    }
    if (size === 9_000_000) await command.kill()
  }
  expect(size).toBe(9_000_000)
})

it('no rejection is left unhandled when nobody waits for the result', async () => {
  const { options } = await start({ status: answer({ detail: 'Process not found' }, 404) })
  const command = await startCommand({ ...options, command: 'true' })
  await expect(command[Symbol.asyncIterator]().next()).rejects.toThrow('has forgotten it')
})
