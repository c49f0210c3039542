// The drivers run the suite in each runtime. A driver takes a host (the file that runs the suite in the runtime) and
// resolves with the report as JSON, or with '' if the host has nothing to run. `args` are the arguments after the
// host's name in the list of hosts.
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { build as bundle } from 'esbuild'
import { build as buildPage, preview } from 'vite'
import { launchBrowser } from './browser.mjs'

const LARGEST_REPORT_BYTES = 16 * 1024 * 1024
// For a test in Jest or vitest: the longest delay, because the caller limits the time.
const UNLIMITED_MS = 2 ** 31 - 1

/** Runs a host in a process. */
export function inProcess(binary, ...args) {
  return async (host, { folder, tools, urls, signal }) => {
    // The files that a runtime writes to its home folder are removed with `folder`.
    const env = { PATH: process.env.PATH, HOME: folder, DENO_DIR: join(folder, 'deno'), DENO_NO_UPDATE_CHECK: '1' }
    const settings = { cwd: folder, env, signal, killSignal: 'SIGKILL', maxBuffer: LARGEST_REPORT_BYTES }
    const command = join(tools, 'node_modules', binary)
    const { stdout } = await promisify(execFile)(command, [...args, host, JSON.stringify(urls)], settings)
    return stdout
  }
}

/** Runs a host as a test in Jest. */
export async function inJest(host, { tools, args, ...options }) {
  const jest = join(tools, 'node_modules/jest/bin/jest.js')
  // Watchman would keep watching the folder after the test.
  const settings = ['--runInBand', '--no-watchman', `--testTimeout=${UNLIMITED_MS}`]
  // Jest requires the flag for ESM, and the suite is ESM for both hosts.
  const command = ['--experimental-vm-modules', jest, ...settings, ...args, '--runTestsByPath', host]
  return runTest(() => command, options)
}

/** Runs a host as a test in vitest. */
export async function inVitest(host, { tools, args, ...options }) {
  const vitest = join(tools, 'node_modules/vitest/vitest.mjs')
  const test = { include: [`**/${basename(host)}`], globals: true, testTimeout: UNLIMITED_MS, cache: false }
  return runTest(async (own) => {
    const config = join(own, 'vitest.config.mjs')
    // vitest has no flag for the names of test files.
    await writeFile(config, `export default ${JSON.stringify({ test })}`)
    return [vitest, 'run', '--config', config, '--root', options.folder, ...args]
  }, options)
}

/**
 * Runs a test framework in a process. The framework prints its own output, so the host writes the report to a file.
 * `commandIn` receives a folder for the framework's files, and returns the command.
 */
async function runTest(commandIn, { folder, urls, signal }) {
  const own = await mkdtemp(join(folder, 'test-'))
  const report = join(own, 'report.json')
  const folders = { PATH: process.env.PATH, HOME: own, TMPDIR: own }
  const env = { ...folders, UPSTREAMS: JSON.stringify(urls), REPORT: report }
  await promisify(execFile)(process.execPath, await commandIn(own), { cwd: folder, env, signal, killSignal: 'SIGKILL' })
  return readFile(report, 'utf8')
}

/** Bundles a host as a worker, and runs it in workerd. */
export async function inWorker(host, { folder, tools, urls, signal }) {
  const { outputFiles } = await bundle({
    entryPoints: [host],
    absWorkingDir: folder,
    bundle: true,
    format: 'esm',
    platform: 'browser',
    conditions: ['workerd', 'worker', 'browser'],
    write: false,
  })
  const { Miniflare } = createRequire(join(tools, 'package.json'))('miniflare')
  const worker = new Miniflare({
    modules: true,
    script: outputFiles[0].text,
    compatibilityDate: '2026-04-01',
    // Without this option, miniflare requests its location from the network.
    cf: false,
  })
  try {
    const request = { method: 'POST', body: JSON.stringify(urls) }
    const response = await unlessAborted(worker.dispatchFetch('http://worker', request), signal)
    if (!response.ok) throw new Error(`the worker failed: ${await response.text()}`)
    return await response.text()
  } finally {
    await worker.dispose()
  }
}

/** Builds a host, which is a page, with vite, and runs it in the Chromium of this machine. */
export async function inPage(host, { folder, urls, signal }) {
  const root = dirname(host)
  const browser = await launchBrowser(folder)
  let server
  try {
    await buildPage({ root, configFile: false, logLevel: 'error' })
    server = await preview({ root, configFile: false, logLevel: 'error', preview: { host: '127.0.0.1', port: 0 } })
    const page = await browser.newPage()
    await page.goto(server.resolvedUrls.local[0])
    const run = page.evaluate((upstreams) => globalThis.runSuite(upstreams), urls)
    return await unlessAborted(run, signal)
  } finally {
    await browser.close()
    await server?.close()
  }
}

/** Settles as the promise does, or rejects with the signal's reason. */
function unlessAborted(promise, signal) {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason))
    promise.then(resolve, reject)
  })
}
