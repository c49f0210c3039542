// Tests in a real Chromium that the pages and the server of the gateway page work with Vite, as their reader starts
// them.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startTestUpstream } from 'terminal-upstream/testing'
import { createServer } from 'vite'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { installPackage } from '../package/support/install.ts'
import { startBrowser, startServer } from '../support/page.mjs'
import { allBlocks } from '../support/pages.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })
const patience = { timeout: 20_000 }

const folder = installPackage('@xterm/xterm')
let upstream
let gateway
let browser

function blockOf(mark) {
  return allBlocks.find((block) => block.mark === mark).code
}

beforeAll(async () => {
  // Any free port, which the gateway then prints.
  const server = blockOf('file: test/examples/gateway.mjs').replace('${PORT}`', '${server.address().port}`')
  writeFileSync(join(folder, 'gateway.mjs'), server)
  for (const name of ['index.html', 'page.js', 'xterm.ts']) writeFileSync(join(folder, name), blockOf(`page: ${name}`))
  writeFileSync(join(folder, 'xterm.html'), blockOf('page: index.html').replace('page.js', 'xterm.ts'))

  upstream = await startTestUpstream({ key: 'sk-1', shell: 'sh' })
  const env = { UPSTREAM: upstream.url, UPSTREAM_KEY: 'sk-1', PORT: '0' }
  gateway = await startServer(env, 'gateway.mjs', folder)
  const config = blockOf('page: vite.config.mjs').replace('http://127.0.0.1:8080', gateway.url.origin)
  expect(config).toContain(gateway.url.origin)
  writeFileSync(join(folder, 'vite.config.mjs'), config)
  browser = await startBrowser()
})

afterAll(async () => {
  await browser?.stop()
  await gateway.stop()
  expect(upstream.sessions).toEqual([])
  await upstream.close()
})

/** Starts Vite with the reader's configuration. Resolves with the address that it prints. */
async function startVite(changes = {}) {
  const vite = await createServer({
    root: folder,
    configFile: join(folder, 'vite.config.mjs'),
    logLevel: 'warn',
    // Made at the start. Otherwise Vite reloads a page whose packages it finds later.
    optimizeDeps: { include: ['@xterm/xterm', 'terminal-upstream', 'terminal-upstream/xterm'] },
    ...changes,
  })
  onTestFinished(() => vite.close())
  await vite.listen(0)
  return vite.resolvedUrls.local[0]
}

test.each(['', 'xterm.html'])('the page /%s has a terminal', async (path) => {
  const url = await startVite()
  const page = await browser.newPage()
  onTestFinished(() => page.close())
  await page.goto(url + path)
  const screen = async () => (await page.locator('.xterm-rows').textContent()).replaceAll('\u00a0', ' ')
  await expect.poll(screen, patience).toContain('$')
  await page.locator('.xterm-helper-textarea').focus()
  await page.keyboard.type('echo "it runs $((6 * 7))"\n')
  await expect.poll(screen, patience).toContain('it runs 42')
})

test("Vite's changeOrigin makes the gateway refuse the page", async () => {
  const create = async (url) => {
    const headers = { Origin: new URL(url).origin, Authorization: 'Bearer let-me-in', 'X-User-Id': 'ada' }
    const { status } = await fetch(new URL('/api/terminals', url), { method: 'POST', headers })
    return status
  }
  expect(await create(await startVite())).toBe(200)
  const proxy = { '/api/terminals': { target: gateway.url.origin, ws: true, changeOrigin: true } }
  expect(await create(await startVite({ server: { proxy } }))).toBe(403)
})
