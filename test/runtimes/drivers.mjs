// How each runtime is made to run the suite: each takes a host, the file that runs the suite there, and resolves with
// the report as JSON, '' if there is nothing to run. `args` follow the file's name in the list of hosts.
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { build as bundle } from 'esbuild'
import { build as buildPage, preview } from 'vite'
import { launchBrowser } from './browser.mjs'

const LARGEST_REPORT = 16 * 1024 * 1024
// ms for a test in Jest or vitest, the most that a timer takes: the caller limits the time.
const UNLIMITED = 2 ** 31 - 1

/** Runs a host in a process. */
export function inProcess(binary, ...args) {
  return async (host, { folder, tools, urls, signal }) => {
    // A home of its own: what a runtime keeps there goes with the folder.
    const env = { PATH: process.env.PATH, HOME: folder, DENO_DIR: join(folder, 'deno'), DENO_NO_UPDATE_CHECK: '1' }
    const settings = { cwd: folder, env, signal, killSignal: 'SIGKILL', maxBuffer: LARGEST_REPORT }
    const command = join(tools, 'node_modules', binary)
    const { stdout } = await promisify(execFile)(command, [...args, host, JSON.stringify(urls)], settings)
    return stdout
  }
}

/** Runs a host as a test in Jest. */
export async function inJest(host, { tools, ...options }) {
  const jest = join(tools, 'node_modules/jest/bin/jest.js')
  // Watchman would go on watching the folder.
  const settings = ['--runInBand', '--no-watchman', `--testTimeout=${UNLIMITED}`]
  // Jest wants the flag for ESM, and the suite is ESM for both hosts.
  const command = ['--experimental-vm-modules', jest, ...settings, '--runTestsByPath', host]
  return runTest(() => command, options)
}

/** Runs a host as a test in vitest. */
export async function inVitest(host, { tools, args, ...options }) {
  const vitest = join(tools, 'node_modules/vitest/vitest.mjs')
  const test = { include: [`**/${basename(host)}`], globals: true, testTimeout: UNLIMITED, cache: false }
  return runTest(async (own) => {
    const config = join(own, 'vitest.config.mjs')
    // No flag says which files are tests.
    await writeFile(config, `export default ${JSON.stringify({ test })}`)
    return [vitest, 'run', '--config', config, '--root', options.folder, ...args]
  }, options)
}

/**
 * Runs a test framework in a process. Its output is not the host's, so the host writes the report to a file; `commandIn`
 * is given a folder for other files.
 */
async function runTest(commandIn, { folder, urls, signal }) {
  const own = await mkdtemp(join(folder, 'test-'))
  const report = join(own, 'report.json')
  const places = { PATH: process.env.PATH, HOME: own, TMPDIR: own }
  const env = { ...places, UPSTREAMS: JSON.stringify(urls), REPORT: report }
  await promisify(execFile)(process.execPath, await commandIn(own), { cwd: folder, env, signal, killSignal: 'SIGKILL' })
  return readFile(report, 'utf8')
}

/** Runs a host in workerd, bundled as workers are. */
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
    // Or it would ask the network where it is.
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

/** Runs a host, a page that vite has built, in the Chromium of this machine. */
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

function unlessAborted(promise, signal) {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason))
    promise.then(resolve, reject)
  })
}
