import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { assertKnown, assertWhole } from '../lib/arguments.ts'
import { LONGEST_TIMER_MS } from '../lib/deadline.ts'
import { Deferred } from '../lib/deferred.ts'
import { WebSocketServer } from '../lib/ws.ts'
import { LARGEST_MESSAGE_BYTES } from '../upstream/protocol.ts'
import { Client } from '../client/client.ts'
import type { ClientSocket } from '../client/socket.ts'
import { BUSY, CLOSING, FORBIDDEN_ORIGIN, NOT_FOUND, refuse, refuseHandshake, respondOn } from './answers.ts'
import { Authorizer, Strangers } from './authorization.ts'
import { RESTART } from './ends.ts'
import { Description, type GatewaySession } from './gateway-session.ts'
import { joinSession } from './join.ts'
import { readGatewayOptions, type GatewaySettings, type TerminalGatewayOptions } from './options.ts'
import { Keyring } from './owner.ts'
import { answerRequest } from './requests.ts'
import { findForbiddenOrigin, findRoute, type Route } from './route.ts'
import { Sessions, type GatewayState } from './sessions.ts'
import { Warnings } from './warnings.ts'

/** Serves terminals to pages and to Open WebUI, in front of an upstream. */
export interface TerminalGateway extends AsyncDisposable {
  /**
   * Answers a request, if its path is one of the gateway's. Otherwise calls `next` and returns `false`. Needs no
   * `this`, so it can be passed to a framework.
   */
  readonly handleRequest: (request: IncomingMessage, response: ServerResponse, next?: () => void) => boolean
  /** Answers an `upgrade` event of the server, if its path is one of the gateway's. Otherwise returns `false`. */
  readonly handleUpgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => boolean
  /** The sessions that are open. */
  readonly sessions: readonly GatewaySession[]
  /**
   * Opens no more sessions: a POST gets 503. All that are open are served as before, with clients that leave and come
   * back. Resolves when none is left, and when `close` has ended them. Each call returns the same promise.
   *
   * Use it for a deploy that costs no shell: start the new process, drain the old one, and then close it. `name` tells
   * whatever stands in front which sessions are whose.
   *
   * @example
   * ```ts
   * import type { TerminalGateway } from 'terminal-upstream/gateway'
   *
   * declare const gateway: TerminalGateway
   * process.once('SIGTERM', async () => {
   *   await gateway.drain()
   *   await gateway.close()
   *   process.exit()
   * })
   * ```
   */
  drain(): Promise<void>
  /**
   * Closes the gateway: answers new clients with 503, waits until what clients have typed has arrived, closes them with
   * 1012, and deletes all sessions. Resolves when nothing is left.
   *
   * `timeout` is how long it waits, in ms. Another call with a shorter time ends the wait earlier. A client that does
   * not answer the close frame takes 5 s more.
   *
   * @defaultValue a `timeout` of 5 000 ms
   *
   * @throws {RangeError} ERR_OUT_OF_RANGE when `timeout` is no whole number from 0 to 2147483647.
   * @throws {TypeError} ERR_INVALID_ARG_VALUE when there is an option of another name.
   */
  close(options?: { timeout?: number | undefined }): Promise<void>
}

/**
 * Creates a gateway: the REST requests and the WebSockets of an Open Terminal, for the sessions of many users, with the
 * credentials of the upstream kept on your server. A page reaches it with `connectTerminal`, and Open WebUI as a
 * terminal server.
 *
 * Use it when pages need terminals. It finds a session only for its owner, whatever the upstream allows. A shell goes
 * on when its client leaves, so that the user can come back after a reload, a sleep or a change of network; if nobody
 * does, it ends after `keepFor` ms. With `proxyTerminal` alone, all that is up to you.
 *
 * @example
 * ```ts
 * import { createServer } from 'node:http'
 * import { createTerminalGateway } from 'terminal-upstream/gateway'
 *
 * const gateway = createTerminalGateway({
 *   authorize: ({ token }) => ({ base: 'http://127.0.0.1:8000', key: 'sk-1', userId: userOf(token) }),
 * })
 * const server = createServer((request, response) => {
 *   gateway.handleRequest(request, response, () => response.writeHead(404).end())
 * })
 * server.on('upgrade', (request, socket, head) => {
 *   if (!gateway.handleUpgrade(request, socket, head)) socket.destroy()
 * })
 * server.listen(8080)
 * declare function userOf(token: string): string
 * ```
 *
 * @throws {TypeError} ERR_INVALID_ARG_TYPE or ERR_INVALID_ARG_VALUE when an option is wrong.
 * @throws {RangeError} ERR_OUT_OF_RANGE when a number is out of its range.
 * @see https://github.com/open-webui/open-terminal/blob/v0.14.5/open_terminal/main.py `ws_terminal`
 */
export function createTerminalGateway(options: TerminalGatewayOptions): TerminalGateway {
  return new Gateway(readGatewayOptions(options))
}

const CLOSE_TIMEOUT_MS = 5_000

class Gateway implements TerminalGateway {
  readonly #state: GatewayState
  readonly #wss = new WebSocketServer({ noServer: true, clientTracking: false, maxPayload: LARGEST_MESSAGE_BYTES })
  // All clients whose connections are open.
  readonly #clients = new Set<Client>()
  // Resolved when `close` waits no longer.
  readonly #drained = new Deferred()
  // Absent until `close` is called.
  #closed: Promise<void> | undefined

  constructor(settings: GatewaySettings) {
    const warnings = new Warnings()
    const keyring = new Keyring()
    this.#state = {
      settings,
      authorizer: new Authorizer(settings, warnings, keyring),
      sessions: new Sessions(settings, warnings, keyring),
      strangers: new Strangers(settings.maxUnauthenticated),
      warnings,
    }
  }

  get sessions(): GatewaySession[] {
    return [...this.#state.sessions].filter(({ isOpen }) => isOpen).map((session) => new Description(session))
  }

  // A property, so that it can be passed to a framework.
  readonly handleRequest = (request: IncomingMessage, response: ServerResponse, next?: () => void): boolean => {
    const route = this.#routeOf(request)
    if (!route) {
      next?.()
      return false
    }
    if (this.#closed) refuse(response, CLOSING)
    else answerRequest(request, response, route, this.#state)
    return true
  }

  readonly handleUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): boolean => {
    const route = this.#routeOf(request)
    if (!route) return false
    // A client may offer another protocol with any request, as Java's does with `h2c`. A server may ignore that.
    const { upgrade = 'websocket' } = request.headers
    if (upgrade.toLowerCase() !== 'websocket') return this.handleRequest(request, respondOn(socket, request))
    const compared = findForbiddenOrigin(request, this.#state.settings.origins)
    if (compared) refuseHandshake(socket, FORBIDDEN_ORIGIN, compared)
    else if (route.sessionId === undefined) refuseHandshake(socket, NOT_FOUND)
    else if (this.#closed) refuseHandshake(socket, CLOSING)
    else if (!this.#state.strangers.makeRoom()) refuseHandshake(socket, BUSY)
    else this.#wss.handleUpgrade(request, socket, head, (client) => this.#accept(client, request, route))
    return true
  }

  drain(): Promise<void> {
    return this.#state.sessions.drain()
  }

  async close(options: { timeout?: number | undefined } = {}): Promise<void> {
    assertKnown('close', options, ['timeout'])
    const { timeout = CLOSE_TIMEOUT_MS } = options
    assertWhole('timeout', timeout, 0, LONGEST_TIMER_MS)
    const timer = setTimeout(this.#drained.resolve, timeout)
    this.#closed ??= this.#closeAll()
    await this.#closed
    clearTimeout(timer)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #routeOf(request: IncomingMessage): Route | undefined {
    // Express cuts the path under which it has mounted a handler off `url`.
    const { url = '', originalUrl = url }: IncomingMessage & { originalUrl?: string } = request
    return findRoute(originalUrl, this.#state.settings.path)
  }

  #accept(socket: ClientSocket, request: IncomingMessage, route: Route): void {
    this.#track(new Client(socket, (client, signal) => joinSession(client, signal, request, route, this.#state)))
  }

  // A method of its own, so that its function does not keep the handshake in memory.
  #track(client: Client): void {
    this.#clients.add(client)
    void client.summary.promise.then(() => {
      this.#clients.delete(client)
      this.#state.strangers.delete(client)
    })
  }

  async #closeAll(): Promise<void> {
    const clients = [...this.#clients]
    for (const client of clients) client.drain(RESTART)
    const allServed = Promise.all(clients.map((client) => client.summary.promise))
    await Promise.race([this.#drained.promise, allServed])
    for (const client of clients) client.finish(RESTART)
    await this.#state.sessions.endAll(RESTART.code, RESTART.reason)
    await allServed
  }
}
