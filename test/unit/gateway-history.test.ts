import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { History } from '../../src/gateway/history.ts'

describe('History', () => {
  it('keeps the last bytes in order, and drops the ones before them in order', { timeout: 60_000 }, () => {
    const sizes = fc.array(fc.oneof(fc.nat(20), fc.integer({ min: 900, max: 1_100 }), fc.nat(9_000)), { maxLength: 60 })
    fc.assert(
      fc.property(sizes, fc.nat(20_000), fc.nat(20_000), (lengths, first, later) => {
        const { history, dropped } = recorded(first)
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
    const history = new History(1_000, { onDrop() {} })
    const shared = Buffer.from('one')
    history.push(shared)
    shared.fill('x')
    expect(history.read(0).toString()).toBe('one')
  })

  /** Returns a history, and the pieces that it has dropped. */
  function recorded(most: number): { history: History; dropped: Buffer[] } {
    const dropped: Buffer[] = []
    return { history: new History(most, { onDrop: (pieces) => void dropped.push(...pieces) }), dropped }
  }

  /** Returns the bytes of memory that the pieces hold which are dropped in the end. */
  function heldBy(history: History, dropped: Buffer[]): number {
    history.limit(0)
    return [...new Set(dropped.map(({ buffer }) => buffer))].reduce((sum, { byteLength }) => sum + byteLength, 0)
  }

  const KIB = 1024

  const letter = Buffer.from('a')
  const framed = (): Buffer[] => [Buffer.alloc(64 * KIB).subarray(7, 7 + KIB)]
  const framedTwice = (): Buffer[] => {
    const buffer = Buffer.alloc(64 * KIB)
    return [buffer.subarray(0, 4 * KIB), letter, buffer.subarray(4 * KIB, 8 * KIB)]
  }

  it.each<[name: string, count: number, push: (index: number) => Buffer[]]>([
    ['frames of 16 MiB', 1, () => [Buffer.alloc(16 * KIB * KIB)]],
    ['a frame of 1 KiB in each buffer of 64 KiB', 300, framed],
    ['two frames of 4 KiB in each buffer of 64 KiB, and single letters between them', 200, framedTwice],
    ['single letters between frames of 1 KiB', 300, () => [letter, Buffer.alloc(KIB)]],
    ['a large frame that is dropped bit by bit', 51, (index) => [Buffer.alloc(index === 0 ? 600 * KIB : 4 * KIB)]],
  ])('holds no more than twice what it keeps, and a little, after %s', (_, count, piecesOf) => {
    const { history, dropped } = recorded(256 * KIB)
    for (let index = 0; index < count; index += 1) for (const piece of piecesOf(index)) history.push(piece)
    const kept = history.end - history.start
    dropped.length = 0
    expect(heldBy(history, dropped)).toBeLessThanOrEqual(2 * kept + 128 * KIB)
  })

  it('does not copy what fills the buffers that it comes in', () => {
    const { history, dropped } = recorded(256 * KIB)
    const buffers = Array.from({ length: 20 }, () => Buffer.alloc(64 * KIB))
    for (const buffer of buffers) {
      for (let at = 0; at < buffer.length; at += 4 * KIB) history.push(buffer.subarray(at, at + 4 * KIB))
    }
    history.limit(0)
    const given = new Set<ArrayBufferLike>(buffers.map(({ buffer }) => buffer))
    expect(dropped.every(({ buffer }) => given.has(buffer))).toBe(true)
  })

  it('drops the pieces of a flood as they came, and cuts none', () => {
    const { history, dropped } = recorded(64 * KIB)
    for (let count = 0; count < 200; count += 1) history.push(Buffer.alloc(3_000))
    expect(new Set(dropped.map(({ length }) => length))).toEqual(new Set([3_000]))
    expect(history.end - history.start).toBeLessThanOrEqual(72 * KIB)
  })

  it('copies no more than what it is asked for', () => {
    const history = new History(256 * KIB, { onDrop() {} })
    for (let count = 0; count < 60; count += 1) history.push(Buffer.alloc(4 * KIB, count))
    expect(history.read(history.end - 10).buffer.byteLength).toBe(10)
  })
})
