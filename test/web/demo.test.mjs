// Tests the page of `npm run demo:web` in a real Chromium, with the keyboard and the mouse.
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { personAt, startBrowser, startServer } from '../support/page.mjs'

vi.setConfig({ testTimeout: 30_000, hookTimeout: 60_000 })

const problems = []
// Set in `beforeAll`, because all tests share one page.
let server
let browser
let page
let person

beforeAll(async () => {
  server = await startServer()
  browser = await startBrowser()
  page = await browser.newPage({ viewport: { width: 1000, height: 620 } })
  page.on('pageerror', ({ message }) => problems.push(message))
  await page.goto(server.url.href)
  person = personAt(page)
  await person.waitsFor('open')
})

afterAll(async () => {
  await browser?.stop()
  await server?.stop()
})

/** Resolves with the size that the page shows, in the format of `stty size`. */
async function sizeShown() {
  const [cols, rows] = (await page.locator('#size').textContent()).split(' × ')
  return `${rows} ${cols}`
}

test('the shell runs a typed command, and the page shows its output', async () => {
  await person.run('echo $((6 * 7)) "grüße €"')
  await person.sees('42 grüße €')
})

test('the shell knows the size of the window before and after a change', async () => {
  await person.run('stty size')
  await person.sees(await sizeShown())
  const before = await sizeShown()
  await page.setViewportSize({ width: 720, height: 480 })
  await expect.poll(sizeShown, { timeout: 10_000 }).not.toBe(before)
  await person.run('stty size')
  await person.sees(await sizeShown())
})

test('Ctrl-C ends a command that floods the terminal', async () => {
  await person.run('yes')
  await person.sees('y')
  await page.keyboard.press('Control+c')
  await person.run('clear; echo calm again')
  await person.sees('calm again')
})

test('the shell receives a large paste whole', async () => {
  const text = 'x'.repeat(300_000)
  // `-icanon`, because a PTY in line mode accepts no lines of more than 4096 bytes.
  await person.run('clear; stty -icanon -echo; echo "rea"dy; head -c 300000 | sha256sum; stty sane')
  await person.sees('ready')
  await page.evaluate((data) => {
    const clipboardData = new DataTransfer()
    clipboardData.setData('text/plain', data)
    const event = new ClipboardEvent('paste', { clipboardData, bubbles: true })
    document.querySelector('.xterm-helper-textarea').dispatchEvent(event)
  }, text)
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))
  await person.sees(`${Buffer.from(hash).toString('hex')}  -`)
})

test('the page reports the end of the shell, and opens another terminal on a click', async () => {
  await person.run('exit')
  await expect.poll(() => page.locator('#reason').textContent(), { timeout: 10_000 }).toBe('The shell has ended.')
  await page.click('#again')
  await person.waitsFor('open')
  await person.run('echo another one')
  await person.sees('another one')
})

test('the page throws no error during the tests', () => {
  expect(problems).toEqual([])
})
