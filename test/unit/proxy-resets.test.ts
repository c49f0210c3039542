import { describe, expect, it } from 'vitest'
import type { TestFaults, TestRequest, TestUpstream } from '../../src/testing.ts'
import { tcpOf } from '../support/frames.ts'
import { CLIENT_AUTH, join, startProxy, clientTo } from '../support/proxy.ts'
import { CLIENT } from '../support/proxy-frames.ts'
import { failOnUnhandledErrors } from '../support/proxy-unhandled.ts'
import { clientOf, until, upstreamOf } from '../support/upstream.ts'

failOnUnhandledErrors()

interface Moment {
  readonly faults?: TestFaults
  /** What the client sends. Default: nothing. */
  readonly auth?: string
  /** Whether the upstream has reached the moment. */
  readonly until: (upstream: TestUpstream) => boolean
}

/** Moments in the life of a client. In each, the proxy waits for something else. */
const moments: Record<string, Moment> = {
  'before its first message': { until: () => true },
  'with half of its first message sent': { auth: CLIENT_AUTH.slice(0, 10), until: () => true },
  'while it is being authorized': { auth: CLIENT_AUTH, until: () => true },
  'while a session is being created': {
    auth: CLIENT_AUTH,
    faults: { create: { delay: 50 } },
    until: ({ requests }) => requests.length > 0,
  },
  'while the upstream is being dialled': {
    auth: CLIENT_AUTH,
    faults: { attach: 'stall' },
    until: ({ requests }) => requests.length > 1,
  },
  'while the upstream has not accepted yet': {
    auth: CLIENT_AUTH,
    until: ({ requests }) => requests.some(({ status }) => status === 101),
  },
  'when the terminal is open': { auth: CLIENT_AUTH, until: ({ sessions }) => sessions[0]?.attached === 1 },
}

describe('a client that resets its connection', () => {
  it.each(Object.entries(moments))('%s leaves no session', async (when, { faults, auth = '', until: reached }) => {
    const upstream = await upstreamOf({ faults })
    let authorizing = false
    const proxy = await startProxy(() => ({
      authorize: async () => {
        authorizing = true
        return when.includes('authorized') ? new Promise<never>(() => {}) : { ...clientOf(upstream), settle: 200 }
      },
    }))
    const client = await clientTo(proxy)
    // The header of a text frame whose rest never comes.
    if (auth.length < CLIENT_AUTH.length)
      tcpOf(client.ws).write(Buffer.from([0x81, CLIENT | CLIENT_AUTH.length, 0, 0, 0, 0]))
    else client.ws.send(auth)
    await until(() => authorizing === (auth === CLIENT_AUTH) && reached(upstream))
    tcpOf(client.ws).resetAndDestroy()
    expect(await proxy.served[0]?.summary).toMatchObject({ endedBy: 'client', code: 1006 })
    const requested = (wanted: string): TestRequest[] => upstream.requests.filter(({ method }) => method === wanted)
    // An orchestrator whose shell has been ended answers 404.
    const deleted = (): TestRequest[] => requested('DELETE').filter(({ status }) => [200, 404].includes(Number(status)))
    await until(() => deleted().length === requested('POST').length)
    expect(upstream.sessions).toEqual([])
  })

  it('while output and input of it wait leaves no session', async () => {
    const { ws, session, served, upstream } = await join({}, { maxBuffered: 1 })
    ws.pause()
    void session.output(new Uint8Array(10_000_000))
    ws.send(new Uint8Array(10_000_000))
    await until(() => served.socket.isPaused && served.socket.bufferedAmount > 0)
    tcpOf(ws).resetAndDestroy()
    expect(await served.summary).toMatchObject({ endedBy: 'client', code: 1006 })
    expect(upstream.sessions).toEqual([])
  })
})
