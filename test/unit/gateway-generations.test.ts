import { once } from 'node:events'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { connectTerminal } from '../../src/index.ts'
import { browserSocket } from '../support/browser-socket.ts'
import { relayTo } from '../support/cuttable-relay.ts'
import { recordRefusals } from '../support/gateway-events.ts'
import { AUTH, parked, resume, silent } from '../support/resume.ts'
import {
  ask,
  attachAs,
  closeOf,
  createAs,
  pageOf,
  startGateway,
  type,
  untilAttached,
  untilParked,
} from '../support/terminal-gateway.ts'
import { afterwards, outputWith, until } from '../support/upstream.ts'

afterEach(() => void vi.useRealTimers())

const TAKEN_OVER = { code: 4009, reason: 'Taken over' }

// PROTOCOL 8.6
describe('a client that hands back its generation', () => {
  it('keeps it, however often it comes back, and whether `attached` arrives or not', async () => {
    const gateway = await startGateway({}, { shell: silent })
    const id = await createAs(gateway)
    const { attached, ws } = await resume(gateway, id, null)
    ws.terminate()
    for (let count = 0; count < 3; count += 1) {
      const lost = await attachAs(gateway, id, { ...AUTH, offset: 0, generation: attached.generation })
      lost.ws.terminate()
      const again = await resume(gateway, id, 0, { generation: attached.generation })
      expect(again.attached.generation).toBe(attached.generation)
      again.ws.terminate()
    }
  })

  it.each([
    ['another page', { offset: null }],
    ['a client that cannot resume, as Open WebUI', {}],
  ])('and wakes after %s has come is told so, and takes nothing back', async (_, other) => {
    const gateway = await startGateway()
    const id = await createAs(gateway)
    const { attached, ws } = await resume(gateway, id, null)
    ws.terminate()
    const second = await attachAs(gateway, id, { ...AUTH, ...other })
    await untilAttached(gateway)
    const woken = await attachAs(gateway, id, { ...AUTH, offset: 0, generation: attached.generation })
    expect(await woken.closed).toEqual(TAKEN_OVER)
    expect(woken.messages).toEqual([])
    await type(second, 'still mine')
  })

  it('that is older is told so also while nobody is attached, and the other one comes back', async () => {
    const { gateway, id } = await parked('text')
    const first = await resume(gateway, id, null)
    const second = await resume(gateway, id, null)
    expect(await first.closed).toEqual(TAKEN_OVER)
    second.ws.terminate()
    await untilParked(gateway)
    const { generation } = first.attached
    expect(await closeOf(gateway, id, { ...AUTH, offset: 0, generation })).toEqual(TAKEN_OVER)
    await resume(gateway, id, 0, { generation: second.attached.generation })
  })

  it.each([1, '', null, true, {}])('as %j gets a new one', async (generation) => {
    const gateway = await startGateway()
    const id = await createAs(gateway)
    const first = await resume(gateway, id, null)
    const second = await resume(gateway, id, null, { generation })
    expect(await first.closed).toEqual(TAKEN_OVER)
    expect(second.attached.generation).not.toBe(first.attached.generation)
  })
})

// PROTOCOL 8.6
describe('a DELETE', () => {
  it('with an older generation is 409 and ends nothing, and with the current one or none it ends the session', async () => {
    for (const isNamed of [true, false]) {
      const gateway = await startGateway()
      const id = await createAs(gateway)
      const first = await resume(gateway, id, null)
      const second = await resume(gateway, id, null)
      await first.closed
      const answer = await ask(gateway, 'DELETE', `/${id}?generation=${first.attached.generation}`)
      expect(answer).toMatchObject({ status: 409, body: { error: 'Taken over' } })
      await type(second, 'still mine')
      const query = isNamed ? `?generation=${second.attached.generation}` : ''
      expect((await ask(gateway, 'DELETE', `/${id}${query}`)).status).toBe(200)
      expect(gateway.upstream.sessions).toEqual([])
    }
  })
})

// PROTOCOL 8.6
describe.each([
  ['in Node', {}],
  ['in a page', { WebSocket: browserSocket }],
])('close() of a terminal %s that another client has taken over while it slept', (_where, options) => {
  it('is told so with 409, asks once, and leaves the shell', async () => {
    const gateway = await startGateway()
    const relay = await relayTo(gateway)
    const terminal = await connectTerminal({ ...pageOf(relay), reconnect: { delay: 60_000 }, ...options })
    afterwards(terminal)
    relay.cut('reset')
    await until(() => terminal.status === 'reconnecting')
    const other = await connectTerminal({ ...pageOf(gateway), sessionId: terminal.sessionId, ...options })
    afterwards(other)
    const refused = recordRefusals()
    expect(await terminal.close()).toEqual({ code: 1000, reason: '', cause: 'local' })
    expect(refused.map(({ status }) => status)).toEqual([409])
    await other.write('still mine')
    await outputWith(other, 'still mine')
    expect(gateway.upstream.requests.filter(({ method }) => method === 'DELETE')).toEqual([])
  })
})

describe('a session that was kept for long enough', () => {
  it('takes nobody in while the upstream takes its time to end it: 4004 at once, and no input is lost', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const gateway = await startGateway({ keepFor: 60_000 }, { faults: { delete: { delay: 300 } } })
    const id = await createAs(gateway)
    const { ws } = await resume(gateway, id, null)
    ws.close()
    await once(ws, 'close')
    await untilParked(gateway)
    vi.advanceTimersByTime(61_000)
    await until(() => gateway.upstream.requests.some(({ method }) => method === 'DELETE'))
    const late = await attachAs(gateway, id, { ...AUTH, offset: 0 })
    expect(await late.closed).toEqual({ code: 4004, reason: 'Session not found' })
    expect(late.messages).toEqual([])
    expect(gateway.gateway.sessions).toEqual([])
  })
})
