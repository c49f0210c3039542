import type { AbortSignalLike } from './cancellation.ts'

/** Returns the type of a value for a message, which must not show the value: it may be a secret. */
export function typeName(value: unknown): string {
  return value === null ? 'null' : typeof value
}

/** Returns a `TypeError` with Node's `ERR_INVALID_ARG_TYPE`. */
export function wrongType(name: string, expected: string, value: unknown): TypeError {
  return Object.assign(new TypeError(`\`${name}\` must be ${expected}, got ${typeName(value)}`), {
    code: 'ERR_INVALID_ARG_TYPE',
  })
}

/** Returns a `TypeError` with Node's `ERR_INVALID_ARG_VALUE`. */
export function wrongValue(name: string, problem: string): TypeError {
  return Object.assign(new TypeError(`\`${name}\` ${problem}`), { code: 'ERR_INVALID_ARG_VALUE' })
}

/** Throws unless `value` is an object. */
export function assertObject(name: string, value: unknown): asserts value is object {
  if (typeof value !== 'object' || value === null) throw wrongType(name, 'an object', value)
}

/**
 * Throws when an option has been given that does not exist, and names the one that is meant, as far as names tell.
 * Nobody would notice that a misspelled option is ignored.
 */
export function assertKnown(owner: string, options: object, known: readonly string[]): void {
  for (const [name, value] of Object.entries(options)) {
    if (known.includes(name) || value === undefined) continue
    throw wrongValue(name, `is not an option of ${owner}. Did you mean \`${nearestOf(known, name)}\`?`)
  }
}

/** Returns the name that is most like another one; `''` if none is `least` like it. */
export function nearestOf(known: readonly string[], name: string, least = 0): string {
  const nearest = known.reduce((best, each) => (likeness(name, each) > likeness(name, best) ? each : best))
  return likeness(name, nearest) >= least ? nearest : ''
}

/** How alike two names are, from 0 to 1: how many letters they have in common in the same order. */
function likeness(a: string, b: string): number {
  const letters = b.toLowerCase().split('')
  // How many letters of `a` so far are in each beginning of `b`.
  let counts = [0, ...letters.map(() => 0)]
  for (const letter of a.toLowerCase()) {
    const next = [0]
    for (const [index, other] of letters.entries()) {
      const skipped = Math.max(Number(next[index]), Number(counts[index + 1]))
      next.push(letter === other ? Number(counts[index]) + 1 : skipped)
    }
    counts = next
  }
  return (2 * Number(counts.at(-1))) / (a.length + b.length)
}

/** Throws unless `value` is a non-empty string without control characters and lone surrogates. */
export function assertText(name: string, value: unknown): asserts value is string {
  if (typeof value !== 'string') throw wrongType(name, 'a string', value)
  if (/^$|[\p{Cc}\p{Cs}]/u.test(value)) {
    throw wrongValue(name, 'must not be empty, nor contain control characters or lone surrogates')
  }
}

/**
 * Throws unless `value` can be one segment of a path.
 *
 * `.` and `..` cannot: the URL standard resolves them however they are encoded.
 *
 * @see https://url.spec.whatwg.org/#double-dot-path-segment
 */
export function assertSegment(name: string, value: unknown): asserts value is string {
  assertText(name, value)
  if (value === '.' || value === '..') throw wrongValue(name, 'must not be "." or ".."')
}

/** Throws unless `value` arrives unchanged as an HTTP header (RFC 9110, section 5.5). */
export function assertHeaderValue(name: string, value: unknown): asserts value is string {
  assertText(name, value)
  if (/[^\0-\xff]/.test(value) || value !== value.trim()) {
    throw wrongValue(name, 'must fit a header: no characters above U+00FF, no blanks at the ends')
  }
}

const LONGEST_CONTEXT = 256

/** Throws unless `value` can be an orchestrator's context. The server checks its kind (`chat:…`). */
export function assertContext(name: string, value: unknown): asserts value is string {
  assertText(name, value)
  if (value.length > LONGEST_CONTEXT) throw wrongValue(name, `must be at most ${LONGEST_CONTEXT} characters long`)
}

/** Throws unless `value` is `undefined` or an `AbortSignal`, which may be of another realm. */
export function assertSignal(value: unknown): asserts value is AbortSignalLike | undefined {
  const isSignal = typeof Object(value).removeEventListener === 'function'
  if (value !== undefined && !isSignal) throw wrongType('signal', 'an AbortSignal', value)
}

/** Throws a `RangeError` unless `value` is a whole number within the bounds. */
export function assertWhole(name: string, value: unknown, least: number, most: number): asserts value is number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return
  const got = typeof value === 'number' ? value : typeName(value)
  throw Object.assign(new RangeError(`\`${name}\` must be a whole number from ${least} to ${most}, got ${got}`), {
    code: 'ERR_OUT_OF_RANGE',
  })
}
