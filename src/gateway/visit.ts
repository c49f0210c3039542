import type { ClientSession, ProxySummary } from '../client/client.ts'
import type { Counters } from '../client/counters.ts'
import { CLOSE_RESTART, CLOSE_TOO_LARGE, CLOSE_TRY_AGAIN } from '../upstream/close-codes.ts'
import { publish, type ParkedEvent, type RefusedReason } from './events.ts'

/** A client of a gateway, and what the events say of it. */
export class Visit {
  readonly client: ClientSession
  // Absent until the client is authorized.
  userId: string | undefined
  // What the operator is told if the client gets no further than this.
  refusal: RefusedReason = 'unauthenticated'
  // Absent until it has joined its session.
  #joined: Pick<ParkedEvent, 'userId' | 'sessionId'> | undefined
  // When the client came, and then when it joined.
  #since = performance.now()
  // Whether the session goes on without the client.
  #hasParted = false

  constructor(client: ClientSession) {
    this.client = client
    void client.summary.promise.then((summary) => this.#report(summary))
  }

  /** The client has joined its session: as its first client, or to resume it. */
  attach(sessionId: string, userId: string, isFirst: boolean): void {
    const since = this.#since
    this.#since = performance.now()
    this.#joined = { userId, sessionId }
    publish(isFirst ? 'attached' : 'resumed', { ...this.#joined, ms: this.#since - since })
  }

  /** The client has left with this close code, and its session goes on. */
  part(closeCode: number): void {
    if (!this.#joined) return
    this.#hasParted = true
    const ms = performance.now() - this.#since
    publish('parked', { ...this.#joined, closeCode, ...moved(this.client.counters), ms })
  }

  /** Tells the operator how the client was served, unless its session goes on. */
  #report({ endedBy, code, error, ...counters }: ProxySummary): void {
    if (this.#hasParted) return
    const event = { closeCode: code, ...(error && { error }) }
    if (this.#joined) {
      publish('closed', { ...this.#joined, ...event, ...moved(counters), ms: performance.now() - this.#since })
    } else if (endedBy === 'proxy') {
      const { userId } = this
      const reason = (!error && OF_GATEWAY[code]) || this.refusal
      publish('refused', { reason, ...event, ...(userId !== undefined && { userId }) })
    }
  }
}

// What ends a client whatever it waits for, and is no error: the gateway closes, there are too many strangers, or it has
// sent too much.
const OF_GATEWAY: Partial<Record<number, RefusedReason>> = {
  [CLOSE_RESTART]: 'closing',
  [CLOSE_TRY_AGAIN]: 'busy',
  [CLOSE_TOO_LARGE]: 'bad-request',
}

/** Returns what the events say of the counters. */
function moved({
  bytesToClient,
  bytesToUpstream,
  inputDropped,
}: Counters): Pick<ParkedEvent, 'bytesToClient' | 'bytesToUpstream' | 'inputDropped'> {
  return { bytesToClient, bytesToUpstream, ...(inputDropped > 0 && { inputDropped }) }
}
