import { nameOf, type Sequence } from './sequence.ts'

// Modes that are on in a terminal that has just been reset: autowrap, autorepeat and the visible cursor.
const ON_AFTER_RESET: ReadonlySet<number> = new Set([7, 8, 25])
// Modes of the mouse, of which at most one is on in each group: what it reports, and how.
const MOUSE_REPORTS: ReadonlySet<number> = new Set([9, 1000, 1002, 1003])
const MOUSE_ENCODINGS: ReadonlySet<number> = new Set([1005, 1006, 1015, 1016])
const ALTERNATE_SCREEN: ReadonlySet<number> = new Set([47, 1047, 1049])
const FOCUS_EVENTS = 1004
// No mode, but a sequence of the same form.
const SAVED_CURSOR = 1048
// A column change clears the screen; synchronized output would hide it; and a terminal answers the modes of focus
// events and size reports with a report.
const NOT_RESTORED: ReadonlySet<number> = new Set([3, 2026, 2048, FOCUS_EVENTS])
// Programs use fewer than 20. A stranger's output must not fill the memory.
const MOST_MODES = 64
const MOST_KITTY_LEVELS = 16

const KEYPAD_ON = nameOf('=')
const KEYPAD_OFF = nameOf('>')
const RESET = nameOf('c')

/**
 * The modes of a terminal that has shown some output, to bring another terminal into the same state.
 *
 * @see https://invisible-island.net/xterm/ctlseqs/ctlseqs.html
 */
export class TerminalModes {
  // What changes a mode or a setting. The colours of `m`, which are most of what programs send, are not among it.
  static readonly #controls = new Map<number, (modes: TerminalModes, parameters: readonly number[]) => void>([
    [nameOf('?h'), (modes, parameters) => parameters.forEach((mode) => modes.#setPrivate(mode, true))],
    [nameOf('?l'), (modes, parameters) => parameters.forEach((mode) => modes.#setPrivate(mode, false))],
    [nameOf('h'), (modes, parameters) => parameters.forEach((mode) => modes.#setAnsi(mode))],
    [nameOf('l'), (modes, parameters) => parameters.forEach((mode) => modes.#ansi.delete(mode))],
    [nameOf('!p'), (modes) => modes.#softReset()],
    [nameOf('r'), (modes, [top = 0, end = 0]) => (modes.#region = top > 1 || end > 0 ? [top, end] : undefined)],
    [nameOf(' q'), (modes, [shape]) => (modes.#cursor = shape || undefined)],
    [nameOf('>m'), (modes, [which, keys]) => which === 4 && (modes.#keys = keys || undefined)],
    [nameOf('>u'), (modes, [flags = 0]) => pushFlags(modes.#kittyStack, flags)],
    [nameOf('<u'), (modes, [count = 0]) => pop(modes.#kittyStack, Math.max(1, count))],
    [nameOf('=u'), (modes, [flags = 0, how = 0]) => setFlags(modes.#kittyStack, flags, how)],
  ])
  // Private modes (DECSET), those of ON_AFTER_RESET when they are off, all others when they are on.
  #changed: Set<number> = new Set()
  // What the mouse reports and how, 0 for the default.
  #mouseReports = 0
  #mouseEncoding = 0
  // Modes of ECMA-48 that are on: insert and new line.
  #ansi: Set<number> = new Set()
  #isAlternate = false
  #isKeypad = false
  // The settings that have more than two values; absent for the default.
  #region: readonly number[] | undefined
  #cursor: number | undefined
  #keys: number | undefined
  // Flags of the Kitty keyboard protocol. Each screen has a stack.
  #kitty: [main: number[], alternate: number[]] = [[], []]

  clone(): TerminalModes {
    const clone = new TerminalModes()
    clone.#changed = new Set(this.#changed)
    clone.#mouseReports = this.#mouseReports
    clone.#mouseEncoding = this.#mouseEncoding
    clone.#ansi = new Set(this.#ansi)
    clone.#isAlternate = this.#isAlternate
    clone.#isKeypad = this.#isKeypad
    clone.#region = this.#region
    clone.#cursor = this.#cursor
    clone.#keys = this.#keys
    clone.#kitty = [[...this.#kitty[0]], [...this.#kitty[1]]]
    return clone
  }

  /** Whether the program is told when the window gets the focus. */
  get sendsFocus(): boolean {
    return this.#changed.has(FOCUS_EVENTS)
  }

  /** Takes a sequence of the output. */
  apply(sequence: Sequence): void {
    const { kind, name } = sequence
    if (kind === 'escape') this.#applyEscape(name)
    if (kind !== 'csi' || sequence.hasParts) return
    // Parameters are read only for these.
    const control = TerminalModes.#controls.get(name)
    if (control) control(this, sequence.parameters)
  }

  /** Returns the sequences that bring a terminal that has just been reset into this state, but for `sendsFocus`. */
  restore(): string {
    const changed = [...this.#changed].filter((mode) => !NOT_RESTORED.has(mode))
    const ansi = [...this.#ansi]
    return [
      this.#isAlternate ? '\x1b[?1049h' : '',
      this.#isKeypad ? '\x1b=' : '',
      this.#region ? `\x1b[${this.#region.join(';')}r` : '',
      this.#cursor === undefined ? '' : `\x1b[${this.#cursor} q`,
      this.#keys === undefined ? '' : `\x1b[>4;${this.#keys}m`,
      this.#privateModes(changed, 'h', 'l'),
      ansi.length > 0 ? `\x1b[${ansi.join(';')}h` : '',
      ...this.#kittyStack.map((flags) => `\x1b[>${flags}u`),
    ].join('')
  }

  /** Returns the sequences that bring a terminal from this state into that of one that has just been reset. */
  undo(): string {
    const [main, alternate] = this.#kitty.map((stack) => (stack.some((flags) => flags > 0) ? '\x1b[=0u' : ''))
    return [
      this.#isKeypad ? '\x1b>' : '',
      // To reset the region moves the cursor.
      this.#region ? '\x1b7\x1b[r\x1b8' : '',
      this.#cursor === undefined ? '' : '\x1b[0 q',
      this.#keys === undefined ? '' : '\x1b[>4m',
      this.#privateModes(this.#changed, 'l', 'h'),
      ...[...this.#ansi].map((mode) => `\x1b[${mode}l`),
      // Each screen has its own flags.
      this.#isAlternate ? `${alternate}\x1b[?1049l` : '',
      main,
    ].join('')
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

  get #kittyStack(): number[] {
    return this.#kitty[this.#isAlternate ? 1 : 0]
  }

  #applyEscape(name: number): void {
    if (name === KEYPAD_ON) this.#isKeypad = true
    else if (name === KEYPAD_OFF) this.#isKeypad = false
    else if (name === RESET) this.#reset()
  }

  #reset(): void {
    empty(this.#changed)
    empty(this.#ansi)
    this.#mouseReports = this.#mouseEncoding = 0
    this.#isAlternate = this.#isKeypad = false
    this.#region = this.#cursor = this.#keys = undefined
    pop(this.#kitty[0], MOST_KITTY_LEVELS)
    pop(this.#kitty[1], MOST_KITTY_LEVELS)
  }

  #setPrivate(mode: number, isOn: boolean): void {
    if (ALTERNATE_SCREEN.has(mode)) this.#isAlternate = isOn
    else if (MOUSE_REPORTS.has(mode)) this.#mouseReports = isOn ? mode : 0
    else if (MOUSE_ENCODINGS.has(mode)) this.#mouseEncoding = isOn ? mode : 0
    else if (mode === SAVED_CURSOR) return
    else if (isOn === ON_AFTER_RESET.has(mode)) this.#changed.delete(mode)
    else if (this.#changed.size < MOST_MODES) this.#changed.add(mode)
  }

  #setAnsi(mode: number): void {
    if (mode === 4 || mode === 20) this.#ansi.add(mode)
  }

  /** Resets as xterm.js does for DECSTR: the modes of the mouse and the screen stay. */
  #softReset(): void {
    empty(this.#changed)
    empty(this.#ansi)
    this.#isKeypad = false
    this.#region = undefined
  }
}

/** Empties a set. `clear` makes a new table each time, which a program could have done for every four bytes. */
function empty(set: Set<number>): void {
  if (set.size > 0) set.clear()
}

/** Removes the last entries. It takes longer to set the length of an array. */
function pop(stack: number[], count: number): void {
  for (let left = count; left > 0 && stack.length > 0; left -= 1) stack.pop()
}

function pushFlags(stack: number[], flags: number): void {
  stack.push(flags)
  if (stack.length > MOST_KITTY_LEVELS) stack.shift()
}

/** Sets the flags of the Kitty keyboard protocol: replaces them, or with 2 adds and with 3 removes some. */
function setFlags(stack: number[], flags: number, how: number): void {
  const before = stack.pop() ?? 0
  stack.push(how === 2 ? before | flags : how === 3 ? before & ~flags : flags)
}
