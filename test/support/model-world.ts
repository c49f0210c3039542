import type { Server, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { createTerminalGateway, type TerminalClient, type TerminalGateway } from '../../src/gateway.ts'
import { TerminalError } from '../../src/index.ts'
import {
  startTestUpstream,
  type TestFaults,
  type TestOperation,
  type TestRelease,
  type TestRequest,
  type TestUpstream,
} from '../../src/testing.ts'
import { eventually, type LibraryClient, type ModelClient, type PlainClient } from './model-clients.ts'
import {
  AUTH_TIMEOUT_MS,
  AUTHORIZE_FAULTS,
  takeTrouble,
  UPSTREAM_FAULTS,
  WRONG_KEY,
  type AuthorizeFault,
  type Trouble,
  type UpstreamFault,
} from './model-faults.ts'
import {
  LIMIT,
  ORCHESTRATED_PLACES,
  PLACES,
  resumable,
  witnessedBy,
  type ModelShell,
  type Place,
  type Witness,
} from './model-shells.ts'
import { serverOf } from './terminal-gateway.ts'
import { listen } from './upstream.ts'

export const USERS = [0, 1, 2] as const
const FILLER = 'Bearer filler'
/** How many sessions an upstream takes. */
const MOST_SESSIONS = 16

/** A user of the gateway. */
export class User {
  readonly index: number
  plain: PlainClient | undefined
  library: LibraryClient | undefined
  /** How often the tokens were renewed: the one for the gateway, and the one for the upstream. */
  token = 0
  key = 0
  /** The newest key that `authorize` has returned. */
  knownKey = 0
  /** Whether the upstream has refused this key once. Then the keys before it may be tried. */
  wasRefused = false
  /** The requests that have come with an older key. One of each may have been under way when the newest was told. */
  readonly underWay = new Set<string>()

  constructor(index: number) {
    this.index = index
  }

  get name(): string {
    return `user${this.index}`
  }

  tokenOf(isStale = false): string {
    return `${this.name}-token-${this.token - Number(isStale)}`
  }
}

/** A gateway with its users in front of an upstream, and what the model knows of them. */
export class World {
  readonly users = USERS.map((index) => new User(index))
  readonly shells: ModelShell[] = []
  readonly witnesses: Witness[] = []
  readonly fillers = new Set<Witness>()
  readonly release: TestRelease
  /** Whether a POST gets a session that its user has left. */
  readonly resumes: boolean
  readonly places: readonly Place[]
  upstreamTrouble: Trouble<UpstreamFault> | undefined
  authorizeTrouble: Trouble<AuthorizeFault> | undefined
  /** A client that leaves in the middle of its request: what the gateway is waiting for then, until it has noticed. */
  abandon: { readonly during: 'authorize' | 'create'; readonly leave: () => Promise<unknown> } | undefined
  /** The answer to the last request of a client. */
  lastResponse: ServerResponse | undefined
  /** How many sessions the gateway has told its clients of. */
  created = 0
  upstream!: TestUpstream
  gateway!: TerminalGateway
  base!: string
  #server!: Server
  readonly #sockets = new Set<Duplex>()
  #clock = 0
  // How many ms `performance.now()` is late.
  #skipped = 0
  // How often a proxy has answered a POST with 429.
  #rateLimits = 0
  // The paths of the sessions whose DELETE was answered with 401.
  readonly #refusedDeletes = new Set<string>()
  // The numbers of the shells whose POST was cut. If the list of the sessions is, too, nobody can ever know of them.
  readonly #lost = new Set<number>()
  // What no invariant can look for afterwards.
  readonly #broken: string[] = []

  private constructor(release: TestRelease, resumes: boolean) {
    this.release = release
    this.resumes = resumes
    this.places = this.isOrchestrated ? ORCHESTRATED_PLACES : PLACES
  }

  static async start(release: TestRelease, resumes: boolean): Promise<World> {
    const world = new World(release, resumes)
    const now = performance.now.bind(performance)
    performance.now = () => now() + world.#skipped
    const faults: TestFaults = {}
    for (const operation of ['create', 'list', 'get', 'delete', 'attach'] as const)
      Object.defineProperty(faults, operation, { get: () => world.#faultOf(operation), enumerable: true })
    world.upstream = await startTestUpstream({ release, faults, shell: witnessedBy(world.witnesses) })
    world.gateway = createTerminalGateway({
      resumeOnCreate: resumes,
      authorize: (client) => world.#authorize(client),
      maxSessionsPerUser: LIMIT,
      authTimeout: AUTH_TIMEOUT_MS,
      settle: 5,
      retry: { attempts: 2, delay: 1 },
    })
    world.#server = serverOf(world.gateway)
    world.#server.prependListener('request', ({ method }, response) => {
      world.lastResponse = response
      response.once('finish', () => {
        if (method === 'POST' && response.statusCode === 200) world.created += 1
      })
    })
    world.#server.prependListener('upgrade', (_request, socket) => {
      world.#sockets.add(socket)
      socket.once('close', () => world.#sockets.delete(socket))
    })
    world.base = await listen(world.#server)
    return world
  }

  get isOrchestrated(): boolean {
    return this.release.startsWith('terminals')
  }

  get isInTrouble(): boolean {
    return Number(this.upstreamTrouble?.count) > 0 || Number(this.authorizeTrouble?.count) > 0
  }

  /** What goes wrong at the next call of `authorize`. */
  nextAuthorize(): AuthorizeFault | undefined {
    const { kind, skip, count } = this.authorizeTrouble ?? {}
    return skip === 0 && count !== 0 ? kind : undefined
  }

  tick(): number {
    return (this.#clock += 1)
  }

  user(index: number): User {
    const user = this.users[index]
    if (!user) throw new Error(`There is no user ${index}`)
    return user
  }

  /** How many sessions each user has whose shell lives, as the gateway sees it. */
  livingCounts(): number[] {
    return this.users.map(({ name }) => this.gateway.sessions.filter(({ userId }) => userId === name).length)
  }

  /** How many sessions a user has, with those whose shell has ended unseen: these twice until they are `noticed`. */
  countOf({ index }: User): number {
    const unseen = this.shells.filter(({ user, state }) => user === index && state === 'unseen')
    return Number(this.livingCounts()[index]) + unseen.length
  }

  /** How often the upstream itself has said that it is full. */
  get fullAnswers(): number {
    return (
      this.upstream.requests.filter(({ method, status }) => method === 'POST' && status === 429).length -
      this.#rateLimits
    )
  }

  /** Whether the upstream has no room for a session of the user. */
  isFull({ name }: User, { policyId = 'default', contextId = 'default' }: Place): boolean {
    const { sessions } = this.upstream
    const there = sessions.filter(
      (each) => each.userId === name && each.policyId === policyId && each.contextId === contextId,
    )
    return (this.isOrchestrated ? there : sessions).length >= MOST_SESSIONS
  }

  /** The session that a POST of a user gets instead of a new one, unless it asks for that. */
  nextResumed({ index }: User, place: Place): ModelShell | undefined {
    return this.resumes ? resumable(this.shells, index, place) : undefined
  }

  /**
   * Takes all room of the upstream, for a user without a policy and a context if each has its own. Nobody at the
   * gateway owns these shells.
   */
  async fill({ name }: User): Promise<void> {
    const before = this.witnesses.length
    let status = 200
    while (status === 200) {
      status = (await this.#askUpstream('POST', '', name)).status
    }
    for (const witness of this.witnesses.slice(before)) this.fillers.add(witness)
  }

  async empty(): Promise<void> {
    const ids = this.upstream.sessions.filter((_, index) => this.fillers.has(this.#running[index] as Witness))
    for (const { id, userId } of ids) await this.#askUpstream('DELETE', `/${id}`, userId)
  }

  /** Sends a request to the gateway, also about one session, and returns the status and the body. */
  async ask(
    user: User,
    method: string,
    { id, place = {}, signal }: { id?: string; place?: Place; signal?: AbortSignal } = {},
  ): Promise<{ status: number; body: unknown }> {
    const { chatId, policyId, contextId } = place
    const prefix = policyId === undefined ? '' : `/p/${policyId}`
    const answer = await fetch(`${this.base}${prefix}/api/terminals${id === undefined ? '' : `/${id}`}`, {
      method,
      headers: {
        Authorization: `Bearer ${user.tokenOf()}`,
        Connection: 'close',
        ...(chatId !== undefined && { 'X-Session-Id': chatId }),
        ...(contextId !== undefined && { 'X-Terminal-Context-Id': contextId }),
      },
      ...(signal && { signal }),
    })
    return { status: answer.status, body: await answer.json() }
  }

  /** A client is joined to a shell, and the one before it is not any more. */
  join(client: ModelClient, isResumed = false): void {
    const { shell } = client
    if (!isResumed) shell.generation += 1
    if (client.kind === 'library') this.library(client).generation = shell.generation
    shell.holder = client
    shell.reservedUntil = 0
    shell.leftAt = this.tick()
  }

  library(client: ModelClient): LibraryClient {
    const { library } = this.user(client.shell.user)
    if (library !== client) throw new Error('The client is none of its user')
    return library
  }

  /** A client is not joined to its shell any more. */
  part(client: ModelClient): void {
    if (client.shell.holder !== client) return
    client.shell.holder = undefined
    client.shell.leftAt = this.tick()
  }

  /** Resolves when the gateway has noticed that a client has left. */
  async parked({ id }: ModelShell): Promise<void> {
    await eventually(
      () => !this.gateway.sessions.some((session) => session.id === id && session.attachedSince !== undefined),
      () => `session ${id} is parked`,
    )
  }

  /** Returns the path of a shell's session at the upstream. */
  pathOf({ witness }: ModelShell): string {
    return `/api/terminals/${this.upstream.sessions[this.#running.indexOf(witness)]?.id}`
  }

  /** The shell that the gateway has attached to last. Not always the newest: one whose POST was cut may be found. */
  get lastAttached(): Witness | undefined {
    const { path } = this.upstream.requests.filter(({ kind }) => kind === 'websocket').at(-1) ?? {}
    return this.#running[this.upstream.sessions.findIndex(({ id }) => path?.endsWith(`/${id}`))]
  }

  /**
   * Resolves when the gateway has noticed which shells have ended by themselves. Until it has asked the upstream, and
   * the session is deleted there, it counts them among those that live.
   */
  async noticed(): Promise<void> {
    const unseen = new Set(this.shells.filter(({ state }) => state === 'unseen').map(({ id }) => id))
    await eventually(
      () => !this.gateway.sessions.some(({ id }) => unseen.has(id)),
      () => 'the gateway notices that a shell has ended',
    )
  }

  report(problem: string): void {
    this.#broken.push(problem)
  }

  takeBroken(): string[] {
    return this.#broken.splice(0)
  }

  /** The shells that the upstream has not ended, oldest first. */
  get #running(): Witness[] {
    return this.witnesses.filter(({ hasEnded }) => !hasEnded)
  }

  /** The shells that are running, of which somebody could know, and neither a session of the model nor a filler. */
  get orphans(): Witness[] {
    const known = new Set([...this.shells.map(({ witness }) => witness), ...this.fillers])
    const lost = new Set(this.witnesses.filter((_, index) => this.#lost.has(index)))
    return this.#running.filter((witness) => !known.has(witness) && !lost.has(witness))
  }

  get openSockets(): number {
    return this.#sockets.size
  }

  /** Time has passed that nobody has to wait for. */
  skip(ms: number): void {
    this.#skipped += ms
  }

  async stop(): Promise<void> {
    // The method of its class is there again.
    Reflect.deleteProperty(performance, 'now')
    for (const user of this.users) {
      user.library?.wake()
      user.plain?.cut('close')
      // Its own promise waits for answers that will not come.
      void user.library?.terminal.close()
    }
    await this.gateway.close({ timeout: 0 })
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
    await this.upstream.close()
  }

  async #askUpstream(method: string, path: string, userId: string): Promise<Response> {
    const headers = { Authorization: FILLER, 'X-User-Id': userId, Connection: 'close' }
    const answer = await fetch(`${this.upstream.url}/api/terminals${path}`, { method, headers })
    await answer.text()
    return answer
  }

  #faultOf(operation: TestOperation) {
    const { path, headers } = this.upstream.requests.at(-1) as TestRequest
    const { authorization } = headers
    if (authorization === FILLER) return undefined
    if (operation !== 'attach') {
      const [, index, key] = /^Bearer user(\d)-key-(\d+)$/.exec(String(authorization)) ?? []
      const user = this.user(Number(index))
      if (Number(key) < user.key) {
        if (Number(key) < user.knownKey && !user.wasRefused) {
          const request = `${operation} ${path}`
          if (user.underWay.has(request)) this.report(`${operation} with a key that ${user.name} has renewed`)
          user.underWay.add(request)
        }
        return WRONG_KEY
      }
    }
    if (operation === 'create' && this.abandon?.during === 'create') {
      void this.abandon.leave()
      return UPSTREAM_FAULTS.slow
    }
    // A DELETE is tried again after one 401. A key that is refused twice deletes nothing, and no gateway can help that.
    if (operation === 'delete' && this.#refusedDeletes.has(path) && this.upstreamTrouble?.kind === '401')
      return undefined
    const kind = takeTrouble(this.upstreamTrouble, operation)
    if (kind === '429 of a proxy' && operation === 'create') this.#rateLimits += 1
    if (kind === 'drop' && operation === 'create') this.#lost.add(this.witnesses.length)
    if (kind === '401') {
      for (const user of this.users) user.wasRefused = true
      if (operation === 'delete') this.#refusedDeletes.add(path)
    }
    return kind && UPSTREAM_FAULTS[kind]
  }

  async #authorize({ token, chatId, policyId, contextId }: TerminalClient) {
    if (this.abandon?.during === 'authorize') await this.abandon.leave()
    const kind = takeTrouble(this.authorizeTrouble, 'any')
    if (kind) await AUTHORIZE_FAULTS[kind]()
    const user = this.users.find((each) => each.tokenOf() === token)
    if (!user) throw new TerminalError('ERR_TERMINAL_UNAUTHORIZED', 'Not a token of anybody')
    user.knownKey = user.key
    const place = { chatId, policyId, contextId }
    return { base: this.upstream.url, key: `${user.name}-key-${user.key}`, userId: user.name, ...place }
  }
}
