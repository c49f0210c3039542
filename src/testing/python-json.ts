/** Why Python's json does not read a text as an object. */
export type JsonProblem = 'no JSON' | 'not an object' | 'too deep' | 'too long'

// Python's limits: the digits of an integer, and the levels of nesting.
const MAX_DIGITS = 4300
const MAX_DEPTH = 1000
const TOKENS = /\\.|"|[[{}\]]|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|NaN|-?Infinity/g

/**
 * Reads a text as Python's json module does. For Python, `NaN` and `Infinity` are numbers, and a number with a point or
 * an exponent is never an integer. Text that nests too deep, or a number with too many digits, raises errors that the
 * servers do not expect.
 */
export function readJson(text: string): Record<string, unknown> | JsonProblem {
  // Brackets and digits inside a string do not count.
  let inString = false
  // The text can close its brackets again, so the deepest level is kept too.
  let depth = 0
  let deepest = 0
  // Whether an integer has more digits than Python converts.
  let tooLong = false
  const standard = text.replace(TOKENS, (token) => {
    if (token === '"') inString = !inString
    if (inString || /^["\\]/.test(token)) return token
    if (/^[[{]/.test(token)) deepest = Math.max(deepest, (depth += 1))
    else if (/^[}\]]/.test(token)) depth -= 1
    else if (/^-?\d+$/.test(token)) tooLong ||= token.replace('-', '').length > MAX_DIGITS
    else return ' 0.5 ' // Stands for any number that is not an integer.
    return token
  })
  // Python raises these errors even if the rest of the text is malformed.
  if (deepest > MAX_DEPTH) return 'too deep'
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
