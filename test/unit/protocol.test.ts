import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TerminalError } from '../../src/lib/errors.ts'
import {
  closeError,
  encodeResize,
  HEARTBEAT,
  isTransient,
  statusError,
  terminalError,
} from '../../src/upstream/protocol.ts'

describe('encodeResize', () => {
  it('returns the frame that servers read', () => {
    expect(encodeResize(132, 50)).toBe('{"type":"resize","cols":132,"rows":50}')
  })

  it.each<[unknown, unknown]>([
    [0, 24],
    [80, 0],
    [-1, 24],
    [80.5, 24],
    [80, 65_536],
    [Number.NaN, 24],
    [Infinity, 24],
    ['80', 24],
    [null, 24],
    [80, undefined],
    [[80], 24],
  ])('throws a RangeError for %j × %j, which would kill the shell', (cols, rows) => {
    const encode = (): string => encodeResize(cols as number, rows as number)
    expect(encode).toThrow(RangeError)
    expect(encode).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }))
  })

  it('produces nothing but an object with two unsigned shorts, whatever it is given', () => {
    fc.assert(
      fc.property(fc.anything(), fc.anything(), (cols, rows) => {
        try {
          const frame: unknown = JSON.parse(encodeResize(cols as number, rows as number))
          expect(frame).toEqual({ type: 'resize', cols, rows })
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError)
        }
      }),
    )
  })
})

it('the heartbeat is a JSON object, which no release minds', () => {
  expect(JSON.parse(HEARTBEAT)).toEqual({ type: 'ping' })
})

describe('statusError', () => {
  it.each<[number, string]>([
    [401, 'ERR_TERMINAL_UNAUTHORIZED'],
    [403, 'ERR_TERMINAL_FORBIDDEN'],
    [404, 'ERR_TERMINAL_NOT_FOUND'],
    [422, 'ERR_TERMINAL_MISSING_USER'],
    [429, 'ERR_TERMINAL_LIMIT'],
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

  it('says what failed, why, and what to do', () => {
    expect(statusError('Cannot x at http://h/', 401, 'Invalid API key').message).toBe(
      'Cannot x at http://h/: HTTP 401, "Invalid API key". Check `key` and `authType`.',
    )
  })
})

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

it('a close is understood before it is redacted', () => {
  const error = closeError('x', 4003, 'Terminal instance not reachable', () => '[redacted]')
  expect(error).toMatchObject({ code: 'ERR_TERMINAL_UNAVAILABLE', closeReason: '[redacted]' })
})

const refused = Object.assign(new Error('x'), { code: 'ECONNREFUSED' })
const unknownHost = Object.assign(new Error('x'), { code: 'ENOTFOUND' })

it.each<[string, unknown, boolean]>([
  ['HTTP 502', statusError('x', 502), true],
  ['HTTP 503', statusError('x', 503), true],
  ['HTTP 504', statusError('x', 504), true],
  ['HTTP 500', statusError('x', 500), false],
  ['HTTP 401', statusError('x', 401), false],
  ['HTTP 429', statusError('x', 429), false],
  ['a dropped connection', closeError('x', 1006, '', String), true],
  ['close 1012', closeError('x', 1012, '', String), true],
  ['close 1013', closeError('x', 1013, '', String), true],
  ['close 4003 not reachable', closeError('x', 4003, 'Terminal instance not reachable', String), true],
  ['close 4003 denied', closeError('x', 4003, 'Access denied', String), false],
  ['close 1000', closeError('x', 1000, '', String), false],
  ['close 4001', closeError('x', 4001, '', String), false],
  ['a refused connection', terminalError('ERR_TERMINAL_UNAVAILABLE', 'x', 'y', { cause: refused }), true],
  ['an unknown host', terminalError('ERR_TERMINAL_UNAVAILABLE', 'x', 'y', { cause: unknownHost }), false],
  ['a failure without a cause', new TerminalError('ERR_TERMINAL_UNAVAILABLE', 'x'), false],
  ['an error of somebody else', refused, false],
])('of failures, %s may pass: %s', (_what, error, passes) => {
  expect(isTransient(error)).toBe(passes)
})
