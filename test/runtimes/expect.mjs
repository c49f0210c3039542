// The parts of a test framework that the cases need, because no framework runs in all of these runtimes.

/** Throws unless both values are the same as JSON. */
export function expectEqual(what, actual, expected) {
  const [is, should] = [actual, expected].map((value) => JSON.stringify(value) ?? String(value))
  if (is !== should) throw new Error(`${what}: ${is.slice(0, 500)}, expected ${should.slice(0, 500)}`)
}

/** Resolves with the promise's error. Rejects if there is none, or if its code is another one. */
export async function expectRejection(what, promise, code) {
  const error = await promise.then(
    () => {
      throw new Error(`${what}: no error, expected ${code}`)
    },
    (problem) => problem,
  )
  if (error?.code !== code) throw new Error(`${what}: ${error}, expected ${code}`, { cause: error })
  return error
}

// jsdom lacks these in Jest. The suite must not add them to its global object: the package has to work without them.
export const { TextDecoder, TextEncoder } = globalThis.TextDecoder ? globalThis : process.getBuiltinModule('util')

/** Collects the output of a terminal. `until` resolves with all output as soon as it contains the wanted text. */
export function collect(terminal) {
  const decoder = new TextDecoder()
  const waiting = new Set()
  let text = ''
  let ended = false
  const settle = () => {
    for (const { wanted, resolve, reject } of waiting) {
      if (text.includes(wanted)) resolve(text)
      else if (ended) reject(new Error(`the terminal closed before it printed "${wanted}"; it printed "${text}"`))
    }
  }
  terminal.onData((chunk) => {
    text += decoder.decode(chunk, { stream: true })
    settle()
  })
  void terminal.closed.then(() => {
    ended = true
    settle()
  })
  return {
    until(wanted) {
      return new Promise((resolve, reject) => {
        waiting.add({ wanted, resolve, reject })
        settle()
      })
    },
  }
}

const CASE_TIMEOUT_MS = 20_000

/** Runs the cases one after the other. A case fails if it rejects or takes too long. */
export async function runCases(cases, prefix = '') {
  const results = []
  for (const [name, run] of Object.entries(cases)) {
    let timer
    const tooLong = new Promise((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`still running after ${CASE_TIMEOUT_MS} ms`)), CASE_TIMEOUT_MS)
    })
    const error = await Promise.race([run(), tooLong]).then(() => undefined, String)
    clearTimeout(timer)
    results.push({ name: prefix + name, error })
  }
  return results
}
