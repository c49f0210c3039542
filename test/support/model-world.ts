import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { createTerminalGateway, type TerminalGateway } from '../../src/gateway.ts'
import { TerminalError } from '../../src/index.ts'
import {
  startTestUpstream,
  type TestFaults,
  type TestOperation,
  type TestRelease,
  type TestUpstream,
} from '../../src/testing.ts'
import { eventually, type LibraryClient, type ModelClient, type PlainClient } from './model-clients.ts'
import {
  AUTH_TIMEOUT,
  AUTHORIZE_FAULTS,
  takeTrouble,
  UPSTREAM_FAULTS,
  WRONG_KEY,
  type AuthorizeFault,
  type Trouble,
  type UpstreamFault,
} from './model-faults.ts'
import { LIMIT, witnessedBy, type ModelShell, type Witness } from './model-shells.ts'

export const USERS = [0, 1, 2] as const
const FILLER = 'Bearer filler'
/** How many sessions an upstream takes. */
const PLACES = 16

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
  /** The rows whose steps are left out. */
  readonly red: ReadonlySet<string>
  upstreamTrouble: Trouble<UpstreamFault> | undefined
  authorizeTrouble: Trouble<AuthorizeFault> | undefined
  /** A client that leaves in the middle of its request, and what the gateway is waiting for then. */
  abandon: { readonly during: 'authorize' | 'create'; readonly leave: () => void } | undefined
  upstream!: TestUpstream
  gateway!: TerminalGateway
  base!: string
  #server!: Server
  readonly #sockets = new Set<Duplex>()
  #clock = 0
  // What no invariant can look for afterwards.
  readonly #broken: string[] = []

  private constructor(release: TestRelease, red: ReadonlySet<string>) {
    this.release = release
    this.red = red
  }

  static async start(release: TestRelease, red: ReadonlySet<string>): Promise<World> {
    const world = new World(release, red)
    const fault = (operation: TestOperation) => world.#faultOf(operation)
    const faults: TestFaults = {
      get create() {
        return fault('create')
      },
      get list() {
        return fault('list')
      },
      get get() {
        return fault('get')
      },
      get delete() {
        return fault('delete')
      },
      get attach() {
        return fault('attach')
      },
    }
    world.upstream = await startTestUpstream({ release, faults, shell: witnessedBy(world.witnesses) })
    world.gateway = createTerminalGateway({
      authorize: ({ token }) => world.#authorize(token),
      sessionsPerUser: LIMIT,
      authTimeout: AUTH_TIMEOUT,
      settle: 5,
      retry: { attempts: 2, delay: 1 },
    })
    world.#server = createServer((request, response) => {
      world.gateway.handleRequest(request, response, () => void response.writeHead(404).end())
    })
    world.#server.on('upgrade', (request, socket, head) => {
      world.#sockets.add(socket)
      socket.once('close', () => world.#sockets.delete(socket))
      if (!world.gateway.handleUpgrade(request, socket, head)) socket.destroy()
    })
    await new Promise<void>((resolve) => world.#server.listen(0, '127.0.0.1', resolve))
    world.base = `http://127.0.0.1:${(world.#server.address() as AddressInfo).port}`
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

  /** How many sessions each user has at the gateway, and shells that ended unseen. */
  counts(): number[] {
    return this.users.map(({ name, index }) => {
      const ids = this.gateway.sessions.filter(({ userId }) => userId === name).map(({ id }) => id)
      const unseen = this.shells.filter(({ user, state }) => user === index && state === 'unseen').map(({ id }) => id)
      return new Set([...ids, ...unseen]).size
    })
  }

  /** Whether the upstream has no place for a session of the user. */
  isFull({ name }: User): boolean {
    const { sessions } = this.upstream
    return (this.isOrchestrated ? sessions.filter(({ userId }) => userId === name) : sessions).length >= PLACES
  }

  /** Takes all places of the upstream, for a user if each has its own. Nobody at the gateway owns these shells. */
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

  /** Sends a request to the gateway, and returns the status and the body. */
  async ask(user: User, method: string, path = '', signal?: AbortSignal): Promise<{ status: number; body: unknown }> {
    const answer = await fetch(`${this.base}/api/terminals${path}`, {
      method,
      headers: { Authorization: `Bearer ${user.tokenOf()}`, Connection: 'close' },
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

  /** The shells that are running and neither a session of the model nor a filler. */
  get orphans(): Witness[] {
    const known = new Set(this.shells.map(({ witness }) => witness))
    return this.#running.filter((witness) => !known.has(witness) && !this.fillers.has(witness))
  }

  get openSockets(): number {
    return this.#sockets.size
  }

  async stop(): Promise<void> {
    for (const user of this.users) {
      user.library?.wake()
      user.plain?.cut('close')
      // Its own promise waits for answers that will not come.
      void user.library?.terminal.close()
    }
    await this.gateway.close({ drain: 0 })
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
    const authorization = this.upstream.requests.at(-1)?.headers['authorization']
    if (authorization === FILLER) return undefined
    if (operation !== 'attach') {
      const [, index, key] = /^Bearer user(\d)-key-(\d+)$/.exec(String(authorization)) ?? []
      const user = this.user(Number(index))
      if (Number(key) < user.key) {
        if (Number(key) < user.knownKey && !user.wasRefused)
          this.report(`${operation} with a key that ${user.name} has renewed`)
        return WRONG_KEY
      }
    }
    if (operation === 'create' && this.abandon?.during === 'create') {
      this.abandon.leave()
      return UPSTREAM_FAULTS.slow
    }
    const kind = takeTrouble(this.upstreamTrouble, operation)
    if (kind === '401') for (const user of this.users) user.wasRefused = true
    return kind && UPSTREAM_FAULTS[kind]
  }

  async #authorize(token: string) {
    if (this.abandon?.during === 'authorize') {
      this.abandon.leave()
      await sleep(30)
    }
    const kind = takeTrouble(this.authorizeTrouble, 'any')
    if (kind) await AUTHORIZE_FAULTS[kind]()
    const user = this.users.find((each) => each.tokenOf() === token)
    if (!user) throw new TerminalError('ERR_TERMINAL_UNAUTHORIZED', 'Not a token of anybody')
    user.knownKey = user.key
    return { base: this.upstream.url, key: `${user.name}-key-${user.key}`, userId: user.name }
  }
}
