import { Charsets } from './charsets.ts'
import { Pen } from './pen.ts'

// Programs use fewer than 20. A stranger's output must not fill the memory.
const MOST_KITTY_LEVELS = 16
const MOST_TAB_STOPS = 256

/** What DECSC has saved, but for the position: that depends on the window, and on what has been printed. */
export interface SavedCursor {
  readonly pen: Pen
  readonly charsets: Charsets
}

/** What the main screen and the alternate one have each of their own. */
export class Page {
  /** The scroll region; absent for the whole window. */
  region: readonly number[] | undefined
  readonly saved: SavedCursor = { pen: new Pen(), charsets: new Charsets() }
  /** The flags of the Kitty keyboard protocol. */
  readonly kitty: number[] = []
  // Whether the tab stops of a reset terminal are gone, and those that were set or cleared since, by their column.
  #hasNoStops = false
  readonly #stops = new Map<number, boolean>()

  clone(): Page {
    const clone = new Page()
    clone.region = this.region
    clone.saved.pen.copy(this.saved.pen)
    clone.saved.charsets.copy(this.saved.charsets)
    clone.kitty.push(...this.kitty)
    clone.#hasNoStops = this.#hasNoStops
    for (const [column, isSet] of this.#stops) clone.#stops.set(column, isSet)
    return clone
  }

  /** Whether something was saved that is not what a terminal starts with. */
  get hasSaved(): boolean {
    return !this.saved.pen.isDefault || !this.saved.charsets.isAscii
  }

  /** Changes nothing if the region is none. */
  setRegion(top: number, end: number): void {
    if (end === 0 || end > Math.max(1, top)) this.region = top > 1 || end > 0 ? [top, end] : undefined
  }

  save(pen: Pen, charsets: Charsets): void {
    this.saved.pen.copy(pen)
    this.saved.charsets.copy(charsets)
  }

  /** Returns what saves the cursor of a screen, and leaves pen and charsets as after a reset. */
  restoreSaved(position = ''): string {
    const { pen, charsets } = this.saved
    if (!this.hasSaved && position === '') return ''
    const reset = pen.isDefault ? '' : '\x1b[m'
    return `${position}${charsets.restore()}${pen.sequence}\x1b7${reset}${charsets.undo()}`
  }

  forgetSaved(): void {
    this.saved.pen.reset()
    this.saved.charsets.reset()
  }

  /** Resets what a program that leaves the alternate screen leaves there in xterm.js. */
  clear(): void {
    this.region = undefined
    this.clearStops(false)
  }

  reset(): void {
    this.clear()
    this.forgetSaved()
    this.popFlags(MOST_KITTY_LEVELS)
  }

  clearStops(hasNoStops: boolean): void {
    this.#hasNoStops = hasNoStops
    // `clear` makes a new table each time, which a program could have done for every four bytes.
    if (this.#stops.size > 0) this.#stops.clear()
  }

  /** Sets or clears a tab stop. If its column is not known, neither are the stops: gives them up. */
  setStop(column: number | undefined, isSet: boolean): void {
    if (column === undefined || this.#stops.size >= MOST_TAB_STOPS) this.clearStops(false)
    else this.#stops.set(column, isSet)
  }

  clearStop(which: number, column: number | undefined): void {
    if (which === 0) this.setStop(column, false)
    if (which === 3) this.clearStops(true)
  }

  pushFlags(flags: number): void {
    this.kitty.push(flags)
    if (this.kitty.length > MOST_KITTY_LEVELS) this.kitty.shift()
  }

  /** Removes the last flags. It takes longer to set the length of an array. */
  popFlags(count: number): void {
    for (let left = count; left > 0 && this.kitty.length > 0; left -= 1) this.kitty.pop()
  }

  /** Sets the last flags: replaces them, or with 2 adds and with 3 removes some. */
  setFlags(flags: number, how: number): void {
    const before = this.kitty.pop() ?? 0
    this.kitty.push(how === 2 ? before | flags : how === 3 ? before & ~flags : flags)
  }

  /** Returns what sets region, tab stops and flags in a screen that has been reset. It may move the cursor. */
  restore(): string {
    const stops = [...this.#stops].map(([column, isSet]) => `\x1b[${column + 1}G${isSet ? '\x1bH' : '\x1b[g'}`)
    return [
      this.region ? `\x1b[${this.region.join(';')}r` : '',
      this.#hasNoStops ? '\x1b[3g' : '',
      ...stops,
      stops.length > 0 ? '\r' : '',
      ...this.kitty.map((flags) => `\x1b[>${flags}u`),
    ].join('')
  }
}

/** Whether a scroll region is a whole window of so many rows. */
export function isWhole(region: readonly number[] | undefined, rows: number): boolean {
  const [top = 0, end = 0] = region ?? []
  return top <= 1 && end >= rows
}
