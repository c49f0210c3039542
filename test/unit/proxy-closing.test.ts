import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TerminalError, type TerminalErrorCode } from '../../src/lib/errors.ts'
import { cutReason, explainThrown, relayClose, refusalFor } from '../../src/client/closing.ts'
import { hostile } from '../support/proxy.ts'

describe('relayClose', () => {
  const may = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4001, 4999]

  it.each(may)('keeps %i, which may be sent', (code) => {
    expect(relayClose(code, 'why', 1500)).toEqual({ code, reason: 'why' })
  })

  it.each([1004, 1006, 1015, 1016, 2000, 2999, 999, 0, 5000, 65_535])('replaces %i, and keeps the reason', (code) => {
    expect(relayClose(code, 'why', 1014)).toEqual({ code: 1014, reason: 'why' })
  })

  it('returns neither a code nor a reason for 1005, which means that there was no code', () => {
    expect(relayClose(1005, 'why', 1014)).toEqual({ code: undefined, reason: '' })
  })

  it('cuts a reason of 124 bytes to 123', () => {
    expect(relayClose(1001, 'x'.repeat(124), 1014).reason).toBe('x'.repeat(123))
  })
})

describe('cutReason', () => {
  it.each<[string, string, string]>([
    ['no bytes', '', ''],
    ['123 bytes', 'x'.repeat(123), 'x'.repeat(123)],
    ['124 bytes', 'x'.repeat(124), 'x'.repeat(123)],
    ['a character of 2 bytes across the end', `${'x'.repeat(122)}é`, 'x'.repeat(122)],
    ['a character of 2 bytes just before the end', `${'x'.repeat(121)}éx`, `${'x'.repeat(121)}é`],
    ['a character of 3 bytes across the end', `${'x'.repeat(121)}€`, 'x'.repeat(121)],
    ['a character of 4 bytes across the end', `${'x'.repeat(120)}😀`, 'x'.repeat(120)],
    ['a character of 4 bytes just before the end', `${'x'.repeat(119)}😀x`, `${'x'.repeat(119)}😀`],
    ['lone surrogates, of which ws makes 3 bytes each', '\ud83d'.repeat(50), '\ufffd'.repeat(41)],
    ['a byte order mark', `\ufeff${'x'.repeat(123)}`, `\ufeff${'x'.repeat(120)}`],
  ])('keeps as many whole characters of %s as fit', (_what, reason, cut) => {
    expect(cutReason(reason)).toBe(cut)
  })
})

describe('refusalFor', () => {
  it.each<[TerminalErrorCode | 'ERR_TERMINAL_OF_A_LATER_VERSION' | 'constructor', number, string]>([
    ['ERR_TERMINAL_UNAUTHORIZED', 4001, 'Not authorized'],
    ['ERR_TERMINAL_MISSING_USER', 4002, 'Missing user_id'],
    ['ERR_TERMINAL_FORBIDDEN', 4003, 'Access denied'],
    ['ERR_TERMINAL_NOT_FOUND', 4004, 'Session not found'],
    ['ERR_TERMINAL_IN_USE', 4009, 'Session already connected'],
    ['ERR_TERMINAL_LIMIT', 4003, 'Too many terminal sessions'],
    ['ERR_TERMINAL_UNAVAILABLE', 4003, 'Terminal instance not reachable'],
    ['ERR_TERMINAL_TIMEOUT', 4003, 'Terminal instance not reachable'],
    ['ERR_TERMINAL_PROTOCOL', 4003, 'Terminal instance not reachable'],
    ['ERR_TERMINAL_INVALID_URL', 4003, ''],
    ['ERR_TERMINAL_CLOSED', 4003, ''],
    ['ERR_TERMINAL_OF_A_LATER_VERSION', 4003, ''],
    ['constructor', 4003, ''],
  ])('returns for %s the close %i %j', (code, closeCode, reason) => {
    const error = new TerminalError(code as TerminalErrorCode, 'no detail', { closeReason: 'nor this' })
    expect(refusalFor(error)).toEqual({ code: closeCode, reason })
  })

  it('returns 4003 without a reason for what is no TerminalError', () => {
    fc.assert(
      fc.property(fc.oneof(fc.anything(), fc.string().map(Error)), (error) => {
        expect(refusalFor(error)).toEqual({ code: 4003, reason: '' })
      }),
    )
  })
})

describe('explainThrown', () => {
  const broken = (field: string, how: PropertyDescriptor): object => Object.defineProperty(terminalError(), field, how)

  it.each<[string, unknown]>([
    ['a Proxy whose traps throw', hostile],
    ['a TerminalError whose closeReason throws', broken('closeReason', { get: hostile })],
    ['a TerminalError whose code throws', broken('code', { get: hostile })],
    ['a TerminalError whose code is an object', broken('code', { value: hostile })],
  ])('returns 4003 without a reason for %s', (_what, thrown) => {
    const error = new Error('A value was thrown whose properties cannot be read: throw an Error')
    expect(explainThrown(thrown, true)).toEqual({ code: 4003, reason: '', error })
  })

  const callable = Object.assign(() => {}, { message: 'no' })

  it.each([undefined, null, 'no', 7, {}, { message: 7 }, { closeReason: 'no' }, callable, Symbol('no')])(
    'returns 4003 without a reason for %j, which is no error',
    (cause) => {
      const error = new Error('The thrown value (see `cause`) is no Error: throw one', { cause })
      expect(explainThrown(cause, true)).toEqual({ code: 4003, reason: '', error })
    },
  )

  it.each<[object, boolean, string]>([
    [{ closeReason: 'Log in again' }, true, 'Log in again'],
    [{ closeReason: 'Log in again' }, false, 'Access denied'],
    [{ closeReason: 'db.internal is down', closeCode: 4003 }, true, 'Access denied'],
    [{ closeReason: 'x'.repeat(124) }, true, 'x'.repeat(123)],
    [{ closeReason: `${'x'.repeat(121)}€` }, true, 'x'.repeat(121)],
    [{ closeReason: 7 }, true, 'Access denied'],
    [{}, true, 'Access denied'],
  ])('makes of a TerminalError with %j, if it may be quoted (%s), the reason %j', (fields, mayQuote, reason) => {
    const error = Object.assign(terminalError(), fields)
    expect(explainThrown(error, mayQuote)).toEqual({ code: 4003, reason, error })
  })

  it('returns an error of another realm unchanged', () => {
    const foreign: unknown = runInNewContext('new Error("why")')
    expect(explainThrown(foreign, true).error).toBe(foreign)
  })
})

function terminalError(): TerminalError {
  return new TerminalError('ERR_TERMINAL_FORBIDDEN', 'no')
}
