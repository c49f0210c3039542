/** What Python makes of a text that is no JSON object. */
export type NoObject = 'no JSON' | 'not an object' | 'too deep' | 'too long'

const LONGEST_NUMBER = 4300
const DEEPEST = 1000
const TOKENS = /\\.|"|[[{}\]]|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|NaN|-?Infinity/g

/**
 * Reads a text as Python's json does: `NaN` and `Infinity` are numbers to it, a whole number with a point or an exponent
 * is no whole number, and what nests too deep or has too many digits raises errors of its own, which servers overlook.
 */
export function readJson(text: string): Record<string, unknown> | NoObject {
  let inString = false
  let depth = 0
  let deepest = 0
  let tooLong = false
  const standard = text.replace(TOKENS, (token) => {
    if (token === '"') inString = !inString
    if (inString || /^["\\]/.test(token)) return token
    if (/^[[{]/.test(token)) deepest = Math.max(deepest, (depth += 1))
    else if (/^[}\]]/.test(token)) depth -= 1
    else if (/^-?\d+$/.test(token)) tooLong ||= token.replace('-', '').length > LONGEST_NUMBER
    else return ' 0.5 ' // Any number that is not whole.
    return token
  })
  // Python gives up on these before it sees whether the text ends well.
  if (deepest > DEEPEST) return 'too deep'
  if (tooLong) return 'too long'
  try {
    const value: unknown = JSON.parse(standard)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value))
      : 'not an object'
  } catch {
    return 'no JSON'
  }
}
