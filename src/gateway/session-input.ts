import type { SignOfLife } from '../client/connection.ts'
import type { Downlink } from '../client/downlink.ts'
import type { InputTarget } from '../client/uplink.ts'
import type { UpstreamConnection } from '../terminal/connection.ts'
import { encodeResize, HEARTBEAT, type TerminalSize } from '../upstream/protocol.ts'
import { PONG } from './announce.ts'

// ms for a client to send the size of its window.
const SIZE_PATIENCE = 250
// ms between two sizes. A program that sees only the second finds that nothing has changed.
const NUDGE = 100

/**
 * The input of one client of a session. If the client has got only a tail of the output, makes full-screen programs draw
 * their screen again, by another size for a moment.
 */
export class SessionInput implements InputTarget, SignOfLife {
  readonly #core: UpstreamConnection
  // Answers heartbeats. Absent for a client that would print the answer (PROTOCOL 7.2).
  readonly #answerer: Pick<Downlink, 'answer'> | undefined
  // The last size of the window.
  #size: TerminalSize
  // Runs while the size of the client is awaited, and then while the other size lasts. Absent after that.
  #timer: ReturnType<typeof setTimeout> | undefined
  // Whether the window has another size at the moment.
  #isNudged = false

  /** `size` is that of the client before. Without an `answerer`, heartbeats get no answer. */
  constructor(core: UpstreamConnection, size: TerminalSize, isNudging: boolean, answerer?: Pick<Downlink, 'answer'>) {
    this.#core = core
    this.#size = size
    this.#answerer = answerer
    if (isNudging) this.#timer = setTimeout(() => this.#nudge(), SIZE_PATIENCE)
  }

  get size(): TerminalSize {
    return this.#size
  }

  write(data: Uint8Array, isLent: boolean): Promise<void> {
    return this.#core.write(data, isLent)
  }

  signOfLife(): void {
    this.#answerer?.answer(PONG)
  }

  command(text: string, size?: TerminalSize): Promise<void> {
    if (text === HEARTBEAT) this.signOfLife()
    if (!size) return this.#core.command(text)
    this.#size = { cols: Math.max(1, size.cols), rows: Math.max(1, size.rows) }
    if (!this.#timer) return this.#core.command(text)
    if (!this.#isNudged) this.#nudge()
    return Promise.resolve()
  }

  /** The client has left. */
  stop(): void {
    clearTimeout(this.#timer)
    if (this.#isNudged) this.#restore()
  }

  #nudge(): void {
    const { cols, rows } = this.#size
    clearTimeout(this.#timer)
    this.#isNudged = true
    this.#resize({ cols, rows: rows > 1 ? rows - 1 : 2 })
    this.#timer = setTimeout(() => this.#restore(), NUDGE)
  }

  #restore(): void {
    this.#timer = undefined
    this.#isNudged = false
    this.#resize(this.#size)
  }

  #resize({ cols, rows }: TerminalSize): void {
    // Ignored: the terminal has closed, and needs no size.
    this.#core.command(encodeResize(cols, rows)).catch(() => {})
  }
}
