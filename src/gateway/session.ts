import { randomUUID } from 'node:crypto'
import { SilenceTimer, type SilenceObserver } from '../lib/silence-timer.ts'
import type { ClientSession } from '../proxy/client-session.ts'
import { withoutAddresses } from '../proxy/closing.ts'
import type { OpenTerminal } from '../terminal/attach.ts'
import type { TerminalClose, TerminalCore } from '../terminal/core.ts'
import type { OutputSource, Sink } from '../terminal/output.ts'
import { parseBase } from '../upstream/url.ts'
import type { SessionOutput } from './session-output.ts'

/** The owner of a session: only a client with the same owner finds it. */
export interface Owner {
  readonly base: string
  readonly userId: string
  readonly chatId: string | undefined
}

/** A session of a gateway, as its operator sees it. */
export interface GatewaySession {
  /** The id of the session at the gateway. The upstream has another id for it. */
  readonly id: string
  /** The user that `authorize` has returned. */
  readonly userId: string
  /** When the session was created. */
  readonly since: Date
  /** When its client attached; absent if it has none. */
  readonly attachedSince?: Date
  /** Bytes of output that were given to the client's socket. */
  readonly bytesToClient: number
  /** Bytes of input and commands that the upstream's socket has taken. */
  readonly bytesToUpstream: number
}

// ms that a session waits for its first client.
const UNATTACHED_LIMITS = [300_000]

const BAD_GATEWAY = 1014

/** An open terminal, and the client that is joined to it. */
export class Session implements SilenceObserver {
  readonly id: string = randomUUID()
  readonly owner: Owner
  readonly core: TerminalCore
  readonly #since = Date.now()
  readonly #source: OutputSource
  // Holds the output for the first client. Absent after that.
  #output: SessionOutput | undefined
  // The client that is joined. Absent before the first.
  #client: ClientSession | undefined
  #attachedSince = 0
  // Runs until a client joins, and is absent after that.
  #unattached: SilenceTimer | undefined = new SilenceTimer(UNATTACHED_LIMITS, this)

  constructor(owner: Owner, { core, sink }: OpenTerminal<SessionOutput>) {
    this.owner = owner
    this.core = core
    this.#source = sink.source
    this.#output = sink
  }

  get client(): ClientSession | undefined {
    return this.#client
  }

  /** Joins a client, whose sink gets the output. A session has at most one. */
  attach<S extends Sink>(client: ClientSession, createSink: (source: OutputSource) => S): S {
    this.#client = client
    this.#attachedSince = Date.now()
    this.#stopWaiting()
    const sink = createSink(this.#source)
    this.#output?.join(sink)
    this.#output = undefined
    return sink
  }

  /** Ends the session: its client gets the close frame, and the upstream deletes it. Resolves when nothing is left. */
  async end(code: number, reason: string): Promise<void> {
    this.#client?.finish({ endedBy: 'proxy', code, reason })
    await Promise.all([this.#client?.summary.promise, this.core.close(code, reason)])
  }

  /** Called when the terminal has closed. */
  onClosed({ code, reason, error }: TerminalClose): void {
    this.#stopWaiting()
    // PROTOCOL 6.1: these are about the key of the gateway, and would blame the client's.
    const isRefusal = code >= 4001 && code <= 4004
    this.#client?.finish({
      endedBy: 'upstream',
      code: isRefusal ? BAD_GATEWAY : code,
      reason: isRefusal ? '' : withoutAddresses(reason, parseBase(this.owner.base).url.hostname),
      ...(error && { error }),
    })
  }

  /** Called by the timer: no client has come. */
  onSilence(): void {
    void this.core.close()
  }

  describe(): GatewaySession {
    const { bytesToClient = 0, bytesToUpstream = 0 } = this.#client?.counters ?? {}
    return {
      id: this.id,
      userId: this.owner.userId,
      since: this.since,
      ...(this.#client && { attachedSince: new Date(this.#attachedSince) }),
      bytesToClient,
      bytesToUpstream,
    }
  }

  get since(): Date {
    return new Date(this.#since)
  }

  #stopWaiting(): void {
    this.#unattached?.stop()
    this.#unattached = undefined
  }
}
