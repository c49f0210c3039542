import type { ServerResponse } from 'node:http'
import type { ClientSession, ProxyEnd } from '../client/client.ts'
import { CLOSE_TRY_AGAIN } from '../upstream/close-codes.ts'

const TRY_AGAIN: ProxyEnd = { endedBy: 'proxy', code: CLOSE_TRY_AGAIN, reason: 'Too many clients are waiting' }

/**
 * The WebSockets and requests that `authorize` has not let in, or not yet. A WebSocket counts until it is let in or its
 * connection has ended, however long that takes; a request, until it is let in or its answer has left.
 */
export class Strangers {
  readonly #most: number
  readonly #requests = new Set<ServerResponse>()
  // The WebSockets, and whether `authorize` is at work for them.
  readonly #clients = new Map<ClientSession, boolean>()

  constructor(most: number) {
    this.#most = most
  }

  /**
   * Returns whether one more may come. At the limit, ends a WebSocket that `authorize` is not at work for, because it has
   * not said who it is, or has been refused. Which one is left to chance, so that those who open many end their own.
   *
   * Nobody's word ends it but a documented limit, `unauthenticated`; a stranger has no session.
   */
  makeRoom(): boolean {
    if (this.#requests.size + this.#clients.size < this.#most) return true
    const idle = [...this.#clients].flatMap(([client, isAsking]) => (isAsking ? [] : [client]))
    const client = idle[Math.floor(Math.random() * idle.length)]
    if (!client) return false
    this.#clients.delete(client)
    client.finish(TRY_AGAIN)
    client.leg.hurry()
    return true
  }

  /** Counts a WebSocket. */
  add(client: ClientSession): void {
    this.#clients.set(client, false)
  }

  /** `authorize` has begun its work for a WebSocket, or has ended it. */
  setAsking(client: ClientSession, isAsking: boolean): void {
    if (this.#clients.has(client)) this.#clients.set(client, isAsking)
  }

  /** A WebSocket has been let in, or its connection has ended. */
  delete(client: ClientSession): void {
    this.#clients.delete(client)
  }

  /** Counts a request, until the function that is returned is called or its answer has left. */
  enter(response: ServerResponse): () => void {
    const leave = (): void => void this.#requests.delete(response)
    this.#requests.add(response)
    response.once('close', leave)
    return leave
  }
}
