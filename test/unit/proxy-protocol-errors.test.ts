import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { tcpOf } from '../support/frames.ts'
import { CLIENT_AUTH, clientTo, connectToAuthorize, startProxy, summaryOf } from '../support/proxy.ts'
import { ATTACHED, brokenUpstream, CLOSED, joinTo, PRINTED, STEPS } from '../support/proxy-broken-upstream.ts'
import { CLIENT, frame, randomBytes, SERVER, violations } from '../support/proxy-frames.ts'
import { failOnUnhandledErrors } from '../support/proxy-unhandled.ts'
import { clientOf, until, upstreamOf } from '../support/upstream.ts'

failOnUnhandledErrors()

describe('a client that breaks the protocol', () => {
  it.each(violations(CLIENT))('with %s is closed, and other clients stay', async (_name, bytes, code) => {
    const upstream = await upstreamOf()
    const proxy = await startProxy(() => clientOf(upstream))
    const other = await clientTo(proxy)
    const client = await clientTo(proxy)
    await until(() => upstream.sessions.length === 2 && upstream.sessions.every(({ attached }) => attached === 1))
    tcpOf(client.ws).write(bytes)
    expect(await client.closed).toMatchObject({ code })
    expect(await proxy.served[1]?.summary).toMatchObject({ endedBy: 'client', code: 1006 })
    expect(upstream.sessions).toHaveLength(1)
    other.ws.send(Buffer.from('alive'))
    await other.printed('alive')
  })

  it.each(violations(CLIENT))('with %s instead of an auth frame is closed, too', async (_name, bytes, code) => {
    const authorize = (): never => expect.unreachable('the client has sent no auth frame')
    const client = await connectToAuthorize(authorize)
    tcpOf(client.ws).write(bytes)
    expect(await client.closed).toMatchObject({ code })
    expect(await summaryOf(client.proxy)).toMatchObject({ endedBy: 'client', code: 1006 })
  })

  it('with random bytes leaves no session, whenever and however its connection ends', async () => {
    const upstream = await upstreamOf()
    const proxies = [
      await startProxy(() => clientOf(upstream)),
      await startProxy(() => ({ authorize: () => clientOf(upstream) })),
    ]
    const moments = fc.constantFrom('at once', 'authorized', 'attached')
    const ways = fc.constantFrom('end', 'destroy', 'resetAndDestroy')
    const run = async (which: number, moment: string, bytes: Buffer, how: 'end' | 'destroy' | 'resetAndDestroy') => {
      const proxy = proxies[which] ?? expect.unreachable()
      const client = await clientTo(proxy)
      const served = proxy.served.at(-1)
      if (moment !== 'at once') client.ws.send(CLIENT_AUTH)
      if (moment === 'attached') await until(() => upstream.sessions.some(({ attached }) => attached === 1))
      tcpOf(client.ws).write(bytes)
      tcpOf(client.ws)[how]()
      await served?.summary
      await until(() => upstream.sessions.length === 0)
    }
    const property = fc.asyncProperty(fc.nat(1), moments, randomBytes(CLIENT), ways, (which, moment, bytes, how) =>
      run(which, moment, bytes, how as 'end'),
    )
    await fc.assert(property, { numRuns: 40 })
  })

  it.each([
    ['pings', [], frame(CLIENT, 0x89)],
    ['pongs without a ping', [], frame(CLIENT, 0x8a)],
    ['empty messages', [], frame(CLIENT, 0x82)],
    ['fragments of one message', [frame(CLIENT, 0x02)], frame(CLIENT, 0x00)],
  ])('with a flood of %s does not delay another client', async (_name, first, bytes) => {
    const upstream = await upstreamOf()
    const proxy = await startProxy(() => clientOf(upstream))
    const other = await clientTo(proxy)
    const client = await clientTo(proxy)
    client.ws.send(Buffer.from('open'))
    await client.printed('open')
    tcpOf(client.ws).write(Buffer.concat([...first, Buffer.alloc(20_000 * bytes.length, bytes)]))
    other.ws.send(Buffer.from('alive'))
    await other.printed('alive')
    client.ws.terminate()
    expect(await proxy.served[1]?.summary).toMatchObject({ endedBy: 'client' })
    expect(upstream.sessions).toHaveLength(1)
  })
})

describe('an upstream that breaks the protocol', () => {
  it.each(violations(SERVER))('with %s ends the terminal, and the client is closed with 1014', async (_name, bytes) => {
    const broken = await brokenUpstream(PRINTED, (socket) => socket.write(bytes))
    const { summary, client } = await joinTo(broken, false)
    expect(summary).toMatchObject({
      endedBy: 'upstream',
      code: 1006,
      error: { code: 'ERR_TERMINAL_UNAVAILABLE', cause: { code: expect.stringMatching(/^WS_ERR_/) } },
    })
    expect(await client.closed).toEqual({ code: 1014, reason: '' })
  })

  it.each([...STEPS.entries()])('with a reset in step %i, when it %s, ends the terminal', async (step) => {
    // The client leaves after the first output, and must not do so before the reset after the output.
    const broken = await brokenUpstream(step, (socket) => socket.resetAndDestroy())
    const { summary, client } = await joinTo(broken, step >= CLOSED)
    if (step < ATTACHED) {
      expect(summary).toMatchObject({ endedBy: 'proxy', code: 4003, error: { code: 'ERR_TERMINAL_UNAVAILABLE' } })
      expect(await client.closed).toEqual({ code: 4003, reason: 'Terminal instance not reachable' })
    }
    if (step === PRINTED) expect(summary).toMatchObject({ endedBy: 'upstream', code: 1006 })
    if (step >= CLOSED) expect(summary).toMatchObject({ endedBy: 'client', code: 1000 })
  })

  it('with random bytes at any step does not drop the connection of the client', async () => {
    const run = async (step: number, bytes: Buffer): Promise<void> => {
      const { client } = await joinTo(await brokenUpstream(step, (socket) => socket.end(bytes)))
      // A dropped connection would mean that the proxy has failed.
      expect(await client.closed).not.toMatchObject({ code: 1006 })
    }
    const property = fc.asyncProperty(fc.nat(STEPS.length - 1), randomBytes(SERVER), run)
    await fc.assert(property, { numRuns: 40 })
  })

  it('with a flood of pings does not delay another client', async () => {
    const upstream = await upstreamOf()
    const broken = await brokenUpstream(PRINTED, (socket) => socket.write(Buffer.alloc(40_000, frame(SERVER, 0x89))))
    const other = await clientTo(await startProxy(() => clientOf(upstream)))
    other.ws.send(Buffer.from('alive'))
    await Promise.all([joinTo(broken), other.printed('alive')])
  })
})
