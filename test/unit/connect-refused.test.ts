import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { connectTerminal } from '../../src/index.ts'
import type { TestFault } from '../../src/testing.ts'
import { browserSocket } from '../support/browser-socket.ts'
import { handshakes, operations } from '../support/requests.ts'
import { expectNothingLeft, open, refusalOf } from '../support/terminal.ts'
import { afterwards, clientOf, rejection, serve, upstreamOf } from '../support/upstream.ts'

describe('connectTerminal, when the server refuses the attach,', () => {
  it.each<[TestFault, string, object]>([
    [{ refuse: 500 }, 'ERR_TERMINAL_UNAVAILABLE', { status: 500 }],
    [{ refuse: 200, body: '{"id":"s1"}' }, 'ERR_TERMINAL_PROTOCOL', { status: 200 }],
    [{ refuse: 302, headers: { location: 'http://127.0.0.1:1/' } }, 'ERR_TERMINAL_PROTOCOL', { status: 302 }],
    [{ refuse: 1000 }, 'ERR_TERMINAL_UNAVAILABLE', { closeCode: 1000 }],
    [{ refuse: 1008, body: 'policy' }, 'ERR_TERMINAL_PROTOCOL', { closeCode: 1008, closeReason: 'policy' }],
    [{ refuse: 4003, body: 'Access denied' }, 'ERR_TERMINAL_FORBIDDEN', { closeCode: 4003 }],
    [{ refuse: 4004, body: 'Session not found' }, 'ERR_TERMINAL_NOT_FOUND', { closeCode: 4004 }],
  ])('turns %j into %s without a retry, and leaves no session', async (attach, code, fields) => {
    const upstream = await upstreamOf({ faults: { attach } })
    const error = await refusalOf(upstream, { settle: 2_000, retry: { attempts: 5, delay: 1 } })
    expect(error).toMatchObject({ code, ...fields })
    expect(error.message).toMatch(/^Cannot attach at ws:\/\/127\.0\.0\.1:\d+\/api\/terminals\/[\da-f]{8}: .+\. .+/)
    expect(handshakes(upstream)).toHaveLength(1)
    expectNothingLeft(upstream)
  })

  const passed = 'Check `key`, and that every proxy on the way passes WebSockets on, with the key in'
  const wanted = 'Terminals up to 0.0.2 wants a `bearer` key in the URL'

  it.each<[string, object, string]>([
    ['the key was in the URL', {}, passed],
    ['tokenInUrl kept the key out of the URL', { tokenInUrl: 'never' }, wanted],
    ['the auth type never puts a key into the URL', { authType: 'session' }, wanted],
  ])('gives advice on HTTP 403 to the handshake when %s', async (_when, options, advice) => {
    const upstream = await upstreamOf({ faults: { attach: { refuse: 403 } } })
    const { message } = await refusalOf(upstream, { ...options })
    expect(message).toContain(advice)
  })

  // PROTOCOL 3.2
  it('names the header that the server wants and the socket cannot send', async () => {
    const upstream = await upstreamOf({ release: 'open-terminal@0.14' })
    const error = await refusalOf(upstream, { WebSocket: browserSocket, settle: 2_000 })
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_NOT_FOUND', closeCode: 4004 })
    expect(error.message).toContain('wants X-User-Id, which cannot be sent by this WebSocket')
    expect(upstream.sessions).toEqual([])
  })

  // PROTOCOL 3.12
  it('rejects with ERR_TERMINAL_IN_USE when another client is attached, and keeps the session', async () => {
    const { upstream, terminal: first } = await open({ release: 'open-terminal@0.14' })
    const again = { ...clientOf(upstream), sessionId: first.sessionId }
    expect(await rejection(connectTerminal(again))).toMatchObject({ code: 'ERR_TERMINAL_IN_USE', closeCode: 4009 })
    expect(upstream.sessions).toHaveLength(1)
  })

  it('does not delete the session that it created when another client is attached', async () => {
    const upstream = await upstreamOf({ faults: { attach: { refuse: 4009, body: 'Session already connected' } } })
    const error = await refusalOf(upstream, { settle: 2_000 })
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_IN_USE' })
    expect(operations(upstream)).toEqual(['POST', 'attach'])
  })

  // PROTOCOL 6.4
  it.each<[TestFault, string]>([
    [{ refuse: 401 }, 'ERR_TERMINAL_UNAUTHORIZED'],
    [{ refuse: 404 }, 'ERR_TERMINAL_NOT_FOUND'],
    [{ refuse: 502 }, 'ERR_TERMINAL_UNAVAILABLE'],
    ['reset', 'ERR_TERMINAL_UNAVAILABLE'],
  ])('explains HTTP 403 to the handshake by the answer %j to a look-up of the session', async (get, code) => {
    const upstream = await upstreamOf({ faults: { attach: { refuse: 403 }, get } })
    expect(await refusalOf(upstream, { retry: { attempts: 1, delay: 0 } })).toMatchObject({ code })
  })

  it.each<[TestFault, boolean[]]>([
    [{ refuse: 401 }, [false]],
    [{ refuse: 404, body: '{"error":"Session not found"}' }, [false]],
    [{ refuse: 404, body: '<h1>default backend</h1>' }, [false, true]],
    [{ refuse: 426 }, [false, true]],
    [{ refuse: 500 }, [false, true]],
  ])('adds the key to the URL only if that may help, when a look-up of the session gets %j', async (get, tokens) => {
    const upstream = await upstreamOf({ release: 'terminals@0.0.2', faults: { get } })
    const once = { attempts: 1, delay: 0 }
    const connecting = connectTerminal({ ...clientOf(upstream), tokenInUrl: 'fallback', retry: once })
    await connecting.then(afterwards, () => {})
    expect(handshakes(upstream).map(({ query }) => 'token' in query)).toEqual(tokens)
  })

  it("does not dial again with tokenInUrl: 'fallback' when there is no key to add", async () => {
    const upstream = await upstreamOf({ key: undefined, faults: { attach: { refuse: 403 } } })
    await refusalOf(upstream, { key: ' ', tokenInUrl: 'fallback' })
    expect(handshakes(upstream)).toHaveLength(1)
  })

  it('rejects with ERR_TERMINAL_PROTOCOL when the server speaks SSH', async () => {
    const base = await serve((server) => {
      server.on('upgrade', (_request: IncomingMessage, socket: Duplex) => socket.end('SSH-2.0-OpenSSH_9.2\r\n'))
    })
    const error = await rejection(connectTerminal({ base, userId: 'ada', sessionId: 's1' }))
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_PROTOCOL', cause: { code: expect.stringMatching(/^HPE_/) } })
  })

  it('rejects with ERR_TERMINAL_PROTOCOL when the server upgrades to another protocol', async () => {
    const base = await serve((server) => {
      server.on('upgrade', (_request: IncomingMessage, socket: Duplex) => {
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n')
      })
    })
    const message = expect.stringContaining('Invalid Upgrade header')
    const error = await rejection(connectTerminal({ base, userId: 'ada', sessionId: 's1' }))
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_PROTOCOL', message })
  })

  it('rejects with ERR_TERMINAL_UNAVAILABLE when the socket class throws, and redacts the URL', async () => {
    const options = { base: 'http://insecure.example', key: 'sk-canary', userId: 'ada', sessionId: 's1' }
    const message = expect.stringContaining('?[redacted] is insecure')
    const error = await rejection(connectTerminal({ ...options, WebSocket: browserSocket }))
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_UNAVAILABLE', message })
  })
})
