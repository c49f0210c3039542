import { assertKnown, assertObject, assertText, wrongType } from '../lib/arguments.ts'
import { CharacterKeeper } from '../lib/characters.ts'
import type { TerminalConnection } from '../terminal/types.ts'
import { CursorShower, ESCAPE, mendReset } from './cursor.ts'

/** The part of xterm.js's `Terminal` that the addon uses. `@xterm/xterm` 5 and 6 have it. */
export interface XtermLike {
  /** Width of the window in columns. */
  readonly cols: number
  /** Height of the window in rows. */
  readonly rows: number
  /** The element in which xterm.js is; absent before `open`, and without a window. */
  readonly element?: XtermElement | undefined
  /** Shows output, and then calls `callback`. */
  write(data: Uint8Array, callback?: () => void): void
  /** Adds a listener for keystrokes, pastes, and the terminal's answers to the queries of programs. */
  onData(listener: (text: string) => void): { dispose(): void }
  /** Adds a listener for bytes that are not text, such as some mouse reports. Each character holds one byte. */
  onBinary(listener: (bytes: string) => void): { dispose(): void }
  /** Adds a listener for new sizes of the window. */
  onResize(listener: (size: { cols: number; rows: number }) => void): { dispose(): void }
  /** Gives the window the size of a session that is watched. Without it, the window keeps its own. */
  resize?(cols: number, rows: number): void
  /** Clears the screen. The addon puts another in its place, which also shows the cursor, until it is disposed of. */
  reset?(): void
}

/** The part of an `HTMLElement` that the addon uses. So programs compile that do not have the DOM's types. */
export interface XtermElement {
  /** The document, which makes the note that says that the terminal is reconnecting. */
  readonly ownerDocument: {
    createElement(name: 'div'): { readonly style: { cssText: string }; remove(): void }
  }
  /** Shows the note. */
  append(note: unknown): void
}

/** The options of {@link UpstreamAddon}. */
export interface UpstreamAddonOptions {
  /**
   * What people read in a corner of xterm.js: `reconnecting` is the text while the terminal is `reconnecting`, in a
   * language of your choice. It is shown as text, never as HTML. With `false`, nothing is shown: use
   * `terminal.onStatus`.
   * @defaultValue `{ reconnecting: 'reconnecting…' }`
   */
  notes?: false | { reconnecting: string } | undefined
}

// Limits of the bytes that xterm.js has received and not shown yet. It shows 5 to 35 MB/s, so with more bytes waiting,
// Ctrl-C seems to have no effect.
const HIGH_WATER = 128 * 1024
const LOW_WATER = 32 * 1024

const LARGEST_SIZE = 65_535
// Limits of a window that somebody else sets the size of: xterm.js takes 12 bytes for each cell, and those it keeps of
// the past.
const MOST_COLS = 1_000
const MOST_ROWS = 500

// Marks a chunk of output whose queries must not be answered. The terminal sets it: the bundle of that is another one.
const REPLAY = Symbol.for('terminal-upstream:replay')

// A style sheet can change both for this class.
const NOTE_CLASS = 'terminal-upstream-reconnecting'
const NOTE_STYLE = 'position:absolute;top:8px;right:20px;z-index:10;padding:2px 8px;background:#333;color:#fff'

/**
 * An addon that connects xterm.js to a terminal of `connectTerminal`.
 *
 * The addon reads output no faster than xterm.js shows it, sends keystrokes as bytes, and tells the shell the size of
 * the window. It replaces `@xterm/addon-attach`, which sends keystrokes as text: these servers drop text, and a single
 * digit sent as text ends the shell. While the terminal is `reconnecting`, it says so in a corner. It does not close
 * the terminal, and shows no message when the terminal ends: see `terminal.closed`.
 *
 * With a terminal that only looks on (`watch`), it sends nothing, and gives the window the size of the session, up to
 * 1 000 × 500. What a program asked the terminal before the page attached, xterm.js does not answer any more: by then,
 * it would be typed into another program. A cursor that was hidden is shown again by a reset of the terminal, by the
 * program or by `xterm.reset()`, as by other terminals.
 *
 * @example
 * ```ts
 * import { Terminal } from '@xterm/xterm'
 * import { connectTerminal } from 'terminal-upstream'
 * import { UpstreamAddon } from 'terminal-upstream/xterm'
 *
 * const terminal = await connectTerminal({ base: location.origin, userId: 'ada' })
 * const xterm = new Terminal()
 * xterm.loadAddon(new UpstreamAddon(terminal))
 * xterm.open(document.body)
 * ```
 *
 * @see https://xtermjs.org/docs/guides/flowcontrol/ and https://xtermjs.org/docs/guides/using-addons/
 */
export class UpstreamAddon {
  readonly #terminal: TerminalConnection
  // Absent if nothing is to be shown.
  readonly #note: string | undefined
  readonly #detachers: Array<() => void> = []

  /**
   * @param terminal The result of `connectTerminal`.
   * @param options What to show beside the output.
   * @throws {TypeError} ERR_INVALID_ARG_TYPE when `terminal` is something else, such as a WebSocket, or when an option
   * has the wrong type.
   * @throws {TypeError} ERR_INVALID_ARG_VALUE when there is no option of that name, or a text is empty.
   */
  constructor(terminal: TerminalConnection, options: UpstreamAddonOptions = {}) {
    if (!(Symbol.asyncIterator in Object(terminal))) {
      throw wrongType('terminal', 'the result of connectTerminal', terminal)
    }
    this.#terminal = terminal
    this.#note = readNote(options)
  }

  /** Connects the two, and tells the shell the current size of the window. `loadAddon` calls it. */
  activate(xterm: XtermLike): void {
    const terminal = this.#terminal
    const output = terminal[Symbol.asyncIterator]()
    const resize = createResizer(terminal)
    const note = new Note(xterm, this.#note)
    const showStatus = (): void => note.show(terminal.status === 'reconnecting')
    const removeListener = terminal.onStatus(showStatus)
    showStatus()
    // Without it in a terminal that was not made by this version.
    const known: Partial<TerminalConnection> = terminal
    const removeSizes = known.onResize?.(({ cols, rows }) => {
      xterm.resize?.(Math.min(cols, MOST_COLS), Math.min(rows, MOST_ROWS))
    })
    const restoreReset = mendReset(xterm)
    const shown = { isReplay: false }
    const listeners = [
      xterm.onData((text) => {
        // An answer. What people type begins with an escape only for some keys, and waits while output is parsed.
        if (!shown.isReplay || text.charCodeAt(0) !== ESCAPE) void terminal.write(text)
      }),
      xterm.onBinary((bytes) => void terminal.write(Uint8Array.from(bytes, (byte) => byte.charCodeAt(0)))),
      xterm.onResize(resize),
    ]
    this.#detachers.push(() => {
      void output.return?.()
      removeListener()
      removeSizes?.()
      restoreReset()
      note.show(false)
      for (const listener of listeners) listener.dispose()
    })
    resize(xterm)
    void show(output, xterm, shown)
  }

  /**
   * Disconnects the two. Both stay open, and the terminal keeps its output for other readers. xterm.js calls it when it
   * is disposed of.
   */
  dispose(): void {
    for (const detach of this.#detachers.splice(0)) detach()
  }
}

/** Returns what to show while the terminal is reconnecting. */
function readNote(options: UpstreamAddonOptions): string | undefined {
  assertObject('options', options)
  assertKnown('UpstreamAddon', options, ['notes'])
  const { notes = { reconnecting: 'reconnecting…' } } = options
  if (notes === false) return undefined
  if (Object(notes) !== notes) throw wrongType('notes', 'false or an object', notes)
  assertKnown('`notes`', notes, ['reconnecting'])
  const { reconnecting } = notes
  assertText('notes.reconnecting', reconnecting)
  return reconnecting
}

/** Tells people in a corner of xterm.js that the terminal is reconnecting. */
class Note {
  readonly #xterm: XtermLike
  readonly #text: string | undefined
  // Absent while nothing is shown.
  #element: { remove(): void } | undefined

  constructor(xterm: XtermLike, text: string | undefined) {
    this.#xterm = xterm
    this.#text = text
  }

  show(isShown: boolean): void {
    this.#element?.remove()
    // Read each time: xterm.js may be opened after the addon is loaded.
    const { element } = this.#xterm
    if (!isShown || !element || this.#text === undefined) return
    const note = element.ownerDocument.createElement('div')
    Object.assign(note, { className: NOTE_CLASS, role: 'status', textContent: this.#text })
    note.style.cssText = NOTE_STYLE
    element.append(note)
    this.#element = note
  }
}

/**
 * Shows all output until its end. Stops reading while xterm.js has too many bytes left to show. `shown` tells whether
 * what is being parsed is a replay.
 */
async function show(output: AsyncIterator<Uint8Array>, xterm: XtermLike, shown: { isReplay: boolean }): Promise<void> {
  const characters = new CharacterKeeper()
  const cursor = new CursorShower()
  // Bytes that xterm.js has received and not shown yet.
  let waiting = 0
  // Continues the loop below while it waits for xterm.js.
  let drained: (() => void) | undefined
  for (let next; !(next = await output.next()).done;) {
    const { length } = next.value
    waiting += length
    // What this callback says holds for the next chunk, which xterm.js parses in one go.
    if (REPLAY in next.value) xterm.write(new Uint8Array(), () => (shown.isReplay = true))
    xterm.write(cursor.add(characters.add(next.value)), () => {
      shown.isReplay = false
      waiting -= length
      if (waiting <= LOW_WATER) drained?.()
    })
    if (waiting > HIGH_WATER) await new Promise<void>((resolve) => (drained = resolve))
  }
}

/** Returns a function that resizes the terminal: only if the size has changed, and within the limits of a shell. */
function createResizer(terminal: TerminalConnection): (size: { cols: number; rows: number }) => void {
  // The last size, because xterm.js can report the same size twice.
  let lastSize = ''
  return (size) => {
    const [cols, rows] = [clamp(size.cols), clamp(size.rows)]
    if (lastSize === `${cols} ${rows}`) return
    lastSize = `${cols} ${rows}`
    try {
      terminal.resize(cols, rows)
    } catch {
      // `resize` throws once the terminal has closed. The window may still change its size.
    }
  }
}

function clamp(cells: number): number {
  return Math.min(Math.max(cells, 1), LARGEST_SIZE)
}
