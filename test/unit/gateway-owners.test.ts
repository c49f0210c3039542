import { describe, expect, it } from 'vitest'
import { TerminalError } from '../../src/index.ts'
import { lenientInside, releases } from '../support/raw-client.ts'
import { as, ask, attachAs, createAs, startGateway, type } from '../support/terminal-gateway.ts'
import { clientOf, until, upstreamOf } from '../support/upstream.ts'

const servers = [...releases.map((release) => ({ release })), ...lenientInside]
const NOT_FOUND = { error: 'Session not found' }

describe.each(servers)('in front of %o, another user', (server) => {
  it('neither lists, looks up, deletes nor attaches to a session', async () => {
    const gateway = await startGateway({}, server)
    const id = await createAs(gateway, as('ada'))
    const eve = as('eve', { 'X-User-Id': 'ada' })
    expect(await ask(gateway, 'GET', '', eve)).toMatchObject({ status: 200, body: [] })
    expect(await ask(gateway, 'GET', `/${id}`, eve)).toMatchObject({ status: 404, body: NOT_FOUND })
    expect(await ask(gateway, 'DELETE', `/${id}`, eve)).toMatchObject({ status: 404, body: NOT_FOUND })
    const { closed, bytes } = await attachAs(gateway, `${id}?user_id=ada`, { token: 'jwt-eve' })
    expect(await closed).toEqual({ code: 4004, reason: 'Session not found' })
    expect(bytes()).toHaveLength(0)
    expect((await ask(gateway, 'GET', `/${id}`, as('ada'))).status).toBe(200)
  })

  it('does not get, replace or end the session of a chat that it names', async () => {
    const gateway = await startGateway({}, server)
    const id = await createAs(gateway, as('ada', { 'X-Session-Id': 'c1' }))
    const upstreamId = String(gateway.upstream.sessions[0]?.id)
    for (const chat of ['c1', upstreamId]) {
      const { status, body } = await ask(gateway, 'POST', '', as('eve', { 'X-Session-Id': chat }))
      // Only where the chat is the id of a session would that of the other user be replaced.
      if (upstreamId === chat) expect([status, body]).toEqual([404, NOT_FOUND])
      else expect([status, body]).toEqual([200, { ...(body as object), id: expect.not.stringMatching(id) }])
    }
    const ada = await attachAs(gateway, id, { token: 'jwt-ada', chat_id: 'c1' })
    await type(ada, 'still here')
    expect(gateway.upstream.sessions.map((session) => session.id)).toContain(upstreamId)
  })

  it('may have a session of its own at the same time', async () => {
    const gateway = await startGateway({}, server)
    await createAs(gateway, as('ada', { 'X-Session-Id': 'c1' }))
    const id = await createAs(gateway, as('eve', { 'X-Session-Id': 'c2' }))
    const eve = await attachAs(gateway, id, { token: 'jwt-eve', chat_id: 'c2' })
    await type(eve, 'mine')
    expect(eve.bytes().toString()).toContain('mine')
  })
})

describe.each(servers)('in front of %o, the same user', (server) => {
  it('does not reach the session of a chat without the chat', async () => {
    const gateway = await startGateway({}, server)
    const id = await createAs(gateway, as('ada', { 'X-Session-Id': 'c1' }))
    expect((await ask(gateway, 'GET')).body).toEqual([])
    expect((await ask(gateway, 'GET', `/${id}`, as('ada', { 'X-Session-Id': 'c2' }))).status).toBe(404)
    expect((await ask(gateway, 'GET', `/${id}`, as('ada', { 'X-Session-Id': 'c1' }))).status).toBe(200)
    const { closed } = await attachAs(gateway, id)
    expect(await closed).toMatchObject({ code: 4004 })
  })

  it('has a working shell after it creates two sessions of one chat at the same time', async () => {
    const gateway = await startGateway({}, server)
    const headers = as('ada', { 'X-Session-Id': 'c1' })
    const ids = await Promise.all([createAs(gateway, headers), createAs(gateway, headers)])
    const left = gateway.gateway.sessions.map(({ id }) => id)
    expect(ids).toEqual(expect.arrayContaining(left))
    for (const id of left) {
      await type(await attachAs(gateway, id, { token: 'jwt-ada', chat_id: 'c1' }), 'alive')
    }
    expect(gateway.upstream.sessions).toHaveLength(left.length)
  })
})

it('users of the same name on two upstreams do not reach each other', async () => {
  const upstreams = { one: await upstreamOf(), two: await upstreamOf() }
  const gateway = await startGateway({
    authorize: ({ token }) => clientOf(token === 'one' ? upstreams.one : upstreams.two),
  })
  const id = await createAs(gateway, { Authorization: 'Bearer one' })
  expect((await ask(gateway, 'GET', `/${id}`, { Authorization: 'Bearer two' })).status).toBe(404)
  expect((await ask(gateway, 'GET', `/${id}`, { Authorization: 'bearer one' })).status).toBe(200)
})

it('asks `authorize` again for every request, so that a user who is refused later reaches nothing', async () => {
  let isAllowed = true
  const upstream = await upstreamOf()
  const gateway = await startGateway({
    authorize: () => {
      if (!isAllowed) throw new TerminalError('ERR_TERMINAL_FORBIDDEN', 'locked')
      return clientOf(upstream)
    },
  })
  const id = await createAs(gateway)
  isAllowed = false
  expect((await ask(gateway, 'GET', `/${id}`)).status).toBe(403)
  const { closed } = await attachAs(gateway, id)
  expect(await closed).toEqual({ code: 4003, reason: 'Access denied' })
  await until(() => gateway.gateway.sessions.length === 1)
})
