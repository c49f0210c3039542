import { Cancellation } from '../lib/cancellation.ts'
import { Deferred } from '../lib/deferred.ts'
import type { TerminalError } from '../lib/errors.ts'
import type { FlowControl } from '../lib/water-mark.ts'
import { attachTerminal, type AttachProgress, type OpenedTerminal } from '../terminal/attach.ts'
import { readSettings } from '../terminal/settings.ts'
import type { TerminalClose } from '../terminal/types.ts'
import { CLOSE_GOING_AWAY, CLOSE_IN_USE } from '../upstream/close-codes.ts'
import type { RenewedOptions } from '../upstream/renewed-credentials.ts'
import { terminalError } from '../upstream/failures.ts'
import { Reservation } from './admission.ts'
import { CHAT_TAKEN } from './answers.ts'
import type { Authorization, Authorizer, Strangers } from './authorization.ts'
import type { GatewaySettings } from './options.ts'
import { Deletions, isSameUser, mayUse, type Access, type Keyring, type Owner } from './owner.ts'
import { byTime, MADE_ROOM, Room } from './make-room.ts'
import { SessionOutput } from './session-output.ts'
import { Session, type SessionObserver } from './session.ts'
import type { Warnings } from './warnings.ts'

/** What the requests and the WebSockets of a gateway share. */
export interface GatewayState {
  readonly settings: GatewaySettings
  readonly authorizer: Authorizer
  readonly sessions: Sessions
  readonly strangers: Strangers
  readonly warnings: Warnings
}

/** A session that is being opened. `leaving` stops that. */
interface Opening {
  readonly owner: Owner
  readonly leaving: Cancellation
  readonly done: Promise<unknown>
}

/** The sessions of a gateway. Nobody finds a session of another owner. */
export class Sessions implements SessionObserver {
  isClosing = false
  /** Whether it opens no more. */
  isDraining = false
  readonly deletions: Deletions = new Deletions()
  readonly #settings: GatewaySettings
  readonly #warnings: Warnings
  readonly #keyring: Keyring
  readonly #sessions = new Map<string, Session>()
  readonly #openings = new Set<Opening>()
  readonly #room = new Room(this.#sessions, this.#openings)
  // Resolved when it drains and nothing is left.
  readonly #drained = new Deferred()

  constructor(settings: GatewaySettings, warnings: Warnings, keyring: Keyring) {
    this.#settings = settings
    this.#warnings = warnings
    this.#keyring = keyring
  }

  [Symbol.iterator](): Iterator<Session> {
    return this.#sessions.values()
  }

  /** Returns a session of the owner, also one whose shell has ended. One with a chat is found only with this chat. */
  find(id: string, owner: Owner): Session | undefined {
    const session = this.#sessions.get(id)
    return session && !session.isEnding && mayUse(owner, session.owner) ? session : undefined
  }

  list(owner: Owner): Session[] {
    return [...this].filter((session) => session.isOpen && mayUse(owner, session.owner))
  }

  /**
   * Whether a user may open one more session: whether the user has fewer than allowed, those included that are being
   * opened. Parked ones do not count, because the oldest of them goes when the new one is there.
   */
  mayOpen(user: Owner): boolean {
    const openings = [...this.#openings].filter(({ owner }) => isSameUser(owner, user))
    return openings.length + this.#busyOf(user) < this.#settings.maxSessionsPerUser
  }

  /** Whether a new session may stay: it may not if clients have come back to too many of the parked ones. */
  mayStay({ owner }: Session): boolean {
    return this.#busyOf(owner) <= this.#settings.maxSessionsPerUser
  }

  /** A client knows of a new session of the user: ends those that the user has left first, if there are too many. */
  makeRoom(user: Owner): void {
    if (this.isDraining) return
    const lasting = this.#of(user)
    const parked = lasting.filter(({ parkedAt }) => parkedAt !== undefined)
    // Those whose shell has ended go first.
    parked.sort((one, other) => Number(one.isOpen) - Number(other.isOpen) || byTime(one, other))
    const tooMany = Math.max(0, lasting.length - this.#settings.maxSessionsPerUser)
    // On the word of a limit that is documented: `maxSessionsPerUser`.
    for (const session of parked.slice(0, tooMany)) void session.end(CLOSE_GOING_AWAY, MADE_ROOM)
  }

  /**
   * Reserves the session that the user was the last to leave, and returns it; `undefined` if there is none of the same
   * chat, policy and context. One that was reserved for a client which does not come is there as well: otherwise the
   * user would get a new one, and never the old one again.
   */
  resume(authorization: Authorization): Session | undefined {
    const session = this.#ofSame(authorization)
      .filter(({ parkedAt, reservation }) => parkedAt !== undefined || reservation?.isStale)
      .sort(byTime)
      .at(-1)
    if (session) Reservation.make(session)
    return session
  }

  /** Returns the newest session that has a client, of the same chat, policy and context (PROTOCOL 2.17). */
  shellOf(authorization: Authorization): Session | undefined {
    const attached = this.#ofSame(authorization).filter(({ client }) => client !== undefined)
    return attached.at(-1)
  }

  /** Returns the open sessions of a client that names none: it must get no other shell than it means. */
  #ofSame({ owner, upstream: { policyId, contextId } }: Authorization): Session[] {
    return this.#of(owner).filter(
      ({ isOpen, owner: { chatId }, access: { options } }) =>
        isOpen && chatId === owner.chatId && options.policyId === policyId && options.contextId === contextId,
    )
  }

  #of(user: Owner): Session[] {
    return [...this].filter((session) => !session.isEnding && isSameUser(session.owner, user))
  }

  /** Returns how many sessions of a user are not parked. */
  #busyOf(user: Owner): number {
    return this.#of(user).filter(({ parkedAt }) => parkedAt === undefined).length
  }

  onClosed({ owner, access }: Session, { error }: TerminalClose): void {
    this.#warnings.onRefusal(owner.base, error, access.areUsers)
  }

  onGone({ id }: Session): void {
    this.#sessions.delete(id)
    this.#noticeEnd()
  }

  /** Opens no more sessions from now on, and ends none to make room. Resolves when none is left. */
  drain(): Promise<void> {
    this.isDraining = true
    this.#room.isClosed = true
    this.#noticeEnd()
    return this.#drained.promise
  }

  #noticeEnd(): void {
    if (this.isDraining && this.#sessions.size === 0 && this.#openings.size === 0) this.#drained.resolve()
  }

  /** Opens a session. `leaving` stops that. */
  async open(authorization: Authorization, leaving: Cancellation): Promise<Session> {
    const { owner } = authorization
    const opening = { owner, leaving, done: this.#openInTurn(authorization, leaving) }
    this.#openings.add(opening)
    try {
      return await opening.done
    } finally {
      this.#openings.delete(opening)
      this.#noticeEnd()
    }
  }

  /**
   * Opens a session after those of the same chat. Open Terminal up to 0.11 makes the chat the id of its session
   * (PROTOCOL 2.7), so two sessions of one chat are one there.
   */
  async #openInTurn({ owner, upstream }: Authorization, leaving: Cancellation): Promise<Session> {
    const access = this.#keyring.open(owner, upstream)
    const { base, chatId } = owner
    const sameChat = [...this.#openings].filter(
      (other) => chatId !== undefined && other.owner.base === base && other.owner.chatId === chatId,
    )
    await Promise.allSettled(sameChat.map(({ done }) => done))
    if (chatId !== undefined && this.#isTaken(owner, chatId)) {
      throw terminalError('ERR_TERMINAL_NOT_FOUND', 'Cannot create a session', CHAT_TAKEN)
    }
    const attach = (): Promise<OpenedTerminal<SessionOutput>> => this.#attach(access, leaving)
    let terminal = await this.#room.open(owner, leaving, attach)
    const { sessionId } = terminal.connection
    const older = [...this].find((each) => each.owner.base === base && isIdOf(each, sessionId))
    if (older) {
      // On the word of its owner, whose new session has replaced it at the upstream.
      await Promise.all([older.end(CLOSE_IN_USE, 'Session already connected'), terminal.connection.close()])
      terminal = await attach()
    }
    const session = new Session(owner, terminal, access, this.#settings, this)
    this.#sessions.set(session.id, session)
    return session
  }

  /** Whether the chat is the id of another user's session on the server. A new session would replace that one. */
  #isTaken({ base, userId }: Owner, chatId: string): boolean {
    return [...this].some((each) => each.owner.base === base && each.owner.userId !== userId && isIdOf(each, chatId))
  }

  async #attach({ options }: Access, leaving: Cancellation): Promise<OpenedTerminal<SessionOutput>> {
    const cancellation = new Cancellation()
    const progress: AttachProgress = {}
    const abort = (): void => cancellation.abort(givenUp(progress))
    leaving.addEventListener('abort', abort)
    if (leaving.aborted || this.isClosing) abort()
    try {
      const settings = readSettings({ ...this.#settings.connect, ...options, signal: cancellation })
      const upstream: RenewedOptions = { ...settings.upstream, credentials: options.credentials }
      const { connect, screen } = this.#settings
      const createSink = (source: FlowControl): SessionOutput => new SessionOutput(source, connect.size, screen)
      return await attachTerminal({ ...settings, upstream }, createSink, progress)
    } finally {
      leaving.removeEventListener('abort', abort)
    }
  }

  /** Ends all sessions, and those that are being opened. Resolves when nothing is left. */
  async endAll(code: number, reason: string): Promise<void> {
    this.isClosing = true
    const openings = [...this.#openings]
    for (const { leaving } of openings) leaving.abort()
    await Promise.allSettled(openings.map(({ done }) => done))
    await Promise.all([...this].map((session) => session.end(code, reason)))
  }
}

/** Returns what the operator is told of an opening whose client has left: what its upstream has done until then. */
function givenUp({ lastError, step = 'waiting' }: AttachProgress): TerminalError {
  const why = `the client has left while the gateway was ${step}`
  return lastError ?? terminalError('ERR_TERMINAL_TIMEOUT', 'Cannot open a terminal for a client', why)
}

/** Whether a session has this id at the upstream. */
function isIdOf({ terminal, hasExited }: Session, sessionId: string): boolean {
  return !hasExited && terminal.sessionId === sessionId
}
