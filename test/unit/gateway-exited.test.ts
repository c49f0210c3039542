import { channel } from 'node:diagnostics_channel'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { idsOf, park } from '../support/parking.ts'
import { cut, openResumable } from '../support/resumable.ts'
import { AUTH, output, parked, resume, silent } from '../support/resume.ts'
import {
  as,
  ask,
  attachAs,
  closeOf,
  createAs,
  startGateway,
  type,
  untilParked,
  type ServedGateway,
} from '../support/terminal-gateway.ts'
import { until } from '../support/upstream.ts'

afterEach(() => void vi.useRealTimers())

const EXITED = { code: 1000, reason: 'exited' }
const GONE = { code: 4004, reason: 'Session not found' }

/** Ends the only shell of a gateway, and resolves when the gateway knows of it. */
async function exit({ gateway, upstream }: ServedGateway, last = ''): Promise<void> {
  if (last !== '') await upstream.sessions[0]?.output(last)
  upstream.sessions[0]?.exit()
  await until(() => gateway.sessions.length === 0)
}

// PROTOCOL 8.7
describe('a shell that ends while nobody is attached', () => {
  const SERVERS = ['open-terminal@0.11', 'open-terminal@0.14.5', 'terminals@0.2.2'] as const

  it.each(SERVERS)('on %s shows its last output to the client that comes back, and that ends it', async (release) => {
    const gateway = await startGateway({}, { shell: silent, release })
    const id = await createAs(gateway)
    const first = await resume(gateway, id, null)
    first.ws.terminate()
    await untilParked(gateway)
    await exit(gateway, 'RESULT-42')
    const client = await resume(gateway, id, 0, { generation: first.attached.generation })
    expect(client.attached).toMatchObject({ offset: 0, generation: first.attached.generation })
    expect(await client.closed).toEqual(EXITED)
    expect(output(client)).toBe('RESULT-42')
    expect(await closeOf(gateway, id)).toEqual(GONE)
  })

  it('shows it also to a client that cannot resume, and to the first one of all', async () => {
    const gateway = await startGateway({}, { shell: silent, release: 'open-terminal@0.14.5' })
    const id = await createAs(gateway)
    await exit(gateway, 'no such shell')
    const client = await attachAs(gateway, id)
    expect(await client.closed).toEqual(EXITED)
    expect(String(client.bytes())).toBe('no such shell')
  })

  it('is answered with 404 meanwhile, to everybody', async () => {
    const { gateway, id } = await parked('text', {}, { release: 'open-terminal@0.14.5' })
    await exit(gateway)
    expect((await ask(gateway, 'GET', `/${id}`)).status).toBe(404)
    expect((await ask(gateway, 'GET')).body).toEqual([])
    expect(await closeOf(gateway, id, { token: 'jwt-eve' })).toEqual(GONE)
    expect((await ask(gateway, 'DELETE', `/${id}`, as('eve'))).status).toBe(404)
    expect(await closeOf(gateway, id)).toEqual(EXITED)
  })

  it('is forgotten when its owner deletes it, and not when an older client does', async () => {
    const { gateway, id } = await parked('text', {}, { release: 'open-terminal@0.14.5' })
    const first = await resume(gateway, id, null)
    const second = await resume(gateway, id, null)
    second.ws.terminate()
    await untilParked(gateway)
    await exit(gateway)
    expect((await ask(gateway, 'DELETE', `/${id}?generation=${first.attached.generation}`)).status).toBe(404)
    const cutOff = await resume(gateway, id, null)
    cutOff.ws.terminate()
    expect((await ask(gateway, 'DELETE', `/${id}`)).status).toBe(404)
    expect(await closeOf(gateway, id)).toEqual(GONE)
  })

  it('is told again to a client whose connection was cut before it was told', async () => {
    const { gateway, id } = await parked('text', {}, { release: 'open-terminal@0.14.5' })
    await exit(gateway, ' and more')
    const { ws } = await attachAs(gateway, id, { ...AUTH, offset: 0 })
    ws.once('message', () => ws.terminate())
    await new Promise((resolve) => ws.once('close', resolve))
    const client = await attachAs(gateway, id, { ...AUTH, offset: 0 })
    expect(await client.closed).toEqual(EXITED)
    expect(output(client)).toBe('text and more')
  })

  it('is kept for `keepFor`, and no longer', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const { gateway, id } = await parked('text', { keepFor: 60_000 }, { release: 'open-terminal@0.14.5' })
    await exit(gateway)
    const forgotten = new Promise((resolve) => channel('terminal-upstream:closed').subscribe(resolve))
    vi.advanceTimersByTime(61_000)
    expect(await forgotten).toMatchObject({ sessionId: id, closeCode: 1000, wasParked: true })
    expect(await closeOf(gateway, id)).toEqual(GONE)
  })

  it('counts among the sessions of its user, and is the first to make room', async () => {
    const gateway = await startGateway({ maxSessionsPerUser: 2 }, { release: 'open-terminal@0.14.5' })
    const [alive, ended] = [await park(gateway), await park(gateway)]
    gateway.upstream.sessions[1]?.exit()
    await until(() => !idsOf(gateway).includes(ended))
    const third = await createAs(gateway)
    expect(await closeOf(gateway, ended)).toEqual(GONE)
    expect(idsOf(gateway)).toEqual([alive, third])
  })

  it('takes no place at the upstream: it does not go for one', async () => {
    const gateway = await startGateway({ maxSessionsPerUser: 20 }, { release: 'open-terminal@0.14.5' })
    const ended = await park(gateway)
    await exit(gateway)
    for (let count = 0; count < 16; count += 1) await createAs(gateway)
    expect((await ask(gateway, 'POST')).status).toBe(429)
    expect(await closeOf(gateway, ended)).toEqual(EXITED)
  })

  it('makes way for a new one of the same chat where the chat is the id', async () => {
    const gateway = await startGateway({}, { release: 'open-terminal@0.11' })
    const headers = as('ada', { 'X-Session-Id': 'c1' })
    const auth = { ...AUTH, chat_id: 'c1' }
    const first = await createAs(gateway, headers)
    const { ws } = await attachAs(gateway, first, auth)
    ws.close()
    await untilParked(gateway)
    await exit(gateway)
    const second = await attachAs(gateway, await createAs(gateway, headers), auth)
    await type(second, 'alive')
    expect(await closeOf(gateway, first, auth)).toEqual(EXITED)
  }, 10_000)

  it('leaves nothing when the gateway closes', async () => {
    const { gateway } = await parked('text', {}, { release: 'open-terminal@0.14.5' })
    await exit(gateway)
    await gateway.gateway.close()
    expect(gateway.gateway.sessions).toEqual([])
  })

  it('ends the terminal of a page with its output, as if the page had been there', async () => {
    const resumable = await openResumable({}, {}, { release: 'open-terminal@0.14.5' })
    const accept = resumable.relay.refuse()
    await cut(resumable)
    await until(() => resumable.gateway.gateway.sessions[0]?.parkedSince !== undefined)
    await exit(resumable.gateway, 'RESULT-42')
    accept()
    expect(await resumable.terminal.closed).toMatchObject({ cause: 'exited', code: 1000 })
    expect(resumable.text()).toContain('RESULT-42')
  })
})
