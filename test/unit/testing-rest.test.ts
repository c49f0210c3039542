import { describe, expect, it } from 'vitest'
import type { TestRelease, TestShell, TestUpstreamOptions } from '../../src/testing.ts'
import {
  API,
  ask,
  attach,
  create,
  lenient,
  lenientInside,
  orchestrators,
  ownServers,
  releases,
  start,
  strict,
  withDefaults,
  type Headers,
} from '../support/raw-client.ts'

const NOT_FOUND = [404, { error: 'Session not found' }]
const NOT_ALLOWED = [405, { detail: 'Method Not Allowed' }]
const INVALID_KEY = [401, { detail: 'Invalid API key' }]
const NO_KEY = [401, { detail: 'Missing Authorization header' }]
const UNKNOWN = [404, { detail: 'Not Found' }]
const NO_SESSIONS = [200, []]
const NO_POLICY = [404, { detail: "Policy 'x' not found" }]
const NO_USER = [
  422,
  { detail: [{ type: 'missing', loc: ['header', 'X-User-Id'], msg: 'Field required', input: null }] },
]
const LIMIT = [429, { error: 'Maximum number of terminal sessions (16) reached' }]

const WRONG_KEY = { authorization: 'Bearer sk-2' }
const WITHOUT_KEY = { authorization: undefined }
const WITHOUT_USER = { 'x-user-id': undefined }
const unknownPaths = ['', '/', '/api', `${API}/a/b`, `${API}/a%2Fb`, `/p/x/y${API}`, `/p/${API}`]

/** Answers without a session: of the orchestrators, and of the Open Terminals, if theirs is another one. */
const answers: Array<[method: string, path: string, headers: Headers, answer: unknown, ofOwnServers?: unknown]> = [
  ...unknownPaths.map((path): [string, string, Headers, unknown] => ['GET', path, {}, UNKNOWN]),
  ['PUT', API, {}, NOT_ALLOWED],
  ['DELETE', API, {}, NOT_ALLOWED],
  ['POST', `${API}/nowhere`, {}, NOT_ALLOWED],
  ['PATCH', `${API}/nowhere`, {}, NOT_ALLOWED],
  ['PUT', API, WITHOUT_KEY, NO_KEY, NOT_ALLOWED],
  ['GET', API, WITHOUT_KEY, NO_KEY, INVALID_KEY],
  ['POST', API, { ...WITHOUT_KEY, ...WITHOUT_USER }, NO_KEY, INVALID_KEY],
  ['GET', API, WRONG_KEY, INVALID_KEY],
  ['POST', API, { authorization: 'Bearer sk-1 sk-1' }, INVALID_KEY],
  ['DELETE', `${API}/x`, { authorization: 'Basic sk-1' }, INVALID_KEY],
  ['GET', API, { authorization: 'sk-1' }, INVALID_KEY],
  ['GET', API, { authorization: 'bearer sk-1' }, NO_SESSIONS],
  ['GET', API, WITHOUT_USER, NO_USER, NO_SESSIONS],
  ['GET', `${API}/x`, WITHOUT_USER, NO_USER, NOT_FOUND],
  // Ids that are not UTF-8.
  ['GET', `${API}/%ff`, {}, NOT_FOUND],
  ['GET', `${API}/%zz`, {}, NOT_FOUND],
  ['GET', `${API}/%`, {}, NOT_FOUND],
  // PROTOCOL 2.11: Open Terminal has no policies.
  ['GET', `/p/gold${API}`, {}, NO_SESSIONS, UNKNOWN],
  ['POST', `/p/x${API}`, {}, NO_POLICY, UNKNOWN],
  ['GET', `/p/x${API}/y`, {}, NO_POLICY, UNKNOWN],
  ['POST', `/p/x${API}`, WRONG_KEY, INVALID_KEY, UNKNOWN],
]

describe.each(releases)('%s', (release) => {
  it('creates, gets, lists and deletes sessions (PROTOCOL 2.1 and 2.5)', async () => {
    const upstream = await start({ release })
    const created = await ask(upstream, 'POST')
    expect(created).toEqual([
      200,
      {
        id: expect.stringMatching(/^[\da-f]{8}$/),
        created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
        pid: expect.any(Number),
      },
    ])
    const { id } = await create(upstream)
    const [first, second] = [created[1], (await ask(upstream, 'GET', `${API}/${id}`))[1]]
    expect(second).toMatchObject({ id })
    expect(await ask(upstream, 'GET')).toEqual([200, [first, second]])

    expect(await ask(upstream, 'DELETE', `${API}/${id}`)).toEqual([200, { status: 'deleted' }])
    expect(await ask(upstream, 'GET')).toEqual([200, [first]])
    expect(await ask(upstream, 'GET', `${API}/${id}`)).toEqual(NOT_FOUND)
    expect(await ask(upstream, 'DELETE', `${API}/${id}`)).toEqual(NOT_FOUND)
  })

  it('forgets a session whose shell has ended at the first request for it, which a DELETE still finds', async () => {
    const upstream = await start({ release })
    const [first, second] = [await create(upstream), await create(upstream)]
    first.exit()
    expect(await ask(upstream, 'GET', `${API}/${first.id}`)).toEqual(NOT_FOUND)
    expect(await ask(upstream, 'DELETE', `${API}/${first.id}`)).toEqual(NOT_FOUND)
    second.exit()
    expect(upstream.sessions).toEqual([])
    expect(await ask(upstream, 'DELETE', `${API}/${second.id}`)).toEqual([200, { status: 'deleted' }])
    expect(await ask(upstream, 'GET')).toEqual([200, []])
  })

  it('has room for 16 sessions, and for another when one has ended (PROTOCOL 2.10)', async () => {
    const upstream = await start({ release })
    const sessions = []
    while (sessions.length < 16) sessions.push(await create(upstream))
    expect(await ask(upstream, 'POST')).toEqual(LIMIT)
    sessions[3]?.exit()
    await ask(upstream, 'DELETE', `${API}/${sessions[4]?.id}`)
    await create(upstream)
    await create(upstream)
    expect(await ask(upstream, 'POST')).toEqual(LIMIT)
  })

  it('requires no key if it has none', async () => {
    const upstream = await start({ release, key: '' })
    expect(await ask(upstream, 'GET', API, { authorization: undefined })).toEqual([200, []])
    expect(await ask(upstream, 'GET', API, { authorization: 'Bearer whatever' })).toEqual([200, []])
  })

  it.each(answers)('answers %s %s with %j', async (method, path, headers, answer, ofOwnServers = answer) => {
    const upstream = await start({ release, policies: ['gold'] })
    const expected = release.startsWith('terminals') ? answer : ofOwnServers
    expect(await ask(upstream, method, path, headers)).toEqual(expected)
    expect(upstream.sessions).toEqual([])
  })
})

describe.each(orchestrators)('%s', (release) => {
  it('separates users, and has room for 16 sessions for each', async () => {
    const upstream = await start({ release })
    const bob = { 'x-user-id': 'bob' }
    const { id } = await create(upstream)
    for (let count = 1; count < 16; count += 1) await create(upstream)
    expect(await ask(upstream, 'GET', API, bob)).toEqual([200, []])
    expect(await ask(upstream, 'GET', `${API}/${id}`, bob)).toEqual(NOT_FOUND)
    expect(await ask(upstream, 'DELETE', `${API}/${id}`, bob)).toEqual(NOT_FOUND)
    expect(await create(upstream, bob)).toMatchObject({ userId: 'bob' })
    expect(await ask(upstream, 'POST')).toEqual(LIMIT)
  })

  it('separates policies', async () => {
    const upstream = await start({ release, policies: ['gold', 'with blank'] })
    const { id, policyId } = await create(upstream, {}, '/p/with%20blank')
    expect(policyId).toBe('with blank')
    expect(await ask(upstream, 'GET', `/p/gold${API}`)).toEqual([200, []])
    expect(await ask(upstream, 'GET', `${API}/${id}`)).toEqual(NOT_FOUND)
    expect((await ask(upstream, 'GET', `/p/with%20blank${API}/${id}`))[0]).toBe(200)
  })

  it('knows every policy without the option policies', async () => {
    expect(await ask(await start({ release }), 'GET', `/p/x${API}`)).toEqual(NO_SESSIONS)
  })
})

describe.each(ownServers)('%s', (release) => {
  it('names the allowed method in Allow', async () => {
    const { url } = await start({ release })
    for (const [path, allowed] of [
      [API, 'POST'],
      [`${API}/x`, 'GET'],
    ]) {
      expect((await fetch(`${url}${path}`, { method: 'PUT' })).headers.get('allow')).toBe(allowed)
    }
  })

  it('redirects from a path with a slash at its end, before it checks the key (PROTOCOL 2.13)', async () => {
    const upstream = await start({ release })
    for (const path of ['', '/x']) {
      const response = await fetch(`${upstream.url}${API}${path}//?a=/`, { method: 'POST', redirect: 'manual' })
      expect([response.status, await response.text()]).toEqual([307, ''])
      expect(response.headers.get('location')).toBe(`${upstream.url}${API}${path}?a=/`)
    }
    expect(await ask(upstream, 'GET', '/elsewhere/')).toEqual([404, { detail: 'Not Found' }])
  })

  it('creates sessions without a user', async () => {
    expect(await create(await start({ release }), { 'x-user-id': undefined })).toMatchObject({ userId: '' })
  })

  it('counts the sessions of all users together', async () => {
    const upstream = await start({ release })
    for (let count = 0; count < 16; count += 1) await create(upstream, { 'x-user-id': `user-${count}` })
    expect(await ask(upstream, 'POST', API, { 'x-user-id': 'bob' })).toEqual(LIMIT)
  })
})

/** Upstreams that use the chat as the id of its session. */
const chatIsId: TestUpstreamOptions[] = [...lenientInside, { release: 'open-terminal@0.11' }]

describe.each(chatIsId)('$release (PROTOCOL 2.7)', (options) => {
  it('uses the chat as the id of its session, and replaces the first session of a chat by the second', async () => {
    const upstream = await start(options)
    const first = await create(upstream, { 'x-session-id': 'chat-1' })
    expect(first).toMatchObject({ id: 'chat-1', chatId: 'chat-1' })
    expect((await ask(upstream, 'GET', `${API}/chat-1`))[0]).toBe(200)
    const second = await create(upstream, { 'x-session-id': 'chat-1' })
    expect(upstream.sessions).toEqual([second])
    expect(second).not.toBe(first)
  })

  it('ends the second session of a chat when the client of the first leaves, not the shell of the first', async () => {
    const killed: number[] = []
    let shells = 0
    const shell: TestShell = ({ output }) => {
      const number = (shells += 1)
      return { input: () => void output(`${number}`), kill: () => void killed.push(number) }
    }
    const upstream = await start({ release: 'open-terminal@0.11', shell })
    const clients = []
    for (const _ of 'ab') {
      await create(upstream, { 'x-session-id': 'chat-1' })
      clients.push(await attach(upstream, 'chat-1'))
    }
    for (const { ws } of clients) ws.send(Buffer.from('x'))
    await Promise.all(clients.map(({ printed }, index) => printed(`${index + 1}`)))
    clients[0]?.ws.close()
    await expect.poll(() => killed, { interval: 5 }).toEqual([2])
    clients[1]?.ws.send(Buffer.from('x'))
    expect(await clients[1]?.ended).toBe('open, 1006')
    await upstream.close()
    expect(killed).toEqual([2, 1])
  })
})

describe.each(lenient)('%s (PROTOCOL 2.8)', (release) => {
  it('shows every session to every user', async () => {
    const upstream = await start({ release })
    const { id } = await create(upstream, { 'x-session-id': 'chat-1' })
    expect((await ask(upstream, 'GET', `${API}/${id}`, { 'x-user-id': 'bob' }))[0]).toBe(200)
    expect((await ask(upstream, 'DELETE', `${API}/${id}`, { 'x-user-id': 'bob' }))[0]).toBe(200)
  })
})

describe.each(strict)('%s', (release) => {
  it.each<[who: string, Headers]>([
    ['another user', { 'x-user-id': 'bob', 'x-session-id': 'chat-1' }],
    ['a request without a user', { 'x-user-id': undefined, 'x-session-id': 'chat-1' }],
    ['another chat', { 'x-session-id': 'chat-2' }],
    ['no chat', {}],
  ])('hides a session from %s', async (_who, headers) => {
    const upstream = await start({ release })
    const owner = { 'x-session-id': 'chat-1' }
    const { id } = await create(upstream, owner)
    expect(await ask(upstream, 'GET', API, headers)).toEqual([200, []])
    expect(await ask(upstream, 'GET', `${API}/${id}`, headers)).toEqual(NOT_FOUND)
    expect(await ask(upstream, 'DELETE', `${API}/${id}`, headers)).toEqual(NOT_FOUND)
    expect((await ask(upstream, 'DELETE', `${API}/${id}`, owner))[0]).toBe(200)
  })
})

describe('a context', () => {
  it('has its own sessions on terminals@0.2.2', async () => {
    const upstream = await start({ release: 'terminals@0.2.2' })
    const context = { 'x-terminal-context-id': 'automation:1' }
    const { id, contextId } = await create(upstream, context)
    expect(contextId).toBe('automation:1')
    expect(await ask(upstream, 'GET', `${API}/${id}`)).toEqual(NOT_FOUND)
    expect((await ask(upstream, 'GET', `${API}/${id}`, context))[0]).toBe(200)
    expect(await create(upstream, { 'x-terminal-context-id': 'default' })).toMatchObject({ contextId: 'default' })
    expect(await create(upstream)).toMatchObject({ contextId: 'default' })
  })

  it.each([
    ['x', 'only chat and automation contexts are supported'],
    ['defaults', 'only chat and automation contexts are supported'],
    [`chat:${'x'.repeat(252)}`, 'context_id is too long'],
  ])('called %s gets a 400 from terminals@0.2.2', async (context, detail) => {
    const upstream = await start({ release: 'terminals@0.2.2' })
    expect(await ask(upstream, 'POST', API, { 'x-terminal-context-id': context })).toEqual([400, { detail }])
  })

  it.each<TestRelease>(['terminals@0.0.2', 'terminals@0.0.3', ...ownServers])('is ignored by %s', async (release) => {
    const upstream = await start({ release })
    expect(await create(upstream, { 'x-terminal-context-id': 'x' })).toMatchObject({ contextId: 'default' })
  })
})

// The cases of Open Terminal are in test/upstream/suite.ts.
describe.each(orchestrators)('a page of another origin on %s (PROTOCOL 2.15)', (release) => {
  it.each<[method: string, path: string, headers: Headers, status: number]>([
    ['GET', '', {}, 200],
    ['GET', '', { authorization: undefined }, 401],
    ['GET', '/no/where', {}, 404],
    ['OPTIONS', '', { 'access-control-request-method': 'POST', 'access-control-request-headers': 'x-user-id' }, 200],
    ['OPTIONS', '', { 'access-control-request-method': 'TRACE' }, 400],
    ['OPTIONS', '', {}, 405],
  ])('may read the answer to %s %s with %j: %i', async (method, path, headers, status) => {
    const origin = 'http://page.example'
    const upstream = await start({ release })
    const response = await fetch(upstream.url + API + path, { method, headers: withDefaults({ origin, ...headers }) })
    expect(response.status).toBe(status)
    expect(upstream.requests).toMatchObject([{ method, status }])
    expect(response.headers.get('access-control-allow-origin')).toBe(origin)
    if (!headers['access-control-request-headers']) return
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'access-control-allow-credentials': 'true',
      'access-control-allow-headers': 'x-user-id',
      'access-control-allow-methods': 'DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, QUERY',
    })
  })
})
