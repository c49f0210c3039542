import type { TerminalConnection } from '../terminal/types.ts'
import type { TerminalSize } from '../upstream/protocol.ts'
import type { Host, OutputStream } from './host.ts'
import { createModeTracker, type ReadOutput } from './modes.ts'

/** The user's own terminal, in which the command runs. */
export interface LocalTerminal {
  readonly track: ReadOutput
  /** Restores the state from before the command. */
  readonly restore: () => void
}

/** Sets raw mode, in which every key arrives when it is pressed, until the terminal is restored or the process ends. */
export function takeTerminal(host: Host): LocalTerminal {
  const { stdin } = host
  const modes = createModeTracker()
  const setRaw = (raw: boolean): void => {
    if (stdin.isTTY) stdin.setRawMode?.(raw)
  }
  // While the command was stopped, the user's shell had the terminal, and the size of the window may have changed.
  const resume = (): void => {
    setRaw(false)
    setRaw(true)
    host.emit('SIGWINCH', 'SIGWINCH')
  }
  const restore = (): void => {
    host.off('SIGCONT', resume)
    host.off('exit', restore)
    setRaw(false)
    windowOf(host)?.write(modes.undo())
  }
  host.on('SIGCONT', resume)
  host.on('exit', restore)
  setRaw(true)
  return { track: modes.track, restore }
}

/** Returns the stream that shows the window: stderr when the output goes into a file. */
function windowOf({ stdout, stderr }: Host): OutputStream | undefined {
  return [stdout, stderr].find(({ isTTY }) => isTTY)
}

/** Returns the size of the window; `undefined` without a window. */
export function sizeOf(host: Host): TerminalSize | undefined {
  const { columns: cols = 0, rows = 0 } = windowOf(host) ?? {}
  return cols > 0 && rows > 0 ? { cols, rows } : undefined
}

/** Resizes the terminal whenever the size of the window changes. Returns a function that stops it. */
export function followSize(host: Host, terminal: TerminalConnection): () => void {
  const window = windowOf(host)
  const follow = (): void => {
    const size = sizeOf(host)
    try {
      if (size) terminal.resize(size.cols, size.rows)
    } catch {
      // The terminal is closing, and `closed` reports why.
    }
  }
  window?.on('resize', follow)
  return () => window?.off('resize', follow)
}
