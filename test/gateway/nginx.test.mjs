import { once } from 'node:events'
import { get } from 'node:https'
import { expect, onTestFinished, test } from 'vitest'
import { personAt, startBrowser, startServer } from '../support/page.mjs'
import { ask, attachAs, createAs, startGateway } from '../support/terminal-gateway.ts'
import { until } from '../support/upstream.ts'
import { hasNginx, startForOpenWebUI, startNginx } from './nginx.ts'

const portOf = (url) => Number(new URL(url).port)

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

test.runIf(hasNginx())('Open WebUI gets its shell back through nginx with one key, and files of any size', async () => {
  const key = 'sk-canary'
  const gateway = await startGateway({
    resumeOnCreate: true,
    authorize({ token, userId, chatId }) {
      expect(token).toBe(key)
      return { base: gateway.upstream.url, key, userId, chatId }
    },
  })
  const nginx = await startForOpenWebUI(portOf(gateway.base), portOf(gateway.upstream.url))
  onTestFinished(() => nginx.stop())
  const headers = { Authorization: `Bearer ${key}`, 'X-User-Id': 'ada', 'X-Session-Id': 'chat-1' }
  const create = async () => (await ask({ base: nginx.url }, 'POST', '', headers)).body
  const { id } = await create()
  const { ws, printed } = await attachAs({ base: nginx.url }, `${id}?user_id=ada`, { token: key, chat_id: 'chat-1' })
  ws.send(Buffer.from('typed'))
  await printed('typed')
  ws.close()
  await until(() => gateway.gateway.sessions[0]?.parkedSince !== undefined)
  expect(await create()).toMatchObject({ id, resumed: true })

  // Nothing says what file it is: that is the word of the upstream. Of nginx it would be that the body is too large.
  const body = Buffer.alloc(2 * 1024 * 1024)
  const answer = await fetch(`${nginx.url}/files/upload`, { method: 'POST', headers, body })
  expect(answer.status).toBe(422)
})
