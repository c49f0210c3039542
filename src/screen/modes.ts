import { Charsets } from './charsets.ts'
import { isWhole, Page } from './page.ts'
import { BLANK, placeOf, type Picture } from './picture.ts'
import { Pen } from './pen.ts'
import { nameOf, type Sequence } from './sequence.ts'
import { Switches } from './switches.ts'
import { WindowLook } from './window.ts'

const ALTERNATE_SCREEN: ReadonlySet<number> = new Set([47, 1047, 1049])
const ALTERNATE_AND_CURSOR = 1049
const SAVED_CURSOR = 1048
const VT100_CHARSETS = 2
// A stranger's output must not fill the memory.
const LONGEST_LINK_BYTES = 2048

const SELECT_PEN = nameOf('m')
const HYPERLINK = nameOf('8')
const BEL = 0x07
const CARRIAGE_RETURN = 0x0d
const SHIFT_OUT = 0x0e
const SHIFT_IN = 0x0f
const SPACE = 0x20

/**
 * The modes of a terminal that has shown some output, and all else that is set there and not drawn, to bring another
 * terminal into the same state. Where terminals differ, as in xterm.js.
 *
 * @see https://invisible-island.net/xterm/ctlseqs/ctlseqs.html
 */
export class TerminalModes {
  static readonly #controls = new Map<number, (modes: TerminalModes, parameters: readonly number[]) => void>([
    [nameOf('?h'), (modes, parameters) => parameters.forEach((mode) => modes.#setPrivate(mode, true))],
    [nameOf('?l'), (modes, parameters) => parameters.forEach((mode) => modes.#setPrivate(mode, false))],
    [nameOf('h'), (modes, parameters) => parameters.forEach((mode) => modes.#switches.setAnsi(mode, true))],
    [nameOf('l'), (modes, parameters) => parameters.forEach((mode) => modes.#switches.setAnsi(mode, false))],
    [nameOf('!p'), (modes) => modes.#softReset()],
    [nameOf('r'), (modes, [top = 0, end = 0]) => modes.#setRegion(top, end)],
    [nameOf(' q'), (modes, [style = 0]) => modes.#switches.setCursor(style)],
    [nameOf('"q'), (modes, [how = 0]) => how < 3 && modes.#pen.protect(how === 1)],
    [nameOf('>m'), (modes, [resource, keys]) => modes.#switches.setKeys(resource, keys)],
    [nameOf('>u'), (modes, [flags = 0]) => modes.#page.pushFlags(flags)],
    [nameOf('<u'), (modes, [count = 0]) => modes.#page.popFlags(Math.max(1, count))],
    [nameOf('=u'), (modes, [flags = 0, how = 0]) => modes.#page.setFlags(flags, how)],
    [nameOf('s'), (modes) => modes.#saveCursor()],
    [nameOf('u'), (modes) => modes.#restoreCursor()],
    [nameOf('g'), (modes, [which = 0]) => modes.#page.clearStop(which, modes.#column)],
    [nameOf('G'), (modes, [column = 0]) => (modes.#column = Math.max(0, column - 1))],
    [nameOf('H'), (modes, [, column = 0]) => (modes.#column = Math.max(0, column - 1))],
  ])
  static readonly #escapes = new Map<number, (modes: TerminalModes) => void>([
    [nameOf('='), (modes) => (modes.#switches.isKeypad = true)],
    [nameOf('>'), (modes) => (modes.#switches.isKeypad = false)],
    [nameOf('c'), (modes) => modes.#reset()],
    [nameOf('7'), (modes) => modes.#saveCursor()],
    [nameOf('8'), (modes) => modes.#restoreCursor()],
    [nameOf('H'), (modes) => modes.#page.setStop(modes.#column, true)],
    ...Array.from('~n}o|').map((final, at): [number, (modes: TerminalModes) => void] => {
      return [nameOf(final), (modes) => (modes.#charsets.level = Number('12233'[at]))]
    }),
  ])
  #switches = new Switches()
  #look = new WindowLook()
  readonly #pen = new Pen()
  readonly #charsets = new Charsets()
  #pages: readonly [main: Page, alternate: Page] = [new Page(), new Page()]
  #isAlternate = false
  // The hyperlink that is open, and the column of the cursor if that is known without the window.
  #link: string | undefined
  #column: number | undefined

  clone(): TerminalModes {
    const clone = new TerminalModes()
    clone.#switches = this.#switches.clone()
    clone.#look = this.#look.clone()
    clone.#pen.copy(this.#pen)
    clone.#charsets.copy(this.#charsets)
    clone.#pages = [this.#pages[0].clone(), this.#pages[1].clone()]
    clone.#isAlternate = this.#isAlternate
    clone.#link = this.#link
    clone.#column = this.#column
    return clone
  }

  /** Whether the program is told when the window gets the focus. */
  get sendsFocus(): boolean {
    return this.#switches.sendsFocus
  }

  /** Takes a sequence of the output. */
  apply(sequence: Sequence): void {
    const { kind, name } = sequence
    if (kind === 'csi') {
      // Most of what programs send.
      if (name === SELECT_PEN) return this.#pen.apply(sequence.body, sequence.from, sequence.to)
      const control = sequence.hasParts ? undefined : TerminalModes.#controls.get(name)
      if (control) control(this, sequence.parameters)
      else this.#column = undefined
    } else if (kind === 'escape') {
      const set = name > 0xff ? undefined : TerminalModes.#escapes.get(name)
      if (set) set(this)
      else if (name <= 0xff || !this.#charsets.apply(name)) this.#column = undefined
    } else if (kind === 'control') this.#applyControl(name)
    else if (kind === 'osc' && name === HYPERLINK) this.#setLink(sequence.content)
    else if (kind === 'osc') this.#look.apply(sequence)
  }

  /** Takes text. It moves the cursor: programs set tab stops with a carriage return, and spaces between the stops. */
  applyText(data: Buffer, start: number, end: number): void {
    if (data[end - 1] === CARRIAGE_RETURN) this.#column = 0
    else if (this.#column !== undefined) {
      for (let at = start; at < end && this.#column !== undefined; at += 1) {
        this.#column = data[at] === SPACE ? this.#column + 1 : undefined
      }
    }
  }

  /** Forgets the scroll regions, as terminals do at a new size; with `rows`, only one of a whole window of so many. */
  forgetRegions(rows?: number): void {
    for (const page of this.#pages) if (rows === undefined || isWhole(page.region, rows)) page.region = undefined
  }

  /**
   * Returns the sequences that bring a terminal that has just been reset into this state, but for `sendsFocus`.
   *
   * @param picture What is drawn before that, and where the cursor is. Absent if nothing is.
   */
  restore(picture?: Picture): string {
    const { main, other, row, column, line } = picture ?? BLANK
    const { isOrigin } = this.#switches
    const [top = 1] = (isOrigin && this.#page.region) || []
    const [mainPage, otherPage] = this.#pages
    const hasOther = otherPage.hasSaved || otherPage.kitty.length > 0
    const onOther = otherPage.restore() + otherPage.restoreSaved(other.saved)
    return [
      // First, because to leave it moves the cursor.
      hasOther && !this.#isAlternate ? `\x1b[?47h${onOther}\x1b[?47l` : '',
      main.text,
      mainPage.restore(),
      mainPage.restoreSaved(main.saved),
      // 1049 would save the cursor once more.
      this.#isAlternate ? (mainPage.hasSaved || main.saved ? '\x1b[?47h' : '\x1b[?1049h') : '',
      this.#isAlternate ? other.text + onOther : '',
      // To set the origin moves the cursor, and its place is relative to that then.
      picture && !isOrigin ? placeOf(row, column, line) : '',
      this.#switches.restore(),
      picture && isOrigin ? placeOf(row - Math.max(0, top - 1), column, line) : '',
      this.#charsets.restore(),
      this.#pen.sequence,
      this.#link === undefined ? '' : `\x1b]8;${this.#link}\x1b\\`,
      this.#look.restore(),
      picture || this.#column === undefined || this.#column === 0 ? '' : `\x1b[${this.#column + 1}G`,
    ].join('')
  }

  /** Returns the sequences that bring a terminal from this state into that of one that has just been reset. */
  undo(): string {
    const [main, alternate] = this.#pages.map(({ kitty }) => (kitty.some((flags) => flags > 0) ? '\x1b[=0u' : ''))
    return [
      this.#pen.isDefault ? '' : '\x1b[0m',
      this.#link === undefined ? '' : '\x1b]8;;\x1b\\',
      this.#charsets.undo(),
      this.#look.undo(),
      // To reset the region moves the cursor.
      this.#page.region ? '\x1b7\x1b[r\x1b8' : '',
      this.#switches.undo(),
      // Each screen has its own flags.
      this.#isAlternate ? `${alternate}\x1b[?1049l` : '',
      main,
    ].join('')
  }

  get #page(): Page {
    return this.#pages[this.#isAlternate ? 1 : 0]
  }

  #setRegion(top: number, end: number): void {
    this.#page.setRegion(top, end)
    this.#column = undefined
  }

  #setPrivate(mode: number, isOn: boolean): void {
    this.#column = undefined
    if (mode === VT100_CHARSETS && isOn) this.#charsets.designateAscii()
    else if (mode === SAVED_CURSOR || mode === ALTERNATE_AND_CURSOR) this.#setCursorAndScreen(mode, isOn)
    else if (ALTERNATE_SCREEN.has(mode)) this.#setAlternate(isOn)
    else this.#switches.setPrivate(mode, isOn)
  }

  #setCursorAndScreen(mode: number, isOn: boolean): void {
    if (isOn) this.#saveCursor()
    if (mode === ALTERNATE_AND_CURSOR) this.#setAlternate(isOn)
    if (!isOn) this.#restoreCursor()
  }

  #setAlternate(isOn: boolean): void {
    if (this.#isAlternate && !isOn) this.#page.clear()
    this.#isAlternate = isOn
  }

  #saveCursor(): void {
    this.#page.save(this.#pen, this.#charsets)
  }

  #restoreCursor(): void {
    const { pen, charsets } = this.#page.saved
    this.#pen.copy(pen)
    this.#charsets.level = charsets.level
    this.#column = undefined
  }

  #applyControl(name: number): void {
    if (name === SHIFT_OUT) this.#charsets.level = 1
    else if (name === SHIFT_IN) this.#charsets.level = 0
    else if (name === CARRIAGE_RETURN) this.#column = 0
    else if (name !== BEL) this.#column = undefined
  }

  #setLink(content: string): void {
    const end = content.indexOf(';')
    if (end < 0) return
    const isOpen = end + 1 < content.length
    // Gives up a long one: a part of an address is another address.
    if (isOpen) this.#link = content.length > LONGEST_LINK_BYTES ? undefined : content
    else if (content.slice(0, end).trim() === '') this.#link = undefined
  }

  #reset(): void {
    for (const page of this.#pages) page.reset()
    this.#isAlternate = false
    this.#switches.reset()
    this.#resetPen()
  }

  /** Resets as xterm.js does for DECSTR: the modes of the mouse, the screen and the tab stops stay. */
  #softReset(): void {
    this.#page.region = undefined
    this.#page.forgetSaved()
    this.#switches.softReset()
    this.#resetPen()
  }

  #resetPen(): void {
    this.#pen.reset()
    this.#charsets.reset()
    this.#link = this.#column = undefined
  }
}
