import { describe, expect, it, vi } from 'vitest'
import { WebSocketServer } from 'ws'
import { connectTerminal } from '../../src/index.ts'
import type { TestFault } from '../../src/testing.ts'
import { handshakes, operations } from '../support/requests.ts'
import { connectTo, expectNothingLeft, open, refusalOf } from '../support/terminal.ts'
import { afterwards, clientOf, nobody, until, upstreamOf } from '../support/upstream.ts'

const quickRetry = { attempts: 5, delay: 1 }

describe('connectTerminal, after a failure that may pass,', () => {
  it.each<[string, 'create' | 'attach', TestFault]>([
    ['a reset request', 'create', 'reset'],
    ['HTTP 502 to the request', 'create', { refuse: 502 }],
    ['a limit on requests', 'create', { refuse: 429, body: '<h1>429 Too Many Requests</h1>' }],
    ['a limit on requests that speaks JSON', 'create', { refuse: 429, body: '{"error":"Too many requests"}' }],
    ['a limit on handshakes', 'attach', { refuse: 429 }],
    ['HTTP 503 to the request', 'create', { refuse: 503 }],
    ['HTTP 504 to the handshake', 'attach', { refuse: 504 }],
    ['a reset handshake', 'attach', 'reset'],
    ['a connection that drops right after the handshake', 'attach', 'drop'],
    ['close 1012', 'attach', { refuse: 1012 }],
    ['close 1013', 'attach', { refuse: 1013 }],
    ['close 4003 not reachable', 'attach', { refuse: 4003, body: 'Terminal instance not reachable' }],
  ])('tries again after %s', async (_what, operation, fault) => {
    const { upstream } = await open({ faults: { [operation]: [fault, fault] } }, { retry: quickRetry })
    expect(upstream.sessions).toHaveLength(1)
    expect(operations(upstream).filter((name) => name === (operation === 'create' ? 'POST' : 'attach'))).toHaveLength(3)
  })

  const OWN = ['open-terminal@0.11', 'open-terminal@0.14'] as const

  it.each(OWN)('tries again with a new session when %s has ended the one that dropped', async (release) => {
    const upstream = await upstreamOf({ release })
    const connecting = connectTerminal({ ...clientOf(upstream), settle: 200, retry: quickRetry })
    await until(() => upstream.sessions[0]?.attached === 1)
    upstream.sessions[0]?.reset()
    const terminal = await connecting
    await terminal.close()
    expect(operations(upstream)).toEqual(['POST', 'attach', 'GET', 'POST', 'attach', 'GET', 'DELETE'])
  })

  it('tries again with a new session when the server has restarted and lost the first', async () => {
    const upstream = await upstreamOf({ release: 'open-terminal@0.11', faults: { attach: [{ refuse: 1012 }] } })
    const connecting = connectTerminal({ ...clientOf(upstream), retry: { attempts: 3, delay: 100 } })
    await until(() => handshakes(upstream).length === 1)
    upstream.sessions[0]?.exit()
    afterwards(await connecting)
    expect(operations(upstream)).toEqual(['POST', 'attach', 'attach', 'GET', 'POST', 'attach', 'GET'])
  })

  it('tries again until a server listens', async () => {
    const base = await nobody()
    const port = Number(new URL(base).port)
    const retry = { attempts: 100, delay: 10 }
    const connecting = connectTerminal({ base, userId: 'ada', settle: 20, sessionId: 's1', retry })
    const server = new WebSocketServer({ port, host: '127.0.0.1' })
    afterwards(server)
    const terminal = await connecting
    afterwards(terminal)
    expect(server.clients.size).toBe(1)
  })

  it('says that the server is unavailable, not full, when a limit on requests remains', async () => {
    const upstream = await upstreamOf({ faults: { attach: { refuse: 429 } } })
    const error = await refusalOf(upstream, { retry: { attempts: 2, delay: 1 } })
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_UNAVAILABLE', status: 429 })
    expectNothingLeft(upstream)
  })

  it.each(['create', 'attach'] as const)('waits as long as Retry-After says after 429 (%s)', async (operation) => {
    const fault = { refuse: 429, headers: { 'retry-after': '1' } }
    const upstream = await upstreamOf({ faults: { [operation]: [fault] } })
    using timers = vi.spyOn(globalThis, 'setTimeout')
    await connectTo(upstream, { retry: quickRetry })
    expect(timers.mock.calls.map(([, ms]) => ms)).toContain(1_000)
  })

  it('rejects with the last failure after the last attempt', async () => {
    const upstream = await upstreamOf({ faults: { attach: [{ refuse: 502 }, { refuse: 503 }] } })
    expect(await refusalOf(upstream, { retry: { attempts: 2, delay: 1 } })).toMatchObject({ status: 503 })
    expectNothingLeft(upstream)
  })
})

it.each([
  [{ attempts: 2 }, 2],
  [{ delay: 1 }, 5],
  [{ attempts: 1 }, 1],
  [false, 1],
] as const)('connectTerminal with retry: %j makes %i tries', async (retry, tries) => {
  const upstream = await upstreamOf({ faults: { create: { refuse: 502 } } })
  expect(await refusalOf(upstream, { retry })).toMatchObject({ code: 'ERR_TERMINAL_UNAVAILABLE', status: 502 })
  expect(upstream.requests).toHaveLength(tries)
})

it('connectTerminal doubles the delay before each try, and leaves out a random part of up to one half', async () => {
  const upstream = await upstreamOf({ faults: { create: { refuse: 502 } } })
  const timers = vi.spyOn(globalThis, 'setTimeout')
  afterwards({ close: () => vi.restoreAllMocks() })
  vi.spyOn(Math, 'random').mockReturnValueOnce(0).mockReturnValueOnce(1).mockReturnValue(0)
  await refusalOf(upstream, { retry: { attempts: 4, delay: 10 } })
  const waits = timers.mock.calls.map(([, ms]) => ms).filter((ms) => ms === 10 || ms === 40)
  // All of 10, half of 20, all of 40.
  expect(waits).toEqual([10, 10, 40])
})
