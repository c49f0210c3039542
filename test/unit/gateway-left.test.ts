import type { Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { recordRefusals } from '../support/gateway-events.ts'
import { ask, startGateway } from '../support/terminal-gateway.ts'
import { clientOf, nobody, until, upstreamOf } from '../support/upstream.ts'

describe('when a client leaves before its upstream has answered, the operator is told', () => {
  it('why the last try has failed', async () => {
    const refusals = recordRefusals()
    const base = await nobody()
    const gateway = await startGateway({ retry: { delay: 60_000 }, authorize: () => ({ base, userId: 'ada' }) })
    // Nothing tells when the first try has failed: a client that was too early comes again.
    let patience = 50
    await expect
      .poll(
        async () => {
          const signal = AbortSignal.timeout((patience *= 2))
          await expect(fetch(`${gateway.base}/api/terminals`, { method: 'POST', signal })).rejects.toThrow()
          return refusals.at(-1)
        },
        { timeout: 9_000 },
      )
      .toMatchObject({
        reason: 'upstream',
        status: 503,
        userId: 'ada',
        error: { code: 'ERR_TERMINAL_UNAVAILABLE', message: expect.stringContaining('ECONNREFUSED') },
      })
  })

  it('what the gateway was waiting for, if no try has failed', async () => {
    const refusals = recordRefusals()
    const upstream = await upstreamOf({ faults: { create: { delay: 60_000 } } })
    const gateway = await startGateway({ authorize: () => clientOf(upstream) })
    const leaving = new AbortController()
    const answer = fetch(`${gateway.base}/api/terminals`, { method: 'POST', signal: leaving.signal })
    await until(() => upstream.requests.length === 1)
    leaving.abort()
    await expect(answer).rejects.toThrow()
    await until(() => refusals.length === 1)
    expect(refusals).toMatchObject([
      {
        reason: 'upstream',
        status: 504,
        error: { message: expect.stringContaining('the client has left, still asking for a session. ') },
      },
    ])
  })

  it('nothing if the client has left by itself before the upstream was asked', async () => {
    const refusals = recordRefusals()
    const upstream = await upstreamOf()
    const letIn: Array<() => void> = []
    const sockets: Socket[] = []
    const gateway = await startGateway({
      authorize: async ({ request }) => {
        sockets.push(request.socket)
        await new Promise<void>((resolve) => letIn.push(resolve))
        return clientOf(upstream)
      },
    })
    const leaving = new AbortController()
    const left = fetch(`${gateway.base}/api/terminals`, { method: 'POST', signal: leaving.signal })
    await until(() => letIn.length === 1)
    leaving.abort()
    await expect(left).rejects.toThrow()
    await until(() => sockets[0]?.destroyed === true)
    const next = ask(gateway, 'GET')
    await until(() => letIn.length === 2)
    for (const each of letIn) each()
    await next
    expect(refusals).toEqual([])
    expect(upstream.requests).toEqual([])
  })
})
