import type { ClientSession, ProxySummary } from '../proxy/client-session.ts'
import type { Counters } from '../proxy/counters.ts'
import { publish, type GatewayEvent } from './events.ts'

/** A client of a gateway, and what the events say of it. */
export class Visit {
  readonly client: ClientSession
  // Absent until the client is authorized.
  userId: string | undefined
  // Absent until it has joined its session.
  #sessionId: string | undefined
  // When the client came, and then when it joined.
  #since = performance.now()
  // Whether the session goes on without the client.
  #hasParted = false

  constructor(client: ClientSession) {
    this.client = client
    void client.summary.promise.then((summary) => this.#report(summary))
  }

  /** The client has joined its session: as its first client, or to resume it. */
  attach(sessionId: string, isFirst: boolean): void {
    const since = this.#since
    this.#since = performance.now()
    this.#sessionId = sessionId
    publish(isFirst ? 'attached' : 'resumed', { ...this.#who, ms: this.#since - since })
  }

  /** The client has left with this close code, and its session goes on. */
  part(code: number): void {
    this.#hasParted = true
    const ms = performance.now() - this.#since
    publish('parked', { ...this.#who, code, ...moved(this.client.counters), ms })
  }

  get #who(): { userId?: string; sessionId?: string } {
    const [userId, sessionId] = [this.userId, this.#sessionId]
    return { ...(userId !== undefined && { userId }), ...(sessionId !== undefined && { sessionId }) }
  }

  /** Tells the operator how the client was served, unless its session goes on. */
  #report({ endedBy, code, error, ...counters }: ProxySummary): void {
    if (this.#hasParted) return
    const event = { ...this.#who, code, ...(error && { error }) }
    if (this.#sessionId !== undefined) {
      publish('closed', { ...event, ...moved(counters), ms: performance.now() - this.#since })
    } else if (endedBy === 'proxy') publish('refused', event)
  }
}

/** Returns what the events say of the counters. */
function moved({ bytesToClient, bytesToUpstream, inputDropped }: Counters): Partial<GatewayEvent> {
  return { bytesToClient, bytesToUpstream, ...(inputDropped > 0 && { inputDropped }) }
}
