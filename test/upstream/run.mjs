// Runs the cases on real Open Terminals, each installed from PyPI for the occasion.
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

// The oldest that serves /api/terminals in full (0.7.1 to 0.8.0 answer 500 where it should be 404), the last that makes
// the chat the id, the first that checks owners (0.12.3 is not on PyPI), the last that ends in silence, and the first
// that does not.
const RELEASES = ['0.8.1', '0.11.34', '0.12.4', '0.14.1', '0.14.2']
// From which release on each of the test upstream's releases stands for the real ones.
const STAND_INS = { '0.8.1': '0.8.1', '0.11.32': '0.11', '0.12.4': '0.14', '0.14.2': '0.14.2', '0.14.5': '0.14.5' }

const PACKAGE = 'open-terminal'
const KEY = 'sk-1'
const FLOOD = 50 * 1024 * 1024
const NO_INDEX = 77
const STARTING = 90_000

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

/** The versions that PyPI, or what pip is told to use instead, has. */
async function versionsOnIndex() {
  const pip = ['-m', 'pip', 'index', 'versions', PACKAGE, '--disable-pip-version-check']
  const { stdout } = await run('python3', pip, { signal, timeout: 60_000 })
  const versions = /^Available versions: (.*)$/m.exec(stdout)?.[1].split(', ')
  if (!versions) throw new Error(`pip names no version of ${PACKAGE}: ${stdout}`)
  return versions
}

async function install(folder, version) {
  const venv = join(folder, version)
  await run('python3', ['-m', 'venv', venv], { signal })
  const pip = ['install', '--quiet', '--disable-pip-version-check', `${PACKAGE}==${version}`]
  await run(join(venv, 'bin', 'pip'), pip, { signal, timeout: 300_000 })
}

async function freePort() {
  const server = createServer()
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** In a process group of its own, so that what it starts ends with it. */
function start(command, args, options) {
  const child = spawn(command, args, { detached: true, ...options })
  children.add(child)
  child.ended = new Promise((resolve) => {
    child.once('error', resolve)
    child.once('exit', (code) => resolve(code ?? 1))
  })
  return child
}

/** Whatever was started, and what that has started. */
async function stopAll() {
  for (const { pid } of children) {
    try {
      process.kill(-pid, 'SIGKILL')
    } catch {
      // Nobody is left in it, or it never was.
    }
  }
  await Promise.all([...children].map(({ ended }) => ended))
}

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
  for (const giveUp = Date.now() + STARTING; !(await answers(url)); await sleep(200, undefined, { signal })) {
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

/** Calls for each item, two at a time: the work of a machine with two cores. */
async function forEachOfTwo(items, call) {
  const left = [...items]
  const worker = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await call(item)
  }
  await Promise.all([worker(), worker()])
}

async function test(folder, subjects) {
  const report = join(folder, 'report.json')
  const args = ['vitest', 'run', 'test/upstream', '--testTimeout=60000', '--hookTimeout=60000']
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
  const table = outcomeTable(outcomes)
  console.log(`\n${table}\n`)
  const differs = compareWithReadme(table)
  if (differs) console.error(`README.md says something else of these releases:\n${differs}\n`)
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
  const asked = process.argv.slice(2)
  const chosen = [...new Set(asked.length > 0 ? asked : [...RELEASES, versions[0]])].sort(byVersion)
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
