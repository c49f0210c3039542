import { Canvas } from './canvas.ts'
import { isDrawable, type ScreenClasses, type WindowSize } from './classes.ts'
import { DrawingBudget } from './drawing-budget.ts'
import { ClearSearch, isCleared } from './clear-search.ts'
import { DrawingTurns, type Wait } from './drawing-turns.ts'
import { BLANK, type Picture } from './picture.ts'
import { eventsOf, type SizeChange } from './sizes.ts'
import { ScreenState } from './state.ts'
import { buildTail } from './tail.ts'

// Output of a flood that waits to be drawn, after which the screen is given up.
const MOST_WAITING_BYTES = 512 * 1024
// A screen that is drawn for another size, and the lines above it, in cells: to read 80 of them takes 15 µs.
const SCROLLBACK_CELLS = 40_000
const MOST_SIZES = 64

// CAN ends the sequence before.
const RESET = '\x18\x1bc'

/** The output that is kept after what a {@link WholeScreen} has been given. */
interface KeptOutput {
  readonly start: number
  readonly end: number
  read(from: number): Buffer
}

/** What is drawn, and the offset of the output after it. */
interface Drawn<T> {
  readonly value: T
  readonly end: number
}

/**
 * The screen of a session as it was before the output that is kept. Made when the first byte is not kept any more, and
 * given exactly those bytes. It is given up when a flood has more of them than there is time to draw, and while the
 * window is too large, until the program clears the screen.
 */
export class WholeScreen {
  readonly #classes: ScreenClasses
  readonly #budget = new DrawingBudget()
  // Absent before the first byte.
  #canvas: Canvas | undefined
  #isGivenUp = false
  #isDisposed = false
  // The size of the window before the output that is kept, and those that it has had since, with their offsets.
  #before: WindowSize
  #sizes: SizeChange[] = []
  // The offset of the next byte that is not kept any more.
  #end = 0
  readonly #search = new ClearSearch()
  readonly #turns = new DrawingTurns(this.#budget)
  // Absent while nobody has asked for it.
  #text: Promise<Drawn<string> | undefined> | undefined

  constructor(classes: ScreenClasses, size: WindowSize) {
    this.#classes = classes
    this.#before = size
  }

  /** Whether all that is on the screen can be drawn: also if the program has cleared it since it was given up. */
  canDraw(output: KeptOutput): boolean {
    if (this.#isDisposed || ![this.#before, ...this.#sizes.map(({ size }) => size)].every(isDrawable)) return false
    return !this.#isGivenUp || isCleared(output.read(output.start))
  }

  /** The window has another size, from an offset in the output on. */
  resize(size: WindowSize, offset: number, before?: ScreenState): void {
    // Most windows get their size before the first output.
    if (this.#sizes.length === 0 && offset === this.#end) return this.#resize(size, before)
    // A page whose window is dragged sends one size after another. Of too many, only the last counts.
    if (this.#sizes.length === MOST_SIZES) this.#sizes.pop()
    this.#sizes.push({ offset, size })
  }

  /** Takes output that is not kept any more, and so does the state of a terminal before it. */
  push(dropped: readonly Buffer[], before: ScreenState): void {
    const isFlood = this.#isGivenUp && !this.#search.mayRead(dropped)
    if (isFlood && this.#sizes.length === 0) {
      for (const { length } of dropped) this.#end += length
      return before.push(dropped)
    }
    for (const data of dropped) {
      if (this.#isGivenUp && !isFlood && this.#search.finds(data)) this.#begin(before)
      const start = this.#end
      this.#end += data.length
      const later = this.#sizes.findIndex(({ offset }) => offset >= this.#end)
      const sizes = this.#sizes.splice(0, later < 0 ? Infinity : later)
      for (const event of eventsOf(data, start, sizes)) {
        if ('length' in event) {
          this.#add(event)
          before.push([event])
        } else this.#resize(event, before)
      }
    }
  }

  /**
   * Resolves with what shows all of the output on a terminal, at the last size of the window; with nothing if that
   * cannot be drawn, or nobody waits for it any more. `stateOf` returns the state before the output that is kept.
   */
  draw(
    output: KeptOutput,
    stateOf: () => ScreenState | undefined,
    isGone: () => boolean,
  ): Promise<Drawn<Buffer> | undefined> {
    return this.#inTurn(
      output,
      async (wait) => {
        const before = stateOf()?.clone()
        if (this.#sizes.length > 0)
          return this.#redraw(output, before, wait, (canvas, state) => this.#showing(canvas, state, wait))
        const { end } = output
        const kept = output.read(output.start)
        if (!before) return { value: buildTail(kept), end }
        const all = Buffer.concat([this.#beginningOf(before), kept])
        const picture = await this.#picture(wait)
        return { value: this.#budget.measure(() => buildTail(all, before, { picture })), end }
      },
      isGone,
    )
  }

  /** Resolves with the lines of the window, for all who ask meanwhile; with nothing if they cannot be drawn. */
  text(output: KeptOutput, stateOf: () => ScreenState | undefined): Promise<string | undefined> {
    this.#text ??= this.#inTurn(output, (wait) =>
      this.#redraw(output, stateOf()?.clone(), wait, (canvas) => canvas.text(wait)),
    ).finally(() => (this.#text = undefined))
    return this.#text.then((drawn) => drawn?.value)
  }

  dispose(): void {
    this.#isDisposed = true
    this.#giveUp()
    this.#canvas?.dispose()
  }

  /** Calls back when all before is drawn, and again if the window has got another size meanwhile. */
  #inTurn<T>(output: KeptOutput, draw: (wait: Wait) => Promise<T>, isGone?: () => boolean): Promise<T | undefined> {
    const mayGoOn = (): boolean => isGone?.() !== true && this.canDraw(output)
    return this.#turns.take(mayGoOn, async (wait) => {
      for (;;) {
        await wait(this.#canvas)
        const size = this.#size
        const drawn = await draw(wait)
        if (size === this.#size) return drawn
      }
    })
  }

  /**
   * Draws all once more, at each size that the window has had: the screen before the output that is kept, which has
   * just been drawn, and that output. Rejects if it takes too long.
   */
  async #redraw<T>(
    output: KeptOutput,
    before: ScreenState | undefined,
    wait: Wait,
    finish: (canvas: Canvas, end: ScreenState) => Promise<T>,
  ): Promise<Drawn<T>> {
    const { start, end } = output
    const kept = output.read(start)
    const sizes = [...this.#sizes]
    const state = before?.clone() ?? new ScreenState()
    const { cols, rows } = this.#before
    const scrollback = Math.max(0, Math.floor(SCROLLBACK_CELLS / cols) - rows)
    const scratch = new Canvas(this.#classes, this.#before, scrollback, this.#budget)
    try {
      if (before) {
        const beginning = this.#beginningOf(before)
        scratch.push(Buffer.from(before.modes.restore(await this.#picture(wait)), 'latin1'))
        scratch.push(beginning)
      }
      for (const event of eventsOf(kept, start, sizes)) {
        scratch.push(event)
        if ('length' in event) this.#budget.measure(() => state.push([event]))
        else state.modes.forgetRegions()
      }
      await wait(scratch)
      return { value: await finish(scratch, state), end }
    } finally {
      scratch.dispose()
    }
  }

  /** The size that the window has got last. */
  get #size(): WindowSize {
    return this.#sizes.at(-1)?.size ?? this.#before
  }

  /** Draws something, unless the screen is given up. */
  #add(next: Buffer | WindowSize): void {
    if (!isDrawable(this.#before)) this.#giveUp()
    if (this.#isGivenUp) return
    this.#canvas ??= new Canvas(this.#classes, this.#before, 0, this.#budget)
    this.#canvas.push(next)
    if (this.#canvas.waitingBytes > MOST_WAITING_BYTES) this.#giveUp()
  }

  #resize(size: WindowSize, before?: ScreenState): void {
    this.#before = size
    before?.modes.forgetRegions()
    if (this.#canvas) this.#add(size)
  }

  #giveUp(): void {
    this.#isGivenUp = true
    this.#search.reset()
    this.#canvas?.clear()
  }

  /** Begins anew with output that clears the screen. */
  #begin(before: ScreenState): void {
    if (this.#isDisposed || !isDrawable(this.#before)) return
    this.#isGivenUp = false
    this.#add(this.#before)
    this.#add(Buffer.from(RESET + before.modes.restore() + before.parser.beginning, 'latin1'))
  }

  /** Resolves with what was drawn before the output that is kept. Nothing of it is seen if the screen is given up. */
  async #picture(wait: Wait): Promise<Picture> {
    return (this.#isGivenUp ? undefined : await this.#canvas?.picture(wait)) ?? BLANK
  }

  /** Returns the beginning of the sequence or the character that the output that is kept begins within. */
  #beginningOf(before: ScreenState): Buffer {
    return (this.#isGivenUp ? undefined : this.#canvas?.beginning) ?? Buffer.from(before.parser.beginning, 'latin1')
  }

  /** Resolves with what shows on a terminal what is drawn. */
  async #showing(canvas: Canvas, end: ScreenState, wait: Wait): Promise<Buffer> {
    const picture = await canvas.picture(wait)
    return this.#budget.measure(() => buildTail(canvas.beginning, end, { picture }))
  }
}
