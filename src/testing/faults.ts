import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { wrongValue } from '../lib/arguments.ts'

/**
 * A fault of one request:
 * - `{ delay }`: the request takes that many ms longer;
 * - `{ refuse }`: the upstream does nothing, and answers with that HTTP status and `body`. For an attach, `refuse` can
 *   also be a close code; then the upstream closes right after the handshake, with `body` as the reason;
 * - `'drop'`: the upstream carries out the request, but ends the connection before the answer; for an attach, right
 *   after the handshake;
 * - `'drop-inner'`: the container of an orchestrator carries out the request, but its answer does not reach the
 *   orchestrator. `terminals@0.2.2` then sends the request to the container again, also a POST, until it has been sent
 *   five times; each time takes the next fault of the list. Older Terminals answer 500. On an `open-terminal@…` release
 *   it is `'drop'`;
 * - `'full'`: the upstream does nothing, and answers 429 as a server does to a POST when it has as many sessions as it
 *   allows;
 * - `'rate-limit'`: the upstream does nothing, and answers 429 with a web page, as a reverse proxy does that limits the
 *   rate of requests;
 * - `'expire'`: the upstream carries out and answers the request, and forgets the kept-alive connection without a
 *   notice. It resets (RST) the connection at the next request, which it neither carries out nor records in `requests`.
 *   An attach succeeds;
 * - `'reset'`: the upstream resets (RST) the connection instead of answering;
 * - `'stall'`: the upstream never answers.
 */
export type TestFault =
  | { readonly delay: number }
  | { readonly refuse: number; readonly body?: string; readonly headers?: Record<string, string> }
  | 'drop'
  | 'drop-inner'
  | 'expire'
  | 'full'
  | 'rate-limit'
  | 'reset'
  | 'stall'

/** Sessions that a server has at once, if its operator has set no other limit (PROTOCOL 2.10). */
export const MAX_SESSIONS = 16

/** The body with which a server refuses a POST when it has that many. */
export const FULL: { readonly error: string } = {
  error: `Maximum number of terminal sessions (${MAX_SESSIONS}) reached`,
}

// The two senders of 429 (PROTOCOL 2.3).
const REFUSALS: Record<'full' | 'rate-limit', Refusal> = {
  full: { refuse: 429, body: JSON.stringify(FULL), headers: { 'content-type': 'application/json' } },
  'rate-limit': {
    refuse: 429,
    body: '<html><head><title>429 Too Many Requests</title></head><body><h1>429 Too Many Requests</h1></body></html>',
    headers: { 'content-type': 'text/html' },
  },
}

// prettier-ignore
const OPERATIONS = [
  'create', 'list', 'get', 'delete', 'attach', 'output', 'type',
  'execute', 'commands', 'status', 'input', 'kill', 'upload', 'remove',
] as const

/**
 * An operation of an upstream that can have faults:
 * - of sessions: `create` (POST), `list` and `get` (GET), `delete`, `attach` (a WebSocket), `output` (GET of
 *   `user/output`), and `type` (POST of `user/input`);
 * - of commands: `execute` (POST), `commands` and `status` (GET), `input` (POST), and `kill` (DELETE);
 * - of files: `upload` (POST) and `remove` (DELETE).
 */
export type TestOperation = (typeof OPERATIONS)[number]

/**
 * The faults of each operation. A single fault applies to every request. In a list, the first fault applies to the
 * first request for the operation, the second to the second, and so on; `undefined` stands for a request without a
 * fault, and requests after the end of the list have none. The upstream looks the faults up at each request, so a test
 * can change them at any time.
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

/** A fault as the server applies it. */
export type AppliedFault = Exclude<TestFault, 'full' | 'rate-limit'>

/** The answer to a request that is refused. */
export type Refusal = Extract<TestFault, { readonly refuse: number }>

/** Returns a function that counts a request for an operation, and returns the fault of that request. */
export function createFaults(faults: TestFaults): (operation: TestOperation) => AppliedFault | undefined {
  const known = new Set<string>(OPERATIONS)
  const unknown = Object.keys(faults).find((operation) => !known.has(operation))
  // A misspelt fault would let a test pass that should fail.
  if (unknown !== undefined) throw wrongValue('faults', `must not have \`${unknown}\`: only ${OPERATIONS.join(', ')}`)
  const counts = new Map<TestOperation, number>()
  return (operation) => {
    const count = counts.get(operation) ?? 0
    counts.set(operation, count + 1)
    const fault = faults[operation]
    const next = isList(fault) ? fault[count] : fault
    return next === 'full' || next === 'rate-limit' ? REFUSALS[next] : next
  }
}

// Array.isArray does not know readonly arrays.
function isList<T>(value: T | readonly T[]): value is readonly T[] {
  return Array.isArray(value)
}

/** Waits for `ms`, or until the server closes. */
export async function wait(ms: number, closing: AbortSignal): Promise<void> {
  // `ref: false` lets a process that waits here end.
  await sleep(ms, undefined, { signal: closing, ref: false }).catch(() => {})
}

/** Resets a connection if the server has forgotten it. Returns whether it has. */
export function resetForgotten(forgotten: WeakSet<Socket>, socket: Socket): boolean {
  if (!forgotten.has(socket)) return false
  socket.resetAndDestroy()
  return true
}

/** Applies the part of a fault that comes before the answer. Resolves with whether the server still answers. */
export async function applyFault(
  fault: AppliedFault | undefined,
  socket: Socket,
  closing: AbortSignal,
): Promise<boolean> {
  if (fault === 'stall') return false
  if (fault === 'reset') {
    socket.resetAndDestroy()
    return false
  }
  if (typeof fault === 'object' && 'delay' in fault) await wait(fault.delay, closing)
  return !closing.aborted
}
