import { spawn, spawnSync } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { rmSync } from 'node:fs'
import { afterAll, describe, expect, it } from 'vitest'
import { FrameReader, toBase64 } from '../../src/command/frames.ts'
import { commandScript, type CommandPlan } from '../../src/command/script.ts'

// What `/bin/sh` may be. Busybox takes its own base64, dd, mkfifo, rm and tr.
const SHELLS = [
  { file: 'dash', args: [] },
  { file: 'bash', args: ['--posix'] },
  { file: 'busybox', args: ['sh'] },
].filter(({ file, args }) => spawnSync(file, [...args, '-c', ':']).status === 0)

const names: string[] = []
afterAll(() => {
  for (const name of names) rmSync(`/tmp/.terminal-upstream-${name}`, { recursive: true, force: true })
})

describe.each(SHELLS)('the program around a command in $file', ({ file, args }) => {
  interface Result {
    readonly stdout: Buffer
    readonly stderr: Buffer
    readonly exitCode: number | undefined
    readonly isTruncated: boolean
  }

  function run(command: string, plan: Partial<CommandPlan> = {}, env: NodeJS.ProcessEnv = {}): Promise<Result> {
    const name = `test-${randomUUID()}`
    names.push(name)
    const script = commandScript({ name, command, cwd: undefined, variables: [], input: 'none', ...plan })
    const child = spawn(file, [...args, '-c', script], {
      // A process group of its own, as on a server.
      detached: true,
      env: { PATH: process.env['PATH'], ...env },
      // Bash takes a socket for a remote login, and reads the user's settings.
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const parts = { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[] }
    const reader = new FrameReader(({ stream, data }) => parts[stream].push(data))
    child.stdout.setEncoding('utf8').on('data', (text: string) => reader.push(text))
    return new Promise((resolve) => {
      child.once('close', () => {
        const { exitCode, isTruncated } = reader
        resolve({ stdout: Buffer.concat(parts.stdout), stderr: Buffer.concat(parts.stderr), exitCode, isTruncated })
      })
    })
  }

  it('brings both streams and the input byte for byte', async () => {
    const input = randomBytes(32_768)
    const env = { TERMINAL_UPSTREAM_INPUT: toBase64(input) }
    const result = await run('tee /dev/stderr; tr "\\0" a </dev/zero | head -c 200000', { input: 'variable' }, env)
    expect(result.stdout.subarray(0, input.length).equals(input)).toBe(true)
    expect(result.stdout.subarray(input.length).toString()).toBe('a'.repeat(200_000))
    expect(result.stderr.equals(input)).toBe(true)
    expect(result).toMatchObject({ exitCode: 0, isTruncated: false })
  })

  it.each([
    ['exit 7', 7],
    ['kill -9 $$', 137],
    ['kill -TERM 0; sleep 60', 143],
    ['kill -INT 0; sleep 60', 130],
    ['kill -HUP 0; sleep 60', 129],
    ['-x', 127],
  ])('reports what `%s` comes to', async (command, exitCode) => {
    const result = await run(command)
    expect(result).toMatchObject({ exitCode, isTruncated: false })
  })

  it('starts the command with no signal ignored, no file of the program open and none of its own variables', async () => {
    const command = 'set | grep ^tu; grep SigIgn /proc/self/status; ls -d /proc/$$/fd/[5-9]'
    const { stdout } = await run(command, { variables: ['A'] }, { TERMINAL_UPSTREAM_A: 'a' })
    expect(stdout.toString()).toBe('SigIgn:\t0000000000000000\n')
  })
})
