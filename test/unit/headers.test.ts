import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { buildUpstreamAuth, type AuthType } from '../../src/index.ts'

const AUTH_TYPES: readonly AuthType[] = ['bearer', 'session', 'system_oauth', 'none']

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
    expect(buildUpstreamAuth({ ...options, headers: { 'CF-Access-Client-Id': 'id', 'x-sso': 'a b' } }).headers).toEqual(
      {
        'X-User-Id': 'ada',
        'X-Session-Id': 'c1',
        Authorization: 'Bearer sk-1',
        'CF-Access-Client-Id': 'id',
        'x-sso': 'a b',
      },
    )
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
    const headers = new Proxy<Record<string, string>>(
      { 'X-A': 'one', 'X-B': 'two' },
      {
        get(target, name) {
          reads.push(String(name))
          return Reflect.get(target, name)
        },
      },
    )
    const copy = sent(headers)
    headers['X-A'] = 'changed'
    expect(copy).toEqual({ 'X-A': 'one', 'X-B': 'two' })
    expect(reads).toEqual(['X-A', 'X-B'])
  })

  it('are own properties, also those with a name that objects inherit', () => {
    const headers = JSON.parse('{"__proto__":"one","constructor":"two","toString":"three"}') as object
    expect(Object.entries(sent(Object.assign(Object.create({ 'X-Inherited': 'no' }), { 'X-A': '1' })))).toEqual([
      ['X-A', '1'],
    ])
    expect(Object.entries(sent(headers))).toEqual([
      ['__proto__', 'one'],
      ['constructor', 'two'],
      ['toString', 'three'],
    ])
  })

  it.each<[string, unknown, string]>([
    ['no object', 'X-A: 1', 'ERR_INVALID_ARG_TYPE'],
    ['null', null, 'ERR_INVALID_ARG_TYPE'],
    ['a list', [['X-A', 'canary']], 'ERR_INVALID_ARG_VALUE'],
    ['a Headers, whose entries are no properties', new Headers({ 'X-A': 'canary' }), 'ERR_INVALID_ARG_VALUE'],
    ['a Map', new Map([['X-A', 'canary']]), 'ERR_INVALID_ARG_VALUE'],
    ['a name without letters', { '': 'canary' }, 'ERR_INVALID_ARG_VALUE'],
    ['a whole header as a name', { 'X-A: canary': '' }, 'ERR_INVALID_ARG_VALUE'],
    ['a name with a line break', { 'X-A\r\nX-Admin': 'canary' }, 'ERR_INVALID_ARG_VALUE'],
    ['a line break at the end of a name', { 'X-A\n': 'canary' }, 'ERR_INVALID_ARG_VALUE'],
    ['a name that is no ASCII', { Größe: 'canary' }, 'ERR_INVALID_ARG_VALUE'],
    ['a value with a line break', { 'X-A': 'canary\r\nX-Admin: 1' }, 'ERR_INVALID_ARG_VALUE'],
    ['a value with NUL', { 'X-A': 'canary\0' }, 'ERR_INVALID_ARG_VALUE'],
    ['a value that is not Latin-1', { 'X-A': 'canary 用户' }, 'ERR_INVALID_ARG_VALUE'],
    ['a value that is empty', { 'X-A': '' }, 'ERR_INVALID_ARG_VALUE'],
    ['a value that is missing', { 'X-A': undefined }, 'ERR_INVALID_ARG_TYPE'],
    ['a value that is a list', { 'X-A': ['canary'] }, 'ERR_INVALID_ARG_TYPE'],
    ['a name twice', { 'X-A': 'canary', 'x-a': 'canary' }, 'ERR_INVALID_ARG_VALUE'],
  ])('are refused when they are or have %s, and the error does not show a value', (_what, headers, code) => {
    const error = refusal(headers)
    expect(error).toMatchObject({ name: 'TypeError', code })
    expect(error.message).toMatch(/^`headers(?:\.X-A)?` /)
    expect(`${error.message} ${error.stack}`).not.toContain('canary:')
    expect(error.message).not.toContain('canary')
  })
})

// The contract, word by word.
const REFUSED = [
  'X-User-Id',
  'X-Session-Id',
  'X-Terminal-Context-Id',
  'Host',
  'Origin',
  'Connection',
  'Upgrade',
  'Keep-Alive',
  'TE',
  'Trailer',
  'Transfer-Encoding',
  'Expect',
]
const PREFIXES = ['Content-', 'Proxy-', 'Sec-']

function isRefused(name: string, authType: AuthType): boolean {
  const lower = name.toLowerCase()
  return (
    REFUSED.some((one) => one.toLowerCase() === lower) ||
    PREFIXES.some((one) => lower.startsWith(one.toLowerCase())) ||
    (lower === 'authorization' && authType !== 'none') ||
    (lower === 'cookie' && ['session', 'system_oauth'].includes(authType))
  )
}

const token = fc.string({
  unit: fc.constantFrom(..."!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".split('')),
  minLength: 1,
  maxLength: 12,
})
const word = fc.oneof(
  token,
  fc.constantFrom(...REFUSED, 'Authorization', 'Cookie', 'CF-Access-Client-Id', 'X-Forwarded-User', '__proto__'),
  fc.tuple(fc.constantFrom(...PREFIXES), fc.oneof(fc.constant(''), token)).map((parts) => parts.join('')),
  // Nearly one of those.
  fc.tuple(fc.constantFrom(...REFUSED, 'Authorization', 'Cookie'), token).map((parts) => parts.join('')),
  fc.constantFrom(...PREFIXES.map((prefix) => prefix.slice(0, -1))),
)
/** The same name in other letters. */
const name = fc.tuple(word, fc.infiniteStream(fc.boolean())).map(([text, capitals]) =>
  text
    .split('')
    .map((letter) => (capitals.next().value ? letter.toUpperCase() : letter.toLowerCase()))
    .join(''),
)
const value = fc
  .string({ unit: fc.constantFrom(...'az09 :;="\'%,ä'.split('')), minLength: 1 })
  .map((text) => `v${text}v`)

it('no refused name passes, and no allowed one is lost, in any case of letters', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...AUTH_TYPES),
      fc.uniqueArray(fc.tuple(name, value), { maxLength: 5, selector: ([one]) => one.toLowerCase() }),
      (authType, entries) => {
        const headers = Object.fromEntries(entries)
        const refused = entries.filter(([one]) => isRefused(one, authType))
        if (refused.length > 0) {
          expect(refused.some(([one]) => refusal(headers, authType).message.includes(` ${one}, `))).toBe(true)
        } else expect(Object.entries(sent(headers, authType))).toEqual(Object.entries(headers))
      },
    ),
    { numRuns: 2_000 },
  )
})
