import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { buildUpstreamWsUrl } from '../../src/index.ts'
import { buildUpstreamHttpUrl, withoutQuery } from '../../src/upstream/url.ts'

// PROTOCOL 3.3
describe('the parameter `token`', () => {
  it('stands beside `user_id` when the auth type is bearer and there is a key', () => {
    expect(buildUpstreamWsUrl('https://terminals.example/api/terminals/s1', 'bearer', 'sk-1', 'ada')).toBe(
      'wss://terminals.example/api/terminals/s1?user_id=ada&token=sk-1',
    )
  })

  it.each(['session', 'system_oauth', 'none'] as const)('is left out when the auth type is %s', (authType) => {
    expect(buildUpstreamWsUrl('http://h/', authType, 'sk-1', 'ada')).toBe('ws://h/?user_id=ada')
  })
})

const target = { sessionId: 's1', policyId: 'gpu', contextId: 'chat:7' }

describe('buildUpstreamWsUrl', () => {
  it.each<[string, string]>([
    ['http://h', 'ws://h/?user_id=u&token=k'],
    ['https://h', 'wss://h/?user_id=u&token=k'],
    ['ws://h', 'ws://h/?user_id=u&token=k'],
    ['wss://h', 'wss://h/?user_id=u&token=k'],
    ['HTTP://H:80/', 'ws://h/?user_id=u&token=k'],
    ['https://h:8443', 'wss://h:8443/?user_id=u&token=k'],
    ['http://[::1]:8000', 'ws://[::1]:8000/?user_id=u&token=k'],
    ['http://h/deep/path/', 'ws://h/deep/path/?user_id=u&token=k'],
    ['http://h/#fragment', 'ws://h/?user_id=u&token=k'],
    ['http://h/?a=1&a=2&b', 'ws://h/?a=1&a=2&b&user_id=u&token=k'],
    ['http://h/?sig=a%20b+c&arr[]=1&q=%E9', 'ws://h/?sig=a%20b+c&arr[]=1&q=%E9&user_id=u&token=k'],
    ['http://h/?', 'ws://h/?user_id=u&token=k'],
    ['http://h/?&&', 'ws://h/?user_id=u&token=k'],
    ['http://h/??', 'ws://h/??&user_id=u&token=k'],
    ['http://h/??token=1', 'ws://h/??token=1&user_id=u&token=k'],
    ['http://h/?token=old&x=1&user_id=old&token=older', 'ws://h/?x=1&user_id=u&token=k'],
    ['http://h/?%74oken=old&context_id=old', 'ws://h/?user_id=u&token=k'],
  ])("buildUpstreamWsUrl('%s', 'bearer', 'k', 'u') === '%s'", (base, url) => {
    expect(buildUpstreamWsUrl(base, 'bearer', 'k', 'u')).toBe(url)
    expect(buildUpstreamWsUrl(new URL(base), 'bearer', 'k', 'u')).toBe(url)
  })

  it.each<[string, object, string]>([
    ['http://h', { sessionId: 's1' }, 'ws://h/api/terminals/s1?user_id=u'],
    ['http://h/', { sessionId: 's1' }, 'ws://h/api/terminals/s1?user_id=u'],
    ['http://h/base//', { sessionId: 's1' }, 'ws://h/base/api/terminals/s1?user_id=u'],
    ['http://h/base', { policyId: 'gpu' }, 'ws://h/base/p/gpu?user_id=u'],
    ['http://h', target, 'ws://h/p/gpu/api/terminals/s1?user_id=u&context_id=chat%3A7'],
    ['http://h', { sessionId: 'a/b\\c?d#e' }, 'ws://h/api/terminals/a%2Fb%5Cc%3Fd%23e?user_id=u'],
    ['http://h', { sessionId: '%2e%2e' }, 'ws://h/api/terminals/%252e%252e?user_id=u'],
    ['http://h', { sessionId: '../..' }, 'ws://h/api/terminals/..%2F..?user_id=u'],
    ['http://h', { sessionId: '...' }, 'ws://h/api/terminals/...?user_id=u'],
    ['http://h', { sessionId: undefined, policyId: undefined }, 'ws://h/?user_id=u'],
  ])("buildUpstreamWsUrl('%s', 'none', null, 'u', %j) === '%s'", (base, where, url) => {
    expect(buildUpstreamWsUrl(base, 'none', null, 'u', where)).toBe(url)
  })

  // PROTOCOL 3.1 and 3.2
  it('orders the parameters: those of the base, then user_id, context_id, token', () => {
    const url = buildUpstreamWsUrl('http://h/?z=1&user_id=x', 'bearer', 'k', 'u', target)
    expect([...new URL(url).searchParams.keys()]).toEqual(['z', 'user_id', 'context_id', 'token'])
  })

  // PROTOCOL 4.5
  it.each([
    ...[undefined, null, '', ' ', '\t\n ', 'Bearer', 'Bearer ', '  bearer  ', 'Bearer Bearer ', '\u00a0'].map(
      (none) => [none],
    ),
    ['sk-1', 'sk-1'],
    ['\t sk-1 \n', 'sk-1'],
    ['Bearer sk-1', 'sk-1'],
    ['  BEARER  \tbearer\nsk-1', 'sk-1'],
    ['bearersk-1', 'bearersk-1'],
    ['bearer-sk', 'bearer-sk'],
    ['sk-bearer x', 'sk-bearer x'],
    ['sk bearer', 'sk bearer'],
    ['~ !', '~ !'],
  ])('reads the key %j as %j', (given, ...tokens) => {
    expect(new URL(buildUpstreamWsUrl('http://h', 'bearer', given, 'u')).searchParams.getAll('token')).toEqual(tokens)
  })

  it('does not change the URL object of the caller', () => {
    const base = new URL('http://h/?token=old#x')
    buildUpstreamWsUrl(base, 'bearer', 'k', 'u', target)
    expect(base.href).toBe('http://h/?token=old#x')
  })

  it.each<[unknown, string]>([
    ['ftp://h', 'its scheme is `ftp:`, perhaps because http:// is missing'],
    ['xhttp://h', 'its scheme is `xhttp:`, perhaps because http:// is missing'],
    ['localhost:8000', 'its scheme is `localhost:`, perhaps because http:// is missing'],
    ['/api/terminals', 'it cannot be parsed as one'],
    ['//terminals.example', 'it cannot be parsed as one'],
    ['http://', 'it cannot be parsed as one'],
    ['', 'it cannot be parsed as one'],
    [{}, 'it cannot be parsed as one'],
    ['http://user@h', 'it holds a user name or password, which belong in `headers`'],
    ['http://:secret@h', 'it holds a user name or password, which belong in `headers`'],
    [undefined, 'got undefined'],
    [null, 'got null'],
    [8000, 'got number'],
  ])('throws ERR_TERMINAL_INVALID_URL for the base %j: %s', (wrong, why) => {
    const message = `\`base\` must be an absolute http(s) or ws(s) URL: ${why}`
    expect(() => buildUpstreamWsUrl(wrong as string, 'bearer', 'k', 'u')).toThrow(
      expect.objectContaining({ name: 'TerminalError', code: 'ERR_TERMINAL_INVALID_URL', message, why }),
    )
  })
})

const id = fc
  .string({ minLength: 1, unit: 'grapheme' })
  .filter((text) => !/[\p{Cc}\p{Cs}]/u.test(text) && text !== '.' && text !== '..')
const hostileId = fc.oneof(
  id,
  fc.constantFrom('a/b', 'a\\b', '?x=1', '#x', '%2e%2e', '%252e', '../x', '/..', '%', ';', '&token=x', '=', '+', ' '),
)
const base = fc.webUrl({ validSchemes: ['http', 'https', 'ws', 'wss'], withQueryParameters: true })
const own = new Set(['user_id', 'context_id', 'token'])

function foreignParameters(url: string): Array<[string, string]> {
  return [...new URL(url).searchParams].filter(([name]) => !own.has(name))
}

describe('buildUpstreamWsUrl, for random arguments,', () => {
  it('writes each id into its own segment or parameter, and changes nothing else', () => {
    fc.assert(
      fc.property(base, hostileId, hostileId, hostileId, id, (from, userId, sessionId, policyId, contextId) => {
        const url = buildUpstreamWsUrl(from, 'none', null, userId, { sessionId, policyId, contextId })
        const { pathname, searchParams, hash } = new URL(url)
        const ownPath = new URL(from).pathname.replace(/\/+$/, '')
        expect(pathname.startsWith(`${ownPath}/p/`)).toBe(true)
        const segments = pathname.slice(ownPath.length + 1).split('/')
        expect(segments.map(decodeURIComponent)).toEqual(['p', policyId, 'api', 'terminals', sessionId])
        expect(searchParams.getAll('user_id')).toEqual([userId])
        expect(searchParams.getAll('context_id')).toEqual([contextId])
        expect(foreignParameters(url)).toEqual(foreignParameters(from))
        expect(hash).toBe('')
      }),
    )
  })
})

describe('buildUpstreamHttpUrl', () => {
  it.each<[string, object, string]>([
    ['ws://h', {}, 'http://h/api/terminals'],
    ['wss://h/base/?x=1&token=old', { sessionId: 's' }, 'https://h/base/api/terminals/s?x=1'],
    ['https://h', { policyId: 'p' }, 'https://h/p/p/api/terminals'],
  ])('buildUpstreamHttpUrl(%j, %j) === %j', (from, where, url) => {
    expect(buildUpstreamHttpUrl(from, where)).toBe(url)
  })
})

it('withoutQuery leaves the query out', () => {
  expect(withoutQuery('wss://h:1/api?token=secret#x')).toBe('wss://h:1/api')
})

it('buildUpstreamWsUrl stays fast with a path of 400,000 slashes', () => {
  const slashes = '/'.repeat(400_000)
  const one = { sessionId: 's1' }
  expect(buildUpstreamWsUrl(`http://h/x${slashes}`, 'none', null, 'ada', one)).toBe(
    'ws://h/x/api/terminals/s1?user_id=ada',
  )
  expect(buildUpstreamWsUrl(`http://h${slashes}x`, 'none', null, 'ada', one)).toBe(
    `ws://h${slashes}x/api/terminals/s1?user_id=ada`,
  )
})
