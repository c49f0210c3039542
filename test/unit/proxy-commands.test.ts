import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readCommand, readFirstMessage } from '../../src/client/messages.ts'

describe('readCommand', () => {
  it.each([
    '{"type":"ping"}',
    '{}',
    '{"type":null}',
    '{"resize":1}',
    ' {"a":1} ',
    '{"type":"authx"}',
    '{"type":"Resize"}',
  ])('forwards %s unchanged: every server ignores it', (text) => expect(readCommand(text)).toEqual({ forward: text }))

  it.each(['', 'ls -l', '{"type":', "{'a':1}", '01', '+1', '.5', '1.', '-NaN', 'nan', '\ufeff{}', '[] []', '1 2'])(
    'forwards %j unchanged: it is not JSON, which every server ignores',
    (text) => expect(readCommand(text)).toEqual({ forward: text }),
  )

  it.each(['1', '-1', '1.5e3', '"a"', '""', 'true', 'null', '[]', '[{}]', ' 7\r\n', 'NaN', 'Infinity', '-Infinity'])(
    'drops %j: it is JSON but not an object, which kills the shell',
    (text) => expect(readCommand(text)).toBe('dropped'),
  )

  it.each([
    ['{"type":"resize","cols":80,"rows":24}', 80, 24],
    ['{"type":"resize"}', 80, 24],
    ['{"type":"resize","cols":132}', 132, 24],
    ['{"type":"resize","rows":50,"more":[1,"2"]}', 80, 50],
    ['{ "rows" : 0, "cols" : 0, "type" : "resize" }', 0, 0],
    ['{"type":"resize","cols":65535,"rows":65535}', 65_535, 65_535],
    ['{"type":"resize","cols":-0,"rows":1}', -0, 1],
    // For a repeated key, JavaScript and Python take the last value.
    ['{"type":"resize","cols":null,"cols":80}', 80, 24],
    ['{"type":"ping","type":"resize"}', 80, 24],
    ['{"\\u0074ype":"resize"}', 80, 24],
  ])('forwards %s unchanged, as a resize to %i × %i', (text, cols, rows) => {
    expect(readCommand(text)).toEqual({ forward: text, size: { cols, rows } })
  })

  it.each([
    ['{"type":"resize","cols":80.0,"rows":24}', '{"type":"resize","cols":80,"rows":24}'],
    ['{"type":"resize","cols":8e1,"rows":24}', '{"type":"resize","cols":80,"rows":24}'],
    ['{"type":"resize","cols":80,"rows":2.4E1}', '{"type":"resize","cols":80,"rows":24}'],
    ['{"type":"resize","rows":0.0}', '{"type":"resize","cols":80,"rows":0}'],
    ['{"type":"resize","cols":-0.0}', '{"type":"resize","cols":0,"rows":24}'],
  ])('forwards %s with whole numbers, because Python does not take 80.0 for one', (text, forward) => {
    expect(readCommand(text)).toMatchObject({ forward, size: {} })
  })

  it.each(['null', '-1', '80.5', '65536', '1e5', '1e999', 'NaN', 'Infinity', '-Infinity', '"80"', 'true', '[]', '{}'])(
    'drops a resize to %s columns or rows',
    (size) => {
      for (const dimension of ['cols', 'rows']) {
        const text = `{"type":"resize","${dimension}":${size}}`
        expect(readCommand(text)).toBe('dropped')
      }
    },
  )

  it.each(['{"type":"auth","token":"jwt"}', '{"type":"auth"}', '{"type":"x","type":"auth"}', '{"\\u0074ype":"auth"}'])(
    'recognizes %s as an auth frame, which is for the proxy',
    (text) => expect(readCommand(text)).toBe('auth'),
  )

  it.each<[string, string]>([
    ['objects', `${'{"a":'.repeat(1_000)}1${'}'.repeat(1_000)}`],
    ['lists', `{"a":${'['.repeat(1_000)}${']'.repeat(1_000)}}`],
  ])('drops %s that are nested too deep for Python, which kills the shell', (_what, text) => {
    expect(readCommand(text)).toBe('dropped')
  })

  it('drops an integer that is too long for Python, which kills the shell', () => {
    expect(readCommand(`{"a":${'1'.repeat(4_301)}}`)).toBe('dropped')
  })

  it('does not take the content of a string for numbers', () => {
    expect(readCommand('{"type":"resize","a":"1.5 NaN Infinity"}')).toMatchObject({ size: { cols: 80, rows: 24 } })
    expect(readCommand('{"type":"resize","cols":"NaN"}')).toBe('dropped')
    expect(readCommand('"NaN')).toMatchObject({ forward: '"NaN' })
  })

  it('forwards only objects, and resizes only to whole numbers in range, of any JSON', () => {
    const dimension = fc.oneof(
      fc.integer({ min: -9, max: 70_000 }),
      fc.double(),
      fc.jsonValue(),
      fc.constant(undefined),
    )
    const resize = fc.record({ type: fc.constantFrom('resize', 'auth', 'ping'), cols: dimension, rows: dimension })
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), resize), (value) => {
        const command = readCommand(JSON.stringify(value))
        if (typeof command === 'string') return
        const { forward, size } = command
        const sent: unknown = JSON.parse(forward)
        expect(sent).toBeTypeOf('object')
        expect(sent).not.toBeNull()
        expect(sent).not.toBeInstanceOf(Array)
        const { type, cols = 80, rows = 24 } = sent as Record<string, unknown>
        expect(type).not.toBe('auth')
        expect(size).toEqual(type === 'resize' ? { cols, rows } : undefined)
        if (!size) return
        for (const cells of [cols, rows]) {
          expect(Number.isInteger(cells) && Number(cells) >= 0 && Number(cells) <= 65_535).toBe(true)
        }
        // Python decides by the notation whether a number is whole.
        expect(forward).not.toMatch(/\d[.eE]/)
      }),
    )
  })

  it('forwards any text that is not JSON unchanged', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        expect(readCommand(`~${text}`)).toEqual({ forward: `~${text}` })
      }),
    )
  })
})

describe('readFirstMessage', () => {
  function read(text: string, isBinary = false): ReturnType<typeof readFirstMessage> {
    return readFirstMessage(Buffer.from(text), isBinary)
  }

  it.each<[string, object]>([
    ['{"type":"auth","token":"jwt"}', { token: 'jwt' }],
    ['{"type":"auth","token":""}', { token: '' }],
    ['{"type":"auth","token":"jwt","chat_id":"7"}', { token: 'jwt', chatId: '7' }],
    ['{"type":"auth","token":"jwt","chat_id":""}', { token: 'jwt' }],
    ['{"type":"auth","token":"jwt","chat_id":null}', { token: 'jwt' }],
    ['{"type":"auth","token":"jwt","chat_id":7}', { token: 'jwt' }],
    ['{"type":"auth","token":"jwt","chat_id":["7"]}', { token: 'jwt' }],
    ['{"type":"auth","token":"jwt","more":{"user":"root"}}', { token: 'jwt' }],
    [' {"chat_id":"7", "token":"jwt", "type":"auth"}\n', { token: 'jwt', chatId: '7' }],
  ])('reads %s as %j', (text, auth) => {
    expect(read(text)).toStrictEqual({ auth })
  })

  // PROTOCOL 8.1
  it.each([
    ['null', null],
    ['0', 0],
    ['12345678901', 12_345_678_901],
    ['-1', -1],
    ['1.5', undefined],
    ['1e300', undefined],
    ['"1"', undefined],
    ['true', undefined],
  ])('reads the offset %s as %j', (text, offset) => {
    expect(read(`{"type":"auth","token":"jwt","offset":${text}}`)?.offset).toBe(offset)
  })

  it.each([
    '',
    'jwt',
    '{"type":"auth","token":"jwt"',
    'null',
    '1',
    '"auth"',
    '[]',
    '["auth","jwt"]',
    '{}',
    '{"token":"jwt"}',
    '{"type":"auth"}',
    '{"type":"auth","token":null}',
    '{"type":"auth","token":1}',
    '{"type":"auth","token":["jwt"]}',
    '{"type":"Auth","token":"jwt"}',
    '{"type":["auth"],"token":"jwt"}',
    '{"type":"resize","token":"jwt"}',
    '{"__proto__":{"type":"auth","token":"jwt"}}',
  ])('returns undefined for %s', (text) => {
    expect(read(text)).toBeUndefined()
  })

  it('returns undefined for a binary message', () => {
    expect(read('{"type":"auth","token":"jwt"}', true)).toBeUndefined()
  })

  it('reads frames of up to 64 KiB', () => {
    const frame = '{"type":"auth","token":"jwt"}'.padEnd(65_536)
    expect(read(frame)).toEqual({ auth: { token: 'jwt' } })
    expect(read(`${frame} `)).toBeUndefined()
  })

  it('returns the token and the chat unchanged', () => {
    // A JWT may contain NaN and Infinity, which Python takes for numbers.
    const word = fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.array(fc.constantFrom('NaN', 'Infinity', '-', 'sk', '.', '"', '\\')).map((parts) => parts.join('')),
    )
    fc.assert(
      fc.property(word, word, (token, chatId) => {
        const auth = chatId === '' ? { token } : { token, chatId }
        expect(read(JSON.stringify({ type: 'auth', token, chat_id: chatId }))).toStrictEqual({ auth })
      }),
    )
  })

  it('does not throw, whatever the client sends', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.boolean(), (data, isBinary) => {
        expect(readFirstMessage(Buffer.from(data), isBinary)).toBeUndefined()
      }),
    )
  })
})
