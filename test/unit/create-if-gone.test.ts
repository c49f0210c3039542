import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { connectTerminal, createTerminalSession, type ConnectTerminalOptions } from '../../src/index.ts'
import type { TestFaults, TestRelease, TestUpstream } from '../../src/testing.ts'
import { relayTo } from '../support/cuttable-relay.ts'
import { operations } from '../support/requests.ts'
import { cut, openResumable } from '../support/resumable.ts'
import { connectTo, expectNothingLeft, refusalOf } from '../support/terminal.ts'
import { as, ask, createAs, pageOf, startGateway } from '../support/terminal-gateway.ts'
import { afterwards, outputWith, rejection, releases, until, upstreamOf, userOf } from '../support/upstream.ts'

const OWN_404 = { refuse: 404, body: '{"error":"Session not found"}' }
const NO_SERVER = { refuse: 404, body: `{"detail":"Terminal server 'x' not found"}` }

/** Options that try once, to attach to a session that does not exist. */
const GONE: Partial<ConnectTerminalOptions> = { sessionId: 'gone', createIfGone: true, retry: false }

function created(upstream: TestUpstream): number {
  return operations(upstream).filter((operation) => operation === 'POST').length
}

describe.each<TestRelease>(releases)('createIfGone on %s', (release) => {
  it('attaches to the session that is there, and deletes it at the end', async () => {
    const upstream = await upstreamOf({ release })
    const { id: sessionId } = await createTerminalSession(userOf(upstream))
    const terminal = await connectTo(upstream, { ...GONE, sessionId })
    expect(terminal.sessionId).toBe(sessionId)
    expect(created(upstream)).toBe(1)
    await terminal.close()
    expect(upstream.sessions).toEqual([])
  })

  // PROTOCOL 2.4 and 3.8
  it('creates a session in the place of one that is gone, and deletes it at the end', async () => {
    const upstream = await upstreamOf({ release })
    const terminal = await connectTo(upstream, GONE)
    expect(upstream.sessions).toMatchObject([{ id: terminal.sessionId, userId: 'ada' }])
    await terminal.close()
    expect(upstream.sessions).toEqual([])
    const deleted = upstream.requests.filter(({ method }) => method === 'DELETE').map(({ path }) => path)
    expect(deleted).toEqual([`/api/terminals/${terminal.sessionId}`])
  })
})

describe('createIfGone', () => {
  it.each([undefined, null, ''])('creates a session for the id %j, and deletes it at the end', async (sessionId) => {
    const upstream = await upstreamOf()
    const terminal = await connectTo(upstream, { sessionId, createIfGone: true })
    expect(operations(upstream).slice(0, 2)).toEqual(['POST', 'attach'])
    await terminal.close()
    expect(upstream.sessions).toEqual([])
  })

  it.each<[string, TestFaults, object]>([
    ['4004', { attach: [{ refuse: 4004, body: 'Session not found' }] }, {}],
    ["the server's own 404", { attach: [{ refuse: 403 }], get: [OWN_404] }, {}],
    ['4003 "not reachable" and such a 404', { attach: [{ refuse: 4003, body: 'not reachable' }], get: [OWN_404] }, {}],
    ['one of these after a failure that passes', { attach: [{ refuse: 503 }, { refuse: 4004 }] }, { attempts: 2 }],
  ])('creates a session after %s, whether the other is there or not', async (_what, faults, more) => {
    const upstream = await upstreamOf({ faults, release: 'open-terminal@0.14.5' })
    const { id: sessionId } = await createTerminalSession(userOf(upstream))
    const terminal = await connectTo(upstream, { ...GONE, sessionId, retry: { attempts: 1, delay: 1, ...more } })
    expect(terminal.sessionId).not.toBe(sessionId)
    await terminal.close()
    // The other was not ours to delete.
    expect(upstream.sessions).toMatchObject([{ id: sessionId }])
  })

  it.each<[string, TestFaults, Partial<ConnectTerminalOptions>, object]>([
    ['a wrong key', {}, { key: 'sk-wrong-canary' }, { code: 'ERR_TERMINAL_UNAUTHORIZED' }],
    ['403', { attach: { refuse: 403 } }, {}, { code: 'ERR_TERMINAL_UNAUTHORIZED', status: 403 }],
    ['4003', { attach: { refuse: 4003, body: 'Access denied' } }, {}, { code: 'ERR_TERMINAL_FORBIDDEN' }],
    ['500', { attach: { refuse: 500 } }, {}, { code: 'ERR_TERMINAL_UNAVAILABLE', status: 500 }],
    ['a connection that drops', { attach: 'drop', get: 'drop' }, {}, { code: 'ERR_TERMINAL_UNAVAILABLE' }],
    ["a proxy's 404 to the handshake", { attach: { ...OWN_404, body: '<html>' } }, {}, { status: 404 }],
    ["a proxy's 404 to the look-up", { attach: { refuse: 403 }, get: { refuse: 404, body: '<html>' } }, {}, {}],
    ['an Open WebUI without the server', { attach: { refuse: 403 }, get: NO_SERVER }, {}, { status: 404 }],
    ['no answer', { attach: 'stall' }, { timeout: 100 }, { code: 'ERR_TERMINAL_TIMEOUT' }],
  ])('creates none, and deletes none, after %s', async (_what, faults, options, fields) => {
    const upstream = await upstreamOf({ faults, release: 'terminals@0.2.2' })
    const { id: sessionId } = await createTerminalSession(userOf(upstream))
    expect(await refusalOf(upstream, { ...GONE, sessionId, ...options })).toMatchObject(fields)
    expect(created(upstream)).toBe(1)
    expect(upstream.sessions).toMatchObject([{ id: sessionId }])
  })

  it('is not meant by a sessionId alone', async () => {
    const upstream = await upstreamOf()
    expect(await refusalOf(upstream, { sessionId: 'gone' })).toMatchObject({ code: 'ERR_TERMINAL_NOT_FOUND' })
    expect(created(upstream)).toBe(0)
  })

  it.each([4001, 4004])('creates once, and deletes only that session when its attach gets %i', async (refuse) => {
    const upstream = await upstreamOf({ faults: { attach: [undefined, { refuse }, { refuse }] } })
    expect(await refusalOf(upstream, GONE)).toMatchObject({ closeCode: refuse })
    expect(operations(upstream).filter((operation) => /POST|DELETE/.test(operation))).toEqual(['POST', 'DELETE'])
    expect(upstream.requests.filter(({ path, method }) => method === 'DELETE' && path.endsWith('gone'))).toEqual([])
    expectNothingLeft(upstream)
  })

  it('has one time limit for both steps, and says at which it ended', async () => {
    const upstream = await upstreamOf({ faults: { attach: [{ delay: 150 }], create: { delay: 150 } } })
    const { code, message } = await refusalOf(upstream, { ...GONE, timeout: 250 })
    expect(code).toBe('ERR_TERMINAL_TIMEOUT')
    expect(message).toMatch(/^Cannot attach at http:.*\/api\/terminals: still asking for a session after 250 ms/)
    await until(() => operations(upstream).includes('DELETE'))
    expect(upstream.sessions).toEqual([])
  })

  it('rejects with the reason of the signal in the second step, too, and leaves nothing', async () => {
    const upstream = await upstreamOf({ faults: { create: { delay: 100 } } })
    const controller = new AbortController()
    const connecting = refusalOf(upstream, { ...GONE, signal: controller.signal })
    await until(() => created(upstream) === 1)
    controller.abort(new Error('changed my mind'))
    expect(await connecting).toBe(controller.signal.reason)
    await until(() => operations(upstream).includes('DELETE'))
    expect(upstream.sessions).toEqual([])
  })
})

// PROTOCOL 3.12
describe('a session that another client has', () => {
  async function taken(): Promise<[TestUpstream, Partial<ConnectTerminalOptions>, () => Promise<unknown>]> {
    const upstream = await upstreamOf({ release: 'open-terminal@0.14.5' })
    const terminal = await connectTo(upstream, { deleteOnClose: false })
    return [upstream, { sessionId: terminal.sessionId }, () => terminal.close()]
  }

  it.each([
    [{ createIfGone: true, retry: { attempts: 3, delay: 1 } }, 3],
    [{ createIfGone: true, retry: false }, 1],
    [{ retry: { attempts: 3, delay: 1 } }, 1],
  ] as const)('is in use after as many tries as %j says', async (options, tries) => {
    const [upstream, named] = await taken()
    expect(await refusalOf(upstream, { ...named, ...options })).toMatchObject({ code: 'ERR_TERMINAL_IN_USE' })
    // One is the other client's.
    expect(operations(upstream).filter((operation) => operation === 'attach')).toHaveLength(1 + tries)
    expect(upstream.sessions).toMatchObject([{ id: named.sessionId, attached: 1 }])
    expect(operations(upstream)).not.toContain('DELETE')
  })

  it('is replaced once the connection of the page before the reload has ended, and the shell with it', async () => {
    const [upstream, named, leave] = await taken()
    const connecting = connectTo(upstream, { ...named, createIfGone: true, retry: { attempts: 100, delay: 5 } })
    await sleep(50)
    await leave()
    const { sessionId } = await connecting
    expect(sessionId).not.toBe(named.sessionId)
    expect(upstream.sessions).toMatchObject([{ id: sessionId }])
  })
})

describe('a page of a gateway that keeps its sessionId', () => {
  /** Opens the terminal of a page that may have been reloaded. */
  async function reloaded(base: string, kept: { shell?: string }): ReturnType<typeof connectTerminal> {
    const terminal = await connectTerminal({ ...pageOf({ base }), sessionId: kept.shell, createIfGone: true })
    afterwards(terminal)
    kept.shell = terminal.sessionId
    return terminal
  }

  it('has its shell again after a reload, and a new one when that has ended', async () => {
    const gateway = await startGateway()
    const relay = await relayTo(gateway)
    const kept: { shell?: string } = {}
    const first = await reloaded(relay.base, kept)
    await first.write('before the reload')
    await outputWith(first, 'before the reload')
    relay.cut('reset')
    const second = await reloaded(gateway.base, kept)
    expect(second.sessionId).toBe(first.sessionId)
    expect(await outputWith(second, 'before the reload')).toContain('before the reload')
    await second.close()
    const third = await reloaded(gateway.base, kept)
    expect(third.sessionId).not.toBe(first.sessionId)
    expect(gateway.upstream.sessions).toHaveLength(1)
  })

  it('learns nothing of the session of another user, which goes on', async () => {
    const gateway = await startGateway()
    const sessionId = await createAs(gateway, as('bob'))
    const answers = await Promise.all(
      [sessionId, 'never-there'].map(async (shell) => {
        const { sessionId: id, ...terminal } = await reloaded(gateway.base, { shell })
        await terminal.close()
        return id !== shell
      }),
    )
    expect(answers).toEqual([true, true])
    expect(gateway.gateway.sessions).toMatchObject([{ id: sessionId, userId: 'bob' }])
  })

  it('gets no other session in the place of one that could not be resumed', async () => {
    const opened = await openResumable({ createIfGone: true })
    const stop = opened.relay.refuse()
    await cut(opened)
    await ask(opened.gateway, 'DELETE', `/${opened.terminal.sessionId}`)
    stop()
    expect(await opened.terminal.closed).toMatchObject({ cause: 'lost', error: { code: 'ERR_TERMINAL_NOT_FOUND' } })
    expect(created(opened.gateway.upstream)).toBe(1)
  })
})

it('connectTerminal takes a sessionId of null as none', async () => {
  const upstream = await upstreamOf()
  const terminal = await connectTo(upstream, { sessionId: null })
  await terminal.close()
  expect(upstream.sessions).toEqual([])
  expect(await rejection(connectTo(upstream, { sessionId: '' }))).toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' })
})
