import type { SequenceKind } from './sequence-parser.ts'

// Modes that are on in a terminal that has just been reset: autowrap, autorepeat and the visible cursor.
const ON_AFTER_RESET = [7, 8, 25]
// Modes of the mouse, of which at most one is on in each group: what it reports, and how.
const EXCLUSIVE = [
  [9, 1000, 1002, 1003],
  [1005, 1006, 1015, 1016],
]
const ALTERNATE_SCREEN = [47, 1047, 1049]
const FOCUS_EVENTS = 1004
// A column change clears the screen; a saved cursor is no mode; synchronized output would hide the screen; and a terminal
// answers the mode of size reports with one.
const NOT_KEPT = [3, 1048, 2026, 2048]
// Programs use fewer than 20. A stranger's output must not fill the memory.
const MOST_MODES = 64
const MOST_KITTY_LEVELS = 16

/**
 * The modes of a terminal that has shown some output, to bring another terminal into the same state.
 *
 * @see https://invisible-island.net/xterm/ctlseqs/ctlseqs.html
 */
export class TerminalModes {
  // Private modes (DECSET), those of ON_AFTER_RESET when they are off, all others when they are on.
  #changed: Set<number> = new Set()
  // Modes of ECMA-48 that are on: insert and new line.
  #ansi: Set<number> = new Set()
  #isAlternate = false
  // The sequences of settings that have more than two values, by their name.
  #settings: Map<string, string> = new Map()
  // Flags of the Kitty keyboard protocol. Each screen has a stack.
  #kitty: [main: number[], alternate: number[]] = [[], []]

  clone(): TerminalModes {
    const clone = new TerminalModes()
    clone.#changed = new Set(this.#changed)
    clone.#ansi = new Set(this.#ansi)
    clone.#isAlternate = this.#isAlternate
    clone.#settings = new Map(this.#settings)
    clone.#kitty = [[...this.#kitty[0]], [...this.#kitty[1]]]
    return clone
  }

  /** Whether the program is told when the window gets the focus. */
  get sendsFocus(): boolean {
    return this.#changed.has(FOCUS_EVENTS)
  }

  /** Takes a sequence of the output. */
  apply(kind: SequenceKind, body: string): void {
    if (kind === 'escape') this.#applyEscape(body)
    // The colours of `m` are most of what programs send.
    if (kind !== 'csi' || (body.endsWith('m') && !body.startsWith('>'))) return
    const [, prefix = '', parameters = '', final = ''] = /^([<=>?]?)([\d;]*)([ !]?[@-~])$/.exec(body) ?? []
    const numbers = parameters.split(';').map(Number)
    this.#applyControl(prefix + final, numbers, body)
  }

  /** Returns the sequences that bring a terminal that has just been reset into this state, but for `sendsFocus`. */
  restore(): string {
    const changed = [...this.#changed].filter((mode) => mode !== FOCUS_EVENTS)
    const on = changed.filter((mode) => !ON_AFTER_RESET.includes(mode))
    const off = changed.filter((mode) => ON_AFTER_RESET.includes(mode))
    const ansi = [...this.#ansi]
    return [
      this.#isAlternate ? '\x1b[?1049h' : '',
      ...this.#settings.values(),
      on.length > 0 ? `\x1b[?${on.join(';')}h` : '',
      off.length > 0 ? `\x1b[?${off.join(';')}l` : '',
      ansi.length > 0 ? `\x1b[${ansi.join(';')}h` : '',
      ...this.#kittyStack.map((flags) => `\x1b[>${flags}u`),
    ].join('')
  }

  get #kittyStack(): number[] {
    return this.#kitty[this.#isAlternate ? 1 : 0]
  }

  #applyEscape(body: string): void {
    if (body === '=') this.#settings.set('keypad', '\x1b=')
    else if (body === '>') this.#settings.delete('keypad')
    else if (body === 'c') this.#reset()
  }

  #reset(): void {
    this.#changed.clear()
    this.#ansi.clear()
    this.#settings.clear()
    this.#isAlternate = false
    this.#kitty = [[], []]
  }

  #applyControl(name: string, numbers: number[], body: string): void {
    const [first = 0, second = 0] = numbers
    const stack = this.#kittyStack
    if (name === '?h' || name === '?l') for (const mode of numbers) this.#setPrivate(mode, name === '?h')
    else if (name === 'h') for (const mode of numbers) this.#setAnsi(mode)
    else if (name === 'l') for (const mode of numbers) this.#ansi.delete(mode)
    else if (name === '!p') this.#softReset()
    else if (name === 'r') this.#set('region', body, first > 1 || second > 0)
    else if (name === ' q') this.#set('cursor', body, first > 0)
    else if (name === '>m' && first === 4) this.#set('keys', body, second > 0)
    else if (name === '>u') stack.splice(0, Math.max(0, stack.push(first) - MOST_KITTY_LEVELS))
    else if (name === '<u') stack.splice(-Math.max(1, first))
    else if (name === '=u') setFlags(stack, first, second)
  }

  #set(name: string, body: string, isOn: boolean): void {
    this.#settings.delete(name)
    if (isOn) this.#settings.set(name, `\x1b[${body}`)
  }

  #setPrivate(mode: number, isOn: boolean): void {
    if (ALTERNATE_SCREEN.includes(mode)) this.#isAlternate = isOn
    if (ALTERNATE_SCREEN.includes(mode) || NOT_KEPT.includes(mode)) return
    for (const group of EXCLUSIVE) if (group.includes(mode)) for (const other of group) this.#changed.delete(other)
    if (isOn === ON_AFTER_RESET.includes(mode)) this.#changed.delete(mode)
    else if (this.#changed.size < MOST_MODES) this.#changed.add(mode)
  }

  #setAnsi(mode: number): void {
    if (mode === 4 || mode === 20) this.#ansi.add(mode)
  }

  /** Resets as xterm.js does for DECSTR: the modes of the mouse and the screen stay. */
  #softReset(): void {
    const mouse = EXCLUSIVE.flat()
    for (const mode of this.#changed) if (!mouse.includes(mode)) this.#changed.delete(mode)
    for (const name of ['keypad', 'region']) this.#settings.delete(name)
    this.#ansi.clear()
  }
}

/** Sets the flags of the Kitty keyboard protocol: replaces them, or with 2 adds and with 3 removes some. */
function setFlags(stack: number[], flags: number, how: number): void {
  const before = stack.pop() ?? 0
  stack.push(how === 2 ? before | flags : how === 3 ? before & ~flags : flags)
}
