import { ServerResponse, STATUS_CODES, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { hasCode, TerminalError, type TerminalErrorCode } from '../lib/errors.ts'
import { NOT_ACCEPTED } from '../upstream/failures.ts'
import { publish, type RefusedEvent, type RefusedReason } from './events.ts'

/** An answer that refuses a request, and what the operator is told. */
export interface Refusal {
  readonly status: number
  readonly body: object
  readonly reason: RefusedReason
}

export const NOT_FOUND: Refusal = { status: 404, body: { error: 'Session not found' }, reason: 'not-found' }
/** The user has gone on with another client (PROTOCOL 8.6). */
export const TAKEN_OVER: Refusal = { status: 409, body: { error: 'Taken over' }, reason: 'forbidden' }
/** At the limit `maxUnauthenticated`. */
export const BUSY: Refusal = { status: 503, body: { error: 'Too many clients are waiting' }, reason: 'busy' }
export const CLOSING: Refusal = { status: 503, body: { error: 'Service restart' }, reason: 'closing' }

/** What a page is told that may not use the gateway (PROTOCOL 8.9). */
const ORIGIN_NOT_ALLOWED = 'Origin not allowed'
export const FORBIDDEN_ORIGIN: Refusal = { status: 403, body: { detail: ORIGIN_NOT_ALLOWED }, reason: 'origin' }

// As the servers put it (PROTOCOL 2.3 and 2.4).
const UNAUTHORIZED: Refusal = { status: 401, body: { detail: 'Invalid API key' }, reason: 'unauthorized' }
const FORBIDDEN: Refusal = { status: 403, body: { detail: 'Access denied' }, reason: 'forbidden' }
const UNREACHABLE: Refusal = { status: 502, body: { error: 'Terminal instance not reachable' }, reason: 'upstream' }
/** Something went wrong that is no business of the client. */
export const FAILED: Refusal = { status: 500, body: { error: 'Internal server error' }, reason: 'bad-request' }

/** Only the operator can mend it, so no client tries again (PROTOCOL 8.8). */
const FOR_OPERATOR: Refusal = { status: 500, body: { error: NOT_ACCEPTED }, reason: 'unauthorized' }

/** `authorize` has not answered. The client comes again: that a database is busy says nothing about its user. */
const NOT_NOW: Refusal = { status: 503, body: { error: 'Not authorized, try again later' }, reason: 'unauthorized' }

// The refusals. No other error of `authorize` is its word.
const OF_AUTHORIZE: Partial<Record<TerminalErrorCode, Refusal>> = {
  ERR_TERMINAL_UNAUTHORIZED: UNAUTHORIZED,
  ERR_TERMINAL_FORBIDDEN: FORBIDDEN,
  ERR_TERMINAL_NOT_FOUND: NOT_FOUND,
  ERR_TERMINAL_MISSING_USER: { status: 422, body: { detail: 'Missing user_id' }, reason: 'bad-request' },
  ERR_TERMINAL_LIMIT: { status: 429, body: { error: 'Too many requests' }, reason: 'limit' },
}

/** The upstream does not accept the user's own token. */
const OF_USER: Refusal = { ...UNAUTHORIZED, reason: 'upstream' }

/** The upstream has said that it has no place for another session. */
const FULL: Refusal = { status: 429, body: { error: 'Maximum number of terminal sessions reached' }, reason: 'full' }

/** The user has named a chat that is somebody else's, and learns nothing of that. */
export const CHAT_TAKEN = "the chat is the id of another user's session"

/** The upstream does not accept what the gateway sends. */
export const REFUSED: Refusal = { ...FOR_OPERATOR, reason: 'upstream' }

const OF_UPSTREAM: Partial<Record<TerminalErrorCode, Refusal>> = {
  // A proxy on the way limits the rate of requests: that passes.
  ERR_TERMINAL_LIMIT: { ...UNREACHABLE, status: 503 },
  // A path or a policy that is not there (PROTOCOL 2.11 and 2.21), or a proxy that loses the user (PROTOCOL 3.8). The
  // session that the client wants is not there yet.
  ERR_TERMINAL_NOT_FOUND: REFUSED,
  ERR_TERMINAL_TIMEOUT: { ...UNREACHABLE, status: 504 },
  ERR_TERMINAL_UNAVAILABLE: { ...UNREACHABLE, status: 503 },
  // The key is the gateway's, and no fault of the client.
  ERR_TERMINAL_UNAUTHORIZED: REFUSED,
  // What it sends, and where to, is the gateway's, too.
  ERR_TERMINAL_FORBIDDEN: REFUSED,
  ERR_TERMINAL_MISSING_USER: REFUSED,
  ERR_TERMINAL_PROTOCOL: REFUSED,
  ERR_TERMINAL_IN_USE: UNREACHABLE,
}

/** What `authorize` has returned allows nobody anything: only the operator can mend that, and no other try helps. */
export class WrongReturn extends TypeError {
  readonly #isWrong = true

  // Unlike `instanceof`, this asks nothing of a hostile value, which throws when it is asked.
  static is(thrown: unknown): thrown is WrongReturn {
    return typeof thrown === 'object' && thrown !== null && #isWrong in thrown && thrown.#isWrong
  }

  constructor(why: string, cause: unknown) {
    const advice = 'Return the options of an upstream, or throw a TerminalError to refuse a client.'
    super(`\`authorize\` of a terminal gateway has returned what cannot be used: ${why}. ${advice}`, { cause })
  }
}

/**
 * Whether an upstream has no place for another session: only its own words count (PROTOCOL 2.3). Any proxy on the way
 * may answer 429, too, because of the rate of the requests.
 */
export function isFull(error: unknown): boolean {
  return (
    hasCode(error, 'ERR_TERMINAL_LIMIT') &&
    error.status === 429 &&
    /maximum number of terminal sessions/i.test(error.why)
  )
}

/** Returns the answer to a client for anything that the asking of `authorize` has thrown. It never quotes it. */
export function answerForAuthorize(thrown: unknown): Refusal {
  return WrongReturn.is(thrown) ? FOR_OPERATOR : answerFrom((error) => find(OF_AUTHORIZE, error), thrown, NOT_NOW)
}

/** Whether the client is refused by what the asking of `authorize` has thrown. Otherwise it comes again. */
export function isRefused(thrown: unknown): boolean {
  return answerForAuthorize(thrown) !== NOT_NOW
}

/**
 * Returns the answer to a client for an error of its upstream. It never quotes the message, which names the upstream.
 * `areUsers` says that the credentials for the upstream are the user's own, who can renew them.
 */
export function answerForUpstream(thrown: unknown, areUsers: boolean): Refusal {
  const answerTo = (error: TerminalError): Refusal | undefined => {
    if (isFull(error)) return FULL
    if (error.why === CHAT_TAKEN) return NOT_FOUND
    return areUsers && hasCode(error, 'ERR_TERMINAL_UNAUTHORIZED') ? OF_USER : find(OF_UPSTREAM, error)
  }
  return answerFrom(answerTo, thrown, FOR_OPERATOR)
}

function answerFrom(
  answerTo: (error: TerminalError) => Refusal | undefined,
  thrown: unknown,
  otherwise: Refusal,
): Refusal {
  try {
    return (thrown instanceof TerminalError && answerTo(thrown)) || otherwise
  } catch {
    // A hostile value throws when its properties are read.
    return otherwise
  }
}

/** Returns the answer to the code of an error, which may be the name of a property of every object. */
function find(answers: Partial<Record<TerminalErrorCode, Refusal>>, { code }: TerminalError): Refusal | undefined {
  return Object.hasOwn(answers, code) ? answers[code] : undefined
}

/** Whether nobody waits for an answer: a framework has answered, or the client has left. */
export function isAnswered(response: ServerResponse): boolean {
  return response.headersSent || response.destroyed
}

/** Sends an answer of JSON, unless nobody waits for one. Returns whether it is on its way. */
export function sendAnswer(response: ServerResponse, body: object, status = 200): boolean {
  if (isAnswered(response)) return false
  const { socket } = response
  response.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' })
  response.end(JSON.stringify(body))
  // Node does not report this: the answer counts as finished.
  return !socket?.destroyed
}

/** What the operator is told of a refusal, beside its reason and status. */
type RefusalDetails = Omit<RefusedEvent, 'reason' | 'status' | 'closeCode'>

/** Refuses a request, and tells the operator. */
export function refuse(
  response: ServerResponse,
  { reason, status, body }: Refusal,
  details: RefusalDetails = {},
): void {
  publish('refused', { ...details, reason, status })
  sendAnswer(response, body, status)
}

/** Refuses a handshake, and ends the connection. Says to a page in the reason phrase why it may not. */
export function refuseHandshake(socket: Duplex, { reason, status }: Refusal, details: RefusalDetails = {}): void {
  const phrase = reason === 'origin' ? ORIGIN_NOT_ALLOWED : STATUS_CODES[status]
  publish('refused', { ...details, reason, status })
  socket.on('error', () => {})
  socket.once('finish', () => socket.destroy())
  socket.end(`HTTP/1.1 ${status} ${phrase}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}

/** Returns a response to a request that Node has taken for a handshake. The connection ends after it. */
export function respondOn(socket: Duplex, request: IncomingMessage): ServerResponse {
  const response = new ServerResponse(request)
  response.shouldKeepAlive = false
  socket.on('error', () => {})
  // Its body is not parsed. Only what is typed into a shell has one, and no client sends that in this way.
  socket.resume()
  response.assignSocket(request.socket)
  response.once('finish', () => {
    response.detachSocket(request.socket)
    socket.end(() => socket.destroy())
  })
  return response
}
