// Tests in a real Chromium that the page of `npm run demo:web` keeps its shell: over a reload, without a network, and while
// its process stands still.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { launchBrowser } from '../runtimes/browser.mjs'

vi.setConfig({ testTimeout: 150_000, hookTimeout: 60_000 })
// The last step of a test comes 25 s after the first, however soon its page notices that the network is gone.
const patience = { timeout: 40_000 }

const repository = fileURLToPath(new URL('../..', import.meta.url))
const home = mkdtempSync(join(tmpdir(), 'terminal-upstream-'))
// Where the screenshots go; they are kept if SHOTS names a folder.
const shots = process.env.SHOTS ?? join(home, 'shots')
mkdirSync(shots, { recursive: true })

// All tests share one server, one network and one page.
let server
let port
let network
let browser
let page

/** Starts the server of the page. Resolves with its port. */
async function startServer(fixedPort = 0) {
  server = spawn(process.execPath, ['test/examples/web/serve.mjs'], {
    cwd: repository,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, PORT: String(fixedPort), TOKEN: 'a-token-of-the-test' },
  })
  const [line] = await once(createInterface({ input: server.stdout }), 'line')
  return Number(new URL(/http\S+/.exec(line)[0]).port)
}

async function stopServer() {
  const ended = once(server, 'exit')
  server.kill()
  await ended
}

/** Starts a relay to the server. Without the network, it passes nothing on, and says nothing. */
async function startNetwork(serverPort) {
  const sockets = new Set()
  let isDown = false
  const relay = createServer((client) => {
    if (isDown) {
      client.resetAndDestroy()
      return
    }
    const upstream = connect(serverPort, '127.0.0.1')
    client.pipe(upstream).pipe(client)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        client.destroy()
        upstream.destroy()
      })
    }
  })
  relay.listen(0, '127.0.0.1')
  await once(relay, 'listening')
  return {
    port: relay.address().port,
    setDown(down) {
      isDown = down
      if (down) for (const socket of sockets) socket.unpipe().resume()
    },
    close() {
      for (const socket of sockets) socket.destroy()
      relay.close()
    },
  }
}

beforeAll(async () => {
  port = await startServer()
  network = await startNetwork(port)
  browser = await launchBrowser(home)
  page = await browser.newPage({ viewport: { width: 1000, height: 620 } })
  await page.goto(`http://127.0.0.1:${network.port}/#token=a-token-of-the-test`)
  await untilState('open')
  await run('MARK=of-the-beginning')
})

afterAll(async () => {
  await browser?.close()
  network?.close()
  await stopServer()
  rmSync(home, { recursive: true, force: true })
})

async function untilState(state) {
  await page.waitForSelector(`[data-state=${state}]`, { timeout: 60_000 })
}

async function run(command) {
  await page.keyboard.type(command)
  await page.keyboard.press('Enter')
}

/** Resolves with the lines of the screen. */
async function screen() {
  const rows = await page.locator('.xterm-rows > div').allTextContents()
  return rows.map((row) => row.replaceAll('\u00a0', ' ').trimEnd())
}

/** Resolves once the screen has a line that matches. */
async function untilShown(pattern) {
  const isShown = async () => (await screen()).some((line) => pattern.test(line))
  await expect.poll(isShown, { ...patience, message: `no line matches ${pattern}` }).toBe(true)
}

function shoot(name) {
  return page.screenshot({ path: join(shots, `${name}.png`) })
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
  await run(`clear; echo "round-${round} $MARK"`)
  await untilShown(new RegExp(`^round-${round} of-the-beginning$`))
}

test('a reload in the middle of a full-screen program shows the same screen, and the program goes on', async () => {
  await run('clear; less /etc/services')
  await untilShown(/^\S*services|^# /)
  await page.keyboard.press('Space')
  await sleep(500)
  const before = await screen()
  await shoot('less-before')
  await page.reload()
  await untilState('open')
  await expect.poll(screen, patience).toEqual(before)
  await shoot('less-after')
  await page.keyboard.press('q')
  await expectSameShell(1)
})

test('a reload in the middle of top goes on with top', async () => {
  await run('top -d 1')
  await untilShown(/PID USER/)
  await shoot('top-before')
  await page.reload()
  await untilState('open')
  await untilShown(/^top - /)
  await untilShown(/PID USER/)
  // The next one that top draws by itself.
  const [first] = await screen()
  await expect.poll(async () => (await screen())[0], patience).not.toBe(first)
  await shoot('top-after')
  await page.keyboard.press('q')
  await expectSameShell(2)
})

test('20 s without a network show "reconnecting…", drop what is typed, and go on where the output stopped', async () => {
  await run('clear; for i in 1 2 3 4 5 6; do echo "step-$i"; sleep 5; done')
  await untilShown(/^step-1$/)
  network.setDown(true)
  await page.context().setOffline(true)
  await sleep(1_000)
  await page.keyboard.type('lost')
  await untilState('reconnecting')
  expect(await page.locator('.terminal-upstream-reconnecting').textContent()).toBe('reconnecting…')
  await shoot('offline')
  await page.keyboard.type('lost too')
  // The page has noticed 16 s after the first key.
  await sleep(3_000)
  network.setDown(false)
  await page.context().setOffline(false)
  await untilState('open')
  expect(await page.locator('.terminal-upstream-reconnecting').count()).toBe(0)
  await untilShown(/^step-6$/)
  await shoot('online')
  const lines = await screen()
  expect(lines.filter((line) => line.startsWith('step-'))).toEqual([1, 2, 3, 4, 5, 6].map((step) => `step-${step}`))
  expect(lines.join('\n')).not.toContain('lost')
  await sleep(5_000)
  await expectSameShell(3)
})

test('a page whose process stands still for 70 s during a flood goes on with it', async () => {
  await run('clear; yes "a line of the flood"')
  await untilShown(/^a line of the flood$/)
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
  await stopServer()
  await untilState('reconnecting')
  await startServer(port)
  await untilState('ended')
  expect(await page.locator('#reason').textContent()).toBe(
    'The shell is gone: the server was restarted, or has ended it.',
  )
  await shoot('restarted')
  await page.click('#again')
  await untilState('open')
  await run('echo "new $MARK."')
  await untilShown(/^new \.$/)
})
