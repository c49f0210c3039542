// Runs in Jest and in vitest, with the copy of the package for import.
import { writeFileSync } from 'node:fs'
import * as library from 'terminal-upstream'
import * as command from 'terminal-upstream/command'
import * as gateway from 'terminal-upstream/gateway'
import * as probe from 'terminal-upstream/probe'
import * as testing from 'terminal-upstream/testing'
import { expectServersToWork } from '../servers.mjs'
import { runSuite } from '../suite.mjs'

test('the servers run', () => expectServersToWork({ ...library, ...gateway, ...testing }))

test('the suite runs', async () => {
  const report = await runSuite({ ...library, ...command, ...probe }, JSON.parse(process.env.UPSTREAMS))
  writeFileSync(process.env.REPORT, JSON.stringify(report))
})
