import { wrongType } from './arguments.ts'

/** Where what comes from the terminal goes. */
export interface Sink {
  readonly push: (data: Uint8Array, isBinary: boolean) => void
  /** No more will come. */
  end(): void
  /** What still comes is for nobody. */
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

/** What came from the terminal, on its way to whoever reads it; at the end readers get what is left, and then theirs. */
export interface Output extends Sink {
  readonly push: (data: Uint8Array) => void
  onData(listener: (chunk: Uint8Array) => void): () => void
  iterate(): AsyncIterator<Uint8Array, undefined, undefined>
}

interface Entry {
  readonly chunk: Uint8Array
  next?: Entry
}

// A linked list: an hour of a progress bar is a hundred thousand tiny chunks, and Array.shift() copies what it leaves.
interface Queue {
  head: Entry | undefined
  tail: Entry | undefined
  bytes: number
}

interface Reader extends Queue {
  /** Told that a chunk has been added, or that there will be no more. */
  wake(): void
}

/** What a message costs beside its bytes, about: a shell that prints letter by letter must not fill the memory. */
export const MESSAGE_OVERHEAD = 512

function costOf(chunk: Uint8Array): number {
  return chunk.length + MESSAGE_OVERHEAD
}

function append(queue: Queue, chunk: Uint8Array): void {
  const entry: Entry = { chunk }
  if (queue.tail) queue.tail.next = entry
  else queue.head = entry
  queue.tail = entry
  queue.bytes += costOf(chunk)
}

function shift(queue: Queue): Uint8Array | undefined {
  const entry = queue.head
  if (!entry) return undefined
  queue.head = entry.next
  if (!queue.head) queue.tail = undefined
  queue.bytes -= costOf(entry.chunk)
  return entry.chunk
}

/** Hands everything over to a queue that is empty. */
function move(from: Queue, to: Queue): void {
  to.head = from.head
  to.tail = from.tail
  to.bytes = from.bytes
  from.head = from.tail = undefined
  from.bytes = 0
}

/**
 * Keeps output until somebody reads it, gives every reader all of it in order, and pauses the source once a reader has
 * more than `maxBuffered` bytes waiting.
 */
export function createOutput(maxBuffered: number, source: FlowControl): Output {
  const readers = new Set<Reader>()
  // Output that nobody has asked for yet.
  const unread: Queue = { head: undefined, tail: undefined, bytes: 0 }
  let paused = false
  let ended = false
  let discarding = false
  let start: () => void
  const started = new Promise<void>((resolve) => (start = resolve))

  function regulate(): void {
    let fullest = unread.bytes
    for (const reader of readers) fullest = Math.max(fullest, reader.bytes)
    if (!paused && fullest > maxBuffered) {
      paused = true
      source.pause()
    } else if (paused && fullest <= maxBuffered / 2) {
      paused = false
      source.resume()
    }
  }

  function take(reader: Reader): Uint8Array | undefined {
    const chunk = shift(reader)
    if (paused) regulate()
    return chunk
  }

  function attach(wake: () => void): Reader {
    const reader: Reader = { head: undefined, tail: undefined, bytes: 0, wake }
    move(unread, reader)
    readers.add(reader)
    return reader
  }

  function detach(reader: Reader): void {
    if (!readers.delete(reader)) return
    // The last one to leave keeps the rest for the next to come.
    if (readers.size === 0) move(reader, unread)
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
      if (readers.size === 0) append(unread, chunk)
      for (const reader of readers) {
        append(reader, chunk)
        reader.wake()
      }
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
        // It may leave at any chunk: what follows is for others.
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
