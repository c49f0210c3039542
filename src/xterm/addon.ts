import { wrongType } from '../lib/arguments.ts'
import type { TerminalConnection } from '../terminal/connection.ts'

/** What xterm.js gives for a listener: `dispose()` takes it away again. */
interface XtermListener {
  dispose(): void
}

/** The part of xterm.js's `Terminal` that the addon uses; the one of `@xterm/xterm` 5 and 6 has it. */
export interface XtermLike {
  /** Width of the window in columns. */
  readonly cols: number
  /** Height of the window in rows. */
  readonly rows: number
  /** Shows output; `callback` is called when that has been done. */
  write(data: Uint8Array, callback?: () => void): void
  /** Keystrokes, pastes, and what programs ask of the terminal. */
  onData(listener: (text: string) => void): XtermListener
  /** Bytes that are no text, as some mouse reports, one in each character. */
  onBinary(listener: (bytes: string) => void): XtermListener
  /** The window has another size. */
  onResize(listener: (size: { cols: number; rows: number }) => void): XtermListener
}

// Bytes that xterm.js has been given and not shown yet. It takes 5 to 35 MB/s: more than this, and Ctrl-C seems dead.
const HIGH_WATER = 128 * 1024
const LOW_WATER = 32 * 1024
const LARGEST_SIZE = 65_535

/**
 * An addon for xterm.js that joins it to a terminal of `connectTerminal`.
 *
 * Output is shown no faster than xterm.js can take it, keystrokes leave as bytes, and the shell is told the size of the
 * window. In place of `@xterm/addon-attach`, which sends keystrokes as text: these servers drop text, and a single digit
 * typed that way ends the shell. It does not close the terminal, and shows nothing of its own at its end:
 * `terminal.closed` tells.
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
  readonly #detachers: Array<() => void> = []

  /**
   * @param terminal What `connectTerminal` resolved with.
   * @throws {TypeError} ERR_INVALID_ARG_TYPE when it is something else, such as a WebSocket.
   */
  constructor(terminal: TerminalConnection) {
    if (!(Symbol.asyncIterator in Object(terminal))) {
      throw wrongType('terminal', 'what connectTerminal resolves with', terminal)
    }
    this.#terminal = terminal
  }

  /** Called by `loadAddon`: joins the two, and tells the shell the size that the window has now. */
  activate(xterm: XtermLike): void {
    const terminal = this.#terminal
    const output = terminal[Symbol.asyncIterator]()
    const resize = sizeTeller(terminal)
    const listeners = [
      xterm.onData((text) => void terminal.write(text)),
      xterm.onBinary((bytes) => void terminal.write(Uint8Array.from(bytes, (byte) => byte.charCodeAt(0)))),
      xterm.onResize(resize),
    ]
    this.#detachers.push(() => {
      void output.return?.()
      for (const listener of listeners) listener.dispose()
    })
    resize(xterm)
    void show(output, xterm)
  }

  /** Called when xterm.js is disposed of, or by you to part the two: both go on, the terminal's output waits for others. */
  dispose(): void {
    for (const detach of this.#detachers.splice(0)) detach()
  }
}

/** Hands output on to the end, and does not ask for more while too much of it waits to be shown. */
async function show(output: AsyncIterator<Uint8Array>, xterm: XtermLike): Promise<void> {
  let waiting = 0
  let drained: (() => void) | undefined
  for (let next; !(next = await output.next()).done;) {
    const { length } = next.value
    waiting += length
    xterm.write(next.value, () => {
      waiting -= length
      if (waiting <= LOW_WATER) drained?.()
    })
    if (waiting > HIGH_WATER) await new Promise<void>((resolve) => (drained = resolve))
  }
}

/** Tells the shell of a size that is another than before, within what it can have. */
function sizeTeller(terminal: TerminalConnection): (size: { cols: number; rows: number }) => void {
  let told = ''
  return (size) => {
    const [cols, rows] = [clamp(size.cols), clamp(size.rows)]
    if (told === `${cols} ${rows}`) return
    told = `${cols} ${rows}`
    try {
      terminal.resize(cols, rows)
    } catch {
      // It has closed: a window that is still there may be any size.
    }
  }
}

function clamp(cells: number): number {
  return Math.min(Math.max(cells, 1), LARGEST_SIZE)
}
