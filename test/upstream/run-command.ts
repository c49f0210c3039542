import { createHash, randomBytes } from 'node:crypto'
import { expect, it } from 'vitest'
import { runCommand, startCommand, type CommandOptions } from '../../src/command.ts'
import { KEY, USER } from '../support/raw-client.ts'
import type { Subject } from './cases.ts'

/** Tests `runCommand` and `startCommand` with a server. */
export function describeRunCommand({ name, url: base }: Subject): void {
  const lines = name.startsWith('Open Terminal') ? 1_300_000 : 100_000
  const options: Omit<CommandOptions, 'command'> = { base, key: KEY, userId: USER }

  it.each([1_000, 32_768, 32_769, 300_000])(
    'both streams and an input of %i bytes arrive byte for byte',
    async (size) => {
      const stdin = randomBytes(size)
      const result = await runCommand({ ...options, command: 'tee /dev/stderr; exit 3', stdin, encoding: 'buffer' })
      expect([Buffer.compare(result.stdout, stdin), Buffer.compare(result.stderr, stdin)]).toEqual([0, 0])
      expect(result).toMatchObject({ exitCode: 3, timedOut: false, truncated: false })
    },
  )

  it(`${lines} lines arrive`, async () => {
    const { stdout, truncated } = await runCommand({ ...options, command: `seq ${lines}` })
    const text = Array.from({ length: lines }, (_line, index) => `${index + 1}\n`).join('')
    expect(createHash('sha256').update(stdout).digest('hex')).toBe(createHash('sha256').update(text).digest('hex'))
    expect(truncated).toBe(false)
  })

  it('a command has its variables, its folder and no terminal', async () => {
    const command = 'echo "$A"; pwd; test -t 0 || test -t 1 || test -t 2 || echo none'
    const { stdout } = await runCommand({ ...options, command, cwd: '/usr', env: { A: `a 'b' "c" $d é\n` } })
    expect(stdout).toBe(`a 'b' "c" $d é\n\n/usr\nnone\n`)
  })

  it.each([
    [
      'says its last words',
      `trap 'echo bye; exit 5' TERM; echo hi; sleep 60 & wait`,
      { exitCode: 5, stdout: 'hi\nbye\n' },
    ],
    ['ends by SIGTERM', 'echo hi; sleep 60', { exitCode: 143, signal: 'SIGTERM', stdout: 'hi\n' }],
    [
      'ends by SIGKILL',
      `trap '' TERM; echo hi; while :; do sleep 0.1; done`,
      { exitCode: 137, signal: 'SIGKILL', stdout: 'hi\n' },
    ],
  ])('a command that is ended %s', async (_how, command, end) => {
    const running = await startCommand({ ...options, command, grace: 500 })
    await running[Symbol.asyncIterator]().next()
    await running.kill()
    expect(await running.result).toMatchObject({ ...end, timedOut: false, truncated: false })
  })

  it('a command that runs for too long is ended', async () => {
    const result = await runCommand({ ...options, command: 'exec sleep 60', timeout: 100 })
    expect(result).toMatchObject({ exitCode: 143, signal: 'SIGTERM', timedOut: true, truncated: false })
  })

  it('a loop gets the output while the command runs, and ends it', async () => {
    const command = await startCommand({ ...options, command: 'echo 1; echo 2 >&2; exec sleep 60' })
    const seen: string[] = []
    for await (const { stream, data } of command) {
      seen.push(`${stream} ${Buffer.from(data).toString()}`)
      if (seen.length === 2) await command.kill()
    }
    expect([...seen].sort()).toEqual(['stderr 2\n', 'stdout 1\n'])
    expect(await command.result).toMatchObject({ exitCode: 143, signal: 'SIGTERM' })
  })

  it('20 commands that are ended harm none of 20 others', async () => {
    const cancel = (): AbortSignal => AbortSignal.timeout(50 + Math.floor(Math.random() * 200))
    const ended = Array.from({ length: 20 }, () =>
      runCommand({ ...options, command: 'exec sleep 60', signal: cancel() }),
    )
    const others = Array.from({ length: 20 }, (_other, index) =>
      runCommand({ ...options, command: `echo ${index}; exit ${index}` }),
    )
    const reasons = (await Promise.allSettled(ended)).map((end) => end.status === 'rejected' && end.reason.name)
    expect(reasons).toEqual(ended.map(() => 'TimeoutError'))
    const results = (await Promise.all(others)).map(({ stdout, exitCode }) => [stdout, exitCode])
    expect(results).toEqual(others.map((_other, index) => [`${index}\n`, index]))
  }, 60_000)
}
