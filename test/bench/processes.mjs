// Client, relay and upstream are separate processes, so that none delays the event loop of another.
import { fork } from 'node:child_process'

// Far more than any call takes. A lost byte must end the run with an error, not hang it.
const CALL_TIMEOUT_MS = 60_000

/** Returns the options that a child was started with. For use in a child. */
export const ownOptions = () => JSON.parse(process.argv[2])

/** Tells the parent that a child is ready, and answers its calls. For use in a child. */
export function answerCalls(handlers) {
  process.on('message', async ({ id, name, argument }) => {
    try {
      process.send({ id, result: await handlers[name](argument) })
    } catch (error) {
      process.send({ id, failure: error.stack })
    }
  })
  process.on('disconnect', () => process.exit())
  process.send({ ready: true })
}

/** Starts a child. Resolves when it is ready. */
export async function start(file, options = {}) {
  const child = fork(new URL(file, import.meta.url), [JSON.stringify(options)], { execArgv: ['--expose-gc'] })
  const calls = new Map()
  // Whether `stop` was called: then the exit of the child is expected.
  let stopping = false

  function wait(id) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => settle(id, { failure: `${file}: no answer to ${id}` }), CALL_TIMEOUT_MS)
      calls.set(id, ({ result, failure }) => {
        clearTimeout(timer)
        if (failure) reject(new Error(failure))
        else resolve(result)
      })
    })
  }

  function settle(id, outcome) {
    calls.get(id)?.(outcome)
    calls.delete(id)
  }

  child.on('message', ({ id = 'ready', ...outcome }) => settle(id, outcome))
  child.on('exit', (code, signal) => {
    for (const id of calls.keys()) settle(id, { failure: `${file} has ended: ${signal ?? code}` })
    if (!stopping && code !== 0) console.error(`${file} has ended: ${signal ?? code}`)
  })
  await wait('ready')

  // Makes the ids of calls unique.
  let called = 0
  return {
    call(name, argument) {
      const id = `${name} ${(called += 1)}`
      child.send({ id, name, argument })
      return wait(id)
    },
    /** Kills the child, because a hand-written relay can have half a gigabyte left to send. */
    stop() {
      stopping = true
      return new Promise((resolve) => {
        child.once('exit', resolve)
        child.kill('SIGKILL')
      })
    },
  }
}
