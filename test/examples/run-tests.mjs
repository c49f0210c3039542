// Runs the tests of a user in their container, with live output and a time limit.
//
//   UPSTREAM_KEY=sk-1 node run-tests.mjs ['npm test' [SECONDS]]
import { runCommand } from 'terminal-upstream/command'

const { UPSTREAM = 'http://127.0.0.1:8000', UPSTREAM_KEY, USER_ID = 'ada' } = process.env
const [command = 'npm test', seconds = '600'] = process.argv.slice(2)
const leaving = new AbortController()
process.once('SIGINT', () => leaving.abort(new Error('You have ended the tests')))
const { exitCode, timedOut, truncated } = await runCommand({
  base: UPSTREAM,
  key: UPSTREAM_KEY,
  userId: USER_ID,
  command,
  env: { CI: '1' },
  signal: leaving.signal,
  timeout: Number(seconds) * 1_000,
  onStdout: (chunk) => process.stdout.write(chunk),
  onStderr: (chunk) => process.stderr.write(chunk),
})
if (timedOut) console.error(`The tests took more than ${seconds} s`)
if (truncated) console.error('Some of the output is missing')
process.exitCode = timedOut ? 124 : exitCode
