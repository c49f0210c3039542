import { RUNTIME_CAUSES } from '#advice'
import type { TerminalErrorCode } from '../lib/errors.ts'
import { CLOSE_DROPPED, CLOSE_NORMAL, CLOSE_NOT_FOUND } from './close-codes.ts'

/** What is known of a failure. What is absent is not known. */
export interface Evidence {
  /** The code of the error that the caller gets. */
  readonly code?: TerminalErrorCode | undefined
  /** What failed, and where: the beginning of the message. */
  readonly action?: string | undefined
  /** The method of a request; `handshake` from the handshake to the first output. */
  readonly step?: 'GET' | 'POST' | 'DELETE' | 'handshake' | undefined
  /** The HTTP status. */
  readonly status?: number | undefined
  readonly closeCode?: number | undefined
  /** The code and the message of the runtime's error. */
  readonly failure?: string | undefined
  /**
   * The reason that the server gave in JSON or in a close frame, or the reason phrase of a 401 or 403 to a handshake;
   * for patterns and never shown: it may have secrets, and without them it would be other words if a secret is one of
   * them. A proxy on the way gives none, but for such a phrase.
   */
  readonly says?: string | undefined
  /** The headers `Content-Type`, `WWW-Authenticate`, `Content-Length` and `Retry-After`. */
  readonly type?: string | undefined
  readonly challenge?: string | undefined
  readonly length?: string | undefined
  readonly retryAfter?: string | undefined
  readonly hasKey?: boolean | undefined
  readonly keyInUrl?: boolean | undefined
  readonly contextId?: string | undefined
  readonly chatId?: string | undefined
  /** Whether the session was created a moment ago. So requests work. */
  readonly isNew?: boolean | undefined
  /** Whether a request has just found the session. */
  readonly isThere?: boolean | undefined
  /** Whether another server behind the same URL may have the session. */
  readonly isElsewhere?: boolean | undefined
  /** Whether the WebSocket can send headers. */
  readonly sendsHeaders?: boolean | undefined
}

/** The facts that a cause is known by, and what to do about it. A pattern is for the text of a fact. */
export type Cause = readonly [when: { readonly [fact in keyof Evidence]: Evidence[fact] | RegExp }, advice: string]

/** Returns the facts that are in the headers of an answer. */
export function evidenceOf(header: (name: string) => string | undefined): Evidence {
  return {
    type: header('content-type'),
    challenge: header('www-authenticate'),
    length: header('content-length') ?? 'none',
    retryAfter: header('retry-after'),
  }
}

// The causes that a page can see, too. The first that fits counts. A reason counts only in the words of the server that
// is known to give it.
const CAUSES: readonly Cause[] = [
  // PROTOCOL 8.9
  [
    { says: /^Origin not allowed/ },
    'Let the proxy pass `Host` on unchanged (nginx: $http_host; Vite: no changeOrigin), or name the page in `origins` of the gateway.',
  ],
  // PROTOCOL 8.8
  [{ says: /^Not accepted by the terminal server/ }, 'Ask the operator of the gateway: its log says why.'],
  // A browser hides why a WebSocket does not open, and adds no `Origin` to a GET: a gateway may have refused the page.
  [
    { step: 'handshake', closeCode: CLOSE_DROPPED, isThere: true },
    'Let the proxy in between pass WebSockets on, with `Host` unchanged: requests arrive, and they do not.',
  ],
  [
    { isElsewhere: true },
    'The session was just created. Perhaps several servers answer at `base`: lead all requests of a user to the same one.',
  ],
  // PROTOCOL 2.19
  [{ says: /saved chat/ }, 'Give the `chatId` of a chat that is saved.'],
  // PROTOCOL 2.4
  [{ says: /^Terminal server / }, 'Check the last part of the URL: Open WebUI has no terminal server with that id.'],
  // PROTOCOL 2.3
  [
    { status: 429, code: 'ERR_TERMINAL_UNAVAILABLE' },
    'A proxy limits the rate of requests: raise its limit, or wait. Retry-After is heeded.',
  ],
  [
    { status: /^(?:0|3..)$/ },
    'Use that address, or get past its login page with `headers`. Redirects are not followed: the other server would get the key.',
  ],
  [
    { status: /^[24]/, type: /^text\/html/i },
    'Give the address of the terminal server itself (Open WebUI: …/api/v1/terminals/SERVER_ID): a web site or a login page answers at this one.',
  ],
  [{ status: 404, action: /(?:\/api\/terminals){2}/ }, 'Leave /api/terminals out of `base`: it is added.'],
  // PROTOCOL 2.21
  [
    { status: 404, step: /GET|POST|DELETE/, says: /^(?!Session)/ },
    'Check the path of the URL, and OPEN_TERMINAL_ENABLE_TERMINAL on the server: there is no /api/terminals.',
  ],
  // PROTOCOL 3.4
  [{ code: 'ERR_TERMINAL_UNAUTHORIZED', hasKey: false }, 'No key was sent: check `key` and `authType`.'],
  // PROTOCOL 3.11
  [
    { step: 'handshake', closeCode: CLOSE_NORMAL, chatId: /./, isNew: true },
    'Put a gateway of this package before Terminals: up to 0.2.2, it loses the chat of a WebSocket.',
  ],
  // PROTOCOL 3.11 and 3.12
  [
    { step: 'handshake', closeCode: CLOSE_NORMAL },
    'Behind an orchestrator, another client has the session, or it has a `chatId`: leave `sessionId` out.',
  ],
  // PROTOCOL 3.2
  [
    { closeCode: CLOSE_NOT_FOUND, sendsHeaders: false },
    'Open Terminal from 0.12.4 on wants X-User-Id, which cannot be sent by this WebSocket: connect from a server.',
  ],
]

/** Returns what to do about a failure; `undefined` if nothing is known but its code. */
export function adviceOn(evidence: Evidence, ofRuntime: readonly Cause[] = RUNTIME_CAUSES): string | undefined {
  return [...ofRuntime, ...CAUSES].find(([when]) => fits(when, evidence))?.[1]
}

function fits(when: Cause[0], evidence: Evidence): boolean {
  const facts: { readonly [fact: string]: string | number | boolean | undefined } = { ...evidence }
  return Object.entries(when).every(([name, wanted]) => {
    const fact = facts[name]
    return wanted instanceof RegExp ? wanted.test(String(fact ?? '')) : wanted === fact
  })
}
