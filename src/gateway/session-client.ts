import type { Client, JoinedSession } from '../client/client.ts'
import type { SignOfLife } from '../client/connection.ts'
import type { ClientOutput } from '../client/output.ts'
import type { InputTarget } from '../client/input.ts'
import type { UpstreamConnection } from '../terminal/connection.ts'
import { encodeResize, HEARTBEAT, type TerminalSize } from '../upstream/protocol.ts'
import type { ClientReport } from './events.ts'
import type { Replay, Viewer } from './replay.ts'
import type { SessionOutput } from './session-output.ts'

// How long a client may take to send the size of its window.
const SIZE_PATIENCE_MS = 250
// Between two sizes. A program that sees only the second finds that nothing has changed.
const NUDGE_MS = 100

/** The answer to a heartbeat (PROTOCOL 8.4). */
export const PONG = '{"type":"pong"}'

/** The session of a client. */
interface SessionOfClient {
  readonly terminal: UpstreamConnection
  readonly output: Pick<SessionOutput, 'size' | 'resize'>
  leave(client: SessionClient, ...end: Parameters<JoinedSession['leave']>): Promise<unknown>
}

/**
 * A client that is joined to a session. It lives as long as that, so it has no functions of its own, and keeps nothing
 * of the joining.
 */
export class SessionClient implements JoinedSession, InputTarget, SignOfLife, Viewer {
  readonly client: Client
  readonly report: ClientReport
  readonly output: ClientOutput
  /** When the client joined, as `Date.now()`. */
  readonly since: number = Date.now()
  readonly #session: SessionOfClient
  /** Whether it reads messages of ours. Any other client would print them (PROTOCOL 7.2). */
  readonly canResume: boolean
  isGone = false
  // Whether it has sent the size of its window, and what waits for that. Absent unless something does.
  #isSized = false
  #onSized: (() => void) | undefined
  // Runs while the size of the client is awaited, and then while the other size lasts. Absent after that.
  #timer: ReturnType<typeof setTimeout> | undefined
  // Whether the window has another size at the moment.
  #isNudged = false

  constructor(session: SessionOfClient, report: ClientReport, output: ClientOutput, canResume: boolean) {
    this.#session = session
    this.client = report.client
    this.report = report
    this.output = output
    this.canResume = canResume
  }

  get terminal(): UpstreamConnection {
    return this.#session.terminal
  }

  leave(...end: Parameters<JoinedSession['leave']>): Promise<unknown> {
    return this.#session.leave(this, ...end)
  }

  /** Tells a client that can resume sessions where its output begins (PROTOCOL 8.2). */
  announce({ offset, replay, missing, live }: Replay, keepFor: number, generation: string): void {
    const known = { offset, replay, ...(missing > 0 && { missing }), live, keepFor, generation, paced: true }
    const text = JSON.stringify({ type: 'attached', ...known })
    this.client.socket.send(Buffer.from(text), { binary: false }, () => {})
  }

  /** Resolves with the size of the window: the client's if that comes soon, and otherwise that of the one before. */
  async sized(): Promise<TerminalSize> {
    if (!this.#isSized) {
      await new Promise<void>((resolve) => {
        this.#onSized = resolve
        this.#timer = setTimeout(resolve, SIZE_PATIENCE_MS)
      })
      clearTimeout(this.#timer)
      this.#timer = this.#onSized = undefined
    }
    return this.#session.output.size
  }

  /**
   * Makes full-screen programs draw their screen again, by another size for a moment: the client has got only a tail of
   * the output.
   */
  redraw(): void {
    this.#timer = setTimeout(() => this.#nudge(), SIZE_PATIENCE_MS)
  }

  write(data: Uint8Array, isLent: boolean): Promise<void> {
    return this.#session.terminal.write(data, isLent)
  }

  signOfLife(): void {
    if (this.canResume) this.output.answer(PONG)
  }

  command(text: string, size?: TerminalSize): Promise<void> {
    const { terminal } = this.#session
    if (text === HEARTBEAT) this.signOfLife()
    if (!size) return terminal.command(text)
    this.#session.output.resize({ cols: Math.max(1, size.cols), rows: Math.max(1, size.rows) })
    this.#isSized = true
    this.#onSized?.()
    if (!this.#timer || this.#onSized) return terminal.command(text)
    if (!this.#isNudged) this.#nudge()
    return Promise.resolve()
  }

  /** The client has left. */
  stop(): void {
    this.isGone = true
    clearTimeout(this.#timer)
    this.#onSized?.()
    if (this.#isNudged) this.#restore()
  }

  #nudge(): void {
    const { cols, rows } = this.#session.output.size
    clearTimeout(this.#timer)
    this.#isNudged = true
    this.#resize({ cols, rows: rows > 1 ? rows - 1 : 2 })
    this.#timer = setTimeout(() => this.#restore(), NUDGE_MS)
  }

  #restore(): void {
    this.#timer = undefined
    this.#isNudged = false
    this.#resize(this.#session.output.size)
  }

  #resize({ cols, rows }: TerminalSize): void {
    // Ignored: the terminal has closed, and needs no size.
    this.#session.terminal.command(encodeResize(cols, rows)).catch(() => {})
  }
}
