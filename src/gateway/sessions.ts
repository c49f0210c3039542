import { Cancellation, type AbortSignalLike } from '../lib/cancellation.ts'
import type { TerminalError } from '../lib/errors.ts'
import { attachTerminal, type AttachProgress, type OpenTerminal } from '../terminal/attach.ts'
import type { TerminalClose } from '../terminal/types.ts'
import { readSettings } from '../terminal/settings.ts'
import { CLOSE_GOING_AWAY, CLOSE_IN_USE } from '../upstream/close-codes.ts'
import { terminalError } from '../upstream/failures.ts'
import type { RenewedOptions } from '../upstream/credentials.ts'
import type { UpstreamOptions } from '../upstream/resolve.ts'
import { Access, Keyring } from './access.ts'
import { CHAT_TAKEN } from './answers.ts'
import type { Authorization } from './authorization.ts'
import type { GatewaySettings } from './options.ts'
import { isSameChat, isSameUser, mayUse, type Owner } from './owner.ts'
import { byTime, MADE_ROOM, Room } from './room.ts'
import { SessionOutput } from './session-output.ts'
import { Session, type SessionObserver } from './session.ts'
import type { Warnings } from './warnings.ts'

/** The sessions of a gateway. Nobody finds a session of another owner. */
export class Sessions implements SessionObserver {
  readonly #settings: GatewaySettings
  readonly #warnings: Warnings
  readonly #sessions = new Map<string, Session>()
  readonly #keyring = new Keyring()
  // The sessions that are being opened.
  readonly #openings = new Set<{ readonly owner: Owner; readonly done: Promise<unknown> }>()
  readonly #room = new Room(() => ({
    sessions: [...this].filter(({ isOpen }) => isOpen),
    openings: this.#openings,
  }))
  // Stops the openings when the gateway closes.
  readonly #closing = new Cancellation()

  constructor(settings: GatewaySettings, warnings: Warnings) {
    this.#settings = settings
    this.#warnings = warnings
  }

  /** Whether the gateway closes. */
  get isClosing(): boolean {
    return this.#closing.aborted
  }

  [Symbol.iterator](): Iterator<Session> {
    return this.#sessions.values()
  }

  /** Returns a session of the owner, also one whose shell has ended. A session with a chat is found only with this chat. */
  find(id: string, owner: Owner): Session | undefined {
    const session = this.#sessions.get(id)
    return session && !session.isEnding && mayUse(owner, session.owner) ? session : undefined
  }

  list(owner: Owner): Session[] {
    return [...this].filter((session) => session.isOpen && mayUse(owner, session.owner))
  }

  /**
   * Whether a user may open one more session: whether the user has fewer than allowed, those included that are being opened.
   * Parked ones do not count, because the oldest of them goes when the new one is there.
   */
  mayOpen(user: Owner): boolean {
    const openings = [...this.#openings].filter(({ owner }) => isSameUser(owner, user))
    return openings.length + this.#busyOf(user) < this.#settings.sessionsPerUser
  }

  /** Whether a session that was opened may stay: clients may have come back to those that would have gone for it. */
  mayStay({ owner }: Session): boolean {
    return this.#busyOf(owner) <= this.#settings.sessionsPerUser
  }

  /** A session of the user has come, and its client knows of it: ends those that the user has left first, if there are too many. */
  makeRoom(user: Owner): void {
    const lasting = this.#of(user)
    const parked = lasting.filter(({ parkedAt }) => parkedAt !== undefined)
    // Those whose shell has ended go first.
    parked.sort((one, other) => Number(one.isOpen) - Number(other.isOpen) || byTime(one, other))
    const tooMany = Math.max(0, lasting.length - this.#settings.sessionsPerUser)
    // On the word of a limit that is documented: `sessionsPerUser`.
    for (const session of parked.slice(0, tooMany)) void session.end(CLOSE_GOING_AWAY, MADE_ROOM)
  }

  #of(user: Owner): Session[] {
    return [...this].filter((session) => !session.isEnding && isSameUser(session.owner, user))
  }

  /** Returns how many sessions of a user are not parked. */
  #busyOf(user: Owner): number {
    return this.#of(user).filter(({ parkedAt }) => parkedAt === undefined).length
  }

  /**
   * The user has come with these credentials, which may be newer than those of the user's sessions, also of those that are
   * being opened or ended.
   */
  renew({ upstream, owner }: Authorization): void {
    this.#keyring.renew(owner, upstream)
  }

  onClosed({ owner, access }: Session, { error }: TerminalClose): void {
    this.#warnings.onRefusal(owner.base, error, access.credentials.areUsers)
  }

  onGone({ id }: Session): void {
    this.#sessions.delete(id)
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
    const access = new Access(upstream, this.#keyring.open(owner, upstream))
    const { chatId } = owner
    const sameChat = [...this.#openings].filter((other) => chatId !== undefined && isSameChat(other.owner, owner))
    await Promise.allSettled(sameChat.map(({ done }) => done))
    if (chatId !== undefined && this.#isTaken(owner, chatId)) {
      throw terminalError('ERR_TERMINAL_NOT_FOUND', 'Cannot create a session', CHAT_TAKEN)
    }
    const attach = (): Promise<OpenTerminal<SessionOutput>> => this.#attach(access, signal)
    let terminal = await this.#room.open(owner, signal, attach)
    const older = [...this].find((session) => session.owner.base === owner.base && isSameTerminal(session, terminal))
    if (older) {
      await Promise.all([older.end(CLOSE_IN_USE, 'Session already connected'), terminal.connection.close()])
      terminal = await attach()
    }
    const session = new Session(owner, terminal, access, this.#settings, this)
    this.#sessions.set(session.id, session)
    return session
  }

  /** Whether the chat is the id of another user's session on the server. A new session would replace that one. */
  #isTaken(owner: Owner, chatId: string): boolean {
    return [...this].some(
      ({ owner: { base, userId }, core, hasExited }) =>
        base === owner.base && userId !== owner.userId && core.sessionId === chatId && !hasExited,
    )
  }

  async #attach({ options }: Access, signal: AbortSignalLike): Promise<OpenTerminal<SessionOutput>> {
    const cancellation = new Cancellation()
    const progress: AttachProgress = {}
    const abort = (): void => cancellation.abort(givenUp(progress))
    const signals = [signal, this.#closing]
    for (const each of signals) each.addEventListener('abort', abort)
    if (signals.some(({ aborted }) => aborted)) abort()
    try {
      const settings = readSettings({ ...this.#settings.connect, ...options, signal: cancellation })
      const upstream: RenewedOptions = { ...settings.upstream, credentials: options.credentials }
      return await attachTerminal({ ...settings, upstream }, (source) => new SessionOutput(source), progress)
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

/** Returns what the operator is told of an opening whose client has left: what its upstream has done until then. */
function givenUp({ lastError, step = 'waiting' }: AttachProgress): TerminalError {
  const why = `the client has left, still ${step}`
  return lastError ?? terminalError('ERR_TERMINAL_TIMEOUT', 'Cannot open a terminal for a client', why)
}

function isSameTerminal(session: Session, { connection }: OpenTerminal<SessionOutput>): boolean {
  return !session.hasExited && session.core.sessionId === connection.sessionId
}
