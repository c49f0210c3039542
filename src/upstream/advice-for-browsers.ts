import type { Cause } from './advice.ts'

/** The causes that look different in a page. */
export const RUNTIME_CAUSES: readonly Cause[] = [
  // The browser asks the user for a password, and the request waits for that.
  [
    { code: 'ERR_TERMINAL_TIMEOUT', step: 'POST' },
    'Try again later. If the browser asks for a password, take HTTP basic auth off this path.',
  ],
  // PROTOCOL 2.3: the servers answer with JSON.
  [
    { step: /GET|POST|DELETE/, status: /^40[13]$/, type: /^text\/html/i },
    'Sign in again, or let the proxy in front pass this path on: it answers with a web page of its own.',
  ],
]
