import { setTimeout as sleep } from 'node:timers/promises'
import { TerminalError } from '../../src/index.ts'
import type { TestFault, TestOperation } from '../../src/testing.ts'

const json = (refuse: number, body: object): TestFault => {
  return { refuse, body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
}
const html = (refuse: number): TestFault => {
  return { refuse, body: '<h1>No</h1>', headers: { 'content-type': 'text/html', server: 'nginx' } }
}

export const WRONG_KEY = json(401, { detail: 'Invalid API key' })

/** What can go wrong with a request at the upstream. */
export const UPSTREAM_FAULTS = {
  '429 of a proxy': html(429),
  '429 of the server': json(429, { error: 'Maximum number of terminal sessions (16) reached' }),
  '401': WRONG_KEY,
  '403': { refuse: 403 },
  '500': { refuse: 500, body: 'Internal Server Error', headers: { 'content-type': 'text/plain' } },
  '502': html(502),
  '503': json(503, { error: 'No PTY' }),
  slow: { delay: 40 },
  drop: 'drop',
  reset: 'reset',
} satisfies Record<string, TestFault>

/** How long the gateway waits for `authorize`: less than the silence after which a client takes itself for attached. */
export const AUTH_TIMEOUT_MS = 500

/** What can go wrong with `authorize`: it refuses, or it fails. */
export const AUTHORIZE_FAULTS = {
  refuses: () => Promise.reject(new TerminalError('ERR_TERMINAL_UNAUTHORIZED', 'The token has expired')),
  forbids: () => Promise.reject(new TerminalError('ERR_TERMINAL_FORBIDDEN', 'Not this user')),
  throws: () => Promise.reject(new Error('The database is restarting')),
  hangs: () => sleep(AUTH_TIMEOUT_MS + 100, undefined, { ref: false }),
}

/** What a client is told when `authorize` has refused or failed: the HTTP status, and the close code. */
export const REFUSALS: Record<AuthorizeFault, readonly [status: number, closeCode: number]> = {
  refuses: [401, 4001],
  forbids: [403, 4003],
  throws: [503, 1013],
  hangs: [503, 1013],
}

export type UpstreamFault = keyof typeof UPSTREAM_FAULTS
export type AuthorizeFault = keyof typeof AUTHORIZE_FAULTS

/** What goes wrong next: the first `skip` requests are served, and then `count` of them have the fault. */
export interface Trouble<Kind> {
  readonly kind: Kind
  readonly operation: TestOperation | 'any'
  skip: number
  count: number
}

/** Returns the fault of a request, and counts it. */
export function takeTrouble<Kind>(
  trouble: Trouble<Kind> | undefined,
  operation: TestOperation | 'any',
): Kind | undefined {
  if (!trouble || (trouble.operation !== 'any' && trouble.operation !== operation)) return undefined
  if (trouble.skip > 0) {
    trouble.skip -= 1
    return undefined
  }
  if (trouble.count === 0) return undefined
  trouble.count -= 1
  return trouble.kind
}
