import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { unescape } from 'node:querystring'
import { assertWhole, wrongValue } from '../lib/arguments.ts'
import { LONGEST_TIMER } from '../lib/deadline.ts'
import { createFaults, type TestFaults } from './faults.ts'
import { startReaper } from './reaper.ts'
import { behaviourOf, type Behaviour, type TestInner, type TestRelease } from './releases.ts'
import { createSession, type ServerSession, type TestOwner } from './session.ts'
import { echo, sh, type TestShell } from './shells.ts'

/** Something that a test upstream was asked, and what it answered. */
export interface TestRequest {
  /** Whether it was a WebSocket handshake. */
  readonly kind: 'http' | 'websocket'
  /** `GET` for a handshake. */
  readonly method: string
  /** Without the query. */
  readonly path: string
  /** Its parameters, decoded; the last of those with the same name. */
  readonly query: Readonly<Record<string, string>>
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** The HTTP status of the answer, 101 for a handshake that succeeded; `undefined` until there is one. */
  readonly status: number | undefined
  /** The messages that came on the socket: text as a string, binary as bytes. */
  readonly frames: ReadonlyArray<string | Uint8Array>
  /** The code that the server closed the socket with; `undefined` as long as it has not, 1006 if it just dropped it. */
  readonly closeCode: number | undefined
}

/** A request as the server notes it down. */
export type RequestRecord = { -readonly [field in keyof TestRequest]: TestRequest[field] } & {
  frames: Array<string | Uint8Array>
}

/** What {@link startTestUpstream} is given. */
export interface TestUpstreamOptions {
  /** Which release to be. Default: `'terminals@0.2.2'`. */
  release?: TestRelease | undefined
  /**
   * Which Open Terminal runs in the containers of an orchestrator. The inner server decides whether the chat is the id of
   * a session, whether a session is found only with its chat, whether a session takes one client at a time, whether
   * input is taken whole, and whether the end of the shell closes the orchestrator's connection to it.
   *
   * An orchestrator never names a chat when it attaches, and keeps its connection when its client leaves. So a strict
   * inner server (from 0.14 on) refuses the client of a session with a chat, and each client after the first. Such a
   * client is attached to nothing: the socket is silent, and closes with 1000 at the next message.
   *
   * Default: `'open-terminal@0.14.5'` for `terminals@0.2.2`, `'open-terminal@0.11'` for the ones before. An error with an
   * `open-terminal@…` release.
   */
  inner?: TestInner | undefined
  /** The key that it wants. Default: none, and then it lets everybody in. */
  key?: string | undefined
  /**
   * What runs in a session: `'echo'` prints what is typed, `'sh'` is a real `sh` on pipes (it prompts and takes
   * Ctrl-D, but does not echo, know its size or take Ctrl-C), a function is a shell of your own. Default: `'echo'`.
   */
  shell?: 'echo' | 'sh' | TestShell | undefined
  /** What goes wrong. Default: nothing. */
  faults?: TestFaults | undefined
  /** The policies that an orchestrator knows. Default: every one, as without a database. */
  policies?: readonly string[] | undefined
  /** ms that it waits for the auth frame. Default: 10 000, as the real ones. */
  authTimeout?: number | undefined
  /** ms between the five tries of Terminals 0.2.2 to reach a session that is not there. Default: 1 000, as the real one. */
  redialDelay?: number | undefined
  /**
   * ms after which an orchestrator tears down a container (one per user, policy and context) that has had no REST request
   * and no attach. Messages on a socket do not count. The sessions of the container are gone then; a client of one is not
   * told, and closes with 1000 at its next message. An orchestrator looks four times in that time, so a container can
   * live a quarter longer.
   *
   * Default: none, and nothing is torn down. An error with an `open-terminal@…` release.
   */
  idleTimeout?: number | undefined
}

/** What every part of a test upstream works on. */
export interface ServerState {
  readonly behaviour: Behaviour
  readonly key: string
  readonly authTimeout: number
  readonly redialDelay: number
  /** Those that can be found. */
  readonly sessions: Set<ServerSession>
  /** Every shell that was started. */
  readonly started: ServerSession[]
  readonly requests: RequestRecord[]
  /** The connections that the fault `'expire'` has met. */
  readonly forgotten: WeakSet<Socket>
  /** Aborts when the server closes. */
  readonly closing: AbortSignal
  readonly nextFault: ReturnType<typeof createFaults>
  knowsPolicy(policyId: string): boolean
  create(owner: TestOwner): ServerSession
  /** Notes that a container is in use. */
  touch(owner: TestOwner): void
}

const shells = new Map([
  ['echo', echo],
  ['sh', sh],
])

/** Makes a server's state out of its options. */
export function createState(options: TestUpstreamOptions, closing: AbortSignal): ServerState {
  const { release = 'terminals@0.2.2', key = '', shell = 'echo', faults = {}, policies } = options
  const behaviour = behaviourOf(release, options.inner)
  const start = typeof shell === 'function' ? shell : shells.get(shell)
  if (!start) throw wrongValue('shell', "must be 'echo', 'sh' or a function")
  const { idleTimeout } = options
  if (idleTimeout !== undefined) {
    if (!behaviour.orchestrator) throw wrongValue('idleTimeout', `must be left out: ${release} has no containers`)
    assertWhole('idleTimeout', idleTimeout, 1, LONGEST_TIMER)
  }
  const nextFault = createFaults(faults)
  const sessions = new Set<ServerSession>()
  const started: ServerSession[] = []
  return {
    behaviour,
    key,
    authTimeout: options.authTimeout ?? 10_000,
    redialDelay: options.redialDelay ?? 1_000,
    sessions,
    started,
    requests: [],
    forgotten: new WeakSet(),
    closing,
    nextFault,
    knowsPolicy: (policyId) => policies === undefined || policies.includes(policyId),
    create(owner) {
      const session = createSession(start, behaviour, owner)
      sessions.add(session)
      started.push(session)
      return session
    },
    touch: idleTimeout === undefined ? () => {} : startReaper(idleTimeout, started, closing),
  }
}

/** Where a request leads. */
export interface Route {
  /** `undefined` without `/p/{policyId}`. */
  readonly policyId: string | undefined
  /** `undefined` for all sessions. */
  readonly sessionId: string | undefined
}

/** Notes a request down and finds out where it leads. */
export function openRecord(
  { behaviour, requests }: ServerState,
  kind: TestRequest['kind'],
  request: IncomingMessage,
): { record: RequestRecord; route: Route | undefined } {
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
  requests.push(record)
  return { record, route: findRoute(behaviour, path) }
}

/** Finds out where a path leads: `undefined` if nowhere. */
export function findRoute({ orchestrator }: Behaviour, path: string): Route | undefined {
  // Decoded first, as Python's servers do: an encoded slash is one more segment, and nothing is too broken to decode.
  const found = /^(?:\/p\/([^/]+))?\/api\/terminals(?:\/([^/]+))?$/.exec(unescape(path))
  if (!found || (found[1] !== undefined && !orchestrator)) return undefined
  return { policyId: found[1], sessionId: found[2] }
}

/** The sessions that the asking user shares a container with: on a server of one's own, all. */
export function visibleSessions({ behaviour, sessions }: ServerState, asking: TestOwner): ServerSession[] {
  const isVisible = ({ userId, policyId, contextId }: TestOwner): boolean =>
    !behaviour.orchestrator ||
    (userId === asking.userId && policyId === asking.policyId && contextId === asking.contextId)
  return [...sessions].filter((session) => !session.deleted && isVisible(session))
}

/** Forgets those whose shell has ended, because this is when a server finds out; returns the others. */
export function prune(sessions: readonly ServerSession[]): ServerSession[] {
  for (const session of sessions) if (!session.alive) session.kill()
  return sessions.filter(({ alive }) => alive)
}

/** Whether a server that checks lets the asking user have the session. */
export function mayUse(
  { behaviour }: ServerState,
  session: TestOwner,
  asking: Pick<TestOwner, 'userId' | 'chatId'>,
): boolean {
  return !behaviour.strictSessions || (session.userId === asking.userId && session.chatId === asking.chatId)
}

/** What is wrong with a context id, if anything; the same check for REST and WebSocket. */
export function contextProblem(contextId: string): string | undefined {
  if (contextId.length > 256) return 'context_id is too long'
  if (/[^ -\uffff]/.test(contextId)) return 'context_id contains control characters'
  return /^(?:default$|chat:|automation:)/.test(contextId)
    ? undefined
    : 'only chat and automation contexts are supported'
}
