import { describe, expect, it } from 'vitest'
import { connectTerminal } from '../../src/index.ts'
import { browserSocket } from '../support/browser-socket.ts'
import { gateway as proxy, type Habits } from '../support/gateway.ts'
import { createAs, pageOf, startGateway } from '../support/terminal-gateway.ts'
import { clientOf, rejection, upstreamOf } from '../support/upstream.ts'
import { recordWarnings, warned } from '../support/warnings.ts'

// The page of these proxies. Node sends no `Origin` of its own.
const PAGE = 'http://chat.example:8080'
const HOST_ADVICE = /"Origin not allowed"\. Let the proxy pass `Host` on unchanged .*, or name the page in `origins`/

describe('connectTerminal in front of a gateway says what to do about', () => {
  // PROTOCOL 8.9
  it.each([
    ['the port off Host (nginx $host)', 'chat.example'],
    ['its own Host (Vite changeOrigin)', '127.0.0.1:1'],
  ])('a proxy that passes on %s', async (_what, host) => {
    const served = await startGateway()
    const change: Habits['change'] = ({ headers }) => Object.assign(headers, { origin: PAGE, host })
    const base = await proxy({ url: served.server }, { change })
    const error = await rejection(connectTerminal(pageOf({ base })))
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_FORBIDDEN', status: 403 })
    expect(error.message).toMatch(HOST_ADVICE)
    expect(served.upstream.requests).toEqual([])
  })

  it('the same for a page that comes back to its session: a browser adds no Origin to the GET', async () => {
    const served = await startGateway()
    const sessionId = await createAs(served)
    const change: Habits['change'] = ({ headers }, isUpgrade) => isUpgrade && Object.assign(headers, { origin: PAGE })
    const base = await proxy({ url: served.server }, { change })
    const options = { ...pageOf({ base }), sessionId, WebSocket: browserSocket, retry: { attempts: 1 } }
    const { message } = await rejection(connectTerminal(options))
    expect(message).toMatch(
      /the connection dropped\. Let the proxy in between pass WebSockets on, with `Host` unchanged/,
    )
  })

  // PROTOCOL 8.8 and 8.9
  it.each(['new', 'kept'])('the same if only the WebSocket of a client has an Origin (%s session)', async (which) => {
    const served = await startGateway()
    const sessionId = which === 'kept' ? await createAs(served) : undefined
    const change: Habits['change'] = ({ headers }, isUpgrade) => isUpgrade && Object.assign(headers, { origin: PAGE })
    const base = await proxy({ url: served.server }, { change })
    const error = await rejection(connectTerminal({ ...pageOf({ base }), sessionId, retry: { attempts: 1 } }))
    expect(error.message).toMatch(
      /HTTP 403 to the handshake, although the session exists\. Let the proxy pass `Host` on/,
    )
  })

  it('a proxy between the gateway and the server that loses X-User-Id with WebSockets: the operator has to mend it', async () => {
    const change: Habits['change'] = ({ headers }, isUpgrade) => isUpgrade && delete headers['x-user-id']
    const base = await proxy(await upstreamOf({ release: 'open-terminal@0.14.5' }), { change })
    const { key, userId } = clientOf({ url: base })
    const served = await startGateway({ authorize: () => ({ base, key, userId }), settle: 5_000 })
    const warnings = recordWarnings()
    const error = await rejection(connectTerminal(pageOf(served)))
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_UNAVAILABLE', status: 500 })
    expect(error.message).toMatch(/"Not accepted by the terminal server"\. Ask the operator of the gateway/)
    await warned()
    const message = expect.stringContaining('forward X-User-Id and X-Session-Id with WebSockets')
    expect(warnings).toMatchObject([{ message }])
  })
})
