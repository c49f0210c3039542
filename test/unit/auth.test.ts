import { describe, expect, it } from 'vitest'
import { buildUpstreamAuth, buildUpstreamWsUrl, type AuthType, type UpstreamAuthOptions } from '../../src/index.ts'

const cookie = 'session=abc; theme=dark'

describe('buildUpstreamAuth', () => {
  // PROTOCOL 2.2 and 4.1 to 4.4
  it.each<[AuthType, string | undefined, Record<string, string>, string]>([
    ['bearer', 'k', { 'X-User-Id': 'u', Authorization: 'Bearer k' }, 'k'],
    ['bearer', undefined, { 'X-User-Id': 'u' }, ''],
    ['bearer', ' Bearer ', { 'X-User-Id': 'u' }, ''],
    ['session', 'jwt', { 'X-User-Id': 'u', Authorization: 'Bearer jwt', Cookie: cookie }, 'jwt'],
    ['session', undefined, { 'X-User-Id': 'u', Cookie: cookie }, ''],
    ['system_oauth', 'Bearer at', { 'X-User-Id': 'u', Authorization: 'Bearer at', Cookie: cookie }, 'at'],
    ['none', 'k', { 'X-User-Id': 'u' }, ''],
  ])('carries the auth type %s and the key %j in the headers %j and the token %j', (authType, key, headers, token) => {
    expect(buildUpstreamAuth({ authType, key, userId: 'u', cookie })).toEqual({
      headers,
      message: JSON.stringify({ type: 'auth', token }),
    })
  })

  // PROTOCOL 3.6
  it('carries the chat in a header and in the auth frame, and the context in a header', () => {
    expect(buildUpstreamAuth({ authType: 'none', userId: 'u', chatId: 'c7', contextId: 'chat:c7' })).toEqual({
      headers: { 'X-User-Id': 'u', 'X-Session-Id': 'c7', 'X-Terminal-Context-Id': 'chat:c7' },
      message: '{"type":"auth","token":"","chat_id":"c7"}',
    })
  })

  it('accepts Latin-1, which headers can carry', () => {
    expect(buildUpstreamAuth({ authType: 'none', userId: 'zoë' }).headers['X-User-Id']).toBe('zoë')
  })
})

const TEXT = 'must not be empty, nor contain control characters or lone surrogates'
const HEADER = 'must fit a header: no characters above U+00FF, no blanks at the ends'
const DOTS = 'must not be "." or ".."'
const LONG = 'must be at most 256 characters long'
const KEY = 'must be printable ASCII'
const TYPES = 'must be one of bearer, session, system_oauth, none'

/** Builds what is called for. An option `target` is the target; without it, the options are. */
const builders = {
  buildUpstreamWsUrl: ({ authType, key, userId, ...target }: Record<string, unknown>) =>
    (buildUpstreamWsUrl as (...all: unknown[]) => string)(
      'http://h',
      authType,
      key,
      userId,
      target['target'] ?? target,
    ),
  buildUpstreamAuth: (options: unknown) => buildUpstreamAuth(options as UpstreamAuthOptions),
}
const url = ['buildUpstreamWsUrl'] as const
const auth = ['buildUpstreamAuth'] as const
const both = [...url, ...auth] as const

// Each wrong kind of each argument. What begins with `must` and no type is ERR_INVALID_ARG_VALUE.
const wrong: Array<readonly [ReadonlyArray<keyof typeof builders>, name: string, value: unknown, problem: string]> = [
  [both, 'authType', undefined, 'must be a string, got undefined'],
  [both, 'authType', 7, 'must be a string, got number'],
  [both, 'authType', 'basic', TYPES],
  [both, 'authType', 'constructor', TYPES],
  [both, 'key', 7, 'must be a string, got number'],
  [both, 'key', ['k'], 'must be a string, got object'],
  [both, 'key', 'käse', KEY],
  [both, 'key', 'ünder', KEY],
  [both, 'key', 'menü', KEY],
  [both, 'key', 'k\r\nX: y', KEY],
  [both, 'userId', undefined, 'must be a string, got undefined'],
  [both, 'userId', 7, 'must be a string, got number'],
  [both, 'userId', '', TEXT],
  [both, 'userId', 'u\r\nX-Admin: 1', TEXT],
  [both, 'userId', 'a\ud800', TEXT],
  [auth, 'userId', '用户', HEADER],
  [auth, 'userId', ' u', HEADER],
  [both, 'contextId', 7, 'must be a string, got number'],
  [both, 'contextId', '', TEXT],
  [both, 'contextId', 'chat:\0', TEXT],
  [both, 'contextId', 'c'.repeat(257), LONG],
  [auth, 'contextId', '用户', HEADER],
  [url, 'sessionId', 7, 'must be a string, got number'],
  [url, 'sessionId', '', TEXT],
  [url, 'sessionId', '.', DOTS],
  [url, 'sessionId', '..', DOTS],
  [url, 'policyId', null, 'must be a string, got null'],
  [url, 'policyId', '', TEXT],
  [url, 'policyId', '..', DOTS],
  [url, 'target', 's1', 'must be an object, got string'],
  [auth, 'chatId', 7, 'must be a string, got number'],
  [auth, 'chatId', '', TEXT],
  [auth, 'chatId', '..', DOTS],
  [auth, 'chatId', '用户', HEADER],
  [auth, 'cookie', 7, 'must be a string, got number'],
  [auth, 'cookie', 'a=b\nc', TEXT],
  [auth, 'cookie', 'a=用户', HEADER],
]

describe.each(Object.entries(builders))('%s throws a TypeError', (name, build) => {
  it.each(wrong.filter(([where]) => where.some((one) => one === name)))('when in %j `%s` is %j: %s', (...row) => {
    const [, argument, value, problem] = row
    const code = problem.startsWith('must be a string,') || problem.startsWith('must be an object,') ? 'TYPE' : 'VALUE'
    expect(() => build({ authType: 'bearer', key: 'k', userId: 'u', [argument]: value })).toThrow(
      Object.assign(new TypeError(`\`${argument}\` ${problem}`), { code: `ERR_INVALID_ARG_${code}` }),
    )
  })
})

it.each([undefined, null, 'bearer'])('buildUpstreamAuth throws a TypeError when the options are %j', (options) => {
  const got = options === null ? 'null' : typeof options
  expect(() => builders.buildUpstreamAuth(options)).toThrow(
    Object.assign(new TypeError(`\`options\` must be an object, got ${got}`), { code: 'ERR_INVALID_ARG_TYPE' }),
  )
})
