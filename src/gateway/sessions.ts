import { Cancellation, type AbortSignalLike } from '../lib/cancellation.ts'
import { hasCode } from '../lib/errors.ts'
import { attachTerminal, type OpenTerminal } from '../terminal/attach.ts'
import { readSettings } from '../terminal/settings.ts'
import { terminalError } from '../upstream/failures.ts'
import type { UpstreamOptions } from '../upstream/resolve.ts'
import type { GatewaySettings } from './options.ts'
import { SessionOutput } from './session-output.ts'
import { Session, type Owner } from './session.ts'

// For the upstream, with the end of a parked session.
const GOING_AWAY = 1001
const MADE_ROOM = 'Ended to make room for another session'

/** The sessions of a gateway. Nobody finds a session of another owner. */
export class Sessions {
  readonly #settings: GatewaySettings
  readonly #sessions = new Map<string, Session>()
  // The sessions that are being opened.
  readonly #openings = new Set<{ readonly owner: Owner; readonly done: Promise<unknown> }>()
  // The upstreams on which it did not help another user to end a parked session: their limit is one for each user.
  readonly #limitedPerUser = new Set<string>()
  // Stops the openings when the gateway closes.
  readonly #closing = new Cancellation()

  constructor(settings: GatewaySettings) {
    this.#settings = settings
  }

  [Symbol.iterator](): Iterator<Session> {
    return this.#sessions.values()
  }

  /** Returns a session of the owner. A session with a chat is found only with this chat. */
  find(id: string, owner: Owner): Session | undefined {
    const session = this.#sessions.get(id)
    return session && !session.isEnding && mayUse(owner, session.owner) ? session : undefined
  }

  list(owner: Owner): Session[] {
    return [...this].filter((session) => !session.isEnding && mayUse(owner, session.owner))
  }

  /**
   * Makes room for a session of the user: ends the parked session that was left first, if the user has as many as allowed,
   * those included that are being opened. Returns whether there is room.
   */
  makeRoom(user: Owner): boolean {
    const lasting = [...this].filter(({ isEnding }) => !isEnding)
    const owners = [...lasting, ...this.#openings].map(({ owner }) => owner)
    const count = owners.filter((owner) => isSameUser(owner, user)).length
    if (count < this.#settings.sessionsPerUser) return true
    const parked = this.#longestParked((owner) => isSameUser(owner, user))
    if (!parked) return false
    void parked.end(GOING_AWAY, MADE_ROOM)
    return true
  }

  /** Opens a terminal. `signal` stops that. */
  async open(upstream: UpstreamOptions, owner: Owner, signal: AbortSignalLike): Promise<Session> {
    const opening = { owner, done: this.#openInTurn(upstream, owner, signal) }
    this.#openings.add(opening)
    try {
      return await opening.done
    } finally {
      this.#openings.delete(opening)
    }
  }

  /**
   * Opens a terminal after those of the same chat. Open Terminal up to 0.11 makes the chat the id of its session
   * (PROTOCOL 2.7), so two sessions of one chat are one there.
   */
  async #openInTurn(upstream: UpstreamOptions, owner: Owner, signal: AbortSignalLike): Promise<Session> {
    const { chatId } = owner
    const sameChat = [...this.#openings].filter((other) => chatId !== undefined && isSameChat(other.owner, owner))
    await Promise.allSettled(sameChat.map(({ done }) => done))
    if (chatId !== undefined && this.#isTaken(owner, chatId)) {
      const why = "the chat is the id of another user's session"
      throw terminalError('ERR_TERMINAL_NOT_FOUND', 'Cannot create a session', why)
    }
    let terminal = await this.#attachSomewhere(upstream, owner, signal)
    const older = [...this].find((session) => session.owner.base === owner.base && isSameTerminal(session, terminal))
    if (older) {
      await Promise.all([older.end(4009, 'Session already connected'), terminal.core.close()])
      terminal = await this.#attach(upstream, signal)
    }
    const session = new Session(owner, terminal, this.#settings)
    this.#sessions.set(session.id, session)
    void session.core.closed.then((close) => {
      this.#sessions.delete(session.id)
      session.onClosed(close)
    })
    return session
  }

  /** Whether the chat is the id of another user's session on the server. A new session would replace that one. */
  #isTaken(owner: Owner, chatId: string): boolean {
    return [...this].some(
      ({ owner: { base, userId }, core }) =>
        base === owner.base && userId !== owner.userId && core.sessionId === chatId,
    )
  }

  /**
   * Opens a terminal. If the upstream has no place, ends parked sessions: first those of the user, then one of another user,
   * unless that is known not to help.
   */
  async #attachSomewhere(
    upstream: UpstreamOptions,
    owner: Owner,
    signal: AbortSignalLike,
  ): Promise<OpenTerminal<SessionOutput>> {
    const { base } = owner
    for (let isOthersTurn = false; ;) {
      try {
        return await this.#attach(upstream, signal)
      } catch (error) {
        if (!hasCode(error, 'ERR_TERMINAL_LIMIT')) throw error
        if (isOthersTurn) this.#limitedPerUser.add(base)
        const own = this.#longestParked((other) => isSameUser(other, owner))
        const mayTakeOthers: boolean = !isOthersTurn && !this.#limitedPerUser.has(base)
        const parked: Session | undefined =
          own ?? (mayTakeOthers ? this.#longestParked((other) => other.base === base) : undefined)
        if (!parked) throw error
        isOthersTurn = parked !== own
        await parked.end(GOING_AWAY, MADE_ROOM)
      }
    }
  }

  /** Returns the session that has been parked for the longest time, of the owners that are meant. */
  #longestParked(isMeant: (owner: Owner) => boolean): Session | undefined {
    return [...this]
      .filter((session) => session.parkedAt !== undefined && isMeant(session.owner))
      .sort((one, other) => Number(one.parkedAt) - Number(other.parkedAt))[0]
  }

  async #attach(upstream: UpstreamOptions, signal: AbortSignalLike): Promise<OpenTerminal<SessionOutput>> {
    const cancellation = new Cancellation()
    const abort = (): void => cancellation.abort(new Error('The client has left, or the gateway closes'))
    const signals = [signal, this.#closing]
    for (const each of signals) each.addEventListener('abort', abort)
    if (signals.some(({ aborted }) => aborted)) abort()
    try {
      const options = { ...this.#settings.connect, ...upstream, signal: cancellation }
      return await attachTerminal(readSettings(options), (source) => new SessionOutput(source))
    } finally {
      for (const each of signals) each.removeEventListener('abort', abort)
    }
  }

  /** Ends all sessions, and those that are being opened. Resolves when nothing is left. */
  async endAll(code: number, reason: string): Promise<void> {
    this.#closing.abort()
    await Promise.allSettled([...this.#openings].map(({ done }) => done))
    await Promise.all([...this].map((session) => session.end(code, reason)))
  }
}

function isSameUser(one: Owner, other: Owner): boolean {
  return one.base === other.base && one.userId === other.userId
}

function isSameChat(one: Owner, other: Owner): boolean {
  return one.base === other.base && one.chatId === other.chatId
}

function mayUse(visitor: Owner, owner: Owner): boolean {
  return isSameUser(visitor, owner) && (owner.chatId === undefined || owner.chatId === visitor.chatId)
}

function isSameTerminal(session: Session, { core }: OpenTerminal<SessionOutput>): boolean {
  return session.core.sessionId === core.sessionId
}
