import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { unescape } from 'node:querystring'
import { assertKnown, assertWhole, wrongValue } from '../lib/arguments.ts'
import { LONGEST_TIMER_MS } from '../lib/deadline.ts'
import { createFaults, type TestFaults } from './faults.ts'
import { startReaper } from './reaper.ts'
import { behaviourOf, type Behaviour, type TestInner, type TestRelease } from './releases.ts'
import { startSession, type ServerSession, type TestOwner } from './session.ts'
import { echo, sh, type TestShell } from './shells.ts'

/** A WebSocket message: text as a string, binary as bytes. */
export type Frame = string | Uint8Array

/** A request or WebSocket handshake that a test upstream received, and its answer. */
export interface TestRequest {
  /** `websocket` for a handshake. */
  readonly kind: 'http' | 'websocket'
  /** `GET` for a handshake. */
  readonly method: string
  /** The path without the query, as the client sent it. */
  readonly path: string
  /** The decoded parameters of the query. Of several with the same name, the last one. */
  readonly query: Readonly<Record<string, string>>
  /** The headers, with their names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** The HTTP status of the answer: 101 for a successful handshake, `undefined` before the answer. */
  readonly status: number | undefined
  /** The messages that arrived on the socket: text as a string, binary as bytes. */
  readonly frames: ReadonlyArray<string | Uint8Array>
  /** The code that the upstream closed the socket with: 1006 if it dropped the connection, otherwise `undefined`. */
  readonly closeCode: number | undefined
}

/** The record of a request while the server answers it. */
export type RequestRecord = { -readonly [field in keyof TestRequest]: TestRequest[field] } & {
  frames: Frame[]
}

/** The options of {@link startTestUpstream}. */
export interface TestUpstreamOptions {
  /**
   * The release to behave like.
   * @defaultValue `'terminals@0.2.2'`
   */
  release?: TestRelease | undefined
  /**
   * The Open Terminal that runs in the containers of an orchestrator, the inner server. It decides whether the chat is
   * the id of a session, whether a session is found only with its chat, whether a session accepts one client at a time,
   * whether it accepts input of any length whole, and whether the end of the shell closes the orchestrator's connection
   * to the session.
   *
   * An orchestrator never names a chat when it attaches, and keeps its connection when its client leaves. So a strict
   * inner server (from 0.14 on) refuses the client of a session with a chat, and each client after the first. The
   * client is then attached to nothing: the socket is silent, and closes with 1000 at the next message.
   *
   * An error with an `open-terminal@…` release.
   * @defaultValue `'open-terminal@0.14.5'` for `terminals@0.2.2`, `'open-terminal@0.11'` for older Terminals
   */
  inner?: TestInner | undefined
  /**
   * Whether the upstream is in multi-user mode: a POST without `X-User-Id` is answered with 400, and the sessions of
   * each user are for that user alone, as they are without it. An error with any release but `open-terminal@0.14.5`.
   * @defaultValue `false`
   */
  multiUser?: boolean | undefined
  /**
   * The key that the upstream requires. Without one, it accepts every request.
   * @defaultValue none
   */
  key?: string | undefined
  /**
   * The shell of each session. `'echo'` prints the prompt `$ `, and then its input. `'sh'` is a real `sh` on pipes: it
   * prompts and handles Ctrl-D, but does not echo, does not know its size and does not handle Ctrl-C. A function starts
   * your own shell; if it prints nothing at first, each attach takes the client's `settle`.
   * @defaultValue `'echo'`
   */
  shell?: 'echo' | 'sh' | TestShell | undefined
  /**
   * The faults of each operation.
   * @defaultValue none
   */
  faults?: TestFaults | undefined
  /**
   * The policies that an orchestrator knows. Without a list it knows every policy, as an orchestrator without a
   * database.
   * @defaultValue every policy
   */
  policies?: readonly string[] | undefined
  /**
   * ms that the upstream waits for the auth frame. The real servers wait as long as the default.
   * @defaultValue 10 000 ms
   */
  authTimeout?: number | undefined
  /**
   * ms between the five attempts of Terminals 0.2.2 to reach an unknown session. The default is that of the real
   * server.
   * @defaultValue 1 000 ms
   */
  redialDelay?: number | undefined
  /**
   * ms without a REST request or an attach after which an orchestrator tears down a container (one per user, policy and
   * context). Messages on a socket do not count. The sessions of the container are then gone. Their clients get no
   * notice; a client's socket closes with 1000 at its next message. The orchestrator checks four times in this period,
   * so a container can live a quarter longer. Without it, containers are never torn down. An error with an
   * `open-terminal@…` release.
   * @defaultValue none
   */
  idleTimeout?: number | undefined
}

const shells = new Map([
  ['echo', echo],
  ['sh', sh],
])

/** What all parts of a test upstream share. */
export class ServerState {
  readonly behaviour: Behaviour
  readonly key: string
  readonly multiUser: boolean
  readonly authTimeout: number
  readonly redialDelay: number
  /** The sessions that requests can find. */
  readonly sessions: Set<ServerSession> = new Set()
  /** Every session that was created. Closing the upstream ends their shells, even if requests cannot find them. */
  readonly started: ServerSession[] = []
  readonly requests: RequestRecord[] = []
  /** The connections that the server has forgotten because of the fault `'expire'`. */
  readonly forgotten: WeakSet<Socket> = new WeakSet()
  /** Aborts when the server closes. */
  readonly closing: AbortSignal
  readonly nextFault: ReturnType<typeof createFaults>
  /** Notes that a container is in use. */
  readonly touch: (owner: TestOwner) => void
  readonly #policies: readonly string[] | undefined
  readonly #shell: TestShell

  constructor(options: TestUpstreamOptions, closing: AbortSignal) {
    const { release = 'terminals@0.2.2', inner, shell = 'echo', multiUser = false, key = '', ...rest } = options
    const { faults = {}, policies, authTimeout = 10_000, redialDelay = 1_000, idleTimeout, ...unknown } = rest
    const known = { release, inner, shell, multiUser, key, faults, policies, authTimeout, redialDelay, idleTimeout }
    assertKnown('startTestUpstream', unknown, Object.keys(known))
    this.behaviour = behaviourOf(release, inner)
    const start = typeof shell === 'function' ? shell : shells.get(shell)
    if (!start) throw wrongValue('shell', "must be 'echo', 'sh' or a function")
    if (multiUser && release !== 'open-terminal@0.14.5') {
      throw wrongValue('multiUser', `must be left out: only open-terminal@0.14.5 has it, not ${release}`)
    }
    if (idleTimeout !== undefined) {
      if (!this.behaviour.orchestrator)
        throw wrongValue('idleTimeout', `must be left out: ${release} has no containers`)
      assertWhole('idleTimeout', idleTimeout, 1, LONGEST_TIMER_MS)
    }
    this.nextFault = createFaults(faults)
    this.key = key
    this.multiUser = multiUser
    this.authTimeout = authTimeout
    this.redialDelay = redialDelay
    this.closing = closing
    this.touch = idleTimeout === undefined ? () => {} : startReaper(idleTimeout, this.started, closing)
    this.#policies = policies
    this.#shell = start
  }

  create(owner: TestOwner): ServerSession {
    const session = startSession(this.#shell, this.behaviour, owner)
    this.sessions.add(session)
    this.started.push(session)
    return session
  }

  /** Returns whether an orchestrator knows the policy of a route. A route without a policy is always known. */
  knowsPolicy(policyId: string | undefined): boolean {
    return policyId === undefined || (this.#policies?.includes(policyId) ?? true)
  }

  /** Adds a request to the records, and finds its route. */
  record(kind: TestRequest['kind'], request: IncomingMessage): { record: RequestRecord; route: Route | undefined } {
    const { method = '', url = '' } = request
    const [path = '', query = ''] = url.split(/\?(.*)/s)
    const record: RequestRecord = {
      kind,
      method,
      path,
      query: Object.fromEntries(new URLSearchParams(query)),
      headers: Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)])),
      status: undefined,
      frames: [],
      closeCode: undefined,
    }
    this.requests.push(record)
    return { record, route: findRoute(this.behaviour, path) }
  }

  /** Returns the sessions in the requester's container. Without an orchestrator, that is every session. */
  visibleTo(requester: TestOwner): ServerSession[] {
    const isVisible = ({ userId, policyId, contextId }: TestOwner): boolean =>
      !this.behaviour.orchestrator ||
      (userId === requester.userId && policyId === requester.policyId && contextId === requester.contextId)
    return [...this.sessions].filter((session) => !session.deleted && isVisible(session))
  }

  /** Returns whether the server lets the requester use the session. Only strict servers check that. */
  allows(requester: TestOwner, session: TestOwner): boolean {
    const isOwn = session.userId === requester.userId && session.chatId === requester.chatId
    return isOwn || !this.behaviour.strictSessions
  }
}

/** The resource that a path names. */
export interface Route {
  /** `undefined` without `/p/{policyId}`. */
  readonly policyId: string | undefined
  /** `undefined` for the list of sessions, and for the output of the user's shell. */
  readonly sessionId: string | undefined
  /** Whether it is the output of the user's shell. */
  readonly isOutput: boolean
}

/** Returns the route of a path, or `undefined` for an unknown path. */
export function findRoute({ orchestrator, strictSessions }: Behaviour, path: string): Route | undefined {
  // Python's servers decode the path first: an encoded slash starts another segment, and no escape is too malformed to
  // decode.
  const match = /^(?:\/p\/([^/]+))?\/api\/terminals(?:\/(user\/output|[^/]+))?$/.exec(unescape(path))
  if (!match || (match[1] !== undefined && !orchestrator)) return undefined
  const [, policyId, rest] = match
  if (rest !== 'user/output') return { policyId, sessionId: rest, isOutput: false }
  // An orchestrator passes every path on, and checks the credentials before that.
  return strictSessions || orchestrator ? { policyId, sessionId: undefined, isOutput: true } : undefined
}

/** Forgets the sessions whose shell has ended, and returns the others. A server notices at a request, not earlier. */
export function prune(sessions: readonly ServerSession[]): ServerSession[] {
  for (const session of sessions) if (!session.alive) session.kill()
  return sessions.filter(({ alive }) => alive)
}

/** Returns the server's error message for a context id, or `undefined` if the id is valid. */
export function contextProblem(contextId: string): string | undefined {
  if (contextId.length > 256) return 'context_id is too long'
  if (/[^ -\uffff]/.test(contextId)) return 'context_id contains control characters'
  return /^(?:default$|chat:|automation:)/.test(contextId)
    ? undefined
    : 'only chat and automation contexts are supported'
}
