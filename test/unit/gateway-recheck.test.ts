import { describe, expect, it } from 'vitest'
import { connectTerminal, TerminalError } from '../../src/index.ts'
import type { TerminalClient } from '../../src/gateway.ts'
import { recordEvents } from '../support/gateway-events.ts'
import { AUTH, resume } from '../support/resume.ts'
import { ask, attachAs, createAs, pageOf, startGateway, type } from '../support/terminal-gateway.ts'
import type { ServedGateway } from '../support/terminal-gateway.ts'
import { afterwards, clientOf, outputWith, until, upstreamOf } from '../support/upstream.ts'
import { recordWarnings } from '../support/warnings.ts'

/** What `authorize` answers now: the user, or what it throws. */
type Answer = string | TerminalError | Error

/** Starts a gateway that asks `authorize` again all the time. `answer.now` is what it says of the token `jwt-ada`. */
async function rechecked(options: Parameters<typeof startGateway>[0] = {}): Promise<{
  gateway: ServedGateway
  answer: { now: Answer; calls: TerminalClient[] }
}> {
  const upstream = await upstreamOf()
  const { base, key } = clientOf(upstream)
  const answer: { now: Answer; calls: TerminalClient[] } = { now: 'ada', calls: [] }
  const authorize = (client: TerminalClient): { base: string; key: string; userId: string } => {
    answer.calls.push(client)
    const says = client.token === 'jwt-ada' ? answer.now : 'ada'
    if (typeof says !== 'string') throw says
    return { base, key, userId: says }
  }
  const gateway = await startGateway({ authorize, recheckEvery: 20, ...options })
  return { gateway: { ...gateway, upstream }, answer }
}

const UNAUTHORIZED = new TerminalError('ERR_TERMINAL_UNAUTHORIZED', 'The login is over', {
  closeReason: 'Log in again',
})
const FORBIDDEN = new TerminalError('ERR_TERMINAL_FORBIDDEN', 'No terminals any more')

describe('with `recheckEvery`, a client', () => {
  it('is asked for again and again with what it has said, as long as it stays', async () => {
    const { gateway, answer } = await rechecked()
    const client = await attachAs(gateway, await createAs(gateway))
    await until(() => answer.calls.length > 5)
    expect(answer.calls.at(-1)).toEqual(answer.calls[1])
    expect(answer.calls.at(-1)?.request).toBe(answer.calls[1]?.request)
    await type(client, 'still there')
    client.ws.close()
    await until(() => gateway.gateway.sessions[0]?.parkedSince !== undefined)
    const { length } = answer.calls
    await until(() => answer.calls.length <= length + 1)
    // Two more intervals of somebody else.
    const other = await attachAs(gateway, await createAs(gateway), { token: 'jwt-bea' })
    const asked = (): number => answer.calls.filter(({ token }) => token === 'jwt-bea').length
    await until(() => asked() > 3)
    expect(answer.calls.filter(({ token }) => token === 'jwt-ada').length).toBeLessThanOrEqual(length + 2)
    other.ws.close()
  })

  it('whose login is over is closed with 4001, and finds its shell again with a new one', async () => {
    const events = recordEvents()
    const { gateway, answer } = await rechecked()
    const client = await attachAs(gateway, await createAs(gateway))
    await until(() => events.length === 1)
    answer.now = UNAUTHORIZED
    expect(await client.closed).toEqual({ code: 4001, reason: 'Log in again' })
    expect(gateway.gateway.sessions).toMatchObject([{ parkedSince: expect.any(Date) }])
    expect(events.slice(1)).toMatchObject([['parked', { closeCode: 4001 }]])
  })

  it('of this package comes back by itself with a fresh key', async () => {
    const { gateway, answer } = await rechecked()
    let token = 'jwt-ada'
    const terminal = await connectTerminal({ ...pageOf(gateway), key: () => token, reconnect: { delay: 10 } })
    afterwards(terminal)
    const { sessionId } = terminal
    const statuses: string[] = []
    terminal.onStatus((status) => statuses.push(status))
    token = 'jwt-fresh'
    answer.now = UNAUTHORIZED
    await until(() => statuses.length === 2)
    expect(statuses).toEqual(['reconnecting', 'open'])
    const output = outputWith(terminal, 'same shell')
    await terminal.write('same shell')
    await output
    expect(gateway.gateway.sessions).toMatchObject([{ id: sessionId }])
    expect(gateway.upstream.sessions).toHaveLength(1)
  })

  it.each<[string, Answer, string]>([
    ['is forbidden to go on', FORBIDDEN, 'Access denied'],
    ['is somebody else by now', 'bea', 'Access denied'],
  ])('that %s loses its shell: 4003', async (_, now, reason) => {
    const events = recordEvents()
    const { gateway, answer } = await rechecked()
    const client = await attachAs(gateway, await createAs(gateway))
    await until(() => events.length === 1)
    answer.now = now
    expect(await client.closed).toEqual({ code: 4003, reason })
    await until(() => gateway.upstream.sessions.length === 0)
    await until(() => events.length > 1)
    const error = expect.objectContaining({ code: 'ERR_TERMINAL_FORBIDDEN' }) as unknown
    expect(events.slice(1)).toMatchObject([['closed', { closeCode: 4003, error }]])
  })

  it.each<[string, Answer, number]>([
    ['is forbidden to', FORBIDDEN, 4003],
    ['is somebody else by now', 'bea', 4003],
    ['has no login any more', UNAUTHORIZED, 4001],
  ])('that looks on and %s loses only its connection: %s', async (_, now, code) => {
    const { gateway, answer } = await rechecked()
    const id = await createAs(gateway)
    const typist = await attachAs(gateway, id, { token: 'jwt-bea' })
    await type(typist, 'mine')
    const watcher = await resume(gateway, id, null, { watch: true })
    answer.now = now
    expect(await watcher.closed).toMatchObject({ code })
    await type(typist, 'still mine')
  })

  it('stays when `authorize` fails otherwise, which is a warning', async () => {
    const warnings = recordWarnings()
    const { gateway, answer } = await rechecked()
    const client = await attachAs(gateway, await createAs(gateway))
    await until(() => answer.calls.length > 1)
    answer.now = new Error('The database is busy')
    const { length } = answer.calls
    await until(() => answer.calls.length > length + 3)
    await type(client, 'still mine')
    expect(warnings).toMatchObject([{ message: expect.stringContaining('Those that are connected stay.') }])
  })

  it('that was taken over while it was asked for does not end the shell of the other', async () => {
    const { gateway, answer } = await rechecked({ keepFor: 60_000 })
    const id = await createAs(gateway)
    const first = await attachAs(gateway, id)
    await until(() => answer.calls.length > 3)
    const second = await attachAs(gateway, id, { token: 'jwt-bea' })
    answer.now = FORBIDDEN
    expect((await first.closed).code).toBe(4009)
    await type(second, 'mine')
  })

  it('is asked for once without it', async () => {
    const { gateway, answer } = await rechecked({ recheckEvery: 0 })
    const client = await attachAs(gateway, await createAs(gateway), AUTH)
    await type(client, 'one')
    expect(answer.calls).toHaveLength(2)
    await ask(gateway, 'GET')
    expect(answer.calls).toHaveLength(3)
  })
})
