// What the cases need of a test framework: there is none that runs in all of these runtimes.

/** Fails unless both are the same as JSON. */
export function expectEqual(what, actual, expected) {
  const [is, should] = [actual, expected].map((value) => JSON.stringify(value) ?? String(value))
  if (is !== should) throw new Error(`${what}: ${is.slice(0, 500)}, expected ${should.slice(0, 500)}`)
}

/** Resolves with the error that it rejects with, if that has the code. */
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

/** Collects the output of a terminal; `until` resolves with all of it as soon as it has what is looked for. */
export function collect(terminal) {
  const decoder = new TextDecoder()
  const waiting = new Set()
  let text = ''
  let ended = false
  const look = () => {
    for (const { wanted, resolve, reject } of waiting) {
      if (text.includes(wanted)) resolve(text)
      else if (ended) reject(new Error(`the terminal closed before it said "${wanted}"; it said "${text}"`))
    }
  }
  terminal.onData((chunk) => {
    text += decoder.decode(chunk, { stream: true })
    look()
  })
  void terminal.closed.then(() => {
    ended = true
    look()
  })
  return {
    until(wanted) {
      return new Promise((resolve, reject) => {
        waiting.add({ wanted, resolve, reject })
        look()
      })
    },
  }
}

// ms for one case.
const PATIENCE = 20_000

/** Runs the cases, by their names, one after the other; one fails when it rejects or takes too long. */
export async function runCases(cases, prefix = '') {
  const results = []
  for (const [name, run] of Object.entries(cases)) {
    let timer
    const tooLong = new Promise((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`still running after ${PATIENCE} ms`)), PATIENCE)
    })
    const error = await Promise.race([run(), tooLong]).then(() => undefined, String)
    clearTimeout(timer)
    results.push({ name: prefix + name, error })
  }
  return results
}
