// Tests in a real Chromium that an admin sees which shells there are, looks on at one, and ends one.
import { build } from 'esbuild'
import { startTestUpstream } from 'terminal-upstream/testing'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { startBrowser, startServer } from '../support/page.mjs'
import { allBlocks } from '../support/pages.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })
const patience = { timeout: 20_000 }

let upstream
let server
let browser

beforeAll(async () => {
  upstream = await startTestUpstream({ key: 'sk-1', shell: 'sh' })
  server = await startServer({ UPSTREAM: upstream.url, UPSTREAM_KEY: 'sk-1', PORT: '0' }, 'test/examples/admin.mjs')
  browser = await startBrowser()
})

afterAll(async () => {
  await browser?.stop()
  await server.stop()
  expect(upstream.sessions).toEqual([])
  await upstream.close()
})

/** Opens the page of a user, whose title says how the shell has ended. */
async function openShell() {
  const { code } = allBlocks.find(({ mark }) => mark === 'page: page.js')
  const contents = `${code}\nvoid terminal.closed.then(({ cause, reason }) => (document.title = cause + ': ' + reason))`
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: process.cwd() },
    bundle: true,
    format: 'esm',
    outdir: '/',
    write: false,
    logLevel: 'error',
  })
  const [script, style] = ['.js', '.css'].map((end) => outputFiles.find(({ path }) => path.endsWith(end)).text)
  const page = await browser.newPage()
  onTestFinished(() => page.close())
  // Any file of the server: the page must have its origin.
  await page.goto(`${server.url.origin}/admin-page.css`)
  await page.addStyleTag({ content: style })
  await page.addScriptTag({ content: script, type: 'module' })
  await page.locator('.xterm-helper-textarea').focus()
  return page
}

async function screenOf(page) {
  return (await page.locator('.xterm-rows').textContent()).replaceAll('\u00a0', ' ')
}

/** Resolves when the terminal in a page shows a round from this one on, with the last that it shows. */
async function seesRound(page, from) {
  const last = async () => Number((await screenOf(page)).match(/(?<=round )\d+(?=\.)/g)?.at(-1))
  await expect.poll(last, patience).toBeGreaterThanOrEqual(from)
  return last()
}

test('an admin sees the shells, looks on at one without typing, and ends it, and its user is told', async () => {
  const ada = await openShell()
  await expect.poll(() => screenOf(ada), patience).toContain('$')
  await ada.keyboard.type('while sleep 0.1; do echo "round $((i = i + 1))."; done\n')
  await seesRound(ada, 3)
  const admin = await browser.newPage()
  onTestFinished(() => admin.close())
  const problems = []
  admin.on('pageerror', ({ message }) => problems.push(message))
  await admin.goto(`${server.url.origin}/admin`)
  expect(await admin.locator('li').allTextContents()).toEqual(['ada Look onEnd'])
  await admin.click('text=Look on')
  const round = await seesRound(admin, 1)
  await admin.locator('.xterm-helper-textarea').focus()
  await admin.keyboard.type('exit\n')
  await seesRound(admin, round + 5)
  await admin.click('text=End')
  await expect.poll(() => screenOf(admin), patience).toContain('[exited]')
  await expect.poll(() => ada.title(), patience).toBe('exited: Ended by an admin')
  await expect.poll(() => admin.locator('li').count(), patience).toBe(0)
  expect(problems).toEqual([])
  const typed = upstream.requests.flatMap(({ frames }) => frames.filter((frame) => typeof frame !== 'string'))
  expect(Buffer.concat(typed).toString()).toMatch(/^while.*\r$/)
})
