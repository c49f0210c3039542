import fc from 'fast-check'
import { inspect } from 'node:util'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { createRedact, errorCode, TerminalError, withoutSecrets } from '../../src/lib/errors.ts'

describe('TerminalError', () => {
  it('is an Error with its own name, a code, and only the fields that are known', () => {
    const error = new TerminalError('ERR_TERMINAL_LIMIT', 'too many', { status: 429, closeCode: undefined })
    expect(error).toBeInstanceOf(Error)
    expect(error.stack).toMatch(/^TerminalError: too many\n/)
    expect(Object.keys(error).sort()).toEqual(['code', 'status'])
    expect(new TerminalError('ERR_TERMINAL_CLOSED', 'x')).not.toHaveProperty('cause')
  })

  it('carries the code and the reason of a close, and the cause', () => {
    const cause = new Error('why')
    const options = { closeCode: 4001, closeReason: 'Invalid API key', cause }
    expect(new TerminalError('ERR_TERMINAL_UNAUTHORIZED', 'no', options)).toMatchObject(options)
  })

  it('has the field `why` beside the message, and does not log it twice', () => {
    const error = new TerminalError('ERR_TERMINAL_LIMIT', 'Cannot attach: too many. Wait.', { why: 'too many' })
    expect(error.why).toBe('too many')
    expect(new TerminalError('ERR_TERMINAL_CLOSED', 'It is closed').why).toBe('It is closed')
    expect(inspect(error)).not.toContain("why: 'too many'")
  })

  it('is no instance of a class that is derived from it', () => {
    class Derived extends TerminalError {}
    expect(new TerminalError('ERR_TERMINAL_CLOSED', 'x')).not.toBeInstanceOf(Derived)
    expect(new Derived('ERR_TERMINAL_CLOSED', 'x')).toBeInstanceOf(Derived)
    expect(new Derived('ERR_TERMINAL_CLOSED', 'x')).toBeInstanceOf(TerminalError)
  })

  it('recognizes errors of another copy of the class, and no other values', () => {
    const otherCopy = Object.assign(new Error('x'), { [Symbol.for('terminal-upstream.TerminalError')]: true })
    expect(otherCopy).toBeInstanceOf(TerminalError)
    for (const other of [new Error('x'), null, undefined, 'TerminalError', { code: 'ERR_TERMINAL_LIMIT' }]) {
      expect(other instanceof TerminalError).toBe(false)
    }
  })
})

describe('createRedact', () => {
  it.each<[string[], string, string]>([
    [['sk-1'], 'bad key sk-1', 'bad key [redacted]'],
    [['sk/1=='], 'sk/1==, sk%2F1%3D%3D, sk%2f1==, sk/1%3D%3D', '[redacted], [redacted], [redacted], [redacted]'],
    [['a b+c'], 'a b+c, a%20b%2Bc, a+b%2Bc', '[redacted], [redacted], [redacted]'],
    [['k%41'], 'k%41, k%2541, kA', '[redacted], [redacted], [redacted]'],
    [['say "x"'], String.raw`{"token":"say \"x\""}`, '{"token":"[redacted]"}'],
    [['key', 'key-and-more'], 'key-and-more', '[redacted]'],
    [['0123456789abcdef'], 'cut short: 0123456789ab', 'cut short: [redacted]'],
    [['0123456789abcdef'], 'too short to tell: 0123456', 'too short to tell: 0123456'],
    [['e', 'd', 'r'], 'here', 'h[redacted][redacted][redacted]'],
    [[''], 'nothing to hide', 'nothing to hide'],
    [[], '100% of %E9 and %41', '100% of %E9 and A'],
    [[], 'GET /api?token=x&y HTTP', 'GET /api?[redacted] HTTP'],
    [[], 'really? yes', 'really? yes'],
    [[], ' two\r\nlines\u001b[31m ', 'two lines [31m'],
    [[], 'x'.repeat(300), `${'x'.repeat(200)}…`],
    [[], 'user\u202egnp.exe \u2066and\u2069 zero\u200bwidth\ufeff', 'usergnp.exe and zerowidth'],
    [['sk-canary-1'], 'the key sk-\u200bcanary-1 and sk%E2%80%8B-canary-1', 'the key [redacted] and [redacted]'],
    [['sk-can\u00adary-1'], 'the cookie sk-canary-1', 'the cookie [redacted]'],
  ])('with the secrets %j turns %j into %j', (secrets, text, shown) => {
    expect(createRedact(secrets)(text)).toBe(shown)
  })

  it('removes a secret at every place and in every encoding', () => {
    const secret = fc.string({ minLength: 3, unit: 'grapheme-ascii' }).filter((text) => !'[redacted] …?'.includes(text))
    const encoder = fc.constantFrom(String, encodeURIComponent, encodeURI)
    fc.assert(
      fc.property(secret, encoder, fc.string(), fc.string(), (hidden, encode, before, after) => {
        const shown = createRedact([hidden])(`${before}${encode(hidden)}${after}`)
        // The text around a mark, read across the mark, may spell the secret again.
        expect(shown.replaceAll('[redacted]', '\0')).not.toContain(hidden)
      }),
    )
  })
})

it('createRedact stays fast with a cookie of 14 KB and texts of 4 KB', () => {
  const values = Array.from({ length: 1_000 }, (_item, index) => `value-${index}-${'x'.repeat(5)}`)
  const redact = createRedact(['aaaaaaa'.repeat(600), ...values])
  for (let count = 0; count < 200; count += 1) redact('value-aaaaaaab '.repeat(300))
  expect(redact(`was: ${values[999]}`)).toBe('was: [redacted]')
})

it('createRedact stays fast when a user has chosen the text and a thousand cookies alike', () => {
  const redact = createRedact(Array.from({ length: 1_000 }, (_item, index) => 'a'.repeat(8 + index)))
  for (let count = 0; count < 20; count += 1) expect(redact('a'.repeat(4_096))).toMatch(/^(\[redacted\])+$/)
})

describe('withoutSecrets', () => {
  it('keeps the innermost message and its code, and no other field', () => {
    const deep = Object.assign(new Error('connect ECONNREFUSED key'), {
      code: 'ECONNREFUSED',
      socket: { token: 'key' },
    })
    const outer = new TypeError('fetch failed', { cause: new AggregateError([deep], '') })
    const copy = withoutSecrets(outer, createRedact(['key']))
    expect(copy).toMatchObject({ message: 'connect ECONNREFUSED [redacted]', code: 'ECONNREFUSED' })
    expect(inspect(copy, { depth: 12, showHidden: true })).not.toContain('key')
  })

  it('reads errors of another realm, and stops at a circle of causes', () => {
    const foreign: unknown = runInNewContext(`
      const error = new TypeError('fetch failed')
      error.cause = Object.assign(new Error('connect ECONNREFUSED key'), { code: 'ECONNREFUSED' })
      error`)
    expect(withoutSecrets(foreign, createRedact(['key']))).toMatchObject({
      message: 'connect ECONNREFUSED [redacted]',
      code: 'ECONNREFUSED',
    })
    const circle = new Error('round')
    circle.cause = circle
    expect(withoutSecrets(circle, String).message).toBe('round')
  })

  it.each([
    ['a string', 'a string', 'a string'],
    ['undefined', undefined, 'undefined'],
    ['an AggregateError without errors', new AggregateError([], 'none worked'), 'none worked'],
  ])('turns %s into an Error', (_what, thrown, message) => {
    expect(withoutSecrets(thrown, String).message).toBe(message)
  })
})

it.each<[string, string | undefined, unknown]>([
  ['an error with a code', 'ECONNRESET', { code: 'ECONNRESET' }],
  ['a cause with a code', 'EPIPE', Object.assign(new Error('x', { cause: { code: 'EPIPE' } }), { code: 7 })],
  ['a cause of many errors', 'EPIPE', new TypeError('x', { cause: new AggregateError([{ code: 'EPIPE' }]) })],
  ['an empty object', undefined, {}],
  ['null', undefined, null],
  ['a string', undefined, 'ECONNRESET'],
])('errorCode of %s is %j', (_what, code, error) => {
  expect(errorCode(error)).toBe(code)
})
