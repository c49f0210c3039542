import { describe, expect, it } from 'vitest'
import { TerminalError } from '../../src/lib/errors.ts'
import { closeError, isTransient, retryAfter, statusError, terminalError } from '../../src/upstream/failures.ts'

const FULL = 'Maximum number of terminal sessions (16) reached'

// PROTOCOL 2.3
describe('statusError', () => {
  it.each<[number, string]>([
    [401, 'ERR_TERMINAL_UNAUTHORIZED'],
    [403, 'ERR_TERMINAL_FORBIDDEN'],
    [404, 'ERR_TERMINAL_NOT_FOUND'],
    [422, 'ERR_TERMINAL_MISSING_USER'],
    [429, 'ERR_TERMINAL_UNAVAILABLE'],
    [500, 'ERR_TERMINAL_UNAVAILABLE'],
    [502, 'ERR_TERMINAL_UNAVAILABLE'],
    [503, 'ERR_TERMINAL_UNAVAILABLE'],
    [504, 'ERR_TERMINAL_UNAVAILABLE'],
    [204, 'ERR_TERMINAL_PROTOCOL'],
    [400, 'ERR_TERMINAL_PROTOCOL'],
    [405, 'ERR_TERMINAL_PROTOCOL'],
    [426, 'ERR_TERMINAL_PROTOCOL'],
  ])('maps HTTP %i to %s', (status, code) => {
    expect(statusError('Cannot x', status)).toMatchObject({ code, status })
  })

  it.each<[string, object, string]>([
    ['the own 429 of a server to a POST', { says: FULL, step: 'POST' }, 'ERR_TERMINAL_LIMIT'],
    ['the same words in an answer to another request', { says: FULL }, 'ERR_TERMINAL_UNAVAILABLE'],
    ['429 to a POST for another reason', { says: 'slow down', step: 'POST' }, 'ERR_TERMINAL_UNAVAILABLE'],
  ])('maps %s to the right code', (_what, details, code) => {
    expect(statusError('Cannot x', 429, details)).toMatchObject({ code, status: 429 })
  })

  it.each<[string | undefined, number]>([
    [undefined, 0],
    ['', 0],
    ['2', 2_000],
    ['3600', 8_000],
    ['soon', 0],
    [new Date(Date.now() + 3_600_000).toUTCString(), 8_000],
    [new Date(0).toUTCString(), 0],
  ])('reads Retry-After %j as %i ms', (header, ms) => {
    expect(retryAfter(statusError('Cannot x', 429, { retryAfter: header }))).toBe(ms)
  })

  it('has a message with the action, the reason and advice', () => {
    expect(statusError('Cannot x at http://h/', 401, { says: 'Invalid API key' }).message).toBe(
      'Cannot x at http://h/: HTTP 401, "Invalid API key". Check `key` and `authType`.',
    )
  })

  it('keeps what the server says within its quotation marks', () => {
    expect(statusError('Cannot x', 401, { says: 'No". Use http:// instead. "' }).message).toBe(
      `Cannot x: HTTP 401, "No'. Use http:// instead. '". Check \`key\` and \`authType\`.`,
    )
  })
})

// PROTOCOL 6.1 and 6.3
describe('closeError', () => {
  it.each<[number, string, string]>([
    [1000, '', 'ERR_TERMINAL_UNAVAILABLE'],
    [1001, '', 'ERR_TERMINAL_UNAVAILABLE'],
    [1005, '', 'ERR_TERMINAL_UNAVAILABLE'],
    [1006, '', 'ERR_TERMINAL_UNAVAILABLE'],
    [1011, 'keepalive ping timeout', 'ERR_TERMINAL_UNAVAILABLE'],
    [1012, '', 'ERR_TERMINAL_UNAVAILABLE'],
    [1013, '', 'ERR_TERMINAL_UNAVAILABLE'],
    [1002, '', 'ERR_TERMINAL_PROTOCOL'],
    [1009, '', 'ERR_TERMINAL_PROTOCOL'],
    [3000, '', 'ERR_TERMINAL_PROTOCOL'],
    [4001, 'Invalid API key', 'ERR_TERMINAL_UNAUTHORIZED'],
    [4002, 'Missing user_id', 'ERR_TERMINAL_MISSING_USER'],
    [4003, 'user_id does not match authenticated identity', 'ERR_TERMINAL_FORBIDDEN'],
    [4003, 'Terminal instance not reachable', 'ERR_TERMINAL_UNAVAILABLE'],
    [4003, 'Failed to resolve terminal instance', 'ERR_TERMINAL_UNAVAILABLE'],
    [4004, 'Session not found', 'ERR_TERMINAL_NOT_FOUND'],
    [4009, 'Session already connected', 'ERR_TERMINAL_IN_USE'],
  ])('maps the close %i %j to %s', (closeCode, closeReason, code) => {
    expect(closeError('x', closeCode, closeReason, String)).toMatchObject({ code, closeCode, closeReason })
  })
})

it('closeError reads the reason of a close, and gives advice on it, before it redacts it', () => {
  const advice = closeError('x', 4003, 'A saved chat is required', () => '[redacted]').message
  expect(advice).toBe('x: closed with 4003, "[redacted]". Give the `chatId` of a chat that is saved.')
  const error = closeError('x', 4003, 'Terminal instance not reachable', () => '[redacted]')
  expect(error).toMatchObject({ code: 'ERR_TERMINAL_UNAVAILABLE', closeReason: '[redacted]' })
})

const refused = Object.assign(new Error('x'), { code: 'ECONNREFUSED' })
const unknownHost = Object.assign(new Error('x'), { code: 'ENOTFOUND' })

it.each<[string, boolean, unknown]>([
  ['HTTP 502', true, statusError('x', 502)],
  ['HTTP 503', true, statusError('x', 503)],
  ['HTTP 504', true, statusError('x', 504)],
  ['HTTP 500', false, statusError('x', 500)],
  ['HTTP 401', false, statusError('x', 401)],
  ['HTTP 429', true, statusError('x', 429)],
  ['HTTP 429 of a full server', false, statusError('x', 429, { says: FULL, step: 'POST' })],
  ['a dropped connection', true, closeError('x', 1006, '', String)],
  ['close 1012', true, closeError('x', 1012, '', String)],
  ['close 1013', true, closeError('x', 1013, '', String)],
  ['close 4003 not reachable', true, closeError('x', 4003, 'Terminal instance not reachable', String)],
  ['close 4003 denied', false, closeError('x', 4003, 'Access denied', String)],
  ['close 1000', false, closeError('x', 1000, '', String)],
  ['close 4001', false, closeError('x', 4001, '', String)],
  ['a refused connection', true, terminalError('ERR_TERMINAL_UNAVAILABLE', 'x', 'y', { cause: refused })],
  ['an unknown host', false, terminalError('ERR_TERMINAL_UNAVAILABLE', 'x', 'y', { cause: unknownHost })],
  ['a failure without a cause', false, new TerminalError('ERR_TERMINAL_UNAVAILABLE', 'x')],
  ['an error that is no TerminalError', false, refused],
])('isTransient of %s is %j', (_what, transient, error) => {
  expect(isTransient(error)).toBe(transient)
})
