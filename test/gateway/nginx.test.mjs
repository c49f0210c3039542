import { once } from 'node:events'
import { get } from 'node:https'
import { expect, onTestFinished, test } from 'vitest'
import { personAt, startBrowser, startServer } from '../support/page.mjs'
import { attachAs, createAs, startGateway } from '../support/terminal-gateway.ts'
import { hasNginx, startNginx } from './nginx.ts'

test.runIf(hasNginx())(
  'a page in Chromium uses a terminal through nginx and TLS, and a page of another origin gets none',
  { timeout: 60_000 },
  async () => {
    const server = await startServer()
    onTestFinished(() => server.stop())
    const port = Number(server.url.port)
    const nginx = await startNginx(port, port)
    onTestFinished(() => nginx.stop())
    const browser = await startBrowser()
    onTestFinished(() => browser.stop())

    const page = await browser.newPage({ ignoreHTTPSErrors: true })
    await page.goto(`${nginx.url}/${server.url.hash}`)
    const person = personAt(page)
    await person.waitsFor('open')
    await person.run('echo $((6 * 7)) "grüße €"')
    await person.sees('42 grüße €')

    // The page of another port: Chromium sends its Origin.
    const stranger = await browser.newPage({ ignoreHTTPSErrors: true })
    await stranger.goto(server.url.origin)
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
