// How each runtime is made to run the suite: each takes a host, the file that runs the suite there, and resolves with
// the report as JSON, '' if there is nothing to run.
import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { build as bundle } from 'esbuild'
import { build as buildPage, preview } from 'vite'
import { launchBrowser } from './browser.mjs'

const LARGEST_REPORT = 16 * 1024 * 1024

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
