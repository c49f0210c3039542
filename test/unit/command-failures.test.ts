import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { runCommand, startCommand, type CommandOptions } from '../../src/command.ts'
import { startTestUpstream, type TestFaults, type TestUpstream } from '../../src/testing.ts'
import { KEY } from '../support/raw-client.ts'

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

const INPUT = 'x'.repeat(40_000)

it.each<[what: string, faults: TestFaults, code: string, why: string]>([
  [
    'a server that has forgotten the command',
    { status: answer({ detail: 'Process not found' }, 404) },
    'ERR_TERMINAL_UNAVAILABLE',
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
])('a command rejects because of %s', async (_what, faults, code, why) => {
  const { options } = await start(faults)
  const run = runCommand({ ...options, command: 'wc -c', stdin: INPUT })
  await expect(run).rejects.toMatchObject({ code, message: expect.stringContaining(why) })
})

it('a shell that somebody else has ended leaves an end that is not known', async () => {
  const { options } = await start({})
  const run = runCommand({ ...options, command: 'kill -9 -$PPID; sleep 60' })
  await expect(run).rejects.toThrow(
    'the shell around it was ended by somebody else. The command may have run, and may still run. Look for what it does',
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
