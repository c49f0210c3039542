// Runs the cases on real Open Terminals, which it installs from PyPI into a temporary folder.
//   npm run test:upstream                      the releases below and the newest
//   npm run test:upstream -- 0.13.0 0.14.3     these instead
import { execFile, spawn } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { compareWithReadme, outcomeTable } from './table.mjs'

// The oldest release that serves /api/terminals in full (0.7.1 to 0.8.0 answer 500 instead of 404), the last one with
// the chat as the id, the first one that checks owners (0.12.3 is not on PyPI), the last one that does not announce the
// end of the shell, and the first one that does.
const RELEASES = ['0.8.1', '0.11.34', '0.12.4', '0.14.1', '0.14.2']
// The first real release that each release of the test upstream (after `open-terminal@`) stands for.
const STAND_INS = { '0.8.1': '0.8.1', '0.11.32': '0.11', '0.12.4': '0.14', '0.14.2': '0.14.2', '0.14.5': '0.14.5' }

const PACKAGE = 'open-terminal'
const KEY = 'sk-1'
const FLOOD = 50 * 1024 * 1024
// The exit code if PyPI cannot be reached.
const NO_INDEX = 77
const START_TIMEOUT_MS = 90_000

const run = promisify(execFile)
const stopping = new AbortController()
const { signal } = stopping
const children = new Set()

const numbers = (version) => version.split('.').map(Number)
const byVersion = (left, right) => {
  const [a, b] = [numbers(left), numbers(right)]
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2]
}
const standInOf = (version) =>
  Object.entries(STAND_INS).findLast(([first]) => byVersion(first, version) <= 0)?.[1] ?? '0.8.1'

/** Resolves with the versions on PyPI, or on the index that pip is configured for. */
async function versionsOnIndex() {
  const pip = ['-m', 'pip', 'index', 'versions', PACKAGE, '--disable-pip-version-check']
  const { stdout } = await run('python3', pip, { signal, timeout: 60_000 })
  const versions = /^Available versions: (.*)$/m.exec(stdout)?.[1].split(', ')
  if (!versions) throw new Error(`pip names no version of ${PACKAGE}: ${stdout}`)
  return versions
}

async function install(folder, version) {
  const venv = join(folder, version)
  // A pip in each folder, and compiled code of all dependencies, would take as long as the rest.
  await run('python3', ['-m', 'venv', '--without-pip', venv], { signal })
  const pip = ['-m', 'pip', '--python', join(venv, 'bin', 'python'), 'install', '--no-compile']
  const args = [...pip, '--quiet', '--disable-pip-version-check', `${PACKAGE}==${version}`]
  await run('python3', args, { signal, timeout: 300_000 })
}

async function freePort() {
  const server = createServer()
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Starts a process in its own process group, so that its children can be killed with it. */
function start(command, args, options) {
  const child = spawn(command, args, { detached: true, ...options })
  children.add(child)
  child.ended = new Promise((resolve) => {
    child.once('error', resolve)
    child.once('exit', (code) => resolve(code ?? 1))
  })
  return child
}

/** Kills all processes that were started, and their children. */
async function stopAll() {
  for (const { pid } of children) {
    try {
      process.kill(-pid, 'SIGKILL')
    } catch {
      // The group is empty, or never existed.
    }
  }
  await Promise.all([...children].map(({ ended }) => ended))
}

/** Starts the server of a release. Resolves when it answers. */
async function serve(folder, version) {
  const home = join(folder, `home-${version}`)
  mkdirSync(home)
  const logFile = join(home, 'log')
  const log = openSync(logFile, 'w')
  const port = await freePort()
  const args = ['run', '--host', '127.0.0.1', '--port', String(port), '--api-key', KEY]
  const env = { PATH: process.env.PATH, HOME: home, SHELL: '/bin/sh', LC_ALL: 'C.UTF-8' }
  const server = start(join(folder, version, 'bin', PACKAGE), args, { cwd: home, env, stdio: ['ignore', log, log] })
  closeSync(log)
  const url = `http://127.0.0.1:${port}`
  let ended = false
  void server.ended.then(() => (ended = true))
  for (const giveUp = Date.now() + START_TIMEOUT_MS; !(await answers(url)); await sleep(200, undefined, { signal })) {
    if (ended || Date.now() > giveUp) {
      throw new Error(`${PACKAGE} ${version} does not start:\n${readFileSync(logFile, 'utf8')}`)
    }
  }
  return { name: `Open Terminal ${version}`, url, standIn: standInOf(version), flood: FLOOD, silence: 1_000 }
}

async function answers(url) {
  try {
    return (await fetch(`${url}/health`, { signal })).ok
  } catch {
    return false
  }
}

/** Calls a function for each item, two at a time: enough to use two cores. */
async function forEachOfTwo(items, call) {
  const left = [...items]
  const worker = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await call(item)
  }
  await Promise.all([worker(), worker()])
}

/** Runs the cases, prints the table, and compares it with README.md. Resolves with the exit code. */
async function test(folder, subjects) {
  const report = join(folder, 'report.json')
  const args = ['vitest', 'run', '--config', 'test/upstream/vitest.config.mjs']
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  const vitest = start('npx', [...args, ...reporters], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    env: { ...process.env, UPSTREAMS: JSON.stringify(subjects) },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const status = await vitest.ended
  if (signal.aborted) return status
  const { testResults, ...counts } = JSON.parse(readFileSync(report, 'utf8'))
  const outcomes = testResults.flatMap(({ assertionResults }) =>
    assertionResults.flatMap(({ meta }) => meta.outcome ?? []),
  )
  const table = outcomeTable(
    subjects.map(({ name }) => name),
    outcomes,
  )
  console.log(`\n${table}\n`)
  const differs = compareWithReadme(table)
  if (differs) console.error(`README.md has other outcomes for these releases:\n${differs}\n`)
  const { numPassedTests: passed, numFailedTests: failed, numPendingTests: skipped } = counts
  console.log(`${subjects.length} releases: ${passed} passed, ${failed} failed, ${skipped} skipped`)
  return status || (differs ? 1 : 0)
}

async function main() {
  let versions
  try {
    versions = await versionsOnIndex()
  } catch (error) {
    if (signal.aborted) return 1
    console.error(`PyPI cannot be reached, so nothing was tested: ${error.stderr || error.message}`)
    return NO_INDEX
  }
  const requested = process.argv.slice(2)
  const chosen = [...new Set(requested.length > 0 ? requested : [...RELEASES, versions[0]])].sort(byVersion)
  console.log(`Open Terminal ${chosen.join(', ')}; the newest is ${versions[0]}, and 0.12.3 is not on PyPI`)
  const folder = mkdtempSync(join(tmpdir(), 'open-terminal-'))
  try {
    const subjects = []
    await forEachOfTwo(chosen, async (version) => {
      await install(folder, version)
      subjects.push(await serve(folder, version))
      console.log(`${subjects.at(-1).name} answers at ${subjects.at(-1).url}`)
    })
    subjects.sort(
      (left, right) =>
        chosen.findIndex((v) => left.name.endsWith(` ${v}`)) - chosen.findIndex((v) => right.name.endsWith(` ${v}`)),
    )
    return await test(folder, subjects)
  } catch (error) {
    console.error(error.stderr || error.message)
    return 1
  } finally {
    stopping.abort()
    await stopAll()
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(name, () => {
    stopping.abort()
    void stopAll()
  })
}
process.exitCode = await main()
