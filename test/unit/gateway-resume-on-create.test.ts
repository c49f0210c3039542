import { afterEach, describe, expect, it, vi } from 'vitest'
import type { TerminalGatewayOptions } from '../../src/gateway.ts'
import { SilenceTimer } from '../../src/lib/silence-timer.ts'
import type { TestUpstreamOptions } from '../../src/testing.ts'
import { idsOf, park, sessionOf } from '../support/parking.ts'
import {
  as,
  ask,
  attachAs,
  createAs,
  startGateway,
  startPromptGateway,
  type,
  type ServedGateway,
} from '../support/terminal-gateway.ts'
import { until } from '../support/upstream.ts'

afterEach(() => void vi.useRealTimers())

const CHAT = { 'X-Session-Id': 'chat-1' }
const CONTEXT = { 'X-Terminal-Context-Id': 'chat:chat-1' }

interface Created {
  readonly id: string
  readonly resumed?: true
}

function start(options: Partial<TerminalGatewayOptions> = {}, server?: TestUpstreamOptions): Promise<ServedGateway> {
  return startGateway({ resumeOnCreate: true, ...options }, server)
}

/** Asks for a session, below a path such as that of a policy. */
async function post(
  { base }: Pick<ServedGateway, 'base'>,
  headers: Record<string, string> = {},
  prefix = '',
  query = '',
): Promise<Created> {
  const { status, body } = await ask({ base: base + prefix }, 'POST', query, { ...as('ada'), ...headers })
  expect(status).toBe(200)
  return body as Created
}

/** Joins a client to a session, and lets it leave. */
async function visit(gateway: ServedGateway, id: string, chatId?: string): Promise<void> {
  const { ws } = await attachAs(gateway, id, { token: 'jwt-ada', chat_id: chatId })
  await until(() => sessionOf(gateway, id)?.attachedSince !== undefined)
  ws.close()
  await until(() => sessionOf(gateway, id)?.attachedSince === undefined)
}

describe('resumeOnCreate (PROTOCOL 8.10)', () => {
  it.each([
    ['of no chat', {}, ''],
    ['of the same chat', CHAT, ''],
    ['of the same context', CONTEXT, ''],
    ['of the same policy', {}, '/p/python'],
  ])('gives a POST %s the session that its user has left', async (_, headers, prefix) => {
    const gateway = await startPromptGateway({ resumeOnCreate: true }, { release: 'terminals@0.2.2' })
    const { id, ...created } = await post(gateway, headers, prefix)
    expect(created).toEqual({ created_at: expect.any(String), pid: 0 })
    await visit(gateway, id, headers === CHAT ? 'chat-1' : undefined)
    expect(await post(gateway, headers, prefix)).toEqual({ id, ...created, resumed: true })
    expect(gateway.upstream.sessions).toHaveLength(1)
  })

  // What was left, and what is asked for.
  it.each<[string, Record<string, string>, string, Record<string, string>, string, string?]>([
    ['of a chat without one', CHAT, '', {}, ''],
    ['without a chat of one', {}, '', CHAT, ''],
    ['of another chat', CHAT, '', { 'X-Session-Id': 'chat-2' }, ''],
    ['of another context', CONTEXT, '', {}, ''],
    ['of another policy', {}, '/p/python', {}, ''],
    ['of another user', {}, '', as('eve'), ''],
    ['that asks for a new one', {}, '', {}, '', '?resume=0'],
  ])('gives a POST another session than one %s', async (_, left, leftBelow, headers, prefix, query) => {
    const gateway = await startPromptGateway({ resumeOnCreate: true }, { release: 'terminals@0.2.2' })
    const { id } = await post(gateway, left, leftBelow)
    await visit(gateway, id, left === CHAT ? 'chat-1' : undefined)
    const created = await post(gateway, headers, prefix, query)
    expect(created.id).not.toBe(id)
    expect(created.resumed).toBeUndefined()
  })

  it('is off unless it is wanted', async () => {
    const gateway = await startGateway()
    const id = await park(gateway)
    expect((await post(gateway)).id).not.toBe(id)
  })

  it('gives away the last one that was left, one to each, and none that has a client or whose shell has ended', async () => {
    const gateway = await start()
    const ids = [await createAs(gateway), await createAs(gateway), await createAs(gateway), await createAs(gateway)]
    const [first = '', second = '', attached = '', ended = ''] = ids
    await attachAs(gateway, attached)
    await until(() => sessionOf(gateway, attached)?.attachedSince !== undefined)
    await visit(gateway, ended)
    gateway.upstream.sessions[3]?.exit()
    await until(() => sessionOf(gateway, ended) === undefined)
    await visit(gateway, second)
    await visit(gateway, first)
    const created = await Promise.all([post(gateway), post(gateway), post(gateway)])
    expect(created.filter(({ resumed }) => resumed).map(({ id }) => id)).toEqual([first, second])
    expect(ids).not.toContain(created.find(({ resumed }) => !resumed)?.id)
  })

  it('gives a client that cannot resume the last output, and full-screen programs draw theirs again', async () => {
    const gateway = await start({ replayBytes: 1024 })
    const id = await createAs(gateway)
    const before = await attachAs(gateway, id, { token: 'jwt-ada', offset: null })
    await type(before, 'hello')
    before.ws.close()
    await until(() => sessionOf(gateway, id)?.parkedSince !== undefined)
    await gateway.upstream.sessions[0]?.output(`${'x'.repeat(5_000)}\r\nthe end`)
    expect((await post(gateway)).id).toBe(id)
    const { ws, bytes, printed } = await attachAs(gateway, id)
    ws.send(JSON.stringify({ type: 'resize', cols: 100, rows: 30 }))
    await printed('the end')
    expect(bytes().toString()).not.toContain('hello')
    // The size that makes programs draw lasts for a moment.
    await until(() => frames(gateway).includes('{"type":"resize","cols":100,"rows":29}'))
    await until(() => frames(gateway).at(-1) === '{"type":"resize","cols":100,"rows":30}')
  })
})

function frames({ upstream }: ServedGateway): string[] {
  return upstream.requests.flatMap((request) => request.frames.filter((frame) => typeof frame === 'string'))
}

/** Resolves when all timers have seen what time it is. */
function tick(): Promise<void> {
  return new Promise((resolve) => void new SilenceTimer([0], { onSilence: () => resolve() }))
}

/** Starts a gateway with a session that has been left for 50 s of its `keepFor` of 60 s, and is given to a client. */
async function startReserved(
  options: Partial<TerminalGatewayOptions> = {},
): Promise<{ gateway: ServedGateway; id: string }> {
  vi.useFakeTimers({ toFake: ['performance'] })
  const gateway = await start({ keepFor: 60_000, ...options })
  const id = await park(gateway)
  vi.advanceTimersByTime(50_000)
  expect(await post(gateway)).toMatchObject({ id, resumed: true })
  return { gateway, id }
}

/** Gives a session up that was the answer to a POST. */
async function giveUp(gateway: ServedGateway, id: string): Promise<void> {
  expect(await ask(gateway, 'DELETE', `/${id}`)).toMatchObject({ status: 200, body: { status: 'deleted' } })
}

describe('a session that was given to a client which has not come yet', () => {
  it('is given to nobody else and ended for nobody', async () => {
    const { gateway, id } = await startReserved({ maxSessionsPerUser: 2, keepFor: 120_000 })
    const other = await post(gateway)
    expect(other.resumed).toBeUndefined()
    await visit(gateway, other.id)
    // One more than the user may have: the other was left later, and ends first.
    expect((await post(gateway, {}, '', '?resume=0')).resumed).toBeUndefined()
    await until(() => !idsOf(gateway).includes(other.id))
    expect(idsOf(gateway)).toContain(id)
  })

  // What happens, and how much of `keepFor` is left then.
  it.each<[string, (gateway: ServedGateway, id: string) => unknown, number]>([
    [
      'what was left after 30 s',
      async () => {
        vi.advanceTimersByTime(30_000)
        await tick()
      },
      10_000,
    ],
    [
      'what was left after a DELETE',
      async (gateway, id) => {
        vi.advanceTimersByTime(20_000)
        await giveUp(gateway, id)
      },
      10_000,
    ],
    [
      'what was left before the first of two POSTs',
      async (gateway, id) => {
        vi.advanceTimersByTime(20_000)
        expect((await post(gateway)).id).toBe(id)
        vi.advanceTimersByTime(30_000)
        await tick()
      },
      10_000,
    ],
    [
      'all of it when the client has come and has left',
      async (gateway, id) => {
        vi.advanceTimersByTime(20_000)
        await visit(gateway, id)
      },
      60_000,
    ],
  ])('is kept for %s', async (_, pass, left) => {
    const { gateway, id } = await startReserved()
    await pass(gateway, id)
    vi.advanceTimersByTime(left - 1_000)
    await tick()
    expect(idsOf(gateway)).toEqual([id])
    vi.advanceTimersByTime(1_000)
    await until(() => idsOf(gateway).length === 0)
    await until(() => gateway.upstream.sessions.length === 0)
  })

  it('is given to the next POST if the client does not come, before others that were left earlier', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const gateway = await start()
    const [earlier, id] = [await createAs(gateway), await createAs(gateway)]
    await visit(gateway, earlier)
    await visit(gateway, id)
    expect((await post(gateway)).id).toBe(id)
    vi.advanceTimersByTime(2_000)
    expect(await post(gateway)).toMatchObject({ id, resumed: true })
    // This client may still come.
    expect((await post(gateway)).id).toBe(earlier)
  })

  it('is not ended by the DELETE of a client whose user has got it again since', async () => {
    const { gateway, id } = await startReserved()
    vi.advanceTimersByTime(2_000)
    expect((await post(gateway)).id).toBe(id)
    const client = await attachAs(gateway, id)
    await type(client, 'hello')
    expect(await ask(gateway, 'DELETE', `/${id}`)).toMatchObject({ status: 409 })
    await type(client, 'still here')
    vi.advanceTimersByTime(30_000)
    await giveUp(gateway, id)
    expect(await client.closed).toMatchObject({ code: 1000 })
    expect(idsOf(gateway)).toEqual([])
  })

  it('takes its first client, and is given away again as soon as that has left', async () => {
    const gateway = await start()
    const id = await park(gateway)
    expect((await post(gateway)).id).toBe(id)
    await visit(gateway, id)
    expect((await post(gateway)).id).toBe(id)
  })

  it('is given back by a DELETE, and ended by one of its owner after that', async () => {
    const gateway = await start()
    const id = await park(gateway)
    expect((await post(gateway)).id).toBe(id)
    await giveUp(gateway, id)
    expect(await post(gateway)).toMatchObject({ id, resumed: true })
    await visit(gateway, id)
    await giveUp(gateway, id)
    expect(idsOf(gateway)).toEqual([])
    await until(() => gateway.upstream.sessions.length === 0)
  })

  it('is given back if its client has gone before the answer', async () => {
    const gateway = await start({
      async authorize({ request }) {
        if (request.headers['x-leaves']) request.socket.destroy()
        return { base: gateway.upstream.url, key: 'sk-canary', userId: 'ada' }
      },
    })
    const id = await park(gateway)
    await expect(ask(gateway, 'POST', '', { ...as('ada'), 'X-Leaves': 'yes' })).rejects.toThrow('fetch failed')
    expect(await post(gateway)).toMatchObject({ id, resumed: true })
  })

  it('has its last output for the client that comes after the end of the shell', async () => {
    const { gateway, id } = await startReserved()
    await gateway.upstream.sessions[0]?.output('the end')
    gateway.upstream.sessions[0]?.exit()
    await until(() => sessionOf(gateway, id) === undefined)
    const { printed, closed } = await attachAs(gateway, id)
    await printed('the end')
    expect(await closed).toMatchObject({ code: 1000, reason: 'exited' })
  })

  it('is kept by a gateway that drains, and ended by one that closes', async () => {
    const { gateway, id } = await startReserved()
    const drained = gateway.gateway.drain()
    expect(idsOf(gateway)).toEqual([id])
    await type(await attachAs(gateway, id), 'hello')
    await gateway.gateway.close({ timeout: 0 })
    await drained
  })
})
