import { expect, it } from 'vitest'
import { connectTerminal } from '../../src/index.ts'
import { mute, promptOnly } from '../support/shells.ts'
import { afterwards, clientOf, outputWith, rejection, releases, until, upstreamOf } from '../support/upstream.ts'

const patient = { settle: 60_000, timeout: 60_000 }

// PROTOCOL 3.8
it.each(releases)(
  'connectTerminal rejects with ERR_TERMINAL_NOT_FOUND on %s before `settle` ms have passed',
  async (release) => {
    const upstream = await upstreamOf({ release, redialDelay: 60_000 })
    const error = await rejection(connectTerminal({ ...clientOf(upstream), ...patient, sessionId: 'gone' }))
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_NOT_FOUND' })
    expect(error.message).toContain('the session does not exist, or has ended')
  },
)

// PROTOCOL 3.9
it('connectTerminal accepts a silent attach after one look-up of the session, also if that takes longer than `settle`', async () => {
  const upstream = await upstreamOf({ faults: { get: { delay: 200 } } })
  const terminal = await connectTerminal(clientOf(upstream))
  afterwards(terminal)
  expect(upstream.requests.map(({ method, status }) => `${method} ${status}`)).toEqual([
    'POST 200',
    'GET 101',
    'GET 200',
  ])
})

it('connectTerminal rejects when the server refuses the attach after the first heartbeat', async () => {
  const upstream = await upstreamOf({ shell: mute })
  const connecting = rejection(connectTerminal({ ...clientOf(upstream), ...patient, settle: 1_000 }))
  await until(() => upstream.requests.some(({ frames }) => frames.includes('{"type":"ping"}')))
  upstream.sessions[0]?.close(4003, 'Access denied')
  expect(await connecting).toMatchObject({ code: 'ERR_TERMINAL_FORBIDDEN', closeCode: 4003 })
})

it.each([
  ['does not answer', 'stall'],
  ['is a reverse proxy with its own page', { refuse: 404, body: '<h1>default backend</h1>' }],
  ['is a reverse proxy without a server', { refuse: 502 }],
  ['does not accept the key', { refuse: 401 }],
] as const)(
  'connectTerminal accepts a silent attach when the server that is asked for the session %s',
  async (_what, get) => {
    const upstream = await upstreamOf({ faults: { get } })
    const terminal = await connectTerminal(clientOf(upstream))
    afterwards(terminal)
    await terminal.write('alive')
    await outputWith(terminal, 'alive')
  },
)

it('connectTerminal accepts an attach with output without a heartbeat and without a look-up', async () => {
  const upstream = await upstreamOf({ shell: promptOnly })
  afterwards(await connectTerminal(clientOf(upstream)))
  expect(upstream.requests.map(({ method }) => method)).toEqual(['POST', 'GET'])
  expect(upstream.requests[1]?.frames).toHaveLength(1)
})
