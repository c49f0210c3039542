import { describe, expect, it } from 'vitest'
import { ScreenState } from '../../src/screen/state.ts'
import { buildTail } from '../../src/screen/tail.ts'

const KIB = 1024

/** Counts the bytes that are read of some output, and the calls of its methods. */
function counted(output: Buffer): { output: Buffer; cost: { bytes: number; calls: number } } {
  const cost = { bytes: 0, calls: 0 }
  const proxy = new Proxy(output, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name)
      if (typeof name === 'string' && /^\d+$/.test(name)) cost.bytes += 1
      if (typeof value !== 'function') return value
      return (...parameters: unknown[]) => {
        const result: unknown = value.apply(target, parameters)
        cost.calls += 1
        // A search reads up to what it finds; everything else at most all of what it returns or copies.
        const from = name === 'indexOf' ? Number(parameters[1] ?? 0) : 0
        if (name === 'indexOf') cost.bytes += (result === -1 ? target.length : Number(result)) - from
        else if (typeof result === 'number') cost.bytes += result
        return result
      }
    },
  })
  return { output: proxy, cost }
}

const crafted: Array<[name: string, unit: string]> = [
  ['text', 'a line of text\n'],
  ['first bytes of control characters', '\xc2'],
  ['the branches of `tree`', '\xe2\x94\x9c\xe2\x94\x80\xe2\x94\x80\xc2\xa0src\n'],
  ['continuations of a character', '\x80'],
  ['enquiries', '\x05'],
  ['enquiries between letters', 'a\x05'],
  ['ESC', '\x1b'],
  ['short escape sequences', '\x1bc'],
  ['escape sequences that are left out', '\x1bZ'],
  ['short control sequences', '\x1b[m'],
  ['letters between control sequences', 'a\x1b[m'],
  ['focus events', '\x1b[?1004h'],
  ['focus events beside a mode', '\x1b[?1;1004h'],
  ['many modes at once', `\x1b[?${'9;1;1004;'.repeat(400)}h`],
  ['strings that are not ended', '\x1b]0'],
  ['questions for colours', '\x1b]11;?\x07'],
  ['queries', '\x1b[c'],
  ['lines within strings', '\x1bP0q\n'],
  ['broken sequences', '\x1b[1\n'],
  ['a long string', `\x1b]0;${'a'.repeat(20 * KIB)}`],
]

describe.each([
  ['output that begins with a line', 'line\n'],
  ['output without the end of a line', ''],
])('the cost of the tail of %s', (_, beginning) => {
  it.each(crafted)('is linear for %s', (_name, unit) => {
    const [one, four] = [16 * KIB, 64 * KIB].map((size) => {
      const { output, cost } = counted(
        Buffer.from((beginning + unit.repeat(Math.ceil(size / unit.length))).slice(0, size), 'latin1'),
      )
      buildTail(output, new ScreenState())
      // A copy of a piece that is shorter would cost more than its bytes.
      expect(cost.calls).toBeLessThan(size / 32)
      expect(cost.bytes).toBeLessThan(size * 6)
      return cost.bytes
    })
    expect(four).toBeLessThan(4.4 * Number(one))
  })
})
