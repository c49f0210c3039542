import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { join } from '../support/proxy.ts'
import { afterwards, until } from '../support/upstream.ts'

// PROTOCOL 5.8
describe('the heartbeat', () => {
  it('ends a client that no longer answers', async () => {
    const { ws, served, upstream } = await join({}, { keepAlive: 30 })
    ws.pause()
    expect(await served.summary).toMatchObject({ endedBy: 'client', code: 1006, reason: '' })
    expect(upstream.sessions).toEqual([])
  })

  // PROTOCOL 7.2
  it('keeps a silent client, and sends it no text frame', async () => {
    const { ws, messages, printed, upstream } = await join({}, { keepAlive: 20 })
    let pings = 0
    ws.on('ping', () => (pings += 1))
    await until(() => pings >= 5)
    ws.send(Buffer.from('alive'))
    await printed('alive')
    expect(messages.filter(({ isBinary }) => !isBinary)).toEqual([])
    // The upstream got heartbeats of its own.
    const sent = upstream.requests.flatMap(({ frames }) => frames)
    expect(sent.filter((frame) => frame === '{"type":"ping"}').length).toBeGreaterThanOrEqual(2)
  })

  it('ends an upstream that no longer answers, and closes the client with 1014', async () => {
    const { session, closed, served, upstream } = await join({}, { keepAlive: 30 })
    session.stall()
    expect(await closed).toEqual({ code: 1014, reason: '' })
    expect(await served.summary).toMatchObject({
      endedBy: 'upstream',
      code: 1006,
      error: { code: 'ERR_TERMINAL_UNAVAILABLE', message: expect.stringContaining('no answer to 2 pings') },
    })
    expect(upstream.sessions).toEqual([])
  })

  it('ends a client that no longer answers although the shell prints', async () => {
    const { ws, session, served } = await join({}, { keepAlive: 30 })
    ws.pause()
    // The operating system takes megabytes for a client that has gone. They do not show that the client is alive.
    const chatter = setInterval(() => void session.output('.'), 10)
    afterwards({ close: () => clearInterval(chatter) })
    await until(() => served.socket.readyState === ws.CLOSED)
    expect(await served.summary).toMatchObject({ endedBy: 'client', code: 1006 })
  })

  it('is sent to neither side with keepAlive: 0', async () => {
    const { ws, upstream } = await join({}, { keepAlive: 0 })
    let pings = 0
    ws.on('ping', () => (pings += 1))
    // There is no event to await: no ping is sent.
    await sleep(60)
    expect(pings).toBe(0)
    const frames = upstream.requests.flatMap((request) => request.frames)
    // The second frame confirms the attach.
    expect(frames).toEqual([expect.stringContaining('"auth"'), '{"type":"ping"}'])
  })

  it('ends a client that does not read, although it has sent more than the upstream takes', async () => {
    const { ws, session, served, upstream } = await join({}, { maxBuffered: 1, keepAlive: 300 })
    ws.pause()
    void session.output(new Uint8Array(20_000_000))
    ws.send(new Uint8Array(20_000_000))
    expect(await served.summary).toMatchObject({ endedBy: 'client', code: 1006 })
    expect(upstream.sessions).toEqual([])
  })
})
