import { expect, it } from 'vitest'
import { operations } from '../support/requests.ts'
import { mute, promptOnly } from '../support/shells.ts'
import { open, refusalOf } from '../support/terminal.ts'
import { outputWith, releases, until, upstreamOf } from '../support/upstream.ts'

const patient = { settle: 60_000, timeout: 60_000 }

// PROTOCOL 3.8
it.each(releases)('connectTerminal does not wait for `settle` to find out that %s has no session', async (release) => {
  const upstream = await upstreamOf({ release, redialDelay: 60_000 })
  const error = await refusalOf(upstream, { ...patient, sessionId: 'gone' })
  expect(error).toMatchObject({ code: 'ERR_TERMINAL_NOT_FOUND' })
  expect(error.message).toContain('the session does not exist, or has ended')
  expect(operations(upstream)).toEqual(['attach', 'GET'])
})

// PROTOCOL 3.9
it('connectTerminal accepts a silent attach after one look-up of the session, also if that takes longer than `settle`', async () => {
  const { upstream } = await open({ faults: { get: { delay: 200 } } })
  const asked = upstream.requests.map(({ method, status }) => `${method} ${status}`)
  expect(asked).toEqual(['POST 200', 'GET 101', 'GET 200'])
})

it('connectTerminal rejects when the server refuses the attach after the first heartbeat', async () => {
  const upstream = await upstreamOf({ shell: mute })
  const connecting = refusalOf(upstream, { ...patient, settle: 1_000 })
  await until(() => upstream.requests.some(({ frames }) => frames.includes('{"type":"ping"}')))
  upstream.sessions[0]?.close(4003, 'Access denied')
  expect(await connecting).toMatchObject({ code: 'ERR_TERMINAL_FORBIDDEN', closeCode: 4003 })
})

it.each([
  ['does not answer', 'stall'],
  ['is a reverse proxy with its own page', { refuse: 404, body: '<h1>default backend</h1>' }],
  ['is a reverse proxy without a server', { refuse: 502 }],
  ['does not accept the key', { refuse: 401 }],
] as const)('connectTerminal accepts a silent attach when who is asked for the session %s', async (_what, get) => {
  const { terminal } = await open({ faults: { get } })
  await terminal.write('alive')
  await outputWith(terminal, 'alive')
})

it('connectTerminal accepts an attach with output without a heartbeat and without a look-up', async () => {
  const { upstream } = await open({ shell: promptOnly })
  expect(upstream.requests.map(({ method }) => method)).toEqual(['POST', 'GET'])
  expect(upstream.requests[1]?.frames).toHaveLength(1)
})
