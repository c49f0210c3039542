import { afterEach, describe, expect, it, vi } from 'vitest'
import { idsOf, park, sessionOf } from '../support/parking.ts'
import { ask, attachAs, attached, createAs, startGateway, type } from '../support/terminal-gateway.ts'
import { until } from '../support/upstream.ts'

afterEach(() => void vi.useRealTimers())

const KIB = 1024

describe('keepFor', () => {
  const SERVERS = ['open-terminal@0.11', 'open-terminal@0.14', 'terminals@0.2.2'] as const

  it.each(SERVERS)('ends a session of %s that was left for that long, and its shell', async (release) => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const gateway = await startGateway({ keepFor: 120_000 }, { release })
    const id = await park(gateway)
    vi.advanceTimersByTime(119_000)
    expect((await ask(gateway, 'GET', `/${id}`)).status).toBe(200)
    vi.advanceTimersByTime(2_000)
    await until(() => gateway.upstream.sessions.length === 0)
    await until(() => idsOf(gateway).length === 0)
    await expect((await attachAs(gateway, id)).closed).resolves.toMatchObject({ code: 4004 })
  })

  it('counts from the last time that a client left', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const gateway = await startGateway({ keepFor: 120_000 })
    const id = await park(gateway)
    vi.advanceTimersByTime(100_000)
    const back = await attachAs(gateway, id)
    await type(back, 'back')
    vi.advanceTimersByTime(200_000)
    expect(idsOf(gateway)).toEqual([id])
    back.ws.close()
    await until(() => sessionOf(gateway, id)?.parkedSince !== undefined)
    vi.advanceTimersByTime(100_000)
    expect(idsOf(gateway)).toEqual([id])
    vi.advanceTimersByTime(21_000)
    await until(() => idsOf(gateway).length === 0)
  })
})

describe('a parked session', () => {
  it('whose shell floods is read on, and keeps the last bytes only', async () => {
    const gateway = await startGateway({ replayBytes: 64 * KIB, maxBuffered: 1_000 })
    const id = await park(gateway)
    // Resolves only when the gateway has read nearly all of it.
    await gateway.upstream.sessions[0]?.output('a line of a flood\n'.repeat(1_000_000))
    await gateway.upstream.sessions[0]?.output('the end')
    const { printed, bytes } = await attachAs(gateway, id)
    await printed('the end')
    expect(bytes().length).toBeLessThan(65 * KIB)
  })

  it('goes on reading output that its client had held up', async () => {
    const { gateway, id, ws } = await attached({ maxBuffered: 1_000 })
    await until(() => sessionOf(gateway, id)?.attachedSince !== undefined)
    ws.pause()
    const written = gateway.upstream.sessions[0]?.output('x'.repeat(30 * KIB * KIB))
    await until(() => Number(sessionOf(gateway, id)?.bytesToClient) > KIB * KIB)
    ws.terminate()
    await written
  })
})

describe('a client that does not read', () => {
  it.each([
    ['is cut off before the server ends the shell for that, and can come back', 300_000],
    ['is not cut off if the gateway keeps no sessions', 0],
  ])('%s', async (_, keepFor) => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const { gateway, id, ws, closed } = await attached({ maxBuffered: 1_000, keepAlive: 0, keepFor })
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
  })
})

describe('a client on a slow link', () => {
  it('makes the upstream wait for no replay, and gets all of it', async () => {
    const MOST = 4 * KIB * KIB
    const gateway = await startGateway({ replayBytes: MOST, maxBuffered: 64 * KIB })
    const id = await createAs(gateway)
    const first = await attachAs(gateway, id)
    const shell = gateway.upstream.sessions[0]
    await shell?.output('all'.padStart(MOST))
    // What the gateway has not read yet would be no replay.
    await first.printed('all')
    const { ws, printed } = await attachAs(gateway, id, { token: 'jwt-ada', offset: 0 })
    ws.pause()
    expect(await first.closed).toMatchObject({ code: 4009 })
    const before = Number(sessionOf(gateway, id)?.bytesToClient)
    await shell?.output('y'.repeat(32 * KIB))
    await until(() => Number(sessionOf(gateway, id)?.bytesToClient) === before + 32 * KIB)
    ws.resume()
    await shell?.output('the end')
    await printed('the end')
  })
})
