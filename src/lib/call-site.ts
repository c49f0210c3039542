/**
 * Settles as the promise of `act` does, and adds the line of the caller to the stack of an error of this package. After
 * a wait, most engines no longer know who has called.
 */
export async function withCallSite<T>(act: () => Promise<T>): Promise<T> {
  // Its text is made only when it is read, so a call that succeeds costs a few microseconds.
  const call = new Error()
  try {
    return await act()
  } catch (error) {
    addCaller(error, call)
    throw error
  }
}

// Other errors belong to the caller: the reason of a signal, or what a function of theirs has thrown.
const OURS = /^ERR_(?:TERMINAL|INVALID_ARG|OUT_OF_RANGE)/

function addCaller(error: unknown, call: Error): void {
  try {
    const { code, stack } = Object(error)
    if (!OURS.test(code)) return
    const known = String(stack)
    // A first line `Error`, which only V8 has, stands in the name of each error.
    const missing = `${call.stack}`.split('\n').filter((line) => !known.includes(line))
    // Does nothing to an error that is frozen.
    Reflect.set(Object(error), 'stack', [known, ...missing].join('\n'))
  } catch {
    // A hostile value throws when it is asked, and so may an `Error.prepareStackTrace` of somebody else.
  }
}
