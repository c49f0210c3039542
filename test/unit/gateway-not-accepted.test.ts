import { describe, expect, it } from 'vitest'
import { connectTerminal, type UpstreamOptions } from '../../src/index.ts'
import { recordRefusals } from '../support/gateway-events.ts'
import { openResumable } from '../support/resumable.ts'
import { ask, pageOf, startGateway } from '../support/terminal-gateway.ts'
import { clientOf, rejection, until, upstreamOf } from '../support/upstream.ts'

const ADVICE = 'Ask the operator of the gateway: its log says why.'

// PROTOCOL 8.8
describe('what only the operator of a gateway can mend', () => {
  it('ends connectTerminal at once when the key of the upstream is wrong', async () => {
    const upstream = await upstreamOf()
    const gateway = await startGateway({ authorize: () => ({ base: upstream.url, key: 'wrong', userId: 'ada' }) })
    const error = await rejection(connectTerminal(pageOf(gateway)))
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_UNAVAILABLE', status: 500 })
    expect(error.message).toMatch(/: HTTP 500, "Not accepted by the terminal server"\. Ask the operator /)
    expect(error.message).toContain(ADVICE)
    expect(upstream.requests.map(({ status }) => status)).toEqual([401])
  })

  it('ends connectTerminal at once with a session of its own', async () => {
    const refusals = recordRefusals()
    const gateway = await startGateway({ authorize: () => ({ userId: 42 }) as unknown as UpstreamOptions })
    const error = await rejection(connectTerminal({ ...pageOf(gateway), sessionId: 's1' }))
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_FORBIDDEN', closeCode: 4003 })
    expect(error.message).toContain(`closed with 4003, "Not accepted by the terminal server". ${ADVICE}`)
    await until(() => refusals.length > 0)
    expect(refusals).toHaveLength(1)
  })

  it('does not end a terminal that resumes: its shell lives, and goes on when that is mended', async () => {
    const upstream = await upstreamOf()
    let isWrong = false
    let refused = 0
    const { gateway, relay, terminal, text } = await openResumable(
      {},
      {
        authorize: () => {
          if (!isWrong) return clientOf(upstream)
          refused += 1
          return { ...clientOf(upstream), userId: 42 } as unknown as UpstreamOptions
        },
      },
    )
    isWrong = true
    relay.cut('reset')
    await until(() => refused > 1)
    expect(terminal.status).toBe('reconnecting')
    isWrong = false
    await expect.poll(() => terminal.status, { timeout: 5_000 }).toBe('open')
    await terminal.write('still here')
    await until(() => text().includes('still here'))
    expect(await ask(gateway, 'GET')).toMatchObject({ body: [{ id: terminal.sessionId }] })
  })
})
