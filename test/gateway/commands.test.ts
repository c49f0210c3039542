import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { runCommand, type CommandOptions, type CommandResult } from '../../src/command.ts'
import { startTestUpstream, type TestFault, type TestUpstreamOptions } from '../../src/testing.ts'
import { KEY } from '../support/raw-client.ts'
import { releases } from '../support/upstream.ts'

async function start(options: TestUpstreamOptions): Promise<Omit<CommandOptions, 'command'>> {
  const upstream = await startTestUpstream({ key: KEY, ...options })
  onTestFinished(() => upstream.close())
  return { base: upstream.url, key: KEY, userId: 'ada' }
}

function each<T>(count: number, of: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => of(index))
}

/** Loses the answer to every nth request. */
function losing(nth: number, fault: 'drop' | 'drop-inner' = 'drop'): ReadonlyArray<TestFault | undefined> {
  return each(1_000, (index) => (index % nth === 0 ? fault : undefined))
}

it.each([
  ['open-terminal@0.8.1', losing(2)],
  ['open-terminal@0.14.5', losing(2)],
  // The orchestrator repeats a POST whose answer it has lost.
  ['terminals@0.2.2', losing(2, 'drop-inner')],
] as const)(
  '100 commands on %s run once, with half of all answers lost',
  { timeout: 60_000 },
  async (release, execute) => {
    const faults = { execute, status: losing(5), commands: losing(5) }
    const options = await start({ release, faults })
    const folder = mkdtempSync(join(tmpdir(), 'terminal-upstream-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const path = join(folder, 'journal')
    const results = await Promise.all(
      each(100, (index) => {
        const command = `echo ${index} | tee -a ${path}; echo err >&2; exit ${index}`
        return runCommand({ ...options, command })
      }),
    )
    expect(results).toEqual(
      each(100, (index): CommandResult => {
        const streams = { stdout: `${index}\n`, stderr: 'err\n' }
        return { exitCode: index, ...streams, timedOut: false, truncated: false }
      }),
    )
    const ran = readFileSync(path, 'utf8').split('\n').slice(0, -1)
    expect(ran.sort()).toEqual(each(100, String).sort())
  },
)

it.each(releases)('20 commands that end on %s harm no other one', { timeout: 60_000 }, async (release) => {
  const options = await start({ release })
  const [ended, others] = await Promise.all([
    Promise.all(
      each(20, (index) => {
        const command = `trap 'echo bye; exit ${index}' TERM; echo hi; sleep 60 & wait`
        return runCommand({ ...options, command, timeout: 500 + index })
      }),
    ),
    Promise.all(each(20, (index) => runCommand({ ...options, command: `seq ${index}000; exit ${index}` }))),
  ])
  const lines = (count: number): string => each(count, (index) => `${index + 1}\n`).join('')
  expect(ended.map(({ exitCode, stdout, timedOut }) => [exitCode, stdout, timedOut])).toEqual(
    each(20, (index) => [index, 'hi\nbye\n', true]),
  )
  expect(others.map(({ exitCode, stdout }) => [exitCode, stdout])).toEqual(
    each(20, (index) => [index, lines(index * 1_000)]),
  )
})
