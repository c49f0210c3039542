// Runs in Jest and in vitest, with the copy of the package for import.
import { writeFileSync } from 'node:fs'
import * as library from 'terminal-upstream'
import * as probe from 'terminal-upstream/probe'
import { runSuite } from '../suite.mjs'

test('the suite runs', async () => {
  const report = await runSuite({ ...library, ...probe }, JSON.parse(process.env.UPSTREAMS))
  writeFileSync(process.env.REPORT, JSON.stringify(report))
})
