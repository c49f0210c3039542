// Tests in a real Chromium that the React example, behind its login, leaves no shell behind.
import { startTestUpstream } from 'terminal-upstream/testing'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { startBrowser, startServer } from '../support/page.mjs'

vi.setConfig({ testTimeout: 30_000, hookTimeout: 60_000 })
const patience = { timeout: 15_000 }

const problems = []
// Set in the hooks. All tests share the server and the browser; each has a page and its cookies of its own.
let upstream
let server
let browser
let page

beforeAll(async () => {
  upstream = await startTestUpstream({ key: 'sk-1', shell: 'sh' })
  const env = { UPSTREAM: upstream.url, UPSTREAM_KEY: 'sk-1', PORT: '0' }
  server = await startServer(env, 'test/examples/react/server.mjs')
  browser = await startBrowser()
})

beforeEach(async () => {
  page = await browser.newPage()
  page.on('pageerror', ({ message }) => problems.push(message))
  page.on('console', (message) => {
    if (message.text().includes('Content Security Policy')) problems.push(message.text())
  })
  await page.goto(server.url.href)
})

afterEach(async () => {
  await page.context().close()
  expect(problems.splice(0)).toEqual([])
})

afterAll(async () => {
  await browser?.stop()
  await server.stop()
  expect(upstream.sessions).toEqual([])
  await upstream.close()
})

async function logIn(password = 'let-me-in') {
  await page.fill('[name=user]', 'ada')
  await page.fill('[name=password]', password)
  await page.click('text=Log in')
}

/**
 * Resolves with the lines of the screen, without the blanks at their ends: without a PTY, a new line begins below the
 * last.
 */
async function screen() {
  const rows = await page.locator('.xterm-rows > div').allTextContents()
  return rows.map((row) => row.replaceAll('\u00a0', ' ').trim())
}

/** Runs a command, which the shell does not echo, and resolves once the screen has its output. */
async function run(command, output) {
  await page.locator('.xterm-helper-textarea').focus()
  await page.keyboard.type(`${command}\n`)
  await expect.poll(screen, patience).toContain(`$ ${output}`)
}

async function untilPrompt() {
  await expect.poll(screen, patience).toContain('$')
}

/** Resolves once the upstream has as many shells. */
async function untilShells(count) {
  await expect.poll(() => upstream.sessions.length, patience).toBe(count)
}

test('whoever has not logged in gets no shell', async () => {
  await logIn('let-me-out')
  expect(await page.textContent('[role=alert]')).toBe('Wrong user or password.')
  const create = () => fetch('/api/terminals', { method: 'POST' }).then(({ status }) => status)
  expect(await page.evaluate(create)).toBe(401)
  expect(upstream.sessions).toEqual([])
})

test('a component that StrictMode mounts twice has one shell, which survives a reload and ends when it is unmounted', async () => {
  await logIn()
  await untilPrompt()
  await untilShells(1)
  await run('MARK=of-the-beginning; echo "it runs $((6 * 7))"', 'it runs 42')
  await page.reload()
  await untilPrompt()
  await run('echo "still $MARK"', 'still of-the-beginning')
  expect(upstream.sessions).toHaveLength(1)
  await page.click('text=Shell on and off')
  await untilShells(0)
  await page.click('text=Shell on and off')
  await untilPrompt()
  await untilShells(1)
  await page.click('text=Shell on and off')
  await untilShells(0)
})

test('a component that is unmounted while it connects leaves no shell behind', async () => {
  await logIn()
  for (let round = 0; round < 5; round += 1) {
    await page.click('text=Shell on and off')
    await page.click('text=Shell on and off')
  }
  await untilPrompt()
  await untilShells(1)
  await page.click('text=Shell on and off')
  await untilShells(0)
})

test('a logout ends the shells of the user, and gives the page no other one', async () => {
  await logIn()
  await untilPrompt()
  await page.click('text=Log out')
  await page.waitForSelector('form')
  await untilShells(0)
  await page.reload()
  await page.waitForSelector('form')
  expect(upstream.sessions).toEqual([])
})

test.each(['Vue', 'Svelte'])('the lines for %s show a shell, and leave none behind', async (framework) => {
  await logIn()
  await untilPrompt()
  await page.click('text=Shell on and off')
  await untilShells(0)
  // As text, because vitest replaces `import` in a function.
  await page.evaluate(`import('/other-frameworks.js').then((lines) => void Object.assign(globalThis, lines))`)
  await page.evaluate((name) => {
    const { vShell, shell } = globalThis
    const element = document.getElementById('root').appendChild(document.createElement('div'))
    if (name === 'Vue') vShell.mounted(element)
    const action = name === 'Vue' ? { destroy: () => vShell.unmounted(element) } : shell(element)
    globalThis.end = () => action.destroy()
  }, framework)
  await untilPrompt()
  await untilShells(1)
  await page.evaluate(() => globalThis.end())
  await untilShells(0)
})
