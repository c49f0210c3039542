import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { wrongValue } from '../lib/arguments.ts'

/**
 * Something that goes wrong with a request:
 * - `{ delay }`: nothing but that it takes that many ms longer;
 * - `{ refuse }`: it is not done, and answered with that HTTP status and `body`; for an attach also with that close
 *   code, right after the handshake, and `body` as the reason;
 * - `'drop'`: it is done, but the connection ends before the answer; for an attach, right after the handshake;
 * - `'expire'`: it is done and answered, but the server forgets the kept-alive connection and does not say so. The next
 *   request on that connection is not done and not in `requests`, and the connection is reset (RST). An attach goes well;
 * - `'reset'`: the connection is reset (RST) instead of an answer;
 * - `'stall'`: it is never answered.
 */
export type TestFault =
  | { readonly delay: number }
  | { readonly refuse: number; readonly body?: string; readonly headers?: Record<string, string> }
  | 'drop'
  | 'expire'
  | 'reset'
  | 'stall'

const OPERATIONS = ['create', 'list', 'get', 'delete', 'attach'] as const

/** What can be asked of an upstream. */
export type TestOperation = (typeof OPERATIONS)[number]

/**
 * What goes wrong with which operation: always, or with a list, with the first, the second… request for it and then no
 * more; `undefined` in a list is a request that goes well. Looked up at each request: change it when you like.
 *
 * @example
 * ```ts
 * import { startTestUpstream, type TestFaults } from 'terminal-upstream/testing'
 *
 * const faults: TestFaults = { create: { delay: 200 }, attach: ['reset', undefined, { refuse: 4001 }] }
 * const upstream = await startTestUpstream({ faults })
 * await upstream.close()
 * ```
 */
export type TestFaults = {
  [operation in TestOperation]?: TestFault | ReadonlyArray<TestFault | undefined> | undefined
}

/** Returns a function that tells what goes wrong with the next request. */
export function createFaults(faults: TestFaults): (operation: TestOperation) => TestFault | undefined {
  const known = new Set<string>(OPERATIONS)
  const unknown = Object.keys(faults).find((operation) => !known.has(operation))
  // A misspelt fault would let a test pass that should fail.
  if (unknown !== undefined) throw wrongValue('faults', `must not have \`${unknown}\`: only ${OPERATIONS.join(', ')}`)
  const asked = new Map<TestOperation, number>()
  return (operation) => {
    const count = asked.get(operation) ?? 0
    asked.set(operation, count + 1)
    const fault = faults[operation]
    return isList(fault) ? fault[count] : fault
  }
}

// Array.isArray does not know readonly arrays.
function isList<T>(value: T | readonly T[]): value is readonly T[] {
  return Array.isArray(value)
}

/** Lets so many ms pass, or fewer if the server closes meanwhile. */
export async function pause(ms: number, closing: AbortSignal): Promise<void> {
  // Without a reference, because a test must be able to end meanwhile.
  await sleep(ms, undefined, { signal: closing, ref: false }).catch(() => {})
}

/** Resets a connection that the server has forgotten, and says whether it was one. */
export function resetForgotten(forgotten: WeakSet<Socket>, socket: Socket): boolean {
  if (!forgotten.has(socket)) return false
  socket.resetAndDestroy()
  return true
}

/** Does what goes wrong before an answer; resolves with whether there is still to be one. */
export async function applyFault(fault: TestFault | undefined, socket: Socket, closing: AbortSignal): Promise<boolean> {
  if (fault === 'stall') return false
  if (fault === 'reset') {
    socket.resetAndDestroy()
    return false
  }
  if (typeof fault === 'object' && 'delay' in fault) await pause(fault.delay, closing)
  return !closing.aborted
}
