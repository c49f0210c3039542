import { isContinued, savedPlace } from './buffers.ts'
import { Cutter } from './cutter.ts'
import type { DrawingBudget } from './drawing-budget.ts'
import type { ScreenBuffer, ScreenClasses, ScreenSerializer, ScreenTerminal, WindowSize } from './classes.ts'
import { placeOf, type Picture } from './picture.ts'

// What is written at once, before the clock is looked at.
const WRITE_BYTES = 1024

interface Tools {
  readonly terminal: ScreenTerminal
  readonly serializer: ScreenSerializer
}

/** Draws output of a session. Takes little time in each turn of the event loop, and of each second. */
export class Canvas {
  readonly #classes: ScreenClasses
  readonly #scrollback: number
  // Made when the first output is drawn: it takes 1 ms, and many sessions may print for the first time in one turn.
  #made: Tools | undefined
  readonly #budget: DrawingBudget
  readonly #cutter = new Cutter()
  // What waits to be drawn, and the first of it in pieces.
  #waiting: (Buffer | WindowSize)[] = []
  #waitingBytes = 0
  #pieces: Buffer[] = []
  #size: WindowSize
  // Whether something is being drawn. Otherwise nothing waits.
  #isDrawing = false
  // Whether what is drawn is being read. Nothing is drawn meanwhile.
  #isRead = false
  #isDisposed = false
  #timer: ReturnType<typeof setTimeout> | undefined
  // Resolve the promises of `drawn`.
  #onDrawn: (() => void)[] = []

  constructor(classes: ScreenClasses, size: WindowSize, scrollback: number, budget: DrawingBudget) {
    this.#classes = classes
    this.#size = size
    this.#scrollback = scrollback
    this.#budget = budget
  }

  get waitingBytes(): number {
    return this.#waitingBytes
  }

  /** Whether all is drawn. */
  get isDrawn(): boolean {
    return !this.#isDrawing
  }

  /** Resolves when all is drawn. */
  drawn(): Promise<void> {
    return new Promise((resolve) => {
      this.#onDrawn.push(resolve)
      if (this.isDrawn) this.#settle()
    })
  }

  /** Draws output, or gives the window another size. */
  push(item: Buffer | WindowSize): void {
    this.#waiting.push(item)
    if ('length' in item) this.#waitingBytes += item.length
    if (this.#isDrawing || this.#isDisposed) return
    this.#isDrawing = true
    this.#continue()
  }

  /** Forgets what waits. */
  clear(): void {
    this.#waiting = []
    this.#waitingBytes = 0
    this.#pieces = []
    this.#cutter.reset()
  }

  /** What goes on in the output that comes next. */
  get beginning(): Buffer {
    return this.#cutter.beginning
  }

  /** Resolves with the lines of the window, without blanks at their ends. Waits between them if that takes long. */
  text(wait: () => Promise<void>): Promise<string> {
    return this.#read(async () => {
      const [{ active }, { cols, rows }] = [this.#terminal.buffer, this.#size]
      const lines: string[] = []
      for (let row = 0; row < rows; row += 1) {
        const line = this.#budget.measure(() => active.getLine(active.baseY + row)?.translateToString(true, 0, cols))
        lines.push(String(line).trimEnd())
        if (this.#budget.isTurnOver) await wait()
      }
      return lines.join('\n').trimEnd()
    })
  }

  /** Resolves with what is drawn. Waits between lines if that takes long. */
  picture(wait: () => Promise<void>): Promise<Picture> {
    return this.#read(async () => {
      const { active, normal, alternate } = this.#terminal.buffer
      const { cursorX: column, cursorY: row } = active
      const [mainSaved, otherSaved] = [this.#savedOn('normal'), this.#savedOn('alternate')]
      return {
        main: { text: await this.#drawAll(normal, wait), saved: mainSaved },
        other: { text: active === normal ? '' : await this.#drawAll(alternate, wait), saved: otherSaved },
        row,
        column,
        line: this.#lineOf(active, { row, column }),
      }
    })
  }

  /** Returns what moves the cursor to where DECRC takes it. */
  #savedOn(screen: 'normal' | 'alternate'): string {
    const place = savedPlace(this.#terminal, screen)
    return placeOf(place.row, place.column, this.#lineOf(this.#terminal.buffer[screen], place))
  }

  /** Returns what draws the line of a cursor behind the last column. Only what is printed leaves it there. */
  #lineOf(buffer: ScreenBuffer, { row, column }: { readonly row: number; readonly column: number }): string {
    return column < this.#size.cols ? '' : this.#drawLine(buffer, buffer.baseY + row)
  }

  /** Lets nothing be drawn until the promise has settled. */
  async #read<T>(read: () => Promise<T>): Promise<T> {
    this.#isRead = true
    try {
      return await read()
    } finally {
      this.#isRead = false
      if (this.#isDrawing && !this.#isDisposed) this.#continue()
    }
  }

  /** Resolves with what draws a buffer, from its first line on. */
  async #drawAll(buffer: ScreenBuffer, wait: () => Promise<void>): Promise<string> {
    const parts = ['\x1b[H']
    for (let row = 0; row < buffer.length; row += 1) {
      parts.push(this.#budget.measure(() => this.#drawLine(buffer, row)))
      // A character that is printed behind the last column goes on in the next line.
      if (row + 1 < buffer.length && !isContinued(buffer, row, this.#size.cols)) parts.push('\r\n')
      if (this.#budget.isTurnOver) await wait()
    }
    return parts.join('')
  }

  /**
   * Returns what draws a line, and leaves the pen as after a reset. The addon gets one line at once: of more it leaves
   * out those that have only a colour, and mistakes the colour of one that has scrolled in.
   */
  #drawLine(buffer: ScreenBuffer, row: number): string {
    // The addon draws ranges of the main screen only.
    const { active, alternate } = this.#terminal.buffer
    const shown = Object.create(this.#terminal, { buffer: { value: { active, alternate, normal: buffer } } })
    this.#serializer.activate(shown)
    const range = { start: row, end: row }
    const text = this.#serializer.serialize({ range, excludeModes: true, excludeAltBuffer: true })
    return `${Buffer.from(text).toString('latin1')}\x1b[m`
  }

  dispose(): void {
    this.#isDisposed = true
    this.clear()
    clearTimeout(this.#timer)
    this.#made?.serializer.dispose()
    this.#made?.terminal.dispose()
    this.#settle()
  }

  /** Draws the next output in a later turn. */
  #continue(): void {
    if (this.#isRead) return
    this.#timer = setTimeout(() => this.#begin(), this.#budget.wait())
  }

  #begin(): void {
    if (this.#budget.isTurnOver) return this.#continue()
    for (let next = this.#waiting[0]; next && !('length' in next); next = this.#waiting[0]) {
      this.#waiting.shift()
      this.#resize(next)
      if (this.#budget.isTurnOver) return this.#continue()
    }
    // Its callback is called in the turn in which the terminal parses what is written then.
    this.#terminal.write('', () => this.#draw())
  }

  #resize(size: WindowSize): void {
    this.#size = size
    this.#budget.measure(() => this.#made?.terminal.resize(size.cols, size.rows))
  }

  /** Draws some output, and calls itself when that is done. */
  #draw(): void {
    if (this.#isDisposed) return
    const piece = this.#pieces.shift() ?? this.#cutNext()
    if (!piece) {
      if (this.#waiting.length > 0) this.#continue()
      else this.#settle()
    } else if (this.#budget.isTurnOver) {
      this.#pieces.unshift(piece)
      this.#continue()
    } else {
      const since = performance.now()
      this.#terminal.write(piece, () => {
        this.#budget.spend(performance.now() - since)
        this.#draw()
      })
    }
  }

  /** Cuts some of the next output. Returns the first piece; nothing at the end, and before another size. */
  #cutNext(): Buffer | undefined {
    for (let next = this.#waiting[0]; next && 'length' in next; next = this.#waiting[0]) {
      this.#pieces = this.#budget.measure(() => this.#cutter.cut(next.subarray(0, WRITE_BYTES), this.#size))
      if (next.length > WRITE_BYTES) this.#waiting[0] = next.subarray(WRITE_BYTES)
      else this.#waiting.shift()
      this.#waitingBytes -= Math.min(WRITE_BYTES, next.length)
      const piece = this.#pieces.shift()
      if (piece || this.#budget.isTurnOver) return piece
    }
    return undefined
  }

  get #terminal(): ScreenTerminal {
    return this.#tools().terminal
  }

  get #serializer(): ScreenSerializer {
    return this.#tools().serializer
  }

  #tools(): Tools {
    return (this.#made ??= this.#budget.measure(() => {
      const { Terminal, SerializeAddon } = this.#classes
      const terminal = new Terminal({ ...this.#size, scrollback: this.#scrollback, allowProposedApi: true })
      const serializer = new SerializeAddon()
      terminal.loadAddon(serializer)
      return { terminal, serializer }
    }))
  }

  #settle(): void {
    this.#isDrawing = false
    for (const resolve of this.#onDrawn.splice(0)) resolve()
  }
}
