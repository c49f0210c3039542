import { describe, expect, it } from 'vitest'
import { TerminalError } from '../../src/index.ts'
import { recordEvents } from '../support/gateway-events.ts'
import { as, ask, attachAs, createAs, startGateway } from '../support/terminal-gateway.ts'
import { nobody, serve, until } from '../support/upstream.ts'

describe('the diagnostics channels of a gateway', () => {
  it('tell who attached, and how the client was served', async () => {
    const events = recordEvents()
    const gateway = await startGateway({ keepFor: 0 })
    const sessionId = await createAs(gateway, as('bea'))
    const { ws, printed } = await attachAs(gateway, sessionId, { token: 'jwt-bea' })
    ws.send(Buffer.from('12345'))
    await printed('12345')
    ws.close(1000)
    await until(() => events.length === 2)
    const who = { userId: 'bea', sessionId }
    expect(events).toEqual([
      ['attached', { ...who, ms: expect.any(Number) }],
      [
        'closed',
        { ...who, closeCode: 1000, bytesToClient: expect.any(Number), bytesToUpstream: 5, ms: expect.any(Number) },
      ],
    ])
    expect(JSON.stringify(events)).not.toContain('jwt-')
  })

  it('hold no header that `authorize` has returned, even if the upstream repeats it', async () => {
    const events = recordEvents()
    const base = await serve((server) => {
      server.on('request', ({ headers }, response) => {
        response.writeHead(403).end(JSON.stringify({ detail: `no: ${String(headers['x-sso'])}` }))
      })
    })
    const gateway = await startGateway({
      authorize: () => ({ base, userId: 'ada', headers: { 'X-Sso': 'canary of the sso' } }),
    })
    await ask(gateway, 'POST')
    await until(() => events.length === 1)
    expect(String(Object(events[0]?.[1]).error)).toContain('"no: [redacted]"')
  })

  it('tell that a client left its session, came back, was replaced by another one, and that the session ended', async () => {
    const events = recordEvents()
    const gateway = await startGateway()
    const sessionId = await createAs(gateway)
    const first = await attachAs(gateway, sessionId)
    first.ws.send(Buffer.from('12345'))
    await first.printed('12345')
    first.ws.close(1001)
    await until(() => events.length === 2)
    await attachAs(gateway, sessionId)
    await until(() => events.length === 3)
    const third = await attachAs(gateway, sessionId)
    await until(() => events.length === 5)
    third.ws.terminate()
    await until(() => events.length === 6)
    await ask(gateway, 'DELETE', `/${sessionId}`)
    await until(() => events.length === 7)
    const who = { userId: 'ada', sessionId, ms: expect.any(Number) }
    const bytes = { bytesToClient: expect.any(Number), bytesToUpstream: expect.any(Number) }
    expect(events).toEqual([
      ['attached', who],
      ['parked', { ...who, ...bytes, closeCode: 1001, bytesToUpstream: 5 }],
      ['resumed', who],
      ['parked', { ...who, ...bytes, closeCode: 4009 }],
      ['resumed', who],
      ['parked', { ...who, ...bytes, closeCode: 1006 }],
      ['closed', { ...who, closeCode: 1000, wasParked: true }],
    ])
  })

  it('tell why a terminal failed', async () => {
    const events = recordEvents()
    const gateway = await startGateway({}, { release: 'open-terminal@0.14.5' })
    await attachAs(gateway, await createAs(gateway))
    await until(() => events.length === 1)
    gateway.upstream.sessions[0]?.reset()
    await until(() => events.length === 2)
    expect(events[1]).toMatchObject(['closed', { closeCode: 1006, error: { code: 'ERR_TERMINAL_UNAVAILABLE' } }])
  })

  it('tell what was refused', async () => {
    const events = recordEvents()
    const refusal = new TerminalError('ERR_TERMINAL_FORBIDDEN', 'not today')
    const gateway = await startGateway({
      origins: ['https://chat.example'],
      authorize: () => {
        throw refusal
      },
    })
    await ask(gateway, 'GET')
    await (
      await attachAs(gateway, 's1')
    ).closed
    await ask(gateway, 'GET', '', { ...as('ada'), Origin: 'https://evil.example' })
    await until(() => events.length === 3)
    expect(events).toEqual([
      ['refused', { reason: 'forbidden', status: 403, error: refusal }],
      ['refused', { reason: 'forbidden', closeCode: 4003, error: refusal }],
      [
        'refused',
        {
          reason: 'origin',
          status: 403,
          origin: 'https://evil.example',
          host: new URL(gateway.base).host,
          origins: ['https://chat.example'],
        },
      ],
    ])
  })

  it('tell which user has too many sessions, asks for what is not theirs, or has an upstream that fails', async () => {
    const events = recordEvents()
    const gateway = await startGateway({ sessionsPerUser: 1 })
    await createAs(gateway)
    await ask(gateway, 'POST')
    await ask(gateway, 'GET', '/other')
    await (
      await attachAs(gateway, 'other')
    ).closed
    const base = await nobody()
    const broken = await startGateway({ retry: { attempts: 1 }, authorize: () => ({ base, userId: 'bob' }) })
    await ask(broken, 'POST')
    await until(() => events.length === 4)
    expect(events).toMatchObject([
      ['refused', { userId: 'ada', reason: 'limit', status: 429 }],
      ['refused', { userId: 'ada', reason: 'not-found', status: 404 }],
      ['refused', { userId: 'ada', reason: 'not-found', closeCode: 4004, error: { code: 'ERR_TERMINAL_NOT_FOUND' } }],
      ['refused', { userId: 'bob', reason: 'upstream', status: 503, error: { code: 'ERR_TERMINAL_UNAVAILABLE' } }],
    ])
  })
})
