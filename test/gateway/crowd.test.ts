import { once } from 'node:events'
import { expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { ask, startGateway } from '../support/terminal-gateway.ts'
import { afterwards, until } from '../support/upstream.ts'

const CONNECTIONS = 10_000
const AT_ONCE = 200
const LIMIT = 1_000

it(
  `${CONNECTIONS} connections that say nothing: ${LIMIT} wait, and the others make room with 1013`,
  { timeout: 60_000 },
  async () => {
    const gateway = await startGateway({ authTimeout: 30_000 })
    const url = `${gateway.base.replace('http', 'ws')}/api/terminals/s1`
    const open = new Set<WebSocket>()
    const codes: number[] = []
    afterwards({ close: () => open.forEach((ws) => ws.terminate()) })
    const connect = async (): Promise<void> => {
      const ws = new WebSocket(url, { perMessageDeflate: false })
      ws.once('close', (code) => {
        open.delete(ws)
        codes.push(code)
      })
      await once(ws, 'open')
      open.add(ws)
    }
    for (let done = 0; done < CONNECTIONS; done += AT_ONCE) await Promise.all(Array.from({ length: AT_ONCE }, connect))
    await until(() => open.size === LIMIT)
    expect(codes).toEqual(Array.from({ length: CONNECTIONS - LIMIT }, () => 1013))

    // Requests are served all the same: each makes room, too.
    expect((await ask(gateway, 'GET')).status).toBe(200)
    await until(() => open.size === LIMIT - 1)
  },
)
