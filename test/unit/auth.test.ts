import { describe, expect, it } from 'vitest'
import { buildUpstreamAuth, type AuthType, type UpstreamAuthOptions } from '../../src/index.ts'

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

  it.each<[string, object, string]>([
    ['the user id is missing', { userId: undefined }, 'ERR_INVALID_ARG_TYPE'],
    ['the user id is empty', { userId: '' }, 'ERR_INVALID_ARG_VALUE'],
    ['the user id is not Latin-1', { userId: '用户' }, 'ERR_INVALID_ARG_VALUE'],
    ['the user id begins with a blank, which a header would lose', { userId: ' u' }, 'ERR_INVALID_ARG_VALUE'],
    ['the user id has a line break', { userId: 'u\r\nX-Admin: 1' }, 'ERR_INVALID_ARG_VALUE'],
    ['the chat id is empty', { chatId: '' }, 'ERR_INVALID_ARG_VALUE'],
    ['the chat id cannot be a segment of a path', { chatId: '..' }, 'ERR_INVALID_ARG_VALUE'],
    ['the context id is a number', { contextId: 7 }, 'ERR_INVALID_ARG_TYPE'],
    ['the context id is too long', { contextId: 'c'.repeat(257) }, 'ERR_INVALID_ARG_VALUE'],
    ['the cookie has a line break', { cookie: 'a=b\nc' }, 'ERR_INVALID_ARG_VALUE'],
    ['the key is not ASCII', { key: 'schlüssel' }, 'ERR_INVALID_ARG_VALUE'],
    ['the auth type is unknown', { authType: 'digest' }, 'ERR_INVALID_ARG_VALUE'],
  ])('throws a TypeError when %s', (_when, wrong, code) => {
    const options = { authType: 'bearer', userId: 'u', ...wrong } as UpstreamAuthOptions
    expect(() => buildUpstreamAuth(options)).toThrow(expect.objectContaining({ name: 'TypeError', code }))
  })

  it.each([undefined, null, 'bearer'])('throws a TypeError when the options are %j', (options) => {
    expect(() => buildUpstreamAuth(options as unknown as UpstreamAuthOptions)).toThrow(
      expect.objectContaining({ name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' }),
    )
  })
})
