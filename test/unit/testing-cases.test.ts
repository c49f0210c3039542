import { afterAll, describe } from 'vitest'
import { startTestUpstream, type TestShell } from '../../src/testing.ts'
import { sh } from '../../src/testing/shells.ts'
import { standIns } from '../upstream/cases.ts'
import { describeCommands } from '../upstream/commands.ts'
import { describeCases } from '../upstream/suite.ts'
import { KEY, orchestrators } from '../support/raw-client.ts'

/** Starts the `sh` of a test upstream, with a `stty` that knows the size without a PTY. */
const shWithStty: TestShell = (io) => {
  const shell = sh(io)
  const type = (line: string): void => void shell.input(new TextEncoder().encode(`${line}\n`))
  type('rows=24 cols=80; stty() { if [ "$1" = size ]; then echo "$rows $cols"; fi; }')
  return { ...shell, resize: (cols, rows) => type(`rows=${rows} cols=${cols}`) }
}

for (const standIn of standIns) {
  const name = `open-terminal@${standIn}` as const
  const upstream = await startTestUpstream({ release: name, key: KEY, shell: shWithStty, authTimeout: 100 })
  afterAll(() => upstream.close())
  describeCases({ name, url: upstream.url, standIn, flood: 50 * 1024 * 1024, silence: 100 })
}

// An orchestrator passes the requests for commands on (PROTOCOL 9.16).
for (const name of orchestrators) {
  const upstream = await startTestUpstream({ release: name, inner: 'open-terminal@0.14.5', key: KEY })
  afterAll(() => upstream.close())
  describe(name, () => describeCommands({ name, url: upstream.url, standIn: '0.14.5', flood: 0, silence: 100 }))
}
