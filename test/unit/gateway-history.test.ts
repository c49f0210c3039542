import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { History } from '../../src/gateway/history.ts'

describe('History', () => {
  it('keeps the last bytes in order, and drops the ones before them in order', () => {
    const sizes = fc.array(fc.oneof(fc.nat(20), fc.integer({ min: 900, max: 1_100 }), fc.nat(9_000)), { maxLength: 60 })
    fc.assert(
      fc.property(sizes, fc.nat(20_000), fc.nat(20_000), (lengths, first, later) => {
        const dropped: Buffer[] = []
        const history = new History(first, (pieces) => dropped.push(...pieces))
        const all: Buffer[] = []
        let most = first
        for (const [index, length] of lengths.entries()) {
          const data = Buffer.alloc(length, index)
          all.push(data)
          history.push(data)
          if (index === 20) history.limit((most = later))
          if (index % 7 === 0) history.trim()
          if (index % 5 === 0) expect(history.read(history.end)).toHaveLength(0)
          const kept = history.end - history.start
          expect(kept).toBeLessThanOrEqual(most + most / 8)
          expect(kept).toBeGreaterThanOrEqual(Math.min(most, history.end))
        }
        const output = Buffer.concat(all)
        expect(history.end).toBe(output.length)
        expect(Buffer.concat(dropped)).toEqual(output.subarray(0, history.start))
        expect(history.read(history.start)).toEqual(output.subarray(history.start))
        const middle = Math.floor((history.start + history.end) / 2)
        expect(history.read(middle)).toEqual(output.subarray(middle))
      }),
    )
  })

  it('copies small pieces, whose buffers may be large or used again', () => {
    const history = new History(1_000, () => {})
    const shared = Buffer.from('one')
    history.push(shared)
    shared.fill('x')
    expect(history.read(0).toString()).toBe('one')
  })
})
