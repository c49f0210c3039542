import type { TerminalConnection } from '../terminal/connection.ts'
import type { TerminalSize } from '../upstream/protocol.ts'
import type { Host, Output } from './host.ts'
import { createModes } from './modes.ts'

/** The terminal that a command was started in, if it was. */
export interface LocalTerminal {
  /** Looks at output on its way to it. */
  readonly see: (chunk: Uint8Array) => void
  /** Gives it back as it was. */
  readonly restore: () => void
}

/** Has every key passed on as it is pressed, until the terminal is restored or the process ends. */
export function takeTerminal(host: Host): LocalTerminal {
  const { stdin } = host
  const modes = createModes()
  const setRaw = (raw: boolean): void => {
    if (stdin.isTTY) stdin.setRawMode?.(raw)
  }
  // After it was stopped: the shell has used the terminal meanwhile, and the window may have another size.
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
  return { see: modes.see, restore }
}

/** The stream that shows the window. The output itself may go into a file. */
function windowOf({ stdout, stderr }: Host): Output | undefined {
  return [stdout, stderr].find(({ isTTY }) => isTTY)
}

/** Returns the size of the window, if there is one that has any. */
export function sizeOf(host: Host): TerminalSize | undefined {
  const { columns: cols = 0, rows = 0 } = windowOf(host) ?? {}
  return cols > 0 && rows > 0 ? { cols, rows } : undefined
}

/** Tells the terminal whenever the size changes; returns what stops that. */
export function followSize(host: Host, terminal: TerminalConnection): () => void {
  const window = windowOf(host)
  const follow = (): void => {
    const size = sizeOf(host)
    try {
      if (size) terminal.resize(size.cols, size.rows)
    } catch {
      // It is closing; how is told at its end.
    }
  }
  window?.on('resize', follow)
  return () => window?.off('resize', follow)
}
