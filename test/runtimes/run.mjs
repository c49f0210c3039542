// `npm run test:runtimes` runs one suite on the packed tarball in every runtime, against upstreams on loopback.
//
//   npm run test:runtimes -- [node@24 bun …]
import { execFile } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, realpathSync, renameSync, rmSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { inJest, inPage, inProcess, inVitest, inWorker } from './drivers.mjs'
import { differencesTo, drawTable, rowOf } from './table.mjs'
import { startUpstreams } from './upstreams.mjs'

const hosts = ['import.mjs', 'require.cjs', 'own-websocket.mjs']
const node = (version) => ({ install: { node: version }, drive: inProcess('node/bin/node'), hosts })

const inNodeJsdom = '--env=jsdom --testEnvironmentOptions={"customExportConditions":["node"]}'

const RUNTIMES = {
  'node@20': { label: 'Node 20', ...node('20.20.2') },
  'node@22': { label: 'Node 22', ...node('22.23.3') },
  'node@24': { label: 'Node 24', ...node('24.21.0') },
  'node@26': { label: 'Node 26', ...node('26.10.0') },
  bun: { label: 'Bun', install: { bun: '1.4.5' }, drive: inProcess('.bin/bun', '--no-install'), hosts },
  deno: {
    label: 'Deno',
    install: { deno: '2.9.6' },
    drive: inProcess('.bin/deno', 'run', '-A', '--node-modules-dir=manual', '--quiet'),
    hosts,
  },
  // The newest miniflare for Node 20.
  workerd: { label: 'workerd', install: { miniflare: '4.20260426.0' }, drive: inWorker, hosts: ['worker.mjs'] },
  chromium: { label: 'Chromium', install: {}, drive: inPage, hosts: ['index.html'] },
  // Test runners run in the Node of this process, and run tests in separate realms.
  jest: {
    label: 'Jest',
    install: { jest: '30.5.2', 'jest-environment-jsdom': '30.5.2' },
    drive: inJest,
    hosts: ['test.mjs', 'test.cjs', `test.mjs ${inNodeJsdom}`, `test.cjs ${inNodeJsdom}`],
  },
  // As it comes, Jest finds the files for browsers, and the package uses the WebSocket of jsdom.
  'jest-jsdom': {
    label: 'Jest with jsdom',
    install: { jest: '30.5.2', 'jest-environment-jsdom': '30.5.2' },
    drive: inJest,
    hosts: ['test.mjs --env=jsdom', 'test.cjs --env=jsdom'],
  },
  vitest: {
    label: 'vitest',
    // The newest jsdom for Node 20.
    install: { vitest: '4.1.12', jsdom: '29.1.1' },
    drive: inVitest,
    // vitest's default pool starts processes, which would outlive a killed vitest.
    hosts: [
      'test.mjs --pool=vmThreads',
      'test.mjs --pool=vmThreads --environment=jsdom',
      'test.mjs --pool=threads --environment=jsdom',
    ],
  },
}
const HOST_TIMEOUT_MS = 120_000

const repository = fileURLToPath(new URL('../..', import.meta.url))
const run = promisify(execFile)
const quietly = ['--no-audit', '--no-fund', '--loglevel=error']

/** Installs the packed tarball with its dependencies in a folder, and copies the suite there. */
async function stagePackage(folder, signal) {
  const pack = ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder]
  const { stdout } = await run('npm', pack, { cwd: repository, signal })
  await writeFile(join(folder, 'package.json'), '{ "private": true }')
  await run('npm', ['install', ...quietly, `./${stdout.trim()}`], { cwd: folder, signal })
  cpSync(fileURLToPath(new URL('.', import.meta.url)), join(folder, 'runtimes'), { recursive: true })
}

/** Resolves with a cached folder that has the packages installed, and installs them if there is none. */
async function install(packages, signal) {
  const specs = Object.entries(packages).map(([name, version]) => `${name}@${version}`)
  if (specs.length === 0) return undefined
  const caches = process.env.XDG_CACHE_HOME || join(homedir(), '.cache')
  const folder = join(caches, 'terminal-upstream', 'runtimes', specs.join('+'))
  if (existsSync(folder)) return folder
  // Another name until the installation is complete, so that a broken one is never used.
  const unfinished = `${folder}.${process.pid}`
  try {
    mkdirSync(unfinished, { recursive: true })
    await writeFile(join(unfinished, 'package.json'), '{ "private": true }')
    await run('npm', ['install', ...quietly, ...specs], { cwd: unfinished, signal })
    renameSync(unfinished, folder)
  } finally {
    rmSync(unfinished, { recursive: true, force: true })
  }
  return folder
}

/** Calls `act` with a signal that aborts with the outer signal, or after the time limit. */
async function withDeadline(outer, act) {
  const controller = new AbortController()
  const stop = () => controller.abort(outer.reason)
  outer.addEventListener('abort', stop)
  // Node 20 garbage-collects the signals of AbortSignal.any and AbortSignal.timeout before they abort.
  const timer = setTimeout(
    () => controller.abort(new Error(`still running after ${HOST_TIMEOUT_MS} ms`)),
    HOST_TIMEOUT_MS,
  )
  try {
    return await act(controller.signal)
  } finally {
    clearTimeout(timer)
    outer.removeEventListener('abort', stop)
  }
}

/**
 * Runs the suite in a runtime. Resolves with the runtime's rows of the table and the numbers of passed and failed
 * cases.
 */
async function test({ label, install: packages, drive, hosts: names }, folder, startTestUpstream, stopping) {
  const started = performance.now()
  const rows = new Map()
  const failures = []
  let passed = 0

  async function runHost(name, tools) {
    const [file, ...args] = name.split(' ')
    const host = join(folder, 'runtimes', 'hosts', file)
    const upstreams = await startUpstreams(startTestUpstream)
    const { urls } = upstreams
    try {
      const report = await withDeadline(stopping, (signal) => drive(host, { folder, tools, args, urls, signal }))
      if (report === '') return
      const { results, facts } = JSON.parse(report)
      const failed = results.filter(({ error }) => error !== undefined)
      passed += results.length - failed.length
      failures.push(...failed.map(({ name: title, error }) => `${name}: ${title}: ${error}`))
      // The findings of a failed run are not reliable.
      if (failed.length === 0) rows.set(rowOf(label, facts).join(), rowOf(label, facts))
      const remaining = upstreams.remainingSessions().map(({ id }) => id)
      if (remaining.length > 0) failures.push(`${name}: sessions left on the upstreams: ${remaining.join(', ')}`)
    } catch ({ message, cause }) {
      failures.push(`${name}: ${[message, cause?.message].filter(Boolean).join(': ')}`)
    } finally {
      await upstreams.close()
    }
  }

  try {
    const tools = await install(packages, stopping)
    // The hosts run at the same time, because most of their time is waiting.
    await Promise.all(names.map((name) => runHost(name, tools)))
    const classes = new Set([...rows.values()].map(([, socketClass]) => socketClass))
    if (rows.size > classes.size) failures.push('hosts with the same WebSocket class have different findings')
  } catch (error) {
    failures.push(error.message)
  }
  stopping.throwIfAborted()
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  console.log(`${label}: ${passed} passed, ${failures.length} failed, ${seconds} s`)
  for (const failure of failures) console.log(`  FAILED ${failure}`)
  return { passed, failed: failures.length, rows: [...rows.values()] }
}

async function main(names, stopping) {
  if (!existsSync(join(repository, 'dist', 'index.js'))) throw new Error('There is no dist/: run `npm run build` first')
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'terminal-upstream-')))
  // An `exit` listener instead of `finally`, because miniflare exits the process when it receives a signal.
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  await stagePackage(folder, stopping)
  const { startTestUpstream } = createRequire(join(folder, 'package.json'))('terminal-upstream/testing')
  const outcomes = []
  for (const name of names) outcomes.push(await test(RUNTIMES[name], folder, startTestUpstream, stopping))
  const rows = outcomes.flatMap((outcome) => outcome.rows)
  console.log(`\n${drawTable(rows)}\n`)
  const differing = differencesTo(await readFile(new URL('README.md', import.meta.url), 'utf8'), rows)
  for (const difference of differing) console.log(`FAILED README.md ${difference}`)
  const passed = outcomes.reduce((sum, outcome) => sum + outcome.passed, 0)
  const failed = outcomes.reduce((sum, outcome) => sum + outcome.failed, differing.length)
  console.log(`${passed} passed, ${failed} failed`)
  return failed === 0
}

const { positionals } = parseArgs({ allowPositionals: true })
const names = positionals.length > 0 ? positionals : Object.keys(RUNTIMES)
const unknown = names.find((name) => !Object.hasOwn(RUNTIMES, name))
if (unknown !== undefined) {
  console.error(`There is no runtime ${unknown}, only ${Object.keys(RUNTIMES).join(', ')}`)
  process.exit(1)
}
const stopping = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
  process.once(signal, () => stopping.abort(new Error(`stopped by ${signal}`)))
process.exitCode = (await main(names, stopping.signal)) ? 0 : 1
