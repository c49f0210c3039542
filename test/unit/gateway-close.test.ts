import { describe, expect, it } from 'vitest'
import { createTerminalGateway } from '../../src/gateway.ts'
import { connectTerminal } from '../../src/index.ts'
import { park } from '../support/parking.ts'
import { clientTo, framesOf, KIB, neverAuthorize } from '../support/proxy.ts'
import { as, ask, attached, createAs, pageOf, startGateway } from '../support/terminal-gateway.ts'
import { releases, until } from '../support/upstream.ts'

const RESTART = { code: 1012, reason: 'Service restart' }

describe('close', () => {
  it.each(releases)('closes the clients with 1012 and deletes all sessions of %s', async (release) => {
    const { gateway, closed } = await attached({}, { release })
    await until(() => gateway.gateway.sessions.some(({ attachedSince }) => attachedSince))
    await createAs(gateway)
    await park(gateway)
    await gateway.gateway.close()
    expect(await closed).toEqual(RESTART)
    expect(gateway.gateway.sessions).toEqual([])
    expect(gateway.upstream.sessions).toEqual([])
  })

  it('lets what a client has typed arrive first', async () => {
    const { gateway, ws, closed } = await attached()
    // 4 096 bytes leave in 4 ms, so this takes 0.1 s.
    ws.send('x'.repeat(100 * KIB), { binary: true })
    await until(() => gateway.gateway.sessions.some(({ attachedSince }) => attachedSince))
    await gateway.gateway.close()
    expect(await closed).toEqual(RESTART)
    const typed = framesOf(gateway.upstream).flat().join('')
    expect(typed.split('x')).toHaveLength(100 * KIB + 1)
  })

  it('tells a page that the server restarts', async () => {
    const gateway = await startGateway()
    const terminal = await connectTerminal(pageOf(gateway))
    const closing = gateway.gateway.close()
    const { cause, error } = await terminal.closed
    expect([cause, error?.code, error?.closeCode]).toEqual(['remote', 'ERR_TERMINAL_UNAVAILABLE', 1012])
    await closing
  })

  it('answers new clients with 503 meanwhile, and afterwards', async () => {
    const gateway = await startGateway({}, { faults: { delete: { delay: 100 } } })
    await createAs(gateway)
    const closing = gateway.gateway.close({ timeout: 0 })
    expect(await ask(gateway, 'POST')).toMatchObject({ status: 503, body: { error: 'Service restart' } })
    await closing
    await expect(clientTo({ url: `${gateway.base.replace('http', 'ws')}/api/terminals/s1` })).rejects.toThrow('503')
  })

  it('is idempotent, and ends its wait when it is called again with a shorter timeout', async () => {
    const gateway = await startGateway()
    const terminal = await connectTerminal(pageOf(gateway))
    // More than leaves in the time of the test.
    void terminal.write('x'.repeat(32 * 1024 * KIB)).catch(() => {})
    await until(() => (gateway.gateway.sessions[0]?.bytesToUpstream ?? 0) > 0)
    const calls = [gateway.gateway.close({ timeout: 600_000 }), gateway.gateway.close({ timeout: 600_000 })]
    await Promise.all([gateway.gateway.close({ timeout: 0 }), ...calls])
    expect(gateway.upstream.sessions).toEqual([])
    await gateway.gateway.close()
  })

  it.each([-1, 1.5, Number.NaN, 2 ** 31, '5'])('throws a RangeError for a timeout of %s', async (timeout) => {
    const gateway = createTerminalGateway({ authorize: neverAuthorize })
    await expect(gateway.close({ timeout: timeout as number })).rejects.toMatchObject({ code: 'ERR_OUT_OF_RANGE' })
    await expect(gateway.close({ drain: 5 } as object)).rejects.toThrow('Did you mean `timeout`?')
    await gateway.close()
  })

  it('runs at the end of `await using`', async () => {
    const { gateway, base, upstream } = await startGateway()
    await createAs({ base })
    {
      await using closing = gateway
      expect(closing.sessions).toHaveLength(1)
    }
    expect(gateway.sessions).toEqual([])
    expect(upstream.sessions).toEqual([])
  })
})

describe('a client that leaves while its session is created', () => {
  it('leaves no session', async () => {
    const gateway = await startGateway({}, { faults: { create: { delay: 100 } } })
    const controller = new AbortController()
    const { signal } = controller
    const request = fetch(`${gateway.base}/api/terminals`, { method: 'POST', headers: as('ada'), signal })
    await until(() => gateway.upstream.requests.length > 0)
    controller.abort()
    await expect(request).rejects.toThrow()
    await until(() => gateway.upstream.sessions.length === 0 && gateway.upstream.requests.length > 1)
    expect(gateway.gateway.sessions).toEqual([])
  })

  it('leaves no session when another of the same chat is created first', async () => {
    const gateway = await startGateway({}, { release: 'open-terminal@0.14.5', faults: { create: { delay: 100 } } })
    const headers = { Authorization: 'Bearer jwt-ada', 'X-Session-Id': 'c1' }
    const first = ask(gateway, 'POST', '', headers)
    await until(() => gateway.upstream.requests.length > 0)
    const controller = new AbortController()
    const second = fetch(`${gateway.base}/api/terminals`, { method: 'POST', headers, signal: controller.signal })
    // The gateway answers requests in the order in which they come.
    await ask(gateway, 'GET')
    controller.abort()
    await expect(second).rejects.toThrow()
    expect((await first).status).toBe(200)
    await gateway.gateway.close()
    expect(gateway.upstream.requests.filter(({ method }) => method === 'POST')).toHaveLength(1)
  })
})
