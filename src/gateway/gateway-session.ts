import { wrongType } from '../lib/arguments.ts'
import { cutReason } from '../client/closing.ts'
import type { Counters } from '../client/counters.ts'
import { CLOSE_NORMAL } from '../upstream/close-codes.ts'
import { observe, type ScreenEvent } from './observer.ts'
import type { GatewaySettings } from './options.ts'
import type { Owner } from './owner.ts'
import type { SessionClient } from './session-client.ts'
import type { SessionOutput } from './session-output.ts'

/** A session of a gateway, as its operator sees it. What it says of its clients is of the moment when it was asked. */
export interface GatewaySession {
  /** The id of the session at the gateway. The upstream has another id for it. */
  readonly id: string
  /** The user that `authorize` has returned. */
  readonly userId: string
  /** The chat that `authorize` has returned; absent if it has returned none. */
  readonly chatId?: string
  /** When the session was created. */
  readonly since: Date
  /** When its client attached; absent if it has none. */
  readonly attachedSince?: Date
  /** When its last client left; absent if it has a client, or has not had one yet. */
  readonly parkedSince?: Date
  /** How many clients look on. */
  readonly watchers: number
  /** Bytes of output that were given to the sockets of clients, but for those that look on. */
  readonly bytesToClient: number
  /** Bytes of input and commands that the upstream's socket has taken. */
  readonly bytesToUpstream: number
  /**
   * Ends the session: at the logout, or from an admin's page. Its clients get the close code 1000 with `reason`, of
   * which 123 bytes are sent, and the upstream deletes it. Resolves when nothing of it is left here, also if it has
   * ended before. Never rejects because the upstream fails: the DELETE is then repeated in the background.
   *
   * @defaultValue a `reason` of `'Session ended'`
   *
   * @throws {TypeError} ERR_INVALID_ARG_TYPE when `reason` is no string.
   */
  end(reason?: string): Promise<void>
  /**
   * Resolves with the last lines on the screen as text, without control characters, as many as the window has rows.
   * They are taken from the last output that is kept: the text of a full-screen program may be out of place. After the
   * end of the session, they are the last ones.
   */
  text(): Promise<string>
  /**
   * Yields what the screen shows: the size of the window, the last output that is kept, and then all output and sizes
   * as they come, until the session ends. If it has ended before, there is nothing.
   *
   * The session does not wait for the reader. Up to `maxBuffered` bytes wait for it. What comes then is left out. If it
   * is not kept until the reader goes on, a `gap` says how many bytes are missing, and the output goes on with a
   * sequence that resets the screen and with what is kept. `break` and `return()` end the reading, and what waits is
   * forgotten.
   *
   * @example
   * ```ts
   * import type { GatewaySession } from 'terminal-upstream/gateway'
   *
   * export async function follow(session: GatewaySession): Promise<void> {
   *   for await (const event of session) {
   *     if (event.type === 'output') process.stdout.write(event.data)
   *   }
   * }
   * ```
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<ScreenEvent, undefined, undefined>
}

/** What a description needs of its session. */
interface DescribedSession {
  readonly id: string
  readonly owner: Owner
  readonly since: number
  readonly isEnding: boolean
  readonly parked: { readonly since: Date } | undefined
  readonly client: SessionClient | undefined
  readonly watchers: { readonly size: number } | undefined
  readonly moved: Pick<Counters, 'bytesToClient' | 'bytesToUpstream'>
  readonly output: SessionOutput
  readonly settings: Pick<GatewaySettings, 'maxBuffered'>
  end(code: number, reason: string): Promise<void>
}

/** The facts of a session at some moment, and what can be done with it at any time. */
export class Description implements GatewaySession {
  declare readonly id: string
  declare readonly userId: string
  declare readonly chatId?: string
  declare readonly since: Date
  declare readonly attachedSince?: Date
  declare readonly parkedSince?: Date
  declare readonly watchers: number
  declare readonly bytesToClient: number
  declare readonly bytesToUpstream: number
  readonly #session: DescribedSession

  constructor(session: DescribedSession) {
    const { id, owner, since, client, parked, isEnding, watchers, moved } = session
    const { bytesToClient = 0, bytesToUpstream = 0 } = client?.client.counters ?? {}
    this.#session = session
    this.id = id
    this.userId = owner.userId
    if (owner.chatId !== undefined) this.chatId = owner.chatId
    this.since = new Date(since)
    if (client) this.attachedSince = new Date(client.since)
    if (parked && !client && !isEnding) this.parkedSince = parked.since
    this.watchers = watchers?.size ?? 0
    this.bytesToClient = moved.bytesToClient + bytesToClient
    this.bytesToUpstream = moved.bytesToUpstream + bytesToUpstream
  }

  async end(reason = 'Session ended'): Promise<void> {
    if (typeof reason !== 'string') throw wrongType('reason', 'a string', reason)
    // On the word of the operator, whose server this is.
    await this.#session.end(CLOSE_NORMAL, cutReason(reason))
  }

  text(): Promise<string> {
    return this.#session.output.text()
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<ScreenEvent, undefined, undefined> {
    const { output, settings } = this.#session
    return observe(output, settings.maxBuffered)
  }
}
