import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { TerminalError } from '../../src/index.ts'
import { failOnUnhandledErrors } from '../support/proxy-unhandled.ts'
import { hostile } from '../support/proxy.ts'
import { lenientInside, releases } from '../support/raw-client.ts'
import {
  as,
  ask,
  attachAs,
  closeOf,
  createAs,
  startGateway,
  startPromptGateway,
  type,
  untilAttached,
} from '../support/terminal-gateway.ts'
import { clientOf, upstreamOf } from '../support/upstream.ts'

failOnUnhandledErrors()

const servers = [...releases.map((release) => ({ release })), ...lenientInside]
const NOT_FOUND = { error: 'Session not found' }

describe.each(servers)('in front of %o, another user', (server) => {
  it('neither lists, looks up, deletes nor attaches to a session', async () => {
    const gateway = await startPromptGateway({}, server)
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
    const gateway = await startPromptGateway({}, server)
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
    const gateway = await startPromptGateway({}, server)
    await createAs(gateway, as('ada', { 'X-Session-Id': 'c1' }))
    const id = await createAs(gateway, as('eve', { 'X-Session-Id': 'c2' }))
    const eve = await attachAs(gateway, id, { token: 'jwt-eve', chat_id: 'c2' })
    await type(eve, 'mine')
    expect(eve.bytes().toString()).toContain('mine')
  })
})

describe.each(servers)('in front of %o, the same user', (server) => {
  it('does not reach the session of a chat without the chat', async () => {
    const gateway = await startPromptGateway({}, server)
    const id = await createAs(gateway, as('ada', { 'X-Session-Id': 'c1' }))
    expect((await ask(gateway, 'GET')).body).toEqual([])
    expect((await ask(gateway, 'GET', `/${id}`, as('ada', { 'X-Session-Id': 'c2' }))).status).toBe(404)
    expect((await ask(gateway, 'GET', `/${id}`, as('ada', { 'X-Session-Id': 'c1' }))).status).toBe(200)
    const { closed } = await attachAs(gateway, id)
    expect(await closed).toMatchObject({ code: 4004 })
  })

  it('has a working shell after it creates two sessions of one chat at the same time', async () => {
    const gateway = await startPromptGateway({}, server)
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
  const first = await attachAs(gateway, id)
  await untilAttached(gateway)
  isAllowed = false
  expect((await ask(gateway, 'GET', `/${id}`)).status).toBe(403)
  expect(await closeOf(gateway, id)).toEqual({ code: 4003, reason: 'Access denied' })
  await type(first, 'still here')
})

describe('what `authorize` returns', () => {
  it('is read at once, and each field once', async () => {
    const upstream = await upstreamOf({ faults: { create: { delay: 30 } } })
    const { base, key } = clientOf(upstream)
    const reads: string[] = []
    const gateway = await startGateway({
      authorize: () => {
        const fields = { base, key, userId: 'ada' }
        const returned = new Proxy(fields, {
          get(target, name) {
            if (name in target) reads.push(String(name))
            return Reflect.get(target, name)
          },
        })
        // Later, it would lead somewhere else.
        setImmediate(() => Object.assign(fields, { base: 'http://127.0.0.1:9', key: 'other', userId: 'eve' }))
        return returned
      },
    })
    expect((await ask(gateway, 'POST')).status).toBe(200)
    expect(reads.sort()).toEqual(['base', 'key', 'userId'])
    expect(gateway.gateway.sessions).toMatchObject([{ userId: 'ada' }])
  })

  it('may be nothing but UpstreamOptions: everything else is ignored, and the operator is told so once', async () => {
    const upstream = await upstreamOf()
    const gateway = await startGateway({
      authorize: () => ({ ...clientOf(upstream), sessionId: 's1', deleteOnClose: false }),
    })
    const warned = once(process, 'warning')
    const [first, second] = [await createAs(gateway), await createAs(gateway)]
    expect(upstream.requests.filter(({ method }) => method === 'POST')).toHaveLength(2)
    const [{ message, name }] = (await warned) as [Error]
    expect([name, message]).toEqual([
      'TerminalGatewayWarning',
      '`authorize` of a terminal gateway returned `settle`, `sessionId`, `deleteOnClose`, which has no effect. ' +
        'It may return base, authType, key, userId, policyId, contextId, chatId, cookie, headers.',
    ])
    for (const id of [first, second]) await ask(gateway, 'DELETE', `/${id}`)
    expect(upstream.sessions).toEqual([])
  })

  it('may be a copy of what a client has sent, whose names control no terminal of the operator', async () => {
    const upstream = await upstreamOf()
    const gateway = await startGateway({
      authorize: () => ({ ...clientOf(upstream), ...JSON.parse('{"\\u001b[2J\\n\\u009b":1}') }),
    })
    const warned = once(process, 'warning')
    await ask(gateway, 'GET')
    const [{ message }] = (await warned) as [Error]
    expect(message).toMatch(/ returned `settle`, a field of another name, which has no effect\. /)
    expect(message).not.toMatch(/\p{Cc}/u)
  })

  it.each([
    ['a slash at the end', (base: string) => `${base}/`],
    ['another scheme', (base: string) => base.replace('http:', 'ws:')],
    ['a scheme in capitals', (base: string) => base.replace('http:', 'HTTP:')],
    ['a fragment', (base: string) => `${base}#there`],
    ['a path that leads nowhere', (base: string) => `${base}/a/..`],
    ['a parameter of ours', (base: string) => `${base}?user_id=eve`],
    ['a URL object', (base: string) => new URL(base)],
  ])('names the same upstream with %s', async (_, respell) => {
    const upstream = await upstreamOf()
    const options = clientOf(upstream)
    const gateway = await startGateway({
      authorize: ({ token }) => ({ ...options, base: token === 'one' ? options.base : respell(options.base) }),
    })
    const id = await createAs(gateway, { Authorization: 'Bearer one' })
    expect((await ask(gateway, 'GET', `/${id}`, { Authorization: 'Bearer two' })).status).toBe(200)
  })
})

const AGAIN = { code: 1013, reason: 'Not authorized, try again later' }

describe('an `authorize` that throws', () => {
  it('an Error once, while a client comes back, costs the client one more try', async () => {
    let mayFail = false
    const upstream = await upstreamOf()
    const gateway = await startGateway({
      authorize: () => {
        if (mayFail) throw new TypeError('rows is undefined')
        return clientOf(upstream)
      },
    })
    const id = await createAs(gateway)
    mayFail = true
    expect(await ask(gateway, 'DELETE', `/${id}`)).toMatchObject({ status: 503, body: { error: AGAIN.reason } })
    expect(await closeOf(gateway, id)).toEqual(AGAIN)
    mayFail = false
    await type(await attachAs(gateway, id), 'back')
  })

  const failing = (code: string) => (): Promise<never> => Promise.reject(new TerminalError(code as never, 'secret'))

  it.each<[string, () => Promise<never> | never]>([
    ...['constructor', '__proto__', 'toString', 'ERR_TERMINAL_CLOSED'].map((code) => [code, failing(code)] as never),
    ['a value that cannot be read', () => Promise.reject(hostile)],
    ['nothing, and returns such a value', () => hostile],
  ])('%s is answered with 503 and 1013', async (_, authorize) => {
    const gateway = await startGateway({ authorize })
    for (const method of ['GET', 'POST']) expect((await ask(gateway, method)).status).toBe(503)
    expect(await closeOf(gateway, 's1')).toEqual(AGAIN)
  })

  it('from the function that it has returned as `key` is answered with 500', async () => {
    const upstream = await upstreamOf()
    const key = (): never => {
      throw hostile
    }
    const gateway = await startGateway({ authorize: () => ({ ...clientOf(upstream), key }) })
    expect((await ask(gateway, 'POST')).status).toBe(500)
  })
})
