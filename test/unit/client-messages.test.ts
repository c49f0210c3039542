import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readCommand, readFirstMessage } from '../../src/client/messages.ts'

// PROTOCOL 5.2 to 5.4
describe('readCommand', () => {
  it.each<[text: string, cols: number, rows: number]>([
    ['{"type":"resize","cols":80,"rows":24}', 80, 24],
    ['{"type":"resize"}', 80, 24],
    ['{"type":"resize","cols":132}', 132, 24],
    ['{"type":"resize","rows":50,"more":[1,"2"]}', 80, 50],
    ['{ "rows" : 0, "cols" : 0, "type" : "resize" }', 0, 0],
    ['{"type":"resize","cols":65535,"rows":65535}', 65_535, 65_535],
    ['{"type":"resize","cols":-0,"rows":1}', 0, 1],
    // Python does not take these for whole numbers.
    ['{"type":"resize","cols":80.0,"rows":2.4E1}', 80, 24],
    // For a repeated key, JavaScript and Python take the last value.
    ['{"type":"resize","cols":null,"cols":80}', 80, 24],
    ['{"type":"ping","type":"resize"}', 80, 24],
    ['{"\\u0074ype":"resize"}', 80, 24],
  ])('passes %s on as a size of %i × %i', (text, cols, rows) => {
    const resize = `{"type":"resize","cols":${cols},"rows":${rows}}`
    expect(readCommand(text)).toEqual({ text: resize, size: { cols: expect.closeTo(cols), rows } })
  })

  const PINGS = ['{"type":"ping"}', ' { "type": "ping" }\n', '{"type":"ping","more":[1e5]}']
  const AUTHS = [
    '{"type":"auth","token":"jwt"}',
    '{"type":"auth"}',
    '{"type":"x","type":"auth"}',
    '{"\\u0074ype":"auth"}',
  ]

  it.each(PINGS)('passes %s on as a heartbeat', (text) => {
    expect(readCommand(text)).toEqual({ text: '{"type":"ping"}' })
  })

  it.each(AUTHS)('recognizes %s as an auth frame, which is not for the upstream', (text) => {
    expect(readCommand(text)).toBe('auth')
  })

  it.each<[what: string, texts: string[]]>([
    ['text that is no JSON', ['', 'ls -l', '{"type":', "{'a':1}", '01', '1.', '\ufeff{}', '[] []', '"NaN', 'x=NaN']],
    ['JSON that is no object', ['1', '-1.5e3', '"ping"', 'true', 'null', '[]', '[{"type":"ping"}]', ' 7\r\n']],
    ['what only Python takes', ['NaN', '-Infinity', '{"type":"resize","rows":NaN}', '{"type":"ping","a":NaN}']],
    ['objects of another kind', ['{}', '{"type":null}', '{"ping":1}', '{"type":"Resize"}', '{"type":["ping"]}']],
    ['integers that are too long for Python', [`{"a":${'1'.repeat(4_301)}}`]],
    ['what is nested too deep for Python', [`{"a":${'['.repeat(1_000)}${']'.repeat(1_000)}}`, '['.repeat(60_000)]],
  ])('drops %s', (_what, texts) => {
    expect(texts.filter((text) => readCommand(text) !== 'dropped')).toEqual([])
  })

  const SIZES = ['null', '-1', '80.5', '65536', '1e5', '1e999', '"80"', 'true', '[]', '{}']

  it.each(SIZES)('drops a resize to %s columns or rows', (size) => {
    for (const dimension of ['cols', 'rows']) {
      expect(readCommand(`{"type":"resize","${dimension}":${size}}`)).toBe('dropped')
    }
  })

  it('passes nothing on but heartbeats and sizes in range, of any JSON', () => {
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
        const { text, size } = command
        const words = size ? `{"type":"resize","cols":${size.cols},"rows":${size.rows}}` : '{"type":"ping"}'
        expect(text).toBe(words)
        if (!size) return
        for (const cells of [size.cols, size.rows]) {
          expect(Number.isInteger(cells) && cells >= 0 && cells <= 65_535).toBe(true)
        }
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
