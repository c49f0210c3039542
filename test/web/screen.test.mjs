// Tests in a real Chromium that a page of `npm run demo:web` that is reloaded shows its screen as it was, whatever the
// shell has printed since.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { personAt, startBrowser, startServer } from '../support/page.mjs'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 })
const patience = { timeout: 40_000 }

// More than the gateway keeps. It stays on one line of the screen.
const MUCH = `yes 'working, please wait' | head -c 400000 | tr '\\n' '\\r'`

// All tests share the server and the browser; each has pages of its own.
let server
let browser
let page
let person

beforeAll(async () => {
  server = await startServer()
  browser = await startBrowser()
})

beforeEach(async () => {
  page = await openPage()
  person = personAt(page, patience.timeout)
})

afterEach(async () => {
  await page.context().close()
})

afterAll(async () => {
  await browser?.stop()
  await server?.stop()
})

/** Opens a page with a shell of its own. */
async function openPage() {
  const opened = await browser.newPage({ viewport: { width: 900, height: 560 } })
  await opened.goto(server.url.href)
  await opened.waitForSelector('[data-state=open]')
  return opened
}

async function reload() {
  await page.reload()
  await person.waitsFor('open')
}

test('a reload in the middle of a spinner shows all that is above it, and the spinner goes on', async () => {
  await person.run(`clear; printf '\\033]0;a title\\007'; seq 1 12; ${MUCH}; printf '\\r\\033[K'
    i=0; while :; do i=$((i+1)); printf '\\r\\033[36m|\\033[m step %s' $i; sleep 0.2; done`)
  await person.sees(/^\| step \d+$/)
  const above = async () => (await person.screen()).filter((line) => !line.startsWith('| step'))
  const step = async () => Number(/\| step (\d+)/.exec((await person.screen()).join('\n'))?.[1])
  const [before, last] = [await above(), await step()]
  expect(before).toContain('12')
  await reload()
  await expect.poll(above, patience).toEqual(before)
  await expect.poll(step, patience).toBeGreaterThan(last)
  expect(await page.title()).toBe('a title')
})

test('a reload in a full-screen program after much output shows the program, and its end what was before', async () => {
  await person.run('clear; seq 1 12')
  await person.sees('12')
  await person.run(`printf '\\033[?1049h\\033[2J\\033[H\\033[7mall files\\033[m\\r\\n'; ${MUCH}
    printf '\\r\\033[K\\033[5;10Hpress Enter\\033[?25l'; read line; printf '\\033[?25h\\033[?1049l'`)
  await person.sees(/^ {9}press Enter$/)
  const cursor = page.locator('.xterm-cursor')
  await expect.poll(() => cursor.count(), patience).toBe(0)
  const before = await person.screen()
  await reload()
  await expect.poll(person.screen, patience).toEqual(before)
  expect(await page.locator('.xterm-rows span', { hasText: /^all\sfiles$/ }).count()).toBe(1)
  expect(await cursor.count()).toBe(0)
  await page.keyboard.press('Enter')
  await person.sees('12')
  await expect.poll(() => cursor.count(), patience).toBe(1)
  expect(await person.screen()).not.toContain('all files')
})

test('a reload in another width shows what a page shows that has stayed open', async () => {
  const stays = await openPage()
  for (const each of [page, stays]) {
    const typist = personAt(each, patience.timeout)
    await typist.run(`clear; ${MUCH}; printf '\\r\\033[K'; echo $((6 * 7))-${'many-words-'.repeat(11)}end`)
    await typist.sees(/^42-many/)
    await typist.sees('$')
    await each.keyboard.type(`echo ${'typed-'.repeat(20)}on`)
    await typist.sees(/on$/)
  }
  for (const width of [640, 1_200]) {
    await page.goto('about:blank')
    for (const each of [page, stays]) await each.setViewportSize({ width, height: 560 })
    await page.goto(server.url.href)
    await person.waitsFor('open')
    const differing = async () => {
      const expected = await personAt(stays).screen()
      return (await person.screen()).filter((line, row) => line !== expected[row])
    }
    await expect.poll(differing, patience).toEqual([])
    await person.sees(/^42-many/)
  }
  await stays.context().close()
})
