import { describe, expect, it } from 'vitest'
import type { WebSocket } from 'ws'
import { connectTerminal, TerminalError, type TerminalStatus, type UpstreamOptions } from '../../src/index.ts'
import { browserSocket } from '../support/browser-socket.ts'
import { cut, openOnServer, openResumable } from '../support/resumable.ts'
import { createAs, pageOf, startGateway } from '../support/terminal-gateway.ts'
import { afterwards, clientOf, outputWith, rejection, until, upstreamOf } from '../support/upstream.ts'

/** How its owner leaves a terminal, and how many sessions there are afterwards. */
const LEAVING = [
  ['close', 0],
  ['detach', 1],
] as const

describe('a terminal behind a gateway that cannot be resumed', () => {
  it('has ended with the reason when the gateway does not have the session any more', async () => {
    const opened = await openResumable()
    const stop = opened.relay.refuse()
    await cut(opened)
    opened.gateway.upstream.sessions[0]?.close(1000)
    await until(() => opened.gateway.gateway.sessions.length === 0)
    stop()
    const close = await opened.terminal.closed
    expect(close).toMatchObject({ code: 1006, cause: 'lost', error: { code: 'ERR_TERMINAL_NOT_FOUND' } })
    // By the close frame, or by the answer to the look-up, which comes first on a slow machine.
    expect(close.error?.message).toMatch(/Session not found|the session does not exist, or has ended/)
    expect(opened.terminal.status).toBe('closed')
    expect(await rejection(opened.terminal.write('x'))).toMatchObject({ code: 'ERR_TERMINAL_CLOSED' })
    for await (const _ of opened.terminal);
  })

  it('has ended when the user is refused', async () => {
    let isAllowed = true
    const upstream = await upstreamOf()
    const authorize = (): UpstreamOptions => {
      if (isAllowed) return clientOf(upstream)
      throw new TerminalError('ERR_TERMINAL_FORBIDDEN', 'no')
    }
    const opened = await openResumable({}, { authorize })
    isAllowed = false
    await cut(opened)
    expect(await opened.terminal.closed).toMatchObject({ cause: 'lost', error: { code: 'ERR_TERMINAL_FORBIDDEN' } })
  })

  it('has ended when the time is over', async () => {
    const opened = await openResumable({ reconnect: { timeout: 50, delay: 1 } })
    opened.relay.refuse()
    await cut(opened)
    expect(await opened.terminal.closed).toMatchObject({ cause: 'lost', error: { code: 'ERR_TERMINAL_UNAVAILABLE' } })
  })

  it('calls `key` before each try, also if it has thrown', async () => {
    const tries: string[] = []
    const key = (): string => {
      tries.push('try')
      if (tries.length > 2 && tries.length < 5) throw new TypeError('fetch failed')
      return 'jwt-ada'
    }
    const opened = await openResumable({ key })
    await cut(opened)
    await until(() => opened.terminal.status === 'open')
    expect(tries.length).toBeGreaterThanOrEqual(5)
  })

  it('keeps the error of the cut if the key cannot be fetched in any try', async () => {
    let isOnline = true
    const key = (): string => {
      if (isOnline) return 'jwt-ada'
      throw new TypeError('fetch failed')
    }
    const opened = await openResumable({ key, reconnect: { timeout: 50, delay: 1 } })
    isOnline = false
    await cut(opened)
    expect(await opened.terminal.closed).toMatchObject({ cause: 'lost', error: { closeCode: 1006 } })
  })

  it('has ended when another window takes it over, and does not take it back', async () => {
    const opened = await openResumable()
    const { sessionId } = opened.terminal
    const other = await connectTerminal({ ...pageOf(opened.relay), sessionId })
    afterwards(other)
    const close = await opened.terminal.closed
    expect(close).toMatchObject({ code: 4009, reason: 'Taken over', error: { code: 'ERR_TERMINAL_IN_USE' } })
    await other.write('mine')
    await outputWith(other, 'mine')
    expect(opened.gateway.gateway.sessions).toMatchObject([{ id: sessionId }])
  })

  it.each([
    ['`reconnect` is false', { reconnect: false } as const, {}],
    ['the gateway keeps no sessions', {}, { keepFor: 0 }],
  ])('is lost at once when %s', async (_, options, gatewayOptions) => {
    const opened = await openResumable(options, gatewayOptions)
    opened.relay.cut('reset')
    expect(await opened.terminal.closed).toMatchObject({ code: 1006, cause: 'lost' })
    expect(opened.terminal.status).toBe('closed')
  })

  describe.each(LEAVING)('is left by %s()', (how, left) => {
    it.each<[string, number, TerminalStatus | undefined]>([
      ['as soon as it is open again', 0, 'open'],
      ['as soon as it is told of the cut', 60_000, 'reconnecting'],
      ['while it reconnects', 2_000, undefined],
    ])(`%s, and there are ${left} sessions afterwards`, async (_when, delay, at) => {
      const { terminal, relay, gateway } = await openResumable({ reconnect: { delay } })
      terminal.onStatus((status) => {
        if (status === at) void terminal[how]()
      })
      relay.cut('reset')
      await until(() => terminal.status !== 'open')
      if (!at) void terminal[how]()
      expect(await terminal.closed).toEqual({ code: 1000, reason: '', cause: 'local' })
      await until(() => gateway.upstream.sessions.length === left)
      expect(gateway.gateway.sessions).toHaveLength(left)
    })
  })
})

it('drops what a socket still delivers after it was ended, as that of a browser may', async () => {
  const connections: WebSocket[] = []
  const terminal = await openOnServer(
    (ws, auth, count) => {
      connections.push(ws)
      // Reads no close frame, and does not answer heartbeats.
      ws.pause()
      const { offset } = JSON.parse(auth) as { offset: number | null }
      ws.send(JSON.stringify({ type: 'attached', offset: offset ?? 0, replay: 0, keepFor: 1_000 }))
      ws.send(Buffer.from(`output ${count} `))
    },
    { WebSocket: browserSocket, keepAlive: 100 },
  )
  const all = outputWith(terminal, 'output 2')
  await expect.poll(() => connections.length, { timeout: 8_000 }).toBe(2)
  connections[0]?.send(Buffer.from('late'))
  connections[1]?.send(Buffer.from('output 2 and more'))
  expect(await all).not.toContain('late')
})

it.each(LEAVING.flatMap(([how, left]) => Array.from({ length: 12 }, (_, steps) => [how, left, steps] as const)))(
  'is left by %s(), with %i sessions afterwards, %i steps after a connection has been restored',
  async (how, sessions, steps) => {
    const opened = await openResumable({ reconnect: { delay: 0 } })
    const { terminal, gateway } = opened
    await opened.print('first')
    await until(() => opened.text().includes('first'))
    let left = steps
    const closeSoon = (): void => {
      left -= 1
      if (left < 0) void terminal[how]()
      else queueMicrotask(closeSoon)
    }
    const stop = opened.relay.refuse()
    await cut(opened)
    await opened.print('second')
    terminal.onData((chunk) => Buffer.from(chunk).includes('second') && closeSoon())
    stop()
    expect(await terminal.closed).toMatchObject({ cause: 'local' })
    await until(() => gateway.upstream.sessions.length === sessions)
    expect(gateway.gateway.sessions).toHaveLength(sessions)
  },
)

describe('deleteOnClose', () => {
  it.each([
    [false, undefined, false],
    [false, true, false],
    [false, false, true],
    [true, undefined, true],
    [true, true, false],
    [true, false, true],
  ])('with a named session %j and the option %j: the session is there afterwards %j', async (named, option, isLeft) => {
    const gateway = await startGateway()
    const sessionId = named ? await createAs(gateway) : undefined
    const terminal = await connectTerminal({ ...pageOf(gateway), sessionId, deleteOnClose: option })
    await terminal.close()
    expect(gateway.upstream.sessions).toHaveLength(isLeft ? 1 : 0)
  })

  it('is not asked by detach(), and the next client goes on', async () => {
    const gateway = await startGateway()
    const options = { ...pageOf(gateway), deleteOnClose: true }
    const first = await connectTerminal(options)
    await first.write('before')
    await outputWith(first, 'before')
    // The first call decides.
    expect(await Promise.all([first.detach(), first.close(), first.detach(), first.closed])).toEqual(
      Array.from({ length: 4 }, () => ({ code: 1000, reason: '', cause: 'local' })),
    )
    const second = await connectTerminal({ ...options, sessionId: first.sessionId })
    expect(await outputWith(second, 'before')).toContain('before')
    await Promise.all([second.close(), second.detach()])
    await until(() => gateway.upstream.sessions.length === 0)
  })

  it('does not delete a named session that cannot be attached to', async () => {
    const gateway = await startGateway()
    const sessionId = await createAs(gateway)
    const page = { ...pageOf(gateway), sessionId, deleteOnClose: true, timeout: 1 }
    await connectTerminal(page).catch(() => {})
    expect(gateway.upstream.sessions).toHaveLength(1)
  })
})
