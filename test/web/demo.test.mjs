// Drives what `npm run demo:web` serves, in a real Chromium, as its user would.
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
let browser
let page

beforeAll(async () => {
  const [line] = await once(lines, 'line')
  browser = await launchBrowser(home)
  page = await browser.newPage({ viewport: { width: 1000, height: 620 } })
  page.on('pageerror', ({ message }) => problems.push(message))
  await page.goto(/http\S+/.exec(line)[0])
  await open()
})

afterAll(async () => {
  await browser?.close()
  const ended = once(server, 'exit')
  server.kill()
  await ended
  rmSync(home, { recursive: true, force: true })
})

async function open() {
  await page.waitForSelector('[data-state=open]')
}

async function run(command) {
  await page.keyboard.type(command)
  await page.keyboard.press('Enter')
}

/** Resolves once a line of the screen is what it should be. */
async function shows(line) {
  await expect
    .poll(async () => (await screen()).includes(line), { ...patience, message: `no line is ${line}` })
    .toBe(true)
}

/** What can be read on it, line by line. */
async function screen() {
  const rows = await page.locator('.xterm-rows > div').allTextContents()
  return rows.map((row) => row.replaceAll('\u00a0', ' ').trimEnd())
}

async function sizeShown() {
  const [cols, rows] = (await page.locator('#size').textContent()).split(' × ')
  return `${rows} ${cols}`
}

test('what is typed is run, and what comes back can be read', async () => {
  await run('echo $((6 * 7)) "grüße €"')
  await shows('42 grüße €')
})

test('the shell knows the size of the window, also when that changes', async () => {
  await run('stty size')
  await shows(await sizeShown())
  const before = await sizeShown()
  await page.setViewportSize({ width: 720, height: 480 })
  await expect.poll(sizeShown, patience).not.toBe(before)
  await run('stty size')
  await shows(await sizeShown())
})

test('Ctrl-C ends what runs, and a flood before it does not stand in its way', async () => {
  await run('yes')
  await shows('y')
  await page.keyboard.press('Control+c')
  await run('clear; echo calm again')
  await shows('calm again')
})

test('a paste arrives whole', async () => {
  const text = 'x'.repeat(300_000)
  // Whole or not at all: a PTY takes no longer lines than 4096 bytes from somebody who types them.
  await run('clear; stty -icanon -echo; echo "rea"dy; head -c 300000 | sha256sum; stty sane')
  await shows('ready')
  await page.evaluate((data) => {
    const clipboardData = new DataTransfer()
    clipboardData.setData('text/plain', data)
    const event = new ClipboardEvent('paste', { clipboardData, bubbles: true })
    document.querySelector('.xterm-helper-textarea').dispatchEvent(event)
  }, text)
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))
  await shows(`${Buffer.from(hash).toString('hex')}  -`)
})

test('the end of the shell is told, and another one is a click away', async () => {
  await run('exit')
  await expect.poll(() => page.locator('#reason').textContent(), patience).toBe('The shell has ended.')
  await page.click('#again')
  await open()
  await run('echo another one')
  await shows('another one')
})

test('nothing went wrong in the page', () => {
  expect(problems).toEqual([])
})
