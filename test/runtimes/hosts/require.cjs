// Runs in Node, Bun and Deno, with the copy of the package for require.
const upstream = require('terminal-upstream')
const library = { ...upstream, ...require('terminal-upstream/command'), ...require('terminal-upstream/probe') }

void import('../suite.mjs').then(async ({ runSuite }) => {
  console.log(JSON.stringify(await runSuite(library, JSON.parse(process.argv[2]))))
})
