import { getEventListeners } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import { connectTerminal } from '../../src/index.ts'
import { connectTo, expectNothingLeft, refusalOf } from '../support/terminal.ts'
import { outputWith, rejection, serve, until, upstreamOf } from '../support/upstream.ts'

type Upgrade = [request: IncomingMessage, socket: Duplex, head: Buffer]

const PLACES: ReadonlyArray<[doing: string, faults: object, step: string]> = [
  ['asking for a session', { create: 'stall' }, 'asking for a session'],
  ['waiting for the handshake', { attach: 'stall' }, 'waiting for the server to accept'],
  ['asking why the server refused', { attach: { refuse: 403 }, get: 'stall' }, 'asking why the server refused'],
  ['waiting to try again', { attach: { refuse: 502 } }, 'waiting to try again'],
]
const retry = { attempts: 5, delay: 60_000 }

describe('connectTerminal with a timeout', () => {
  it.each(PLACES)('rejects with ERR_TERMINAL_TIMEOUT while %s', async (_doing, faults, step) => {
    const upstream = await upstreamOf({ faults })
    expect(await refusalOf(upstream, { timeout: 400, retry })).toMatchObject({
      code: 'ERR_TERMINAL_TIMEOUT',
      message: expect.stringContaining(`still ${step} after 400 ms`),
    })
    expectNothingLeft(upstream)
  })

  it('reports the last failure when the time runs out between two tries', async () => {
    const error = await refusalOf(await upstreamOf({ faults: { attach: { refuse: 502 } } }), { timeout: 400, retry })
    expect(error).toMatchObject({ cause: { status: 502 } })
    expect(error.message).toMatch(/ms\. The last try: Cannot attach at .+: HTTP 502\. /)
  })

  // PROTOCOL 3.10
  it('deletes a session that the server created too late', async () => {
    // The first answer to the DELETE may be that of another replica: nobody has attached to the session.
    const elsewhere = { refuse: 404, body: '{"error":"Session not found"}' }
    const upstream = await upstreamOf({ faults: { create: { delay: 800 }, delete: [elsewhere] } })
    expect(await refusalOf(upstream, { timeout: 400 })).toMatchObject({ code: 'ERR_TERMINAL_TIMEOUT' })
    await until(() => upstream.requests.some(({ method, status }) => method === 'DELETE' && status === 200))
    expect(upstream.sessions).toEqual([])
  })

  it('rejects although the server never answers the DELETE', async () => {
    const upstream = await upstreamOf({ faults: { attach: { refuse: 500 }, delete: 'stall' } })
    expect(await refusalOf(upstream)).toMatchObject({ status: 500 })
  })
})

describe('connectTerminal with a signal', () => {
  const FIRST: (typeof PLACES)[number] = ['waiting for the first output', {}, '']

  it.each([...PLACES, FIRST])('rejects with its reason while %s, and leaves nothing behind', async (_doing, faults) => {
    const upstream = await upstreamOf({ faults })
    const controller = new AbortController()
    const { signal } = controller
    const refused = refusalOf(upstream, { settle: 60_000, retry, signal })
    const requests = 'create' in faults ? 1 : 'get' in faults ? 3 : 2
    await until(() => upstream.requests.length === requests)
    controller.abort(new Error('tab closed'))
    expect(await refused).toBe(signal.reason)
    expectNothingLeft(upstream)
  })

  it.each<[string, (wss: WebSocketServer, ...upgrade: Upgrade) => void]>([
    ['the server does not answer', () => {}],
    ['gets nothing but a handshake', (wss, ...upgrade) => wss.handleUpgrade(...upgrade, () => {})],
  ])('closes the connection of an aborted attach that %s', async (_how, answer) => {
    const wss = new WebSocketServer({ noServer: true })
    let socket: Duplex | undefined
    const base = await serve((server) => {
      server.on('upgrade', (...upgrade) => {
        socket = upgrade[1]
        answer(wss, ...upgrade)
      })
    })
    const controller = new AbortController()
    const { signal } = controller
    const connecting = rejection(connectTerminal({ base, userId: 'ada', sessionId: 's1', settle: 60_000, signal }))
    await until(() => socket !== undefined)
    controller.abort(new Error('tab closed'))
    expect(await connecting).toBe(signal.reason)
    await until(() => socket?.destroyed === true || socket?.readableEnded === true)
  })

  it('leaves no listener on the signal', async () => {
    const upstream = await upstreamOf()
    const { signal } = new AbortController()
    await connectTo(upstream, { key: () => Promise.resolve('sk-canary'), signal })
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  it('sends nothing when the signal has aborted before, or when it aborts before there is a key', async () => {
    const upstream = await upstreamOf()
    const signal = AbortSignal.abort()
    expect(await refusalOf(upstream, { signal })).toBe(signal.reason)
    const later = AbortSignal.timeout(20)
    expect(await refusalOf(upstream, { signal: later, key: () => new Promise(() => {}) })).toBe(later.reason)
    expect(upstream.requests).toEqual([])
  })

  it('ignores the signal once the terminal is open', async () => {
    const upstream = await upstreamOf()
    const controller = new AbortController()
    const terminal = await connectTo(upstream, { signal: controller.signal })
    controller.abort()
    await terminal.write('still here')
    await outputWith(terminal, 'still here')
  })
})
