// Client, relay and upstream are processes of their own, so that none takes the others' turn of the event loop.
import { fork } from 'node:child_process'

// Far more than any single step takes: a lost byte should break the run, not hang it.
const PATIENCE = 60_000

/** In a child: the options that it was started with. */
export const ownOptions = () => JSON.parse(process.argv[2])

/** In a child, once it is ready: does what the parent calls for. */
export function answer(handlers) {
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

/** Starts a child; resolves when it is ready. */
export async function start(file, options = {}) {
  const child = fork(new URL(file, import.meta.url), [JSON.stringify(options)], { execArgv: ['--expose-gc'] })
  const calls = new Map()
  let stopping = false

  function wait(id) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => settle(id, { failure: `${file}: no answer to ${id}` }), PATIENCE)
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

  let called = 0
  return {
    call(name, argument) {
      const id = `${name} ${(called += 1)}`
      child.send({ id, name, argument })
      return wait(id)
    },
    /** Without ceremony: a hand-written relay may hold half a gigabyte that nobody is going to read. */
    stop() {
      stopping = true
      return new Promise((resolve) => {
        child.once('exit', resolve)
        child.kill('SIGKILL')
      })
    },
  }
}
