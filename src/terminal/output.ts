import { wrongType } from '../lib/arguments.ts'
import { createDeferred } from '../lib/deferred.ts'
import { WaterMark, type FlowControl } from '../lib/water-mark.ts'

/** Takes the output of a terminal. */
export interface Sink {
  readonly push: (data: Uint8Array, isBinary: boolean) => void
  /** There will be no more output. */
  end(): void
  /** Drops all further output. */
  discard(): void
  /** Whether the server has to wait. */
  isPaused(): boolean
  /** Resolves with the first message. */
  readonly started: Promise<void>
}

/** Creates a sink that pauses the source when more than about `maxBuffered` bytes wait. */
export type CreateSink<S extends Sink> = (maxBuffered: number, source: FlowControl) => S

/** The output of a terminal on its way to its readers. After `end`, each reader still gets the rest. */
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
  /** The last entry that the reader has taken. */
  at: Entry
  /** The cost of the entries that the reader has not taken yet. */
  bytes: number
  /** Called when a chunk has been added, and at the end. */
  readonly wake: () => void
}

/** Bytes of memory that a message takes beside its own, roughly. Counted, because a program may print single letters. */
export const MESSAGE_OVERHEAD = 512

function costOf(chunk: Uint8Array): number {
  return chunk.length + MESSAGE_OVERHEAD
}

/**
 * Keeps output until it is read, and gives every reader all of it in order. Pauses the source when more than
 * `maxBuffered` bytes wait for a reader.
 */
export function createOutput(maxBuffered: number, source: FlowControl): Output {
  // The last entry of the list: new chunks go behind it.
  let tail: Entry = { chunk: new Uint8Array() }
  // Keeps the place of the next reader while there is none.
  let placeholder: Reader | undefined = { at: tail, bytes: 0, wake() {} }
  const readers = new Set([placeholder])
  const waterMark = new WaterMark(maxBuffered, source)
  // Tells an iterator that has taken all chunks that there will be no more.
  let ended = false
  // After `discard`, chunks are dropped as they come.
  let discarding = false
  const { promise: started, resolve: start } = createDeferred()

  function regulate(): void {
    let most = 0
    for (const reader of readers) most = Math.max(most, reader.bytes)
    waterMark.update(most)
  }

  function nextChunk(reader: Reader): Uint8Array | undefined {
    const { next } = reader.at
    if (!next) return undefined
    reader.at = next
    reader.bytes -= costOf(next.chunk)
    if (waterMark.paused) regulate()
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
    // Without a reader, the output waits for the next one.
    if (readers.size === 0) readers.add((placeholder = { ...reader, wake() {} }))
    regulate()
  }

  return {
    started,
    isPaused: () => waterMark.paused,
    push(data) {
      start()
      if (discarding || data.length === 0) return
      // A copy: a slice would keep everything in memory that ws has read with it.
      const chunk = new Uint8Array(data)
      tail = tail.next = { chunk }
      // Counted for all readers before the first wakes: it may detach, and another reader may take its place.
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
        // A listener may remove itself during any call.
        for (let chunk; readers.has(reader) && (chunk = nextChunk(reader));) {
          try {
            listener(chunk)
          } catch (error) {
            // An uncaught exception, as from an event emitter, but the other readers go on.
            queueMicrotask(() => {
              throw error
            })
          }
        }
      }
      const reader = attach(deliver)
      // Later, so that the caller first gets the function that removes the listener.
      queueMicrotask(deliver)
      return () => detach(reader)
    },
    iterate() {
      const done = { done: true, value: undefined } as const
      // The calls of next() that wait for a chunk.
      const waiting: Array<(result: IteratorResult<Uint8Array, undefined>) => void> = []
      // After return(), the iterator is done.
      let returned = false
      // Attached by the first call of next(): an iterator that is never used must not hold output back.
      let reader: Reader | undefined
      const serve = (): void => {
        while (reader && waiting.length > 0) {
          const value = nextChunk(reader)
          if (!value && !ended) return
          waiting.shift()?.(value ? { done: false, value } : done)
        }
      }
      return {
        next() {
          if (returned) return Promise.resolve(done)
          reader ??= attach(serve)
          return new Promise((resolve) => {
            waiting.push(resolve)
            serve()
          })
        },
        return() {
          returned = true
          if (reader) detach(reader)
          for (const resolve of waiting.splice(0)) resolve(done)
          return Promise.resolve(done)
        },
      }
    },
  }
}
