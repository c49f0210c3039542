/** A promise, and the function that resolves it. */
export interface Deferred<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
}

/** Returns a promise that is resolved from outside; `Promise.withResolvers` does the same from Node 22 on. */
export function createDeferred<T = void>(): Deferred<T> {
  let resolve: (value: T) => void
  const promise = new Promise<T>((settle) => (resolve = settle))
  return { promise, resolve: (value) => resolve(value) }
}
