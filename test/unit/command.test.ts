import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { runCommand, startCommand, type CommandOptions, type CommandResult } from '../../src/command.ts'
import { TerminalError } from '../../src/index.ts'
import { startTestUpstream, type TestFaults, type TestUpstream, type TestUpstreamOptions } from '../../src/testing.ts'
import { KEY } from '../support/raw-client.ts'
import { releases } from '../support/upstream.ts'

type Upstream = TestUpstream & { readonly options: Omit<CommandOptions, 'command'> }

async function start(options: TestUpstreamOptions = {}): Promise<Upstream> {
  const upstream = await startTestUpstream({ key: KEY, ...options })
  onTestFinished(() => upstream.close())
  return Object.assign(upstream, { options: { base: upstream.url, key: KEY, userId: 'ada' } })
}

/** A file to which commands append, and its lines. */
function journal(): { readonly path: string; readonly lines: () => string[] } {
  const folder = mkdtempSync(join(tmpdir(), 'terminal-upstream-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'journal')
  return { path, lines: () => readFileSync(path, 'utf8').split('\n').slice(0, -1) }
}

/** Ends a command when it has printed something. Resolves with its result. */
async function endWhenPrinted(options: CommandOptions): Promise<CommandResult> {
  const command = await startCommand({ ...options, encoding: 'utf8' })
  await command[Symbol.asyncIterator]().next()
  await command.kill()
  return command.result
}

/** Resolves with the error of a promise that rejects. */
function failure(promise: Promise<unknown>): Promise<TerminalError> {
  return promise.then(
    (value) => expect.fail(`resolved with ${JSON.stringify(value)}`),
    (error: unknown) => error as TerminalError,
  )
}

describe.each(releases)('a command on %s', (release) => {
  it('has its streams apart, byte for byte, and its exit code', async () => {
    const { options } = await start({ release })
    expect(await runCommand({ ...options, command: 'echo "é✓"; echo err >&2; exit 3' })).toEqual({
      exitCode: 3,
      stdout: 'é✓\n',
      stderr: 'err\n',
      timedOut: false,
      truncated: false,
    })
    const bytes = Uint8Array.from({ length: 100_000 }, (_byte, index) => (index * 7) % 256)
    const { stdout, stderr } = await runCommand({
      ...options,
      command: 'tee /dev/stderr',
      stdin: bytes,
      encoding: 'buffer',
    })
    expect([Buffer.compare(stdout, bytes), Buffer.compare(stderr, bytes)]).toEqual([0, 0])
  })

  it('is ended with SIGTERM after its time, and says its last words', async () => {
    const { options } = await start({ release })
    const command = `trap 'echo bye; exit 5' TERM; echo hi; sleep 60 & wait`
    const end = { exitCode: 5, stdout: 'hi\nbye\n', timedOut: false, truncated: false }
    expect(await endWhenPrinted({ ...options, command })).toMatchObject(end)
    const silent = await runCommand({ ...options, command: 'exec sleep 60', timeout: 100 })
    expect(silent).toMatchObject({ exitCode: 143, signal: 'SIGTERM', timedOut: true })
  })

  it('runs once when the answer to its POST is lost, and is found again', async () => {
    // A proxy has lost the rest of an answer, and has not noticed.
    const cut = { refuse: 200, body: '{"id": "2026', headers: { 'content-type': 'application/json' } }
    const faults: TestFaults = { execute: ['drop', cut], commands: [cut], status: ['drop', cut, { refuse: 502 }] }
    const { options } = await start({ release, faults })
    const { path, lines } = journal()
    const { stdout } = await runCommand({ ...options, command: `echo ran | tee -a ${path}` })
    expect([stdout, lines()]).toEqual(['ran\n', ['ran']])
  })
})

describe('a command', () => {
  it('runs once although an orchestrator sends its POST to the container again', async () => {
    const { options, requests } = await start({
      release: 'terminals@0.2.2',
      faults: { execute: ['drop-inner', 'drop-inner', 'drop-inner'], commands: [{ refuse: 503 }] },
    })
    const { path, lines } = journal()
    const { stdout, exitCode } = await runCommand({ ...options, command: `echo ran | tee -a ${path}; exit 4` })
    expect([stdout, exitCode, lines()]).toEqual(['ran\n', 4, ['ran']])
    expect(requests.filter(({ method }) => method === 'POST')).toHaveLength(1)
  })

  it.each([
    ['a limit on requests', { execute: ['rate-limit'] }],
    ['a server that does not answer', { execute: [{ refuse: 503 }], commands: [{ refuse: 503 }] }],
    ['a server that fails', { execute: [{ refuse: 500 }] }],
    ['a status that is not there for a while', { status: [{ refuse: 404 }, { refuse: 401 }, { refuse: 504 }] }],
  ] as const)('goes on after %s', async (_title, faults) => {
    const { options } = await start({ faults })
    expect(await runCommand({ ...options, command: 'echo on' })).toMatchObject({ stdout: 'on\n' })
  })

  it.each([
    ['of another key', { key: 'sk-2' }, 'ERR_TERMINAL_UNAUTHORIZED', 'HTTP 401'],
    ['of no policy', { policyId: 'none' }, 'ERR_TERMINAL_NOT_FOUND', 'the orchestrator has no such policy'],
    ['in no folder', { cwd: '/no/such' }, 'ERR_TERMINAL_NOT_FOUND', 'the folder "/no/such" is not there'],
  ])('%s does not run, and says so', async (_title, options, code, message) => {
    const upstream = await start({ policies: ['default'] })
    const error = await failure(runCommand({ ...upstream.options, command: 'true', ...options }))
    expect(error).toBeInstanceOf(TerminalError)
    expect([error.code, error.message]).toEqual([code, expect.stringContaining(message)])
    expect(error.message).toMatch(/^Cannot run a command at http:\S+\/execute: /)
    expect(error.message).not.toContain('may have run')
  })

  it('that may have run says so', async () => {
    const { options } = await start({ faults: { execute: ['drop', { refuse: 401 }], commands: { refuse: 401 } } })
    const error = await failure(runCommand({ ...options, command: 'true' }))
    expect(error.message).toContain('The command may have run, and may still run. Look for what it does')
  })

  it('behind a gateway is told where commands run', async () => {
    const { options } = await start({ faults: { execute: { refuse: 404, body: '<html>no</html>' } } })
    const error = await failure(runCommand({ ...options, command: 'true' }))
    expect(error.message).toContain('a gateway runs no commands')
  })

  it('that is cancelled rejects with the reason of the signal, and has ended', async () => {
    const { options } = await start()
    const { path, lines } = journal()
    const controller = new AbortController()
    const reason = new Error('enough')
    const command = `trap 'echo ended >>${path}; exit' TERM; echo begun >>${path}; sleep 60 & wait`
    const run = runCommand({ ...options, command, signal: controller.signal })
    await expect.poll(() => readOr(path)).toBe('begun\n')
    controller.abort(reason)
    expect(await failure(run)).toBe(reason)
    expect(lines()).toEqual(['begun', 'ended'])
  })

  it('gets the query of its base, and a variable with the name of the key of the server', async () => {
    const { options, requests } = await start()
    const base = `${String(options.base)}?edge=1`
    const env = { OPEN_TERMINAL_API_KEY: 'mine' }
    const { stdout } = await runCommand({
      ...options,
      base,
      env,
      stdin: 'in',
      command: 'cat; echo $OPEN_TERMINAL_API_KEY',
    })
    expect(stdout).toBe('inmine\n')
    expect(requests.every(({ query }) => query['edge'] === '1')).toBe(true)
  })

  it('that is cancelled before its start never runs', async () => {
    const { options, requests } = await start()
    const reason = new Error('enough')
    expect(await failure(runCommand({ ...options, command: 'true', signal: AbortSignal.abort(reason) }))).toBe(reason)
    expect(requests).toEqual([])
  })

  it.each([0, 1, 2, 3])('that is cancelled %i turns after the call does not go on', async (turns) => {
    const { options } = await start()
    const controller = new AbortController()
    const run = runCommand({ ...options, command: 'exec sleep 60', signal: controller.signal })
    for (let turn = 0; turn < turns; turn += 1) await Promise.resolve()
    controller.abort(new Error('enough'))
    await expect(run).rejects.toThrow('enough')
  })

  it('that is cancelled on its way to the server never runs', async () => {
    const { options, requests } = await start({ faults: { execute: [{ delay: 300 }] } })
    const { path } = journal()
    const controller = new AbortController()
    const run = runCommand({ ...options, command: `echo ran >>${path}`, signal: controller.signal })
    await expect.poll(() => requests.length).toBe(1)
    controller.abort(new Error('enough'))
    await expect(run).rejects.toThrow('enough')
    await expect.poll(() => requests[0]?.status).toBe(200)
    // The server runs it after the next one at the latest.
    await runCommand({ ...options, command: 'true' })
    expect(existsSync(path)).toBe(false)
  })

  it('gives its output to functions as it comes, and all of it in the end', async () => {
    const { options } = await start()
    const { path } = journal()
    let live = ''
    const onStdout = (chunk: Uint8Array): void => {
      live += Buffer.from(chunk).toString()
      writeFileSync(path, '')
    }
    const command = `echo 1; until [ -e ${path} ]; do sleep 0.02; done; echo 2`
    expect(await runCommand({ ...options, command, onStdout })).toMatchObject({ stdout: '1\n2\n' })
    expect(live).toBe('1\n2\n')
  })

  it('is ended when such a function throws', async () => {
    const { options } = await start()
    const error = new Error('no more')
    let calls = 0
    const onStderr = (): never => {
      calls += 1
      throw error
    }
    const command = `trap 'echo 2 >&2; exit' TERM; echo 1 >&2; sleep 60 & wait`
    expect(await failure(runCommand({ ...options, command, onStderr }))).toBe(error)
    expect(calls).toBe(1)
  })

  it('has the first of two reasons to be ended', async () => {
    const { options } = await start()
    const controller = new AbortController()
    const onStdout = (): never => {
      controller.abort(new Error('first'))
      throw new Error('second')
    }
    const run = runCommand({ ...options, command: 'echo; exec sleep 60', onStdout, signal: controller.signal })
    await expect(run).rejects.toThrow('first')
  })

  it('can be read in loops, each from the beginning, while it runs and afterwards', async () => {
    const { options } = await start()
    const { path } = journal()
    const command = await startCommand({
      ...options,
      command: `echo 1; until [ -e ${path} ]; do sleep 0.02; done; echo 2 >&2`,
    })
    const read = async (): Promise<string[]> => {
      const all: string[] = []
      for await (const { stream, data } of command) {
        all.push(`${stream} ${Buffer.from(data).toString()}`)
        writeFileSync(path, '')
      }
      return all
    }
    const all = ['stdout 1\n', 'stderr 2\n']
    expect(await Promise.all([read(), read()])).toEqual([all, all])
    expect(await read()).toEqual(all)
    expect(await command.result).toMatchObject({ stdout: '1\n', stderr: '2\n' })
  })

  it('goes on when a loop over its output ends early', async () => {
    const { options } = await start()
    const command = await startCommand({ ...options, command: 'echo 1; sleep 0.1; echo 2' })
    for await (const { data } of command) {
      expect(Buffer.from(data).toString()).toBe('1\n')
      break
    }
    expect(await command.result).toMatchObject({ stdout: '1\n2\n' })
  })

  it('can be ended by its kill and by the end of its block, also twice and after its end', async () => {
    const { options, requests } = await start()
    const command = await startCommand({ ...options, command: 'exec sleep 60' })
    expect(command.id).toMatch(/^[\w-]+$/)
    await Promise.all([command.kill(), command.kill()])
    expect(await command.result).toMatchObject({ exitCode: 143, signal: 'SIGTERM', timedOut: false })
    const { length } = requests
    await command[Symbol.asyncDispose]()
    expect(requests).toHaveLength(length)
  })

  it('gets SIGKILL after its grace', async () => {
    const { options } = await start()
    const command = `trap '' TERM; echo stays; while :; do sleep 0.05; done`
    const result = await endWhenPrinted({ ...options, command, grace: 100 })
    expect(result).toMatchObject({ exitCode: 137, signal: 'SIGKILL', stdout: 'stays\n', truncated: false })
  })

  it('ends although a child of it ignores SIGTERM', async () => {
    const { options } = await start()
    const command = `trap '' TERM; (echo; sleep 60; sleep 60); true`
    const result = await endWhenPrinted({ ...options, command, grace: 100 })
    expect(result).toMatchObject({ exitCode: 137, signal: 'SIGKILL' })
  })

  it('keeps its exit code when only a child of it has to be ended', async () => {
    const { options } = await start()
    const command = `(trap '' TERM; sleep 0.2; echo; sleep 60; sleep 60) & exit 7`
    const result = await endWhenPrinted({ ...options, command, grace: 100 })
    expect(result).toMatchObject({ exitCode: 7, truncated: true })
    expect(result).not.toHaveProperty('signal')
  })

  it('may have the exit code of a signal that was not sent', async () => {
    const { options } = await start()
    const result = await endWhenPrinted({ ...options, command: `trap 'exit 137' TERM; echo; sleep 60 & wait` })
    expect(result).toEqual({ exitCode: 137, stdout: '\n', stderr: '', timedOut: false, truncated: false })
  })

  it('waits until the server has a place, and leaves one for the end of a command', async () => {
    const { options } = await start({ release: 'open-terminal@0.11' })
    const { path, lines } = journal()
    const command = `echo begun >>${path}; exec sleep 60`
    const running = await Promise.all([1, 2, 3, 4].map(() => startCommand({ ...options, command })))
    const fifth = runCommand({ ...options, command: 'echo 5' })
    await expect.poll(() => readOr(path).length).toBe(4 * 'begun\n'.length)
    for (const each of running) await each.kill()
    expect(await fifth).toMatchObject({ stdout: '5\n' })
    expect(lines()).toHaveLength(4)
  })

  it('whose log was cut says that output is missing', async () => {
    const { options } = await start({ release: 'open-terminal@0.11' })
    const { truncated, exitCode, stdout } = await runCommand({
      ...options,
      command: 'head -c 45000000 /dev/zero; exit 6',
    })
    expect({ truncated, exitCode }).toEqual({ truncated: true, exitCode: 6 })
    expect(stdout).toMatch(/^\0+$/)
  }, 60_000)

  it('tells who has called it in the stack of an error', async () => {
    const { options } = await start()
    const error = await failure(runCommand({ ...options, key: 'sk-2', command: 'true' }))
    expect(error.stack).toContain('command.test.ts')
  })
})

function readOr(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}
