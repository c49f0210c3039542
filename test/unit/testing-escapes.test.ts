import { expect, it } from 'vitest'
import { interpretEscapes } from '../../src/testing/command-input.ts'

it.each([
  [String.raw`a\nb\tc\\d`, 'a\nb\tc\\d'],
  [String.raw`\101\x41\u0041\U00000041`, 'AAAA'],
  [String.raw`\q\/`, String.raw`\q\/`],
  [String.raw`\ud800`, undefined],
  [String.raw`\xZZ`, undefined],
  ['\\', undefined],
])('the input %j of a command is typed as %j', (text, typed) => {
  expect(interpretEscapes(text)).toBe(typed)
})
