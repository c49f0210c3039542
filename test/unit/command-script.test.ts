import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { FrameReader, toBase64 } from '../../src/command/frames.ts'
import { commandScript, inputPath, killScript, type CommandPlan } from '../../src/command/script.ts'

const names: string[] = []
afterAll(() => {
  for (const name of names) rmSync(folderOf(name), { recursive: true, force: true })
})

function folderOf(name: string): string {
  return `/tmp/.terminal-upstream-${name}`
}

function planOf(command: string, plan: Partial<CommandPlan> = {}): CommandPlan {
  const name = `test-${randomUUID()}`
  names.push(name)
  return { name, command, cwd: undefined, variables: [], input: 'none', ...plan }
}

interface Result {
  readonly stdout: string
  readonly stderr: string
  readonly exitCode: number | undefined
  readonly failure: string | undefined
  readonly isTruncated: boolean
}

interface Started {
  readonly child: ChildProcess
  readonly printed: () => string
  readonly result: Promise<Result>
}

/** Runs the program as a server does: in a process group of its own. */
function start(plan: CommandPlan, env: NodeJS.ProcessEnv = {}): Started {
  const child = spawn('/bin/sh', ['-c', commandScript(plan)], {
    detached: true,
    env: { PATH: process.env['PATH'], ...env },
  })
  const text = { stdout: '', stderr: '' }
  const reader = new FrameReader(({ stream, data }) => (text[stream] += Buffer.from(data).toString()))
  child.stdout.setEncoding('utf8').on('data', (data: string) => reader.push(data))
  const result = new Promise<Result>((resolve) => {
    child.once('close', () => {
      const { exitCode, failure, isTruncated } = reader
      resolve({ ...text, exitCode, failure, isTruncated })
    })
  })
  return { child, printed: () => text.stdout, result }
}

async function run(command: string, plan: Partial<CommandPlan> = {}, env: NodeJS.ProcessEnv = {}): Promise<Result> {
  return start(planOf(command, plan), env).result
}

describe('the program around a command', () => {
  it.each([
    ['both streams apart', 'echo out; echo err >&2', 'out\n', 'err\n', 0],
    ['an exit status', 'exit 255', '', '', 255],
    ['a signal', 'kill -9 $$', '', '', 137],
    ['no newline at the end', 'printf "no end"', 'no end', '', 0],
    ['quotes', `echo 'it'\\''s "$((6 * 7))"'`, `it's "$((6 * 7))"\n`, '', 0],
    ['several lines', 'echo 1\n\necho 2 # no more\n', '1\n2\n', '', 0],
    ['an input that has ended', 'cat; echo end', 'end\n', '', 0],
    ['no terminal', 'test -t 0 || test -t 1 || test -t 2 || echo none', 'none\n', '', 0],
  ])('reports %s', async (_title, command, stdout, stderr, exitCode) => {
    expect(await run(command)).toEqual({ stdout, stderr, exitCode, failure: undefined, isTruncated: false })
  })

  it('waits for a child in the background that keeps a stream open, and for no other one', async () => {
    expect(await run('(sleep 0.2; echo late) & echo early')).toMatchObject({ stdout: 'early\nlate\n' })
    expect(await run('sleep 60 >/dev/null 2>&1 </dev/null & echo $!')).toMatchObject({
      stdout: expect.stringMatching(/^\d+\n$/),
    })
  })

  it('prints parts of both streams whole, although they are long and come at once', async () => {
    const { stdout, stderr } = await run('(seq 100000 >&2) & seq 100000; wait')
    expect(stdout.split('\n')).toHaveLength(100_001)
    expect(stderr).toBe(stdout)
  })

  it('gives the command its variables and its input, and nothing of its own', async () => {
    const env = { TERMINAL_UPSTREAM_PATH: '/nowhere', TERMINAL_UPSTREAM_A: 'a "b" $c', OPEN_TERMINAL_API_KEY: 'sk-1' }
    const input = { TERMINAL_UPSTREAM_INPUT: toBase64(Buffer.from('in\0put')) }
    const plan = { variables: ['PATH', 'A'], input: 'variable' } as const
    const command =
      'echo "$PATH $A"; /usr/bin/env | /bin/grep -c -e UPSTREAM -e API_KEY -e tu_; /bin/cat | /usr/bin/od -An -c'
    const { stdout } = await run(command, plan, { ...env, ...input })
    expect(stdout.replaceAll(/ +/g, ' ')).toBe('/nowhere a "b" $c\n0\n i n \\0 p u t\n')
  })

  it('reads the input from a file, and deletes it', async () => {
    const plan = planOf('cat; ls "$1"', { input: 'file' })
    writeFileSync(inputPath(plan.name), 'from a file')
    expect(await start(plan).result).toMatchObject({ stdout: 'from a file' })
    expect(existsSync(inputPath(plan.name))).toBe(false)
  })

  it('runs a command once', async () => {
    const plan = planOf('echo once')
    const results = await Promise.all([1, 2, 3].map(() => start(plan).result))
    expect(results.map(({ failure }) => failure).filter(Boolean)).toEqual(['twin', 'twin'])
    expect(results.map(({ stdout }) => stdout).join('')).toBe('once\n')
  })

  it('leaves an empty folder, which one of the next commands deletes after an hour', async () => {
    const old = planOf('true')
    await start(old).result
    expect(readdirSync(folderOf(old.name))).toEqual([])
    execFileSync('touch', ['-t', '202001010000', folderOf(old.name)])
    const name = `test-${randomUUID()}00`
    names.push(name)
    await run('true', { name })
    expect(existsSync(folderOf(old.name))).toBe(false)
  })

  it.each([
    ['the folder is missing', 'cwd', { cwd: "/no/such 'folder'" }],
    ['the file with the input is gone', 'input', { input: 'file' }],
    ['the server drops its variables', 'variables', { variables: ['A'] }],
    ['the server drops its input', 'variables', { input: 'variable' }],
  ] as const)('does not run a command when %s', async (_title, failure, plan) => {
    expect(await run('echo no', plan)).toMatchObject({ failure, stdout: '' })
    expect(readdirSync(folderOf(names.at(-1) ?? ''))).toEqual([])
  })

  it('names the program that the server lacks', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'terminal-upstream-'))
    expect(await run('echo no', {}, { PATH: folder })).toMatchObject({ failure: 'base64' })
    rmSync(folder, { recursive: true })
  })
})

describe('the program that ends a command', () => {
  function kill(plan: CommandPlan, signal: 'TERM' | 'KILL', target: 'group' | 'command' = 'group'): string {
    return spawnSync('/bin/sh', ['-c', killScript(plan.name, signal, target)], { encoding: 'utf8' }).stdout.trim()
  }

  /** Starts a command, and resolves when it has printed something. */
  async function started(command: string): Promise<Started & { readonly plan: CommandPlan }> {
    const plan = planOf(command)
    const { child, printed, result } = start(plan)
    await expect.poll(printed).toBeTruthy()
    return { plan, child, printed, result }
  }

  it('sends SIGTERM to the command and its children, whose last words arrive', async () => {
    const { plan, result } = await started(`trap 'echo bye; exit 5' TERM; echo hi; sleep 60 & wait`)
    expect(kill(plan, 'TERM')).toBe('sent')
    expect(await result).toMatchObject({ stdout: 'hi\nbye\n', exitCode: 5, isTruncated: false })
  })

  it('sends SIGKILL to a command that ignores SIGTERM, and loses nothing', async () => {
    const { plan, result } = await started(`trap '' TERM; echo hi; while :; do :; done`)
    expect(kill(plan, 'TERM')).toBe('sent')
    expect(kill(plan, 'KILL', 'command')).toBe('sent')
    expect(await result).toMatchObject({ stdout: 'hi\n', exitCode: 137, isTruncated: false })
  })

  it('sends SIGKILL to all, which leaves nothing behind', async () => {
    const { plan, child, result } = await started(`trap '' TERM; (echo hi; sleep 60; sleep 60); true`)
    expect(kill(plan, 'KILL')).toBe('sent')
    expect(await result).toMatchObject({ exitCode: undefined, isTruncated: true })
    expect(child.signalCode).toBe('SIGKILL')
    expect(readdirSync(folderOf(plan.name))).toEqual([])
  })

  it('sees to it that a command that has not begun never does', async () => {
    const plan = planOf('echo no')
    expect(kill(plan, 'TERM')).toBe('never')
    expect(await start(plan).result).toMatchObject({ failure: 'twin', stdout: '' })
  })

  it('says nothing of a command that has ended', async () => {
    const plan = planOf('true')
    await start(plan).result
    expect(kill(plan, 'TERM')).toBe('')
  })
})
