import { describe, expect, it } from 'vitest'
import type { TestRelease } from '../../src/testing.ts'
import {
  API,
  ask,
  authFrame,
  create,
  dial,
  KEY,
  lenient,
  next,
  orchestrators,
  releases,
  start,
  strict,
  USER,
  type RawSocket,
  type Shape,
} from '../support/raw-client.ts'
import { promptAndEcho } from '../support/shells.ts'

/** Resolves with how an attach ends. The servers do not confirm an attach, so the first output counts as success. */
async function outcome(socket: RawSocket): Promise<string> {
  return Promise.race([socket.printed('$ ').then(() => OK), socket.ended])
}

const quick = { redialDelay: 5, shell: promptAndEcho }
const impatient = { ...quick, authTimeout: 25 }
const OK = 'attached'
const REFUSED = 'HTTP 403'
const LATE = 'open, 4001 Auth timeout or invalid payload'
const WRONG_KEY = 'open, 4001 Invalid API key'
const NOT_FOUND = 'open, 4004 Session not found'
const NO_POLICY = "open, 4004 Policy 'x' not found"
const UNREACHABLE = 'open, 4003 Terminal instance not reachable'
const DROPPED = 'open, 1006'
const CONTEXT = { 'x-terminal-context-id': 'chat:1' }
const NO_USER = 'open, 4002 Missing user_id'
const NO_CONTEXT = 'open, 4004 only chat and automation contexts are supported'

// The columns: terminals@0.0.2, @0.0.3, @0.2.2, the Open Terminals that do not check owners, those that do.
const columns = Object.fromEntries([
  ...orchestrators.map((release, column) => [release, column]),
  ...lenient.map((release) => [release, 3]),
  ...strict.map((release) => [release, 4]),
]) as Record<TestRelease, number>
const anotherUser = { query: { user_id: 'bob', token: KEY }, headers: { 'x-user-id': 'bob' } }
const wrongKey = { query: { user_id: USER, token: 'sk-2' }, first: [authFrame('sk-2')] }
const table: Array<[shape: string, Shape & { session?: string }, outcomes: string[]]> = [
  ['`user_id` only, then the auth frame', { query: { user_id: USER } }, [REFUSED, OK, OK, OK, OK]],
  ['`token` and `user_id`, no auth frame', { first: [] }, [OK, LATE, LATE, LATE, LATE]],
  ['`token` and `user_id`, then the auth frame', {}, [OK, OK, OK, OK, OK]],
  ['the wrong key in both', wrongKey, [REFUSED, WRONG_KEY, WRONG_KEY, WRONG_KEY, WRONG_KEY]],
  ['no `user_id`', { query: { token: KEY } }, [REFUSED, NO_USER, NO_USER, OK, OK]],
  ['an unknown session', { session: 'nowhere' }, [DROPPED, DROPPED, UNREACHABLE, REFUSED, REFUSED]],
  ['an unknown policy', { prefix: '/p/x' }, [REFUSED, NO_POLICY, NO_POLICY, REFUSED, REFUSED]],
  ['no `X-User-Id`', { headers: { 'x-user-id': undefined } }, [OK, OK, OK, OK, NOT_FOUND]],
  ['the id of another user in both places', anotherUser, [DROPPED, DROPPED, UNREACHABLE, OK, NOT_FOUND]],
  ['another `X-Session-Id`', { headers: { 'x-session-id': 'chat-2' } }, [OK, OK, OK, OK, NOT_FOUND]],
  ['a context that the session was not created in', inContext('chat:2'), [OK, OK, UNREACHABLE, OK, OK]],
  ['an invalid context', inContext('x'), [OK, OK, NO_CONTEXT, OK, OK]],
]

function inContext(context_id: string): Shape {
  return { query: { user_id: USER, token: KEY, context_id } }
}

describe.each(table)('a client that sends %s (PROTOCOL 1.1)', (_name, { session, ...shape }, outcomes) => {
  it.each(releases.map((release) => [release, outcomes[columns[release]]] as const))(
    'gets from %s: %s',
    async (release, expected) => {
      const options = shape.first?.length === 0 ? impatient : quick
      const upstream = await start({ ...options, release, policies: ['gold'] })
      const { id } = await create(upstream)
      expect(await outcome(dial(upstream, session ?? id, shape))).toBe(expected)
    },
  )
})

const awaitingFrame = releases.filter((release) => release !== 'terminals@0.0.2')

describe('the auth frame (PROTOCOL 3.4 and 3.9)', () => {
  it.each(awaitingFrame)('is awaited in silence by %s', async (release) => {
    const upstream = await start({ release, shell: promptAndEcho })
    const socket = dial(upstream, (await create(upstream)).id, { first: [] })
    expect(await next(socket)).toBe('silence')
    socket.ws.send(authFrame())
    expect(await outcome(socket)).toBe(OK)
  })

  it.each<[TestRelease, string]>([
    ['terminals@0.0.2', OK],
    ['terminals@0.0.3', LATE],
    ['terminals@0.2.2', LATE],
    ...lenient.map((release): [TestRelease, string] => [release, OK]),
    ...strict.map((release): [TestRelease, string] => [release, LATE]),
  ])('is required by %s even without a key; the outcome without the frame: %s', async (release, expected) => {
    const upstream = await start({ ...impatient, release, key: '' })
    expect(await outcome(dial(upstream, (await create(upstream)).id, { first: [] }))).toBe(expected)
  })

  it.each(releases)('attaches to %s with any token if the upstream has no key', async (release) => {
    const upstream = await start({ ...quick, release, key: '' })
    const { id } = await create(upstream, { authorization: undefined })
    expect(await outcome(dial(upstream, id, { query: { user_id: USER }, first: [authFrame('')] }))).toBe(OK)
  })

  const EXPECTED = 'open, 4001 Expected auth message'
  const FAILED = 'open, 4001 Auth failed'
  // The outcomes of: another type, no token, no JSON, a token that is not ASCII, a token that is not a string, no
  // object, a number that is too long, nesting that is too deep, a binary message.
  describe.each<[TestRelease, string[]]>([
    ['terminals@0.0.3', [EXPECTED, WRONG_KEY, LATE, DROPPED, DROPPED, FAILED, FAILED, FAILED, FAILED]],
    ['terminals@0.2.2', [EXPECTED, WRONG_KEY, LATE, DROPPED, DROPPED, FAILED, FAILED, FAILED, FAILED]],
    ['open-terminal@0.8.1', [WRONG_KEY, WRONG_KEY, LATE, WRONG_KEY, WRONG_KEY, LATE, LATE, LATE, LATE]],
    ['open-terminal@0.11', [WRONG_KEY, WRONG_KEY, LATE, LATE, LATE, LATE, LATE, LATE, LATE]],
    ['open-terminal@0.14', [WRONG_KEY, WRONG_KEY, LATE, DROPPED, DROPPED, LATE, LATE, DROPPED, DROPPED]],
    ['open-terminal@0.14.2', [WRONG_KEY, WRONG_KEY, LATE, DROPPED, DROPPED, LATE, LATE, DROPPED, DROPPED]],
    ['open-terminal@0.14.5', [WRONG_KEY, WRONG_KEY, LATE, WRONG_KEY, WRONG_KEY, WRONG_KEY, LATE, DROPPED, LATE]],
  ])('that is malformed (PROTOCOL 3.5), sent to %s', (release, outcomes) => {
    const frames = [
      authFrame(undefined, { type: 'hello' }),
      JSON.stringify({ type: 'auth' }),
      `Bearer ${KEY}`,
      authFrame('schlüssel'),
      authFrame(null),
      '[]',
      `{"type":"auth","token":"${KEY}","x":1${'0'.repeat(4300)}}`,
      '['.repeat(100_000),
      Buffer.from(authFrame()),
    ]
    it.each(frames.map((frame, index) => [frame.slice(0, 40), outcomes[index], frame]))(
      '%s → %s',
      async (_, expected, frame) => {
        const upstream = await start({ release, shell: promptAndEcho })
        expect(await outcome(dial(upstream, (await create(upstream)).id, { first: [frame] }))).toBe(expected)
      },
    )
  })
})

describe.each(strict)('%s', (release) => {
  it('does not tell another user that a session is in use', async () => {
    const upstream = await start({ ...quick, release })
    const { id } = await create(upstream)
    expect(await outcome(dial(upstream, id))).toBe(OK)
    expect(await outcome(dial(upstream, id, { headers: { 'x-user-id': 'bob' } }))).toBe(NOT_FOUND)
  })
})

describe('terminals@0.2.2', () => {
  it.each<[string, Shape, string]>([
    ['of the query', inContext('chat:1'), OK],
    ['of the header', { headers: CONTEXT }, OK],
    ['of the header, not of the query', { ...inContext('chat:2'), headers: CONTEXT }, OK],
    ['that is too long', inContext(`chat:${'x'.repeat(252)}`), 'open, 4004 context_id is too long'],
    ['with control characters', inContext('chat:\x07'), 'open, 4004 context_id contains control characters'],
  ])('reads a context %s (PROTOCOL 3.7)', async (_which, shape, expected) => {
    const upstream = await start({ ...quick, release: 'terminals@0.2.2' })
    const { id } = await create(upstream, CONTEXT)
    expect(await outcome(dial(upstream, id, shape))).toBe(expected)
  })

  it('stays silent between its attempts to reach an unknown session (PROTOCOL 3.8 and 3.10)', async () => {
    const upstream = await start()
    expect(await next(dial(upstream, 'nowhere'))).toBe('silence')
  })
})

describe('a policy', () => {
  it.each(orchestrators)('has its own sessions on %s', async (release) => {
    const upstream = await start({ ...quick, release })
    const { id } = await create(upstream, {}, '/p/gold')
    expect(await outcome(dial(upstream, id))).not.toBe(OK)
    expect(await outcome(dial(upstream, id, { prefix: '/p/gold' }))).toBe(OK)
  })

  it('called default must exist like any other when the path names it', async () => {
    const upstream = await start({ ...quick, policies: ['gold'] })
    const socket = dial(upstream, (await create(upstream)).id, { prefix: '/p/default' })
    expect(await outcome(socket)).toBe("open, 4004 Policy 'default' not found")
  })

  it('with a name that is too long for a close reason drops the connection', async () => {
    const upstream = await start({ policies: [] })
    expect(await outcome(dial(upstream, 'x', { prefix: `/p/${'x'.repeat(200)}` }))).toBe(DROPPED)
  })
})

describe('a handshake', () => {
  it.each(releases)('with an unknown path is refused by %s', async (release) => {
    const upstream = await start({ release })
    expect(await dial(upstream, 'a/b').ended).toBe(REFUSED)
    expect(await dial(upstream, 'a%2Fb').ended).toBe(REFUSED)
  })

  it.each(releases)('gets compression from %s if the client offers it (PROTOCOL 5.7)', async (release) => {
    const upstream = await start({ ...quick, release })
    const { id } = await create(upstream)
    const socket = dial(upstream, id, { options: { perMessageDeflate: true } })
    expect(await outcome(socket)).toBe(OK)
    expect(socket.ws.extensions).toBe('permessage-deflate')
  })
})

describe('multiUser (PROTOCOL 2.18)', () => {
  it.each([undefined, ''])('requires a user of a POST: %j', async (user) => {
    const upstream = await start({ release: 'open-terminal@0.14.5', multiUser: true })
    const missing = [400, { detail: 'X-User-Id is required in multi-user mode' }]
    expect(await ask(upstream, 'POST', API, { 'x-user-id': user })).toEqual(missing)
    expect(await ask(upstream, 'GET', API, { 'x-user-id': user })).toEqual([200, []])
    expect(upstream.sessions).toEqual([])
  })

  it('keeps the sessions of each user apart', async () => {
    const upstream = await start({ release: 'open-terminal@0.14.5', multiUser: true })
    const { id } = await create(upstream)
    expect(await ask(upstream, 'GET', API, { 'x-user-id': 'bob' })).toEqual([200, []])
    expect((await ask(upstream, 'GET', `${API}/${id}`, { 'x-user-id': 'bob' }))[0]).toBe(404)
    expect((await ask(upstream, 'GET', `${API}/${id}`))[0]).toBe(200)
  })
})
