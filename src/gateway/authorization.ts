import type { ServerResponse } from 'node:http'
import type { AbortSignalLike } from '../lib/cancellation.ts'
import { errorCode } from '../lib/errors.ts'
import { askToAuthorize, readAuthorization, type TerminalClient } from '../client/authorize.ts'
import type { Client } from '../client/client.ts'
import { buildUpstreamAuth } from '../upstream/auth.ts'
import { readUpstream, type UpstreamOptions } from '../upstream/options.ts'
import { buildUpstreamHttpUrl } from '../upstream/url.ts'
import { isRefused, WrongReturn } from './answers.ts'
import { BUSY } from './ends.ts'
import type { GatewaySettings } from './options.ts'
import type { Keyring, Owner } from './owner.ts'
import { kindOf, type Warnings } from './warnings.ts'

/** What `authorize` has allowed a client. */
export interface Authorization {
  readonly upstream: UpstreamOptions
  /** The owner of the sessions that the client may use. */
  readonly owner: Owner
  /** Who looks on, in the words of `authorize`. Absent if it has not said, and for a client that does not watch. */
  readonly watchedBy?: string
}

/** Asks `authorize` who a client is. */
export class Authorizer {
  readonly #settings: GatewaySettings
  readonly #warnings: Warnings
  readonly #keyring: Keyring
  // Whether the operator has been told of a field that has no effect.
  #hasWarned = false

  constructor(settings: GatewaySettings, warnings: Warnings, keyring: Keyring) {
    this.#settings = settings
    this.#warnings = warnings
    this.#keyring = keyring
  }

  /**
   * Resolves with what `authorize` returns, and renews the credentials of the user with it, unless the client is
   * somebody else who looks on. Rejects with what it throws, when it is late, and with a {@link WrongReturn}.
   */
  async ask(client: TerminalClient, signal: AbortSignalLike): Promise<Authorization> {
    const { authorize, authTimeout } = this.#settings
    let hasAnswered = false
    try {
      const authorization = await askToAuthorize(authTimeout, signal, async () => {
        try {
          return this.#read(await authorize(client), client.watch)
        } finally {
          hasAnswered = true
        }
      })
      if (!client.watch) this.#keyring.renew(authorization.owner, authorization.upstream)
      return authorization
    } catch (error) {
      // A client that leaves stops the asking, and is no failure.
      if (!signal.aborted) this.#warnOf(error, hasAnswered ? kindOf(error) : `no answer within ${authTimeout} ms`)
      throw error
    }
  }

  /** Warns of an error of `authorize` that is no refusal. */
  #warnOf(error: unknown, why: string): void {
    if (WrongReturn.is(error)) return this.#warnings.warn('TERMINAL_GATEWAY_RETURNED', error.message)
    if (isRefused(error)) return
    const advice =
      'Clients that come are told to come again; the channel terminal-upstream:refused has the error. ' +
      'Those that are connected stay. ' +
      'To refuse a client, throw a TerminalError, such as ERR_TERMINAL_UNAUTHORIZED.'
    this.#warnings.warn('TERMINAL_GATEWAY_FAILED', `\`authorize\` of a terminal gateway has failed: ${why}. ${advice}`)
  }

  #read(returned: UpstreamOptions, isWatching: boolean | undefined): Authorization {
    let read: ReturnType<typeof readAuthorization>
    try {
      read = readAuthorization(returned, isWatching)
    } catch (error) {
      throw new WrongReturn(kindOf(error), error)
    }
    const { upstream, watchedBy, ignored } = read
    if (ignored !== undefined && !this.#hasWarned) {
      this.#hasWarned = true
      this.#warnings.warn('TERMINAL_GATEWAY_AUTHORIZE', `\`authorize\` of a terminal gateway ${ignored}`)
    }
    try {
      return { ...check(upstream), ...(watchedBy !== undefined && { watchedBy }) }
    } catch (error) {
      // What this package says names the field that is wrong, and shows no value. A getter may have thrown anything.
      const isOwn = error instanceof Error && /^ERR_(?:INVALID_ARG|TERMINAL)_/.test(String(errorCode(error)))
      throw new WrongReturn(isOwn ? error.message : kindOf(error), error)
    }
  }
}

/** Checks all fields now: the sessions of the owner that live are renewed with them. */
function check(options: UpstreamOptions): Authorization {
  const { authType = 'bearer', key: given, userId, chatId, contextId, cookie, headers } = options
  const key = typeof given === 'function' ? undefined : given
  buildUpstreamAuth({ authType, key, userId, chatId, contextId, cookie, headers })
  // The signal of a request of ours is our own.
  const upstream = { ...readUpstream(options), signal: undefined }
  buildUpstreamHttpUrl(upstream.base, upstream)
  // One server has many spellings: with and without a slash at the end, as http and as ws.
  return { upstream, owner: { base: buildUpstreamHttpUrl(upstream.base, {}), userId, chatId } }
}

/**
 * The WebSockets and requests that `authorize` has not let in, or not yet. A WebSocket counts until it is let in or its
 * connection has ended, however long that takes; a request, until it is let in or its answer has left.
 */
export class Strangers {
  readonly #most: number
  readonly #requests = new Set<ServerResponse>()
  // The WebSockets, and whether `authorize` is at work for them.
  readonly #clients = new Map<Client, boolean>()

  constructor(most: number) {
    this.#most = most
  }

  /**
   * Returns whether one more may come. At the limit, ends a WebSocket that `authorize` is not at work for, because it
   * has not said who it is, or has been refused. Which one is left to chance, so that those who open many end their
   * own.
   *
   * Nobody's word ends it but a documented limit, `maxUnauthenticated`; a stranger has no session.
   */
  makeRoom(): boolean {
    if (this.#requests.size + this.#clients.size < this.#most) return true
    const idle = [...this.#clients].flatMap(([client, isAsking]) => (isAsking ? [] : [client]))
    const client = idle[Math.floor(Math.random() * idle.length)]
    if (!client) return false
    this.#clients.delete(client)
    client.finish(BUSY)
    client.connection.hurry()
    return true
  }

  /** Adds a WebSocket that is not let in. */
  add(client: Client): void {
    this.#clients.set(client, false)
  }

  /** `authorize` has begun its work for a WebSocket, or has ended it. */
  setAsking(client: Client, isAsking: boolean): void {
    if (this.#clients.has(client)) this.#clients.set(client, isAsking)
  }

  /** A WebSocket has been let in, or its connection has ended. */
  delete(client: Client): void {
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
