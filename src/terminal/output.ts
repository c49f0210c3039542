import { wrongType } from '../lib/arguments.ts'

/** The place where the output of a terminal goes. */
export interface Sink {
  readonly push: (data: Uint8Array, isBinary: boolean) => void
  /** No more will come. */
  end(): void
  /** Drops all further output. */
  discard(): void
  /** Whether the other side has been asked to wait. */
  isPaused(): boolean
  /** Resolves when the first message has come. */
  readonly started: Promise<void>
}

/** How a sink slows the other side down. */
export interface FlowControl {
  pause(): void
  resume(): void
}

/** Makes a sink that holds about `maxBuffered` bytes before it makes the other side wait. */
export type CreateSink<S extends Sink> = (maxBuffered: number, source: FlowControl) => S

/** The output of a terminal, on its way to its readers. At the end, readers get what is left, and then their own end. */
export interface Output extends Sink {
  readonly push: (data: Uint8Array) => void
  readonly onData: (listener: (chunk: Uint8Array) => void) => () => void
  readonly iterate: () => AsyncIterator<Uint8Array, undefined, undefined>
}

// A linked list. Each reader moves along it at its own pace, and entries that all readers have passed are
// garbage-collected. (Array.shift() would copy the rest: an hour of a progress bar is a hundred thousand tiny chunks.)
interface Entry {
  readonly chunk: Uint8Array
  next?: Entry
}

interface Reader {
  /** The last entry that it has taken. */
  at: Entry
  /** The cost of the entries ahead of it. */
  bytes: number
  /** Told that a chunk has been added, or that there will be no more. */
  readonly wake: () => void
}

/** The memory that a message takes beside its bytes, about: a shell that prints letter by letter must not fill it. */
export const MESSAGE_OVERHEAD = 512

function costOf(chunk: Uint8Array): number {
  return chunk.length + MESSAGE_OVERHEAD
}

/**
 * Keeps output until it is read, gives every reader all of it in order, and pauses the source once a reader has
 * more than `maxBuffered` bytes waiting.
 */
export function createOutput(maxBuffered: number, source: FlowControl): Output {
  let tail: Entry = { chunk: new Uint8Array() }
  // Keeps the place of the next reader as long as there is none.
  let placeholder: Reader | undefined = { at: tail, bytes: 0, wake() {} }
  const readers = new Set([placeholder])
  let paused = false
  let ended = false
  let discarding = false
  let start: () => void
  const started = new Promise<void>((resolve) => (start = resolve))

  function regulate(): void {
    let fullest = 0
    for (const reader of readers) fullest = Math.max(fullest, reader.bytes)
    if (paused ? fullest > maxBuffered / 2 : fullest <= maxBuffered) return
    paused = !paused
    if (paused) source.pause()
    else source.resume()
  }

  function take(reader: Reader): Uint8Array | undefined {
    const { next } = reader.at
    if (!next) return undefined
    reader.at = next
    reader.bytes -= costOf(next.chunk)
    if (paused) regulate()
    return next.chunk
  }

  function attach(wake: () => void): Reader {
    const reader: Reader = { at: tail, bytes: 0, ...placeholder, wake }
    if (placeholder) readers.delete(placeholder)
    placeholder = undefined
    readers.add(reader)
    return reader
  }

  function detach(reader: Reader): void {
    if (!readers.delete(reader)) return
    // The last one to leave keeps the rest for the next to come.
    if (readers.size === 0) readers.add((placeholder = { ...reader, wake() {} }))
    regulate()
  }

  return {
    started,
    isPaused: () => paused,
    push(data) {
      start()
      if (discarding || data.length === 0) return
      // Of its own: a slice of what ws has read would keep all of that in memory.
      const chunk = new Uint8Array(data)
      tail = tail.next = { chunk }
      // All of them before the first is woken: it may leave, and another take its place.
      for (const reader of readers) reader.bytes += costOf(chunk)
      for (const reader of readers) reader.wake()
      regulate()
    },
    end() {
      ended = true
      for (const reader of readers) reader.wake()
    },
    discard() {
      discarding = true
    },
    onData(listener) {
      if (typeof listener !== 'function') throw wrongType('listener', 'a function', listener)
      const deliver = (): void => {
        // A listener may remove itself at any chunk. The chunks after that are for the other readers.
        for (let chunk; readers.has(reader) && (chunk = take(reader));) {
          try {
            listener(chunk)
          } catch (error) {
            // As an event emitter would: loud, but not in the way of other readers.
            queueMicrotask(() => {
              throw error
            })
          }
        }
      }
      const reader = attach(deliver)
      // Not before the caller has the function that stops it.
      queueMicrotask(deliver)
      return () => detach(reader)
    },
    iterate() {
      const done = { done: true, value: undefined } as const
      const waiting: Array<(result: IteratorResult<Uint8Array, undefined>) => void> = []
      let left = false
      // From the first call of next() on: one that was made and never used must not hold the others up.
      let reader: Reader | undefined
      const serve = (): void => {
        while (reader && waiting.length > 0) {
          const value = take(reader)
          if (!value && !ended) return
          waiting.shift()?.(value ? { done: false, value } : done)
        }
      }
      return {
        next() {
          if (left) return Promise.resolve(done)
          reader ??= attach(serve)
          return new Promise((resolve) => {
            waiting.push(resolve)
            serve()
          })
        },
        return() {
          left = true
          if (reader) detach(reader)
          for (const resolve of waiting.splice(0)) resolve(done)
          return Promise.resolve(done)
        },
      }
    },
  }
}
