import { describe, expect, it } from 'vitest'
import { buildUpstreamAuth, type AuthType } from '../../src/index.ts'

const AUTH_TYPES: readonly AuthType[] = ['bearer', 'session', 'system_oauth', 'none']

const NO_TOKEN = '`headers` must not have a name that is no token of RFC 9110'
const NO_LATIN1 = '`headers.X-A` must fit a header: no characters above U+00FF, no blanks at the ends'
const NO_TEXT = 'must not be empty, nor contain control characters or lone surrogates'

/** Returns the headers that are sent for these, without those of the package. */
function sent(headers: unknown, authType: AuthType = 'none'): Record<string, string> {
  const { 'X-User-Id': _, ...rest } = buildUpstreamAuth({ authType, userId: 'ada', headers: headers as never }).headers
  return rest
}

/** Returns what is thrown. */
function refusal(headers: unknown, authType: AuthType = 'bearer'): TypeError & { code?: string } {
  try {
    sent(headers, authType)
  } catch (error) {
    return error as TypeError
  }
  return expect.unreachable(`${JSON.stringify(headers)} should be refused`)
}

describe('the headers of the caller', () => {
  it('stand beside those of the package', () => {
    const options = { authType: 'bearer', key: 'sk-1', userId: 'ada', chatId: 'c1' } as const
    const own = { 'X-User-Id': 'ada', 'X-Session-Id': 'c1', Authorization: 'Bearer sk-1' }
    const headers = { 'CF-Access-Client-Id': 'id', 'x-sso': 'a b' }
    expect(buildUpstreamAuth({ ...options, headers }).headers).toEqual({ ...own, ...headers })
  })

  it('may be none', () => {
    expect([sent(undefined), sent({}), sent(Object.create(null))]).toEqual([{}, {}, {}])
  })

  it('may have basic auth where no key is sent', () => {
    expect(sent({ authorization: 'Basic YWRhOnB3' }, 'none')).toEqual({ authorization: 'Basic YWRhOnB3' })
  })

  it.each(['bearer', 'session', 'system_oauth'] as const)('have no Authorization with %s: the key is there', (type) => {
    expect(refusal({ AUTHORIZATION: 'Basic YWRhOnB3' }, type)).toMatchObject({
      name: 'TypeError',
      code: 'ERR_INVALID_ARG_VALUE',
      message:
        "`headers` must not have AUTHORIZATION, which carries `key`: take one of the two off this path, or use `authType` 'none'",
    })
  })

  it('may have a Cookie where the cookie of the user is not sent', () => {
    for (const type of ['bearer', 'none'] as const) expect(sent({ Cookie: 'a=1' }, type)).toEqual({ Cookie: 'a=1' })
    for (const type of ['session', 'system_oauth'] as const) {
      expect(refusal({ cookie: 'a=1' }, type).message).toBe('`headers` must not have cookie, which is set for you')
    }
  })

  it('are copied, and each is read once', () => {
    const reads: string[] = []
    const given = { 'X-A': 'one', 'X-B': 'two' }
    const get = (target: object, name: string | symbol): unknown => {
      reads.push(String(name))
      return Reflect.get(target, name)
    }
    const copy = sent(new Proxy(given, { get }))
    given['X-A'] = 'changed'
    expect(copy).toEqual({ 'X-A': 'one', 'X-B': 'two' })
    expect(reads).toEqual(['X-A', 'X-B'])
  })

  it('are own properties, also those with a name that objects inherit', () => {
    const headers = JSON.parse('{"__proto__":"one","constructor":"two","toString":"three"}') as object
    const inheriting = Object.assign(Object.create({ 'X-Inherited': 'no' }), { 'X-A': '1' })
    expect(Object.entries(sent(inheriting))).toEqual([['X-A', '1']])
    expect(Object.entries(sent(headers))).toEqual(Object.entries(headers))
  })

  const signs = '"(),/:;<=>?@[\\]{} \0\x7fö'.split('')

  it.each<[string, string, unknown]>([
    ['no object', '`headers` must be an object, got string', 'X-A: 1'],
    ['null', '`headers` must be an object, got null', null],
    ['a list', '`headers` must be a plain object', [['X-A', 'canary']]],
    ['a Headers, which has no properties', '`headers` must be a plain object', new Headers({ 'X-A': 'canary' })],
    ['a Map', '`headers` must be a plain object', new Map([['X-A', 'canary']])],
    ['a name without letters', NO_TOKEN, { '': 'canary' }],
    ['a whole header as a name', NO_TOKEN, { 'X-A: canary': '' }],
    ['a line break at the end of a name', NO_TOKEN, { 'X-A\n': 'canary' }],
    ...signs.map((sign): [string, string, object] => [`a name with ${sign}`, NO_TOKEN, { [`X${sign}A`]: 'canary' }]),
    ['a value with a line break', `\`headers.X-A\` ${NO_TEXT}`, { 'X-A': 'canary\r\nX-Admin: 1' }],
    ['a value with NUL', `\`headers.X-A\` ${NO_TEXT}`, { 'X-A': 'canary\0' }],
    ['a value that is not Latin-1', NO_LATIN1, { 'X-A': 'canary 用户' }],
    ['a value that is empty', `\`headers.X-A\` ${NO_TEXT}`, { 'X-A': '' }],
    ['a value that is missing', '`headers.X-A` must be a string, got undefined', { 'X-A': undefined }],
    ['a value that is a list', '`headers.X-A` must be a string, got object', { 'X-A': ['canary'] }],
    ['a name twice', '`headers` must not have x-a twice', { 'X-A': 'canary', 'x-a': 'canary' }],
  ])('are refused when they are or have %s: %s', (_what, message, headers) => {
    const code = / got /.test(message) ? 'ERR_INVALID_ARG_TYPE' : 'ERR_INVALID_ARG_VALUE'
    const error = refusal(headers)
    expect(error).toMatchObject({ name: 'TypeError', code, message })
    expect(error.stack).not.toContain('canary:')
  })

  it.each([
    ...'X-User-Id X-Session-Id X-Terminal-Context-Id Host Origin Connection Upgrade Keep-Alive TE Trailer'.split(' '),
    ...'Transfer-Encoding Expect Content- Content-Type Proxy- Proxy-Authorization Sec- Sec-WebSocket-Key'.split(' '),
  ])('have no %s, in any case of letters', (name) => {
    for (const spelled of [name, name.toUpperCase(), name.toLowerCase()]) {
      const messages = AUTH_TYPES.map((type) => refusal({ [spelled]: 'x' }, type).message)
      expect(new Set(messages)).toEqual(new Set([`\`headers\` must not have ${spelled}, which is set for you`]))
    }
  })

  it("may have names that are nearly those, and all signs of RFC 9110's tokens", () => {
    const names = ['X-Content-Type', 'X-Host', 'Hosts', 'X-User-Ids', 'X-User', 'Content', 'Proxy', 'Sec', 'Second']
    names.push('X-Cookie', 'Cookies', "!#$%&'*+-.^_`|~09azAZ")
    const headers = Object.fromEntries(names.map((name) => [name, 'x']))
    expect(sent(headers, 'session')).toEqual({ ...headers })
  })
})
