import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { get } from 'node:https'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { launchBrowser } from '../runtimes/browser.mjs'
import { attachAs, createAs, startGateway } from '../support/terminal-gateway.ts'
import { hasNginx, startNginx } from './nginx.ts'

const repository = fileURLToPath(new URL('../..', import.meta.url))

test.runIf(hasNginx())(
  'a page in Chromium uses a terminal through nginx and TLS, and a page of another origin gets none',
  { timeout: 60_000 },
  async () => {
    const server = spawn(process.execPath, ['test/examples/web/serve.mjs'], {
      cwd: repository,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    onTestFinished(() => void server.kill())
    const [line] = await once(createInterface({ input: server.stdout }), 'line')
    const page = new URL(String(/http\S+/.exec(line)?.[0]))
    const nginx = await startNginx(Number(page.port), Number(page.port))
    onTestFinished(() => nginx.stop())
    const home = mkdtempSync(join(tmpdir(), 'terminal-upstream-'))
    const browser = await launchBrowser(home)
    onTestFinished(async () => {
      await browser.close()
      rmSync(home, { recursive: true, force: true })
    })

    const tab = await browser.newPage({ ignoreHTTPSErrors: true })
    await tab.goto(`${nginx.url}/${page.hash}`)
    await tab.waitForSelector('[data-state=open]')
    await tab.keyboard.type('echo $((6 * 7)) "grüße €"\n')
    const screen = async () => (await tab.locator('.xterm-rows > div').allTextContents()).join('\n')
    await expect
      .poll(async () => (await screen()).replaceAll('\u00a0', ' '), { timeout: 10_000 })
      .toContain('42 grüße €')

    // The page of another port: Chromium sends its Origin.
    const stranger = await browser.newPage({ ignoreHTTPSErrors: true })
    await stranger.goto(page.origin)
    const code = await stranger.evaluate(
      `new Promise((resolve) => {
        const socket = new WebSocket('${nginx.url.replace('https', 'wss')}/api/terminals/s1')
        socket.onopen = () => resolve('open')
        socket.onclose = ({ code }) => resolve(code)
      })`,
    )
    expect(code).toBe(1006)
  },
)

test.runIf(hasNginx())(
  'a client behind nginx and TLS is closed with the code of the gateway, and the rest goes to the upstream',
  async () => {
    const gateway = await startGateway()
    const portOf = (url) => Number(new URL(url).port)
    const nginx = await startNginx(portOf(gateway.base), portOf(gateway.upstream.url))
    onTestFinished(() => nginx.stop())
    const { ws, printed, closed } = await attachAs({ base: nginx.url }, await createAs(gateway))
    ws.send(Buffer.from('typed'))
    await printed('typed')
    // The upstream answers this in its own words.
    const { port } = new URL(nginx.url)
    const request = get({
      port,
      path: '/api/config',
      rejectUnauthorized: false,
      headers: { Authorization: 'Bearer sk-canary' },
    })
    const [response] = await once(request, 'response')
    expect(Buffer.concat(await response.toArray()).toString()).toBe('{"detail":"Not Found"}')
    await gateway.gateway.close()
    expect(await closed).toEqual({ code: 1012, reason: 'Service restart' })
  },
)
