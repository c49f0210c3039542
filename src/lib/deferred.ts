/** A promise that is resolved from outside; `Promise.withResolvers` does the same from Node 22 on. */
export class Deferred<T = void> {
  readonly promise: Promise<T>
  resolve!: (value: T) => void

  constructor() {
    this.promise = new Promise((resolve) => (this.resolve = resolve))
  }
}
