import type { JoinedTerminal } from '../client/client.ts'
import type { Downlink } from '../client/downlink.ts'
import type { SessionInput } from './session-input.ts'
import type { Visit } from './visit.ts'

/** What an attachment needs of its session. */
interface AttachedSession {
  readonly core: Pick<JoinedTerminal, 'sessionId' | 'chatId'>
  leave(visit: Visit, ...end: Parameters<JoinedTerminal['leave']>): Promise<unknown>
}

/** A client that is joined to a session. It lives as long as that, so it has no functions of its own, and keeps nothing of the joining. */
export class Attachment implements JoinedTerminal {
  readonly visit: Visit
  readonly sink: Downlink
  readonly input: SessionInput
  /** When the client joined, as `Date.now()`. */
  readonly since: number = Date.now()
  readonly #session: AttachedSession

  constructor(session: AttachedSession, visit: Visit, sink: Downlink, input: SessionInput) {
    this.#session = session
    this.visit = visit
    this.sink = sink
    this.input = input
  }

  get sessionId(): string {
    return this.#session.core.sessionId
  }

  get chatId(): string | undefined {
    return this.#session.core.chatId
  }

  leave(...end: Parameters<JoinedTerminal['leave']>): Promise<unknown> {
    return this.#session.leave(this.visit, ...end)
  }
}
