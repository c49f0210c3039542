import type { ServerResponse } from 'node:http'
import { TerminalError, type TerminalErrorCode } from '../lib/errors.ts'
import { isFull } from './room.ts'

/** An answer to a request: a status and a body of JSON. */
export interface Answer {
  readonly status: number
  readonly body: object
}

export const NOT_FOUND: Answer = { status: 404, body: { error: 'Session not found' } }
/** Another client has taken the terminal over (PROTOCOL 8.6). */
export const TAKEN_OVER: Answer = { status: 409, body: { error: 'Taken over' } }
/** There are too many strangers. */
export const BUSY: Answer = { status: 503, body: { error: 'Too many clients are waiting' } }
export const CLOSING: Answer = { status: 503, body: { error: 'Service restart' } }

// PROTOCOL 2.3 and 2.4
const UNAUTHORIZED: Answer = { status: 401, body: { detail: 'Invalid API key' } }
const FORBIDDEN: Answer = { status: 403, body: { detail: 'Access denied' } }
const UNREACHABLE: Answer = { status: 502, body: { error: 'Terminal instance not reachable' } }
/** Something went wrong that is no business of the client. */
export const FAILED: Answer = { status: 500, body: { error: 'Internal server error' } }

/** `authorize` has not answered. The client comes again: that a database is busy says nothing about its user. */
const NOT_NOW: Answer = { status: 503, body: { error: 'Not authorized, try again later' } }

// The refusals. No other error of `authorize` is its word.
const OF_AUTHORIZE: Partial<Record<TerminalErrorCode, Answer>> = {
  ERR_TERMINAL_UNAUTHORIZED: UNAUTHORIZED,
  ERR_TERMINAL_FORBIDDEN: FORBIDDEN,
  ERR_TERMINAL_NOT_FOUND: NOT_FOUND,
  ERR_TERMINAL_MISSING_USER: { status: 422, body: { detail: 'Missing user_id' } },
  ERR_TERMINAL_LIMIT: { status: 429, body: { error: 'Too many requests' } },
}

/** The upstream has said that it has no place for another session. */
const FULL: Answer = { status: 429, body: { error: 'Maximum number of terminal sessions reached' } }

// An upstream that refuses the key of the gateway is no fault of the client.
const OF_UPSTREAM: Partial<Record<TerminalErrorCode, Answer>> = {
  // A proxy on the way limits the rate of requests: that passes.
  ERR_TERMINAL_LIMIT: { status: 503, body: UNREACHABLE.body },
  ERR_TERMINAL_NOT_FOUND: NOT_FOUND,
  ERR_TERMINAL_TIMEOUT: { status: 504, body: UNREACHABLE.body },
  ERR_TERMINAL_UNAVAILABLE: { status: 503, body: UNREACHABLE.body },
  ERR_TERMINAL_UNAUTHORIZED: UNREACHABLE,
  ERR_TERMINAL_FORBIDDEN: UNREACHABLE,
  ERR_TERMINAL_MISSING_USER: UNREACHABLE,
  ERR_TERMINAL_PROTOCOL: UNREACHABLE,
  ERR_TERMINAL_IN_USE: UNREACHABLE,
}

/** What `authorize` has returned allows nobody anything: only the operator can mend that, and no other try helps. */
export class WrongReturn extends TypeError {
  readonly #isWrong = true

  // Unlike `instanceof`, this asks nothing of a hostile value, which throws when it is asked.
  static is(thrown: unknown): boolean {
    return typeof thrown === 'object' && thrown !== null && #isWrong in thrown && thrown.#isWrong
  }

  constructor(cause: unknown) {
    super('`authorize` of a terminal gateway has returned something else than options of an upstream', { cause })
  }
}

/** Returns the answer to a client for anything that the asking of `authorize` has thrown. It never quotes it. */
export function answerForAuthorize(thrown: unknown): Answer {
  return WrongReturn.is(thrown) ? FAILED : answerFrom((error) => find(OF_AUTHORIZE, error), thrown, NOT_NOW)
}

/** Whether the client is refused by what the asking of `authorize` has thrown. Otherwise it comes again. */
export function isRefused(thrown: unknown): boolean {
  return answerForAuthorize(thrown) !== NOT_NOW
}

/** Returns the answer to a client for an error of its upstream. It never quotes the message, which names the upstream. */
export function answerForUpstream(thrown: unknown): Answer {
  return answerFrom((error) => (isFull(error) ? FULL : find(OF_UPSTREAM, error)), thrown, FAILED)
}

function answerFrom(
  answerTo: (error: TerminalError) => Answer | undefined,
  thrown: unknown,
  otherwise: Answer,
): Answer {
  try {
    return (thrown instanceof TerminalError && answerTo(thrown)) || otherwise
  } catch {
    // A hostile value throws when its properties are read.
    return otherwise
  }
}

/** Returns the answer to the code of an error, which may be anything, such as the name of a property of every object. */
function find(answers: Partial<Record<TerminalErrorCode, Answer>>, { code }: TerminalError): Answer | undefined {
  return Object.hasOwn(answers, code) ? answers[code] : undefined
}

/** Whether nobody waits for an answer: a framework has answered, or the client has left. */
export function isAnswered(response: ServerResponse): boolean {
  return response.headersSent || response.destroyed
}

/** Sends an answer, unless nobody waits for one. Returns whether it is on its way. */
export function sendAnswer(response: ServerResponse, { status, body }: Answer): boolean {
  if (isAnswered(response)) return false
  const { socket } = response
  response.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' })
  response.end(JSON.stringify(body))
  // Node does not report this: the answer counts as finished.
  return !socket?.destroyed
}
