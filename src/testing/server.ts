import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { assertKnown, assertWhole, wrongValue } from '../lib/arguments.ts'
import { LONGEST_TIMER_MS } from '../lib/deadline.ts'
import { startCommand, type CommandRequest, type ServerCommand } from './commands.ts'
import { createFaults, type TestFaults } from './faults.ts'
import { containerOf, startReaper } from './reaper.ts'
import { behaviourOf, type Behaviour, type TestInner, type TestRelease } from './releases.ts'
import { recordOf, type RequestRecord, type TestRequest } from './requests.ts'
import { findRoute, type Route } from './routes.ts'
import { startSession, type ServerSession, type TestOwner } from './session.ts'
import { echo, sh, type TestShell } from './shells.ts'

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
   * whether it accepts input of any length whole, whether the end of the shell closes the orchestrator's connection to
   * the session, and how commands run.
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
  /** Every session and command so far. Closing the upstream ends them, even if requests cannot find them. */
  readonly started: Array<ServerSession | ServerCommand> = []
  readonly commands: ServerCommand[] = []
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
  // For each container, whether the input of a command holds it up (PROTOCOL 9.11).
  readonly #heldUp: Map<string, Promise<void>> = new Map()

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

  /** Runs a command. Rejects if the system does not start it. */
  async run(owner: TestOwner, request: CommandRequest): Promise<ServerCommand> {
    const command = await startCommand(this.behaviour, owner, request)
    this.started.push(command)
    this.commands.push(command)
    // The upstream has closed meanwhile.
    if (this.closing.aborted) command.kill()
    return command
  }

  /** Returns the commands that the requester can see, oldest first. */
  commandsOf(requester: TestOwner): ServerCommand[] {
    return this.#withinContainer(requester, this.commands).filter(
      (command) => !command.deleted && this.allows(requester, command),
    )
  }

  /** Returns the commands that run in the requester's container. */
  runningOf(requester: TestOwner): ServerCommand[] {
    return this.#withinContainer(requester, this.commands).filter(({ ended }) => !ended.aborted)
  }

  /** Lets no request to the requester's container be answered until the input has room: never, if it gets none. */
  holdUp(requester: TestOwner, room: Promise<boolean>): void {
    const free = room.then((hasRoom) => (hasRoom ? undefined : new Promise<undefined>(() => {})))
    this.#heldUp.set(this.#containerOf(requester), free)
  }

  /** Resolves when no input holds up the requests to the requester's container, or to the only server. */
  untilFree(requester?: TestOwner): Promise<void> | undefined {
    return this.#heldUp.get(this.#containerOf(requester))
  }

  /** Adds a request to the records, and finds its route. */
  record(kind: TestRequest['kind'], request: IncomingMessage): { record: RequestRecord; route: Route | undefined } {
    const record = recordOf(kind, request)
    this.requests.push(record)
    return { record, route: findRoute(this.behaviour, record.path) }
  }

  /** Returns the sessions in the requester's container. Without an orchestrator, that is every session. */
  visibleTo(requester: TestOwner): ServerSession[] {
    return this.#withinContainer(requester, this.sessions).filter(({ deleted }) => !deleted)
  }

  /** Returns whether the server lets the requester use a session or a command. Only strict servers check that. */
  allows(requester: TestOwner, owner: TestOwner): boolean {
    const isOwn = owner.userId === requester.userId && owner.chatId === requester.chatId
    return isOwn || !this.behaviour.strictSessions
  }

  #withinContainer<Owned extends TestOwner>(requester: TestOwner, all: Iterable<Owned>): Owned[] {
    const container = this.#containerOf(requester)
    return [...all].filter((each) => this.#containerOf(each) === container)
  }

  #containerOf(owner: TestOwner | undefined): string {
    return owner && this.behaviour.orchestrator ? containerOf(owner) : ''
  }
}

/** Forgets the sessions whose shell has ended, and returns the others. A server notices at a request, not earlier. */
export function prune(sessions: readonly ServerSession[]): ServerSession[] {
  for (const session of sessions) if (!session.alive) session.kill()
  return sessions.filter(({ alive }) => alive)
}
