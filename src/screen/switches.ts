// Modes that are on in a terminal that has just been reset: autowrap, autorepeat and the visible cursor.
const ON_AFTER_RESET: ReadonlySet<number> = new Set([7, 8, 25])
// Modes of the mouse, of which at most one is on in each group: what it reports, and how. xterm.js knows no other
// encodings, so another one does not end these.
const MOUSE_REPORTS: ReadonlySet<number> = new Set([9, 1000, 1002, 1003])
const MOUSE_ENCODINGS: ReadonlySet<number> = new Set([1006, 1016])
const FOCUS_EVENTS = 1004
// A column change clears the screen; synchronized output would hide it; and a terminal answers the modes of focus
// events and size reports with a report.
const NOT_RESTORED: ReadonlySet<number> = new Set([3, 2026, 2048, FOCUS_EVENTS])
const KEYPAD = 66
const ORIGIN = 6
// No reset changes these two in xterm.js: the blinking cursor, and new line mode, which is one of ECMA-48.
const BLINK = 12
const NEW_LINE = 20
const INSERT = 4
// Programs use fewer than 20. A stranger's output must not fill the memory.
const MOST_MODES = 64
const KEY_RESOURCES = 8

/** The modes of a terminal but for the alternate screen, the style of its cursor, and what its keys send. */
export class Switches {
  /** The keypad sends sequences of its own. */
  isKeypad = false
  // Private modes (DECSET), those of ON_AFTER_RESET when they are off, all others when they are on.
  readonly #changed: Set<number> = new Set()
  // What the mouse reports and how, 0 for the default.
  #mouseReports = 0
  #mouseEncoding = 0
  #isInserting = false
  // Absent if no program has changed it.
  #isBlinking: boolean | undefined
  #isNewLine: boolean | undefined
  // The style of the cursor, and what the keys send (XTMODKEYS), four bits for each resource: 0 for the default.
  #cursor = 0
  #keys = 0

  clone(): Switches {
    const clone = new Switches()
    clone.isKeypad = this.isKeypad
    for (const mode of this.#changed) clone.#changed.add(mode)
    clone.#mouseReports = this.#mouseReports
    clone.#mouseEncoding = this.#mouseEncoding
    clone.#isInserting = this.#isInserting
    clone.#isBlinking = this.#isBlinking
    clone.#isNewLine = this.#isNewLine
    clone.#cursor = this.#cursor
    clone.#keys = this.#keys
    return clone
  }

  /** Whether the program is told when the window gets the focus. */
  get sendsFocus(): boolean {
    return this.#changed.has(FOCUS_EVENTS)
  }

  /** Whether the cursor is placed within the scroll region. */
  get isOrigin(): boolean {
    return this.#changed.has(ORIGIN)
  }

  setPrivate(mode: number, isOn: boolean): void {
    if (MOUSE_REPORTS.has(mode)) this.#mouseReports = isOn ? mode : 0
    else if (MOUSE_ENCODINGS.has(mode)) this.#mouseEncoding = isOn ? mode : 0
    else if (mode === KEYPAD) this.isKeypad = isOn
    else if (mode === BLINK) this.#isBlinking = isOn
    else if (isOn === ON_AFTER_RESET.has(mode)) this.#changed.delete(mode)
    else if (this.#changed.size < MOST_MODES) this.#changed.add(mode)
  }

  setAnsi(mode: number, isOn: boolean): void {
    if (mode === INSERT) this.#isInserting = isOn
    if (mode === NEW_LINE) this.#isNewLine = isOn
  }

  /** Takes a style of the cursor. Of one above 6, xterm.js takes only whether it blinks. */
  setCursor(style: number): void {
    this.#cursor = style <= 6 ? style : 2 * Math.ceil((this.#cursor || 8) / 2) - (style % 2)
  }

  /** Sets what some keys send, or without a value the default, for all of them if they are not named either. */
  setKeys(resource = 0, value?: number): void {
    const shift = 4 * resource
    if (resource === 0 && value === undefined) this.#keys = 0
    else if (resource < KEY_RESOURCES) this.#keys = (this.#keys & ~(0xf << shift)) | (((value ?? 0) & 0xf) << shift)
  }

  reset(): void {
    this.softReset()
    this.#keys = 0
    this.#mouseReports = this.#mouseEncoding = 0
  }

  /** Resets as xterm.js does for DECSTR: the mouse stays. */
  softReset(): void {
    // `clear` makes a new table each time, which a program could have done for every four bytes.
    if (this.#changed.size > 0) this.#changed.clear()
    this.#isInserting = this.isKeypad = false
    this.#cursor = 0
  }

  /** Returns the sequences that bring a terminal that has just been reset into this state, but for `sendsFocus`. */
  restore(): string {
    const changed = [...this.#changed].filter((mode) => !NOT_RESTORED.has(mode))
    return [
      this.isKeypad ? '\x1b=' : '',
      this.#cursor > 0 ? `\x1b[${this.#cursor} q` : '',
      ...this.#keyModes((resource, value) => `\x1b[>${resource};${value}m`),
      this.#privateModes(changed, 'h', 'l'),
      this.#isBlinking === undefined ? '' : `\x1b[?${BLINK}${this.#isBlinking ? 'h' : 'l'}`,
      this.#isInserting ? `\x1b[${INSERT}h` : '',
      this.#isNewLine === undefined ? '' : `\x1b[${NEW_LINE}${this.#isNewLine ? 'h' : 'l'}`,
    ].join('')
  }

  /** Returns the sequences that bring a terminal from this state into that of one that has just been reset. */
  undo(): string {
    return [
      this.isKeypad ? '\x1b>' : '',
      this.#cursor > 0 ? '\x1b[0 q' : '',
      ...this.#keyModes((resource) => `\x1b[>${resource}m`),
      this.#privateModes(this.#changed, 'l', 'h'),
      this.#isBlinking === true ? `\x1b[?${BLINK}l` : '',
      this.#isInserting ? `\x1b[${INSERT}l` : '',
      this.#isNewLine === true ? `\x1b[${NEW_LINE}l` : '',
    ].join('')
  }

  #keyModes(spell: (resource: number, value: number) => string): string[] {
    return Array.from({ length: KEY_RESOURCES }, (_, resource) => {
      const value = (this.#keys >> (4 * resource)) & 0xf
      return value > 0 ? spell(resource, value) : ''
    })
  }

  /** Returns the sequences for private modes: `on` is the end of those for modes that are off after a reset. */
  #privateModes(changed: Iterable<number>, on: string, off: string): string {
    const modes = [...changed, this.#mouseReports, this.#mouseEncoding].filter((mode) => mode !== 0)
    const sequences = [false, true].map((isOnAfterReset) => {
      const list = modes.filter((mode) => ON_AFTER_RESET.has(mode) === isOnAfterReset)
      return list.length > 0 ? `\x1b[?${list.join(';')}${isOnAfterReset ? off : on}` : ''
    })
    return sequences.join('')
  }
}
