import type { ScreenClasses } from '../screen/classes.ts'
import { plainText } from '../screen/plain-text.ts'
import { ScreenState } from '../screen/state.ts'
import { buildTail } from '../screen/tail.ts'
import { WholeScreen } from '../screen/whole-screen.ts'
import type { TerminalSize } from '../upstream/protocol.ts'
import { History, type DropObserver } from './history.ts'

// A control character that does nothing (CAN).
const CANCEL = Buffer.from([0x18])

/** The output that a client gets when it joins. */
export interface Replay {
  /** The offset of the first byte (PROTOCOL 8.2). */
  readonly offset: number
  /** The bytes that another client has been sent before. */
  readonly replay: number
  readonly data: Buffer
  /** Whether the data is all output from the offset that the client has asked for. Otherwise it is a tail. */
  readonly isExact: boolean
  /** The bytes between the offset that the client has asked for and the first one that is kept. */
  readonly missing: number
  /** The offset from which the client answers queries (PROTOCOL 8.2): those of before get no answer any more. */
  readonly live: number
  /** Whether full-screen programs have to draw their screen again, because the data is only a tail. */
  readonly needsRedraw: boolean
}

/** Who waits for a replay that takes its time. */
export interface Viewer {
  /** Whether nobody waits any more. */
  readonly isGone: boolean
  /** Resolves with the size of its window. */
  sized(): Promise<TerminalSize>
}

/**
 * Makes what a client gets of the output of a session if not all is kept that it wants: a whole screen, or a tail.
 */
export class Replays implements DropObserver {
  readonly history: History
  // The state of a terminal before the bytes that are kept. Absent while all output is kept.
  #before: ScreenState | undefined
  // The screen before the bytes that are kept. Absent unless the gateway draws screens.
  readonly #screen: WholeScreen | undefined
  // The offset of the last size of the window, and its rows; 0 if it is known that no output came before.
  #sizedAt = 0
  #rows: number

  constructor(most: number, size: TerminalSize, screen?: ScreenClasses) {
    this.history = new History(most, this)
    this.#rows = size.rows
    this.#screen = screen && new WholeScreen(screen, size)
  }

  /** The window has another size, from the next byte of output on. */
  resize(size: TerminalSize): void {
    this.#rows = size.rows
    this.#sizedAt = this.history.end
    this.#screen?.resize(size, this.#sizedAt, this.#before)
  }

  /** Resolves with what the window shows; without a screen, with the last lines. */
  async text(): Promise<string> {
    this.history.trim()
    const text = await this.#screen?.text(this.history, () => this.#before)
    return text ?? plainText(this.history.last(Infinity), this.#rows, this.#before?.parser.clone())
  }

  /**
   * Returns what shows the screen to a client, or the promise of it if it has to be drawn.
   *
   * @param offset The offset that the client has asked for, if any.
   * @param shown The number of bytes that clients have been sent.
   */
  make(offset: number | null | undefined, shown: number, viewer?: () => Viewer): Replay | Promise<Replay> {
    return this.#screen?.canDraw(this.history)
      ? this.#draw(this.#screen, offset, shown, viewer)
      : this.#describe(offset, shown)
  }

  onDrop(dropped: readonly Buffer[]): void {
    const before = (this.#before ??= new ScreenState())
    const { start } = this.history
    if (this.#screen) this.#screen.push(dropped, before)
    else if (this.#sizedAt === 0 || this.#sizedAt > start) before.push(dropped)
    else {
      const data = Buffer.concat(dropped)
      const at = data.length - (start - this.#sizedAt)
      this.#sizedAt = 0
      before.push([data.subarray(0, at)])
      before.modes.forgetRegions()
      before.push([data.subarray(at)])
    }
  }

  /** Nobody comes for the output any more. */
  release(): void {
    this.#screen?.dispose()
  }

  /** Resolves with the whole screen, as soon as the size of the window is known; with a tail if that takes too long. */
  async #draw(
    screen: WholeScreen,
    offset: number | null | undefined,
    shown: number,
    viewer?: () => Viewer,
  ): Promise<Replay> {
    // The client is being joined.
    await Promise.resolve()
    await viewer?.().sized()
    const isGone = (): boolean => viewer?.().isGone ?? false
    const drawn = await screen.draw(this.history, () => this.#before, isGone)
    // What has come meanwhile comes next, if it is kept.
    return this.#describe(offset, shown, drawn && drawn.end >= this.history.start ? drawn : undefined)
  }

  #describe(
    offset: number | null | undefined,
    shown: number,
    screen?: { readonly value: Buffer; readonly end: number },
  ): Replay {
    const { start } = this.history
    const { value: tail, end } = screen ?? { value: this.#tail(), end: this.history.end }
    // A tail must not look like the exact output.
    const data = end - tail.length === offset ? Buffer.concat([CANCEL, tail]) : tail
    const first = end - data.length
    const replay = Math.max(0, shown - first)
    const missing = screen ? 0 : Math.max(0, start - Math.max(0, offset ?? start))
    return { offset: first, replay, data, isExact: false, missing, live: end, needsRedraw: screen === undefined }
  }

  #tail(): Buffer {
    const { start } = this.history
    return buildTail(this.history.read(start), this.#before, { rows: this.#rows, sizedAt: this.#sizedAt - start })
  }
}
