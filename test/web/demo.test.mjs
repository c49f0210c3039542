// Tests the page of `npm run demo:web` in a real Chromium, with the keyboard and the mouse.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { launchBrowser } from '../runtimes/browser.mjs'

vi.setConfig({ testTimeout: 30_000, hookTimeout: 60_000 })
const patience = { timeout: 10_000 }

const repository = fileURLToPath(new URL('../..', import.meta.url))
const home = mkdtempSync(join(tmpdir(), 'terminal-upstream-'))
const server = spawn(process.execPath, ['test/examples/web/serve.mjs'], {
  cwd: repository,
  stdio: ['ignore', 'pipe', 'inherit'],
})
const lines = createInterface({ input: server.stdout })
const problems = []
// Set in `beforeAll`, because all tests share one page.
let browser
let page

beforeAll(async () => {
  const [line] = await once(lines, 'line')
  browser = await launchBrowser(home)
  page = await browser.newPage({ viewport: { width: 1000, height: 620 } })
  page.on('pageerror', ({ message }) => problems.push(message))
  await page.goto(/http\S+/.exec(line)[0])
  await untilOpen()
})

afterAll(async () => {
  await browser?.close()
  const ended = once(server, 'exit')
  server.kill()
  await ended
  rmSync(home, { recursive: true, force: true })
})

/** Resolves when the terminal is open. */
async function untilOpen() {
  await page.waitForSelector('[data-state=open]')
}

async function run(command) {
  await page.keyboard.type(command)
  await page.keyboard.press('Enter')
}

/** Resolves once the screen has the line. */
async function untilShown(line) {
  await expect
    .poll(async () => (await screen()).includes(line), { ...patience, message: `no line is ${line}` })
    .toBe(true)
}

/** Resolves with the lines of the screen. */
async function screen() {
  const rows = await page.locator('.xterm-rows > div').allTextContents()
  return rows.map((row) => row.replaceAll('\u00a0', ' ').trimEnd())
}

/** Resolves with the size that the page shows, in the format of `stty size`. */
async function sizeShown() {
  const [cols, rows] = (await page.locator('#size').textContent()).split(' × ')
  return `${rows} ${cols}`
}

test('the shell runs a typed command, and the page shows its output', async () => {
  await run('echo $((6 * 7)) "grüße €"')
  await untilShown('42 grüße €')
})

test('the shell knows the size of the window before and after a change', async () => {
  await run('stty size')
  await untilShown(await sizeShown())
  const before = await sizeShown()
  await page.setViewportSize({ width: 720, height: 480 })
  await expect.poll(sizeShown, patience).not.toBe(before)
  await run('stty size')
  await untilShown(await sizeShown())
})

test('Ctrl-C ends a command that floods the terminal', async () => {
  await run('yes')
  await untilShown('y')
  await page.keyboard.press('Control+c')
  await run('clear; echo calm again')
  await untilShown('calm again')
})

test('the shell receives a large paste whole', async () => {
  const text = 'x'.repeat(300_000)
  // `-icanon`, because a PTY in line mode accepts no lines of more than 4096 bytes.
  await run('clear; stty -icanon -echo; echo "rea"dy; head -c 300000 | sha256sum; stty sane')
  await untilShown('ready')
  await page.evaluate((data) => {
    const clipboardData = new DataTransfer()
    clipboardData.setData('text/plain', data)
    const event = new ClipboardEvent('paste', { clipboardData, bubbles: true })
    document.querySelector('.xterm-helper-textarea').dispatchEvent(event)
  }, text)
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))
  await untilShown(`${Buffer.from(hash).toString('hex')}  -`)
})

test('the page reports the end of the shell, and opens another terminal on a click', async () => {
  await run('exit')
  await expect.poll(() => page.locator('#reason').textContent(), patience).toBe('The shell has ended.')
  await page.click('#again')
  await untilOpen()
  await run('echo another one')
  await untilShown('another one')
})

test('the page throws no error during the tests', () => {
  expect(problems).toEqual([])
})
