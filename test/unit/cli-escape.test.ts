import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createEscape } from '../../src/cli/input.ts'

/** Types keys in several reads, one byte for each key. Returns the keys that are sent, and whether they detach. */
function type(...parts: string[]): [sent: string, detached: boolean] {
  const readKeys = createEscape()
  let sent = ''
  for (const part of parts) {
    const { send, detach } = readKeys(Buffer.from(part, 'latin1'))
    sent += Buffer.from(send).toString('latin1')
    if (detach) return [sent, true]
  }
  return [sent, false]
}

const paste = 'x'.repeat(20)

it.each<[parts: string[], sent: string, detached: boolean]>([
  [['~.'], '', true],
  [['~', '.'], '', true],
  [['ls\r', '~', '.'], 'ls\r', true],
  [['ls\n~.'], 'ls\n', true],
  [['~~.'], '~.', false],
  [['~', '~', '.'], '~.', false],
  [['~x'], '~x', false],
  [['~', '\r', '~', '.'], '~\r', true],
  [['ls ~.'], 'ls ~.', false],
  [['ls ~', '.'], 'ls ~.', false],
  [['.'], '.', false],
  [['é~.'], 'é~.', false],
  // A paste may contain any text.
  [[`${paste}\n~.`], `${paste}\n~.`, false],
  [[`~.${paste}`], `~.${paste}`, false],
  [[`${paste}\n`, '~', '.'], `${paste}\n`, true],
  [['~', paste], `~${paste}`, false],
])('createEscape turns the keys %j into %j (detaches: %s)', (parts, sent, detached) => {
  expect(type(...parts)).toEqual([sent, detached])
})

it('createEscape sends keys without ~ unchanged', () => {
  const harmless = fc.array(fc.uint8Array().map((keys) => Buffer.from(keys).toString('latin1').replaceAll('~', '-')))
  fc.assert(
    fc.property(harmless, (parts) => {
      expect(type(...parts)).toEqual([parts.join(''), false])
    }),
  )
})

it('createEscape removes only the first ~ of ~~ at the start of a line', () => {
  const keys = fc.array(fc.constantFrom('~', '\r', 'a'), { maxLength: 30 })
  fc.assert(
    fc.property(keys, (parts) => {
      // After the last key, no ~ is held back.
      const [sent] = type(...parts, 'a')
      const typed = [...parts, 'a'].join('')
      expect(sent.replaceAll('~', '')).toBe(typed.replaceAll('~', ''))
      expect(typed.split('~').length - sent.split('~').length).toBe(typed.match(/(?<=^|\r)~~/g)?.length ?? 0)
    }),
  )
})
