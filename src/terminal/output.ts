import { wrongType } from '../lib/arguments.ts'
import { globalWith } from '../lib/globals.ts'
import { WaterMark, type FlowControl } from '../lib/water-mark.ts'
import type { KeptSession } from './kept-session.ts'
import type { Receiver } from './socket.ts'

/** Takes the output of a terminal. */
export interface Sink extends Receiver {
  /** There is no more output. */
  end(): void
  /** Drops all further output. */
  discard(): void
  /** Whether the server has to wait. */
  isPaused(): boolean
}

/** Creates a sink for the output of one connection, which can pause it. */
export type CreateSink<S extends Sink> = (source: FlowControl) => S

// A linked list. Each reader moves along it at its own pace, and entries that all readers have passed are
// garbage-collected. (Array.shift() would copy the rest: an hour of a progress bar is a hundred thousand tiny chunks.)
interface Entry {
  chunk: Uint8Array
  next?: Entry | undefined
}

interface Reader {
  /** The last entry that the reader has taken. */
  at: Entry
  /** The cost of the entries that the reader has not taken yet. */
  bytes: number
  /** Called when a chunk has been added, and at the end. */
  readonly wake: () => void
}

/**
 * The memory that a message takes beside its own bytes, roughly. Counted, because a program may print single letters.
 */
export const MESSAGE_OVERHEAD_BYTES = 512

/**
 * Marks a chunk that has queries to which no answer is expected any more. Registered, because `terminal-upstream/xterm`
 * is a bundle of its own, which looks for it.
 */
const REPLAY = Symbol.for('terminal-upstream:replay')

/** Marks a chunk, but not for those who print it. */
function asReplay(chunk: Uint8Array): Uint8Array {
  return Object.defineProperty(chunk, REPLAY, { value: true })
}

/** What a chunk that waits takes of a limit of bytes. */
export function costOf(chunk: Uint8Array): number {
  return chunk.length + MESSAGE_OVERHEAD_BYTES
}

/** Calls a listener. Its error becomes an uncaught exception, as from an event emitter, but other listeners go on. */
export function callListener<T>(listener: (value: T) => void, value: T): void {
  try {
    listener(value)
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}

/**
 * The output of a terminal, over one connection after another, on its way to its readers. Keeps output until it is
 * read, and gives every reader all of it in order. Pauses the source when more than `maxBuffered` bytes wait for a
 * reader. After the end, each reader still gets the rest.
 */
export class Output implements Sink {
  readonly #session: KeptSession
  readonly #waterMark: WaterMark
  // The last entry of the list: new chunks go behind it.
  #tail: Entry = { chunk: new Uint8Array() }
  // Keeps the place of the next reader while there is none.
  #placeholder: Reader | undefined = { at: this.#tail, bytes: 0, wake() {} }
  readonly #readers = new Set<Reader>(this.#placeholder && [this.#placeholder])
  // Tells an iterator that has taken all chunks that there will be no more.
  #hasEnded = false
  // After `discard`, chunks are dropped as they come.
  #discarding = false
  // The entry before those of this turn of the event loop that may be slices of a larger buffer; absent without slices.
  #beforeSlices: Entry | undefined

  constructor(maxBuffered: number, session: KeptSession) {
    this.#waterMark = new WaterMark(maxBuffered)
    this.#session = session
  }

  /** Gets the output of another connection from now on. */
  connectTo(source: FlowControl): this {
    this.#waterMark.connectTo(source)
    this.#session.begin()
    return this
  }

  isPaused(): boolean {
    return this.#waterMark.paused
  }

  push(data: Uint8Array, isBinary: boolean): void {
    if (!this.#session.accepts(data, isBinary) || this.#discarding || data.length === 0) return
    // A plain Uint8Array: a Buffer has methods of another meaning.
    const chunk = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    if (this.#session.isReplay) asReplay(chunk)
    if (chunk.length < chunk.buffer.byteLength && !this.#beforeSlices) {
      this.#beforeSlices = this.#tail
      globalWith('setImmediate').setImmediate(() => {
        // Each slice that still waits would keep everything in memory that ws has read with it.
        for (let entry = this.#beforeSlices?.next; entry; entry = entry.next) {
          const copy = entry.chunk.slice()
          entry.chunk = REPLAY in entry.chunk ? asReplay(copy) : copy
        }
        this.#beforeSlices = undefined
      })
    }
    this.#tail = this.#tail.next = { chunk }
    // Counted for all readers before the first wakes: it may detach, and another reader may take its place.
    for (const reader of this.#readers) reader.bytes += costOf(chunk)
    for (const reader of this.#readers) reader.wake()
    this.#regulate()
  }

  end(): void {
    this.#hasEnded = true
    for (const reader of this.#readers) reader.wake()
  }

  discard(): void {
    this.#discarding = true
  }

  onData(listener: (chunk: Uint8Array) => void): () => void {
    if (typeof listener !== 'function') throw wrongType('listener', 'a function', listener)
    const deliver = (): void => {
      // A listener may remove itself during any call.
      for (let chunk; this.#readers.has(reader) && (chunk = this.#nextChunk(reader));) callListener(listener, chunk)
    }
    const reader = this.#attach(deliver)
    // Later, so that the caller first gets the function that removes the listener.
    queueMicrotask(deliver)
    return () => this.#detach(reader)
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, undefined, undefined> {
    const done = { done: true, value: undefined } as const
    // The calls of next() that wait for a chunk.
    const waiting: Array<(result: IteratorResult<Uint8Array, undefined>) => void> = []
    // After return(), the iterator is done.
    let returned = false
    // Attached by the first call of next(): an iterator that is never used must not hold output back.
    let reader: Reader | undefined
    const serve = (): void => {
      while (reader && waiting.length > 0) {
        const value = this.#nextChunk(reader)
        if (!value && !this.#hasEnded) return
        waiting.shift()?.(value ? { done: false, value } : done)
      }
    }
    return {
      next: () => {
        if (returned) return Promise.resolve(done)
        reader ??= this.#attach(serve)
        return new Promise((resolve) => {
          waiting.push(resolve)
          serve()
        })
      },
      return: () => {
        returned = true
        if (reader) this.#detach(reader)
        for (const resolve of waiting.splice(0)) resolve(done)
        return Promise.resolve(done)
      },
    }
  }

  #regulate(): void {
    let most = 0
    for (const reader of this.#readers) most = Math.max(most, reader.bytes)
    this.#waterMark.update(most)
  }

  #nextChunk(reader: Reader): Uint8Array | undefined {
    const { at } = reader
    const { next } = at
    if (!next) return undefined
    reader.at = next
    if (this.#readers.size === 1) {
      // An entry that the garbage collector has put among the old ones would keep all later ones in memory.
      at.next = undefined
      if (this.#beforeSlices === at) this.#beforeSlices = next
    }
    reader.bytes -= costOf(next.chunk)
    if (this.#waterMark.paused) this.#regulate()
    return next.chunk
  }

  #attach(wake: () => void): Reader {
    const reader: Reader = { at: this.#tail, bytes: 0, ...this.#placeholder, wake }
    if (this.#placeholder) this.#readers.delete(this.#placeholder)
    this.#placeholder = undefined
    this.#readers.add(reader)
    return reader
  }

  #detach(reader: Reader): void {
    if (!this.#readers.delete(reader)) return
    // Without a reader, the output waits for the next one.
    if (this.#readers.size === 0) this.#readers.add((this.#placeholder = { ...reader, wake() {} }))
    this.#regulate()
  }
}
