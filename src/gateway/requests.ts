import type { IncomingMessage, ServerResponse } from 'node:http'
import { finished } from 'node:stream'
import { Cancellation } from '../lib/cancellation.ts'
import { CLOSE_GOING_AWAY, CLOSE_NORMAL } from '../upstream/close-codes.ts'
import {
  answerForAuthorize,
  answerForUpstream,
  BUSY,
  CLOSING,
  FAILED,
  FORBIDDEN_ORIGIN,
  isAnswered,
  NOT_FOUND,
  refuse,
  REFUSED,
  sendAnswer,
  TAKEN_OVER,
  WrongReturn,
  type Refusal,
} from './answers.ts'
import type { Authorization } from './authorization.ts'
import { readInput, receiveBody } from './body.ts'
import { areUsers } from './owner.ts'
import { clientOf, findForbiddenOrigin, type Route } from './route.ts'
import type { Session } from './session.ts'
import type { GatewayState } from './sessions.ts'
import { answerInput, answerOutput } from './user-shell.ts'
import { kindOf } from './warnings.ts'

const METHODS = { all: ['GET', 'POST'], one: ['GET', 'DELETE'], output: ['GET'], input: ['POST'] }

/** Answers a request about sessions as Open Terminal does (PROTOCOL 2.1 to 2.6, and 2.17). */
export function answerRequest(
  request: IncomingMessage,
  response: ServerResponse,
  route: Route,
  state: GatewayState,
): void {
  // What is thrown here would end the process.
  new Exchange(request, response, route, state).answer().catch((error: unknown) => refuse(response, FAILED, { error }))
}

/** A request and its response. */
class Exchange {
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #route: Route
  readonly #state: GatewayState
  // Aborts when the client has left, or has been answered with 413: then it needs nothing.
  readonly #leaving = new Cancellation()

  constructor(request: IncomingMessage, response: ServerResponse, route: Route, state: GatewayState) {
    this.#request = request
    this.#response = response
    this.#route = route
    this.#state = state
  }

  async answer(): Promise<void> {
    const response = this.#response
    const { sessions } = this.#state
    const { sessionId, ofShell } = this.#route
    const { method = '' } = this.#request
    if (isAnswered(response) || !this.#admitPage()) return
    const methods = METHODS[ofShell ?? (sessionId === undefined ? 'all' : 'one')]
    if (method === 'OPTIONS') return this.#preflight(methods)
    if (!methods.includes(method)) {
      response.setHeader('Allow', methods.join(', '))
      return refuse(response, { status: 405, body: { detail: 'Method Not Allowed' }, reason: 'bad-request' })
    }
    response.once('close', () => this.#leaving.abort())
    const authorization = await this.#authorize()
    if (!authorization || isAnswered(response)) return
    const { owner } = authorization
    if (ofShell === 'output') return answerOutput(response, sessions.shellOf(authorization), owner.userId)
    if (ofShell === 'input') return this.#type(authorization)
    if (method === 'POST') return this.#create(authorization)
    if (sessionId === undefined) return void sendAnswer(response, sessions.list(owner).map(toJson))
    if (method === 'DELETE') return this.#delete(sessionId, authorization)
    const session = sessions.find(sessionId, owner)
    if (!session?.isOpen) return refuse(response, NOT_FOUND, { userId: owner.userId })
    sendAnswer(response, toJson(session))
  }

  /** Answers a page that may not use the gateway. Sets the headers that allow the others to read the answer. */
  #admitPage(): boolean {
    const response = this.#response
    const { origin } = this.#request.headers
    response.setHeader('Vary', 'Origin')
    const compared = findForbiddenOrigin(this.#request, this.#state.settings.origins)
    if (compared) refuse(response, FORBIDDEN_ORIGIN, compared)
    else if (origin !== undefined) response.setHeader('Access-Control-Allow-Origin', origin)
    return !compared
  }

  /** Answers the question of a browser whether a page of another origin may send a request. */
  #preflight(methods: readonly string[]): void {
    this.#response.writeHead(204, {
      'Access-Control-Allow-Methods': methods.join(', '),
      'Access-Control-Allow-Headers': 'Authorization, Content-Type, X-User-Id, X-Session-Id, X-Terminal-Context-Id',
    })
    this.#response.end()
  }

  /** Resolves with what the client may use, or with `undefined` if it is nothing. Then the client has its answer. */
  async #authorize(): Promise<Authorization | undefined> {
    const [request, response] = [this.#request, this.#response]
    const { authorizer, strangers } = this.#state
    if (!strangers.makeRoom()) {
      refuse(response, BUSY)
      return undefined
    }
    const letIn = strangers.enter(response)
    // Only what is typed has a body. A stranger's stays where it is.
    if (this.#route.ofShell !== 'input') void receiveBody(request, response, false)
    try {
      const authorization = await authorizer.ask(clientOf(request, this.#route), this.#leaving)
      letIn()
      return authorization
    } catch (error) {
      if (isAnswered(response)) return undefined
      // A stranger must not keep the connection with a body that never ends.
      if (!request.complete) response.setHeader('Connection', 'close')
      refuse(response, answerForAuthorize(error), { error })
      return undefined
    }
  }

  async #type(authorization: Authorization): Promise<void> {
    const [request, response] = [this.#request, this.#response]
    const body = await receiveBody(request, response, true)
    if (isAnswered(response)) return
    const input = readInput(request.headers['content-type'], body)
    await answerInput(response, this.#state.sessions.shellOf(authorization), authorization.owner.userId, input)
  }

  async #create(authorization: Authorization): Promise<void> {
    const response = this.#response
    const { settings, sessions } = this.#state
    const { owner } = authorization
    const { userId } = owner
    if (sessions.isDraining) {
      // A balancer of connections sends the next one to another process.
      response.setHeader('Connection', 'close')
      return refuse(response, CLOSING, { userId })
    }
    if (settings.resumeOnCreate && this.#parameter('resume') !== '0') {
      const session = sessions.resume(authorization)
      if (session) return this.#resume(session)
    }
    const error = `Maximum number of terminal sessions (${settings.maxSessionsPerUser}) reached`
    const tooMany: Refusal = { status: 429, body: { error }, reason: 'limit' }
    if (!sessions.mayOpen(owner)) return refuse(response, tooMany, { userId })
    let session: Session
    try {
      session = await sessions.open(authorization, this.#leaving)
    } catch (problem) {
      if (sessions.isClosing) return refuse(response, CLOSING, { userId })
      // The client has left before the upstream was asked.
      if (this.#leaving.aborted && problem === undefined) return
      return this.#refuseForUpstream(problem, authorization)
    }
    if (!sessions.mayStay(session)) {
      // On the word of a limit that is documented: `maxSessionsPerUser`. Nobody knows the session.
      await session.end(CLOSE_GOING_AWAY, error)
      return refuse(response, tooMany, { userId })
    }
    const isSent = sendAnswer(response, toJson(session))
    if (isSent && (await hasLeft(response))) return sessions.makeRoom(owner)
    // On the word of the client, which has left, or of the framework that has answered it: nobody knows the session.
    await session.end(CLOSE_GOING_AWAY, 'Nobody has been told of it')
  }

  /** Gives a session to a client that cannot name it. */
  async #resume(session: Session): Promise<void> {
    const response = this.#response
    const { reservation } = session
    const isSent = sendAnswer(response, { ...toJson(session), resumed: true })
    const isKnown = isSent && (await hasLeft(response))
    // Nobody has been told of it.
    if (!isKnown) reservation?.giveBack()
  }

  /** Refuses a client whose upstream has failed, and warns the operator of what nobody else can mend. */
  #refuseForUpstream(error: unknown, { upstream, owner: { base, userId } }: Authorization): void {
    const { warnings } = this.#state
    const areOwn = areUsers(upstream)
    warnings.onRefusal(base, error, areOwn)
    const refusal = answerForUpstream(error, areOwn)
    if (refusal === REFUSED) warnings.onNotAccepted(base, error)
    if (refusal.reason !== 'unauthorized') return refuse(this.#response, refusal, { userId, error })
    // What is no TerminalError comes from the function that `authorize` has returned as `key`.
    const wrong = new WrongReturn(`\`key\` has failed: ${kindOf(error)}`, error)
    warnings.warn('TERMINAL_GATEWAY_RETURNED', wrong.message, base)
    refuse(this.#response, refusal, { userId, error: wrong })
  }

  async #delete(id: string, { owner }: Authorization): Promise<void> {
    const response = this.#response
    const { sessions, warnings } = this.#state
    const { userId, base } = owner
    const { deletions } = sessions
    const session = sessions.find(id, owner)
    const generation = this.#parameter('generation') || undefined
    const isOld = session?.admission.isOld(generation)
    // The client sleeps and is closed: its user has gone on with another one since.
    if (session?.isOpen && isOld) return refuse(response, TAKEN_OVER, { userId })
    if (session?.reservation) {
      // The client gives up what it got in the answer to its POST. It does not own the shell, which goes on.
      session.reservation.giveBack()
      return void sendAnswer(response, { status: 'deleted' })
    }
    // The same, of a client that another one has come before: what it was told of may have a client by now.
    const isLate = generation === undefined && session?.admission.expectsLateDelete
    if (session?.isOpen && isLate) return refuse(response, TAKEN_OVER, { userId })
    const repeated = deletions.find(id, owner)
    const deletion = session?.isOpen ? deletions.add(id, owner, session.access, session.terminal) : repeated
    // On the word of its owner, also if the shell has ended and only its last output is left.
    if (!isOld) await session?.end(CLOSE_NORMAL, 'Session deleted')
    if (!deletion) return refuse(response, NOT_FOUND, { userId })
    try {
      await deletion.access.assertGone(deletion.sessionId, deletion.chatId, deletion === repeated)
      deletions.delete(id)
    } catch (error) {
      // The lease of the terminal goes on to delete it.
      warnings.onRefusal(base, Object(error).cause, deletion.access.areUsers)
      return refuse(response, answerForUpstream(error, false), { userId, error })
    }
    sendAnswer(response, { status: 'deleted' })
  }

  #parameter(name: string): string | null {
    return new URL(String(this.#request.url), 'http://gateway').searchParams.get(name)
  }
}

/** Resolves with whether an answer has left, or the client before it. */
function hasLeft(response: ServerResponse): Promise<boolean> {
  return new Promise((resolve) => void finished(response, (error) => resolve(!error)))
}

function toJson({ id, since }: Session): object {
  // The process id is the business of the upstream.
  return { id, created_at: new Date(since).toISOString(), pid: 0 }
}
