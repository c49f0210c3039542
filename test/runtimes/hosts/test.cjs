// Runs in Jest, with the copy of the package for require.
const { writeFileSync } = require('node:fs')
const upstream = require('terminal-upstream')
const library = { ...upstream, ...require('terminal-upstream/command'), ...require('terminal-upstream/probe') }
const servers = { ...require('terminal-upstream/gateway'), ...require('terminal-upstream/testing') }

test('the servers run', async () => {
  const { expectServersToWork } = await import('../servers.mjs')
  await expectServersToWork({ ...library, ...servers })
})

test('the suite runs', async () => {
  const { runSuite } = await import('../suite.mjs')
  const report = await runSuite(library, JSON.parse(process.env.UPSTREAMS))
  writeFileSync(process.env.REPORT, JSON.stringify(report))
})
