// Tests in a real Chromium that the page of `npm run demo:web` keeps its shell: over a reload, without a network, and
// while its process stands still.
import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { startRelay } from '../support/cuttable-relay.ts'
import { personAt, startBrowser, startServer } from '../support/page.mjs'

vi.setConfig({ testTimeout: 150_000, hookTimeout: 60_000 })
// The last step of a test comes 25 s after the first, however soon its page notices that the network is gone.
const PATIENCE_MS = 40_000
const TOKEN = 'a-token-of-the-test'

// Where the screenshots go, if anywhere.
const shots = process.env.SHOTS
if (shots) mkdirSync(shots, { recursive: true })

// All tests share one server, one network and one page.
let server
let network
let browser
let page
let person

beforeAll(async () => {
  server = await startServer({ TOKEN })
  network = await startRelay({ base: server.url.origin })
  browser = await startBrowser()
  page = await browser.newPage({ viewport: { width: 1000, height: 620 } })
  await page.goto(`${network.base}/${server.url.hash}`)
  person = personAt(page, PATIENCE_MS)
  await person.waitsFor('open')
  await person.run('MARK=of-the-beginning')
})

afterAll(async () => {
  await browser?.stop()
  await network?.close()
  await server?.stop()
})

async function shoot(name) {
  if (shots) await page.screenshot({ path: join(shots, `${name}.png`) })
}

/** Returns the ids of the processes in which pages of this Chromium run. */
function renderers() {
  const rows = execFileSync('ps', ['-eo', 'pid,ppid,args'], { encoding: 'utf8' }).trim().split('\n').slice(1)
  const processes = new Map(
    rows.map((row) => {
      const [pid, parent, ...args] = row.trim().split(/ +/)
      return [Number(pid), { parent: Number(parent), args }]
    }),
  )
  const isOurs = (pid) => pid === process.pid || (processes.has(pid) && isOurs(processes.get(pid).parent))
  return [...processes.keys()].filter((pid) => processes.get(pid).args.includes('--type=renderer') && isOurs(pid))
}

/** Checks that the shell is the one of the beginning, which has a variable. */
async function expectSameShell(round) {
  await person.run(`clear; echo "round-${round} $MARK"`)
  await person.sees(new RegExp(`^round-${round} of-the-beginning$`))
}

test('a reload in the middle of a full-screen program shows the same screen, and the program goes on', async () => {
  await person.run('clear; less /etc/services')
  await person.sees(/^\S*services|^# /)
  await page.keyboard.press('Space')
  await sleep(500)
  const before = await person.screen()
  await shoot('less-before')
  await page.reload()
  await person.waitsFor('open')
  await expect.poll(person.screen, { timeout: PATIENCE_MS }).toEqual(before)
  await shoot('less-after')
  await page.keyboard.press('q')
  await expectSameShell(1)
})

test('a reload in the middle of top goes on with top', async () => {
  await person.run('top -d 1')
  await person.sees(/PID USER/)
  await shoot('top-before')
  await page.reload()
  await person.waitsFor('open')
  await person.sees(/^top - /)
  await person.sees(/PID USER/)
  // The next one that top draws by itself.
  const [first] = await person.screen()
  await expect.poll(async () => (await person.screen())[0], { timeout: PATIENCE_MS }).not.toBe(first)
  await shoot('top-after')
  await page.keyboard.press('q')
  // Until then, top throws away what is typed.
  await person.sees('$')
  await expectSameShell(2)
})

test('20 s without a network show "reconnecting…", drop what is typed, and go on with the output', async () => {
  await person.run('clear; for i in 1 2 3 4 5 6; do echo "step-$i"; sleep 5; done')
  await person.sees(/^step-1$/)
  const restore = network.refuse()
  network.cut('freeze')
  await page.context().setOffline(true)
  await sleep(1_000)
  await page.keyboard.type('lost')
  await person.waitsFor('reconnecting')
  expect(await page.locator('.terminal-upstream-reconnecting').textContent()).toBe('reconnecting…')
  await shoot('offline')
  await page.keyboard.type('lost too')
  // The page has noticed 16 s after the first key.
  await sleep(3_000)
  restore()
  await page.context().setOffline(false)
  await person.waitsFor('open')
  expect(await page.locator('.terminal-upstream-reconnecting').count()).toBe(0)
  await person.sees(/^step-6$/)
  await shoot('online')
  const lines = await person.screen()
  expect(lines.filter((line) => line.startsWith('step-'))).toEqual([1, 2, 3, 4, 5, 6].map((step) => `step-${step}`))
  expect(lines.join('\n')).not.toContain('lost')
  await sleep(5_000)
  await expectSameShell(3)
})

test('a page whose process stands still for 70 s during a flood goes on with it', async () => {
  await person.run('clear; yes "a line of the flood"')
  await person.sees(/^a line of the flood$/)
  await page.evaluate(() => {
    window.states = []
    const record = () => window.states.push(document.body.dataset.state)
    new MutationObserver(record).observe(document.body, { attributes: true })
  })
  const pids = renderers()
  expect(pids.length).toBeGreaterThan(0)
  for (const pid of pids) process.kill(pid, 'SIGSTOP')
  await sleep(70_000)
  for (const pid of pids) process.kill(pid, 'SIGCONT')
  await expect.poll(() => page.evaluate(() => window.states), { timeout: 60_000 }).toEqual(['reconnecting', 'open'])
  await shoot('woken')
  await page.keyboard.press('Control+c')
  await sleep(1_000)
  await expectSameShell(4)
})

test('a server that was restarted is a sentence for people, and a new terminal is one click away', async () => {
  await server.stop()
  await person.waitsFor('reconnecting')
  server = await startServer({ TOKEN, PORT: server.url.port })
  await person.waitsFor('ended')
  expect(await page.locator('#reason').textContent()).toBe(
    'The shell is gone: the server was restarted, or has ended it.',
  )
  await shoot('restarted')
  await page.click('#again')
  await person.waitsFor('open')
  await person.run('echo "new $MARK."')
  await person.sees(/^new \.$/)
})
