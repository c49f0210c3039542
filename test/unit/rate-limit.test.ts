import { describe, expect, it, vi } from 'vitest'
import { WebSocketServer, type WebSocket } from 'ws'
import { recordRefusals } from '../support/gateway-events.ts'
import { connectTo } from '../support/terminal.ts'
import { ask, startGateway } from '../support/terminal-gateway.ts'
import { afterwards, serve, until } from '../support/upstream.ts'

// ms that nothing else here waits.
const PAUSE = 7_000
const LIMITED = { refuse: 429, body: '<h1>429</h1>', headers: { 'retry-after': '7' } }

/** Lets each wait that is as long as the header says pass at once, and counts them. */
function skipPauses(): { count: number } {
  const pauses = { count: 0 }
  const { setTimeout: start } = globalThis
  const timers = vi.spyOn(globalThis, 'setTimeout').mockImplementation((run, ms = 0, ...rest) => {
    if (ms === PAUSE) pauses.count += 1
    return start(run, ms === PAUSE ? 0 : ms, ...rest)
  })
  afterwards({ close: () => timers.mockRestore() })
  return pauses
}

describe('the Retry-After of a proxy that limits the rate is heeded', () => {
  it.each(['create', 'attach'] as const)('by a gateway, towards its upstream (%s)', async (operation) => {
    const pauses = skipPauses()
    const gateway = await startGateway({ retry: { delay: 1 } }, { faults: { [operation]: [LIMITED] } })
    expect((await ask(gateway, 'POST')).status).toBe(200)
    expect(pauses.count).toBe(1)
  })

  it('by a terminal that resumes', async () => {
    const pauses = skipPauses()
    let dials = 0
    let first: WebSocket | undefined
    const base = await serve((server) => {
      server.on('request', (_request, response) => response.end('{"id":"s1"}'))
      const wss = new WebSocketServer({ noServer: true })
      server.on('upgrade', (request, socket, head) => {
        dials += 1
        if (dials === 2) {
          socket.end('HTTP/1.1 429 No\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n')
          return
        }
        wss.handleUpgrade(request, socket, head, (ws) => {
          first ??= ws
          ws.send('{"type":"attached","offset":0,"replay":0,"keepFor":60000,"generation":"g1"}')
        })
      })
    })
    const terminal = await connectTo({ url: base }, { reconnect: { delay: 1 } })
    first?.terminate()
    await until(() => dials === 3 && terminal.status === 'open')
    expect(pauses.count).toBe(1)
  })
})

it('the operator of a gateway is told that a proxy limits the rate', async () => {
  const refusals = recordRefusals()
  const gateway = await startGateway({ retry: { attempts: 1 } }, { faults: { create: LIMITED } })
  expect((await ask(gateway, 'POST')).status).toBe(503)
  expect(refusals).toMatchObject([{ reason: 'upstream', error: { status: 429, code: 'ERR_TERMINAL_UNAVAILABLE' } }])
  expect(String(refusals[0]?.error)).toContain('HTTP 429. A proxy limits the rate of requests')
})
