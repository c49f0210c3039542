/**
 * Returns the global object, or that of Node if a name is missing: jsdom has neither `fetch` nor `TextEncoder` in Jest.
 * What belongs together has to come from the same one, because Node's `fetch` refuses an `AbortSignal` of jsdom.
 */
export function globalWith(name: 'fetch' | 'setImmediate' | 'TextDecoder' | 'TextEncoder'): typeof globalThis {
  return globalThis[name] ? globalThis : globalThis.process.getBuiltinModule('vm').runInThisContext('globalThis')
}

/** Returns a text as UTF-8. */
export function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return new (globalWith('TextEncoder').TextEncoder)().encode(text)
}
