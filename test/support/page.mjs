// The page of `npm run demo:web` in a real Chromium, as a person uses it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import { launchBrowser } from '../runtimes/browser.mjs'

const repository = fileURLToPath(new URL('../..', import.meta.url))

/** Starts the server of a page, by default that of the demo. Resolves with the URL that it prints. */
export async function startServer(env = {}, script = 'test/examples/web/serve.mjs', cwd = repository) {
  const child = spawn(process.execPath, [script], {
    cwd,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  })
  const [line] = await once(createInterface({ input: child.stdout }), 'line')
  return {
    url: new URL(/http\S+/.exec(line)[0]),
    async stop() {
      const ended = once(child, 'exit')
      child.kill()
      await ended
    },
  }
}

/** Starts Chromium with a home folder that is removed at the end. */
export async function startBrowser() {
  const home = mkdtempSync(join(tmpdir(), 'terminal-upstream-'))
  const browser = await launchBrowser(home)
  return {
    newPage: (options) => browser.newPage(options),
    async stop() {
      await browser.close()
      rmSync(home, { recursive: true, force: true })
    },
  }
}

/** Returns what a person does with the terminal in a page. `patience` is the ms until the screen has to show a line. */
export function personAt(page, patience = 10_000) {
  /** Resolves with the lines of the screen. */
  async function screen() {
    const rows = await page.locator('.xterm-rows > div').allTextContents()
    return rows.map((row) => row.replaceAll('\u00a0', ' ').trimEnd())
  }
  return {
    screen,
    /** Types a command. */
    async run(command) {
      await page.keyboard.type(command)
      await page.keyboard.press('Enter')
    },
    /** Resolves once the screen has this line, or one that matches. */
    async sees(line) {
      const isShown = (shown) => (typeof line === 'string' ? shown === line : line.test(shown))
      const lookUp = async () => (await screen()).some(isShown)
      await expect.poll(lookUp, { timeout: patience, message: `no line is ${line}` }).toBe(true)
    },
    /** Resolves once the page shows that the terminal is in this state. */
    async waitsFor(state) {
      await page.waitForSelector(`[data-state=${state}]`, { timeout: 60_000 })
    },
  }
}
