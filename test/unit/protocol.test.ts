import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeResize, HEARTBEAT } from '../../src/upstream/protocol.ts'

// PROTOCOL 5.2
describe('encodeResize', () => {
  it('returns a resize frame', () => {
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

  it('returns a frame with both numbers, or throws a RangeError, for any input', () => {
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

// PROTOCOL 5.3
it('HEARTBEAT is a JSON object, which every release ignores', () => {
  expect(JSON.parse(HEARTBEAT)).toEqual({ type: 'ping' })
})
