import { describe, expect, it, vi } from 'vitest'
import type { TerminalGatewayOptions } from '../../src/gateway.ts'
import type { TestUpstreamOptions } from '../../src/testing.ts'
import { as, ask, attachAs, createAs, startGateway, type ServedGateway } from '../support/terminal-gateway.ts'
import { until } from '../support/upstream.ts'

const KIB = 1024

/** Creates a session of a user, joins a client to it, and lets the client leave. Returns the id of the session. */
async function park(gateway: ServedGateway, userId = 'ada'): Promise<string> {
  const id = await createAs(gateway, as(userId))
  const { ws } = await attachAs(gateway, id, { token: `jwt-${userId}` })
  await until(() => sessionOf(gateway, id)?.attachedSince !== undefined)
  ws.close()
  await until(() => sessionOf(gateway, id)?.parkedSince !== undefined)
  return id
}

function sessionOf({ gateway }: ServedGateway, id: string): ServedGateway['gateway']['sessions'][number] | undefined {
  return gateway.sessions.find((session) => session.id === id)
}

function idsOf({ gateway }: ServedGateway): string[] {
  return gateway.sessions.map(({ id }) => id)
}

describe('keepFor', () => {
  it.each(['open-terminal@0.11', 'open-terminal@0.14', 'terminals@0.2.2'] as const)(
    'ends a session of %s that was left for that long, and its shell',
    async (release) => {
      vi.useFakeTimers({ toFake: ['performance'] })
      try {
        const gateway = await startGateway({ keepFor: 120_000 }, { release })
        const id = await park(gateway)
        vi.advanceTimersByTime(119_000)
        expect((await ask(gateway, 'GET', `/${id}`)).status).toBe(200)
        vi.advanceTimersByTime(2_000)
        await until(() => gateway.upstream.sessions.length === 0)
        await until(() => idsOf(gateway).length === 0)
        await expect((await attachAs(gateway, id)).closed).resolves.toMatchObject({ code: 4004 })
      } finally {
        vi.useRealTimers()
      }
    },
  )

  it('counts from the last time that a client left', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    try {
      const gateway = await startGateway({ keepFor: 120_000 })
      const id = await park(gateway)
      vi.advanceTimersByTime(100_000)
      const { ws, printed } = await attachAs(gateway, id)
      ws.send(Buffer.from('back'))
      await printed('back')
      vi.advanceTimersByTime(200_000)
      expect(idsOf(gateway)).toEqual([id])
      ws.close()
      await until(() => sessionOf(gateway, id)?.parkedSince !== undefined)
      vi.advanceTimersByTime(100_000)
      expect(idsOf(gateway)).toEqual([id])
      vi.advanceTimersByTime(21_000)
      await until(() => idsOf(gateway).length === 0)
    } finally {
      vi.useRealTimers()
    }
  })
})

describe('a parked session', () => {
  it('is left out of nothing when its shell ends: it is gone at the gateway, too', async () => {
    const gateway = await startGateway({}, { release: 'open-terminal@0.14.5' })
    await park(gateway)
    gateway.upstream.sessions[0]?.exit()
    await until(() => idsOf(gateway).length === 0)
  })

  it('whose shell floods is read on, and keeps the last bytes only', async () => {
    const gateway = await startGateway({ replay: 64 * KIB, maxBuffered: 1_000 })
    const id = await park(gateway)
    // Resolves only when the gateway has read nearly all of it.
    await gateway.upstream.sessions[0]?.output('a line of a flood\n'.repeat(1_000_000))
    await gateway.upstream.sessions[0]?.output('the end')
    const { printed, bytes } = await attachAs(gateway, id)
    await printed('the end')
    expect(bytes().length).toBeLessThan(65 * KIB)
  })

  it('lets an upstream go on that its client had made wait', async () => {
    const gateway = await startGateway({ maxBuffered: 1_000 })
    const id = await createAs(gateway)
    const { ws } = await attachAs(gateway, id)
    await until(() => sessionOf(gateway, id)?.attachedSince !== undefined)
    ws.pause()
    const written = gateway.upstream.sessions[0]?.output('x'.repeat(30 * KIB * KIB))
    await until(() => Number(sessionOf(gateway, id)?.bytesToClient) > KIB * KIB)
    ws.terminate()
    await written
  })

  it('is ended when the gateway closes', async () => {
    const gateway = await startGateway({}, { release: 'terminals@0.2.2' })
    await park(gateway)
    await gateway.gateway.close()
    expect(gateway.upstream.sessions).toEqual([])
  })
})

describe('a client that does not read', () => {
  it.each([
    ['is cut off before the server ends the shell for that, and can come back', 300_000],
    ['is not cut off if the gateway keeps no sessions', 0],
  ])('%s', async (_, keepFor) => {
    vi.useFakeTimers({ toFake: ['performance'] })
    try {
      const gateway = await startGateway({ maxBuffered: 1_000, keepAlive: 0, keepFor })
      const id = await createAs(gateway)
      const { ws, closed } = await attachAs(gateway, id)
      await until(() => sessionOf(gateway, id)?.attachedSince !== undefined)
      ws.pause()
      const written = gateway.upstream.sessions[0]?.output('x'.repeat(30 * KIB * KIB))
      await until(() => Number(sessionOf(gateway, id)?.bytesToClient) > KIB * KIB)
      await new Promise((resolve) => setTimeout(resolve, 300))
      vi.advanceTimersByTime(16_000)
      if (keepFor > 0) await until(() => sessionOf(gateway, id)?.parkedSince !== undefined)
      else await new Promise((resolve) => setTimeout(resolve, 300))
      expect(sessionOf(gateway, id)).toBeDefined()
      ws.resume()
      await written
      if (keepFor > 0) expect(await closed).toMatchObject({ code: 1006 })
    } finally {
      vi.useRealTimers()
    }
  })
})

describe('sessionsPerUser', () => {
  it('ends the session that the user left first, and no session with a client or of another user', async () => {
    const gateway = await startGateway({ sessionsPerUser: 3 })
    const others = await park(gateway, 'eve')
    const attached = await createAs(gateway)
    await attachAs(gateway, attached)
    await until(() => sessionOf(gateway, attached)?.attachedSince !== undefined)
    const [first, second] = [await park(gateway), await park(gateway)]
    const third = await createAs(gateway)
    expect(idsOf(gateway)).not.toContain(first)
    expect(idsOf(gateway)).toEqual(expect.arrayContaining([others, attached, second, third]))
    await until(() => gateway.upstream.sessions.length === 4)
  })

  it('answers 429 when clients are joined to all sessions, or have not come yet', async () => {
    const gateway = await startGateway({ sessionsPerUser: 2 })
    await createAs(gateway)
    await park(gateway)
    const answers = await Promise.all([1, 2, 3].map(() => ask(gateway, 'POST')))
    expect(answers.map(({ status }) => status).sort((one, other) => one - other)).toEqual([200, 429, 429])
  })
})

describe('an upstream that has no place left', () => {
  const limited = (
    server: TestUpstreamOptions,
    options: Partial<TerminalGatewayOptions> = {},
  ): Promise<ServedGateway> => startGateway({ sessionsPerUser: 20, ...options }, server)

  it('gets one by the end of the session that the user left first', async () => {
    const gateway = await limited({ release: 'open-terminal@0.14' })
    const [first, second] = [await park(gateway), await park(gateway)]
    await park(gateway, 'eve')
    for (let count = 3; count < 16; count += 1) await createAs(gateway)
    expect((await ask(gateway, 'POST')).status).toBe(200)
    expect(idsOf(gateway)).not.toContain(first)
    expect(idsOf(gateway)).toContain(second)
    expect(gateway.upstream.sessions).toHaveLength(16)
  })

  it('gets one by the end of the session that another user left first, if the user has left none', async () => {
    const gateway = await limited({ release: 'open-terminal@0.14' })
    const others = await park(gateway, 'eve')
    for (let count = 1; count < 16; count += 1) await createAs(gateway)
    expect((await ask(gateway, 'POST')).status).toBe(200)
    expect(idsOf(gateway)).not.toContain(others)
  })

  it('answers 429 if no session is left', async () => {
    const gateway = await limited({ release: 'open-terminal@0.14' })
    for (let count = 0; count < 16; count += 1) await createAs(gateway)
    expect((await ask(gateway, 'POST')).status).toBe(429)
    expect(gateway.upstream.sessions).toHaveLength(16)
  })

  it('for this user only, as an orchestrator, costs another user one session at most', async () => {
    const gateway = await limited({ release: 'terminals@0.2.2' })
    const others = [await park(gateway, 'eve'), await park(gateway, 'bob')]
    for (let count = 0; count < 16; count += 1) await createAs(gateway)
    expect((await ask(gateway, 'POST')).status).toBe(429)
    expect((await ask(gateway, 'POST')).status).toBe(429)
    expect(idsOf(gateway).filter((id) => others.includes(id))).toHaveLength(1)
  })
})
