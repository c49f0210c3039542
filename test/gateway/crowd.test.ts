import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { ask, startGateway } from '../support/terminal-gateway.ts'
import { afterwards, until } from '../support/upstream.ts'

const CONNECTIONS = 10_000
const AT_ONCE = 200
const LIMIT = 1_000

it(
  `${CONNECTIONS} connections that say nothing: ${LIMIT} wait, and the others are refused`,
  { timeout: 60_000 },
  async () => {
    const gateway = await startGateway({ authTimeout: 30_000 })
    const url = `${gateway.base.replace('http', 'ws')}/api/terminals/s1`
    const open: WebSocket[] = []
    let refused = 0
    afterwards({ close: () => open.forEach((ws) => ws.terminate()) })
    const connect = (): Promise<void> =>
      new Promise((resolve, reject) => {
        const ws = new WebSocket(url, { perMessageDeflate: false })
        ws.once('open', () => {
          open.push(ws)
          resolve()
        })
        ws.once('unexpected-response', (request, { statusCode }) => {
          if (statusCode !== 503) return reject(new Error(`HTTP ${statusCode}`))
          refused += 1
          request.destroy()
          resolve()
        })
        ws.on('error', () => {})
      })
    for (let done = 0; done < CONNECTIONS; done += AT_ONCE) await Promise.all(Array.from({ length: AT_ONCE }, connect))
    expect([open.length, refused]).toEqual([LIMIT, CONNECTIONS - LIMIT])

    // Requests are served all the same.
    expect((await ask(gateway, 'GET')).status).toBe(200)
    open.splice(0, 1).forEach((ws) => ws.terminate())
    await sleep(20)
    await connect()
    await until(() => open.length === LIMIT)
  },
)
