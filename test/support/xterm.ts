import xtermHeadless from '@xterm/headless'
import { expect, onTestFinished } from 'vitest'
import type { TerminalConnection, TerminalStatus } from '../../src/index.ts'
import { UpstreamAddon, type XtermLike } from '../../src/xterm.ts'
import { open, type Opened } from './terminal.ts'

const { Terminal } = xtermHeadless
export type Xterm = InstanceType<typeof Terminal>

/** Opens a terminal on an upstream, and connects it to an xterm.js without a window. */
export async function connected(): Promise<Opened & { xterm: Xterm }> {
  const opened = await open()
  return { ...opened, xterm: show(opened.terminal).xterm }
}

/** Connects a new xterm.js to a terminal, and returns what it has typed, too. */
export function show(
  terminal: TerminalConnection,
  options = {},
): { xterm: Xterm; answers: string[]; addon: UpstreamAddon } {
  const xterm = new Terminal({ allowProposedApi: true, ...options })
  onTestFinished(() => xterm.dispose())
  const addon = new UpstreamAddon(terminal)
  xterm.loadAddon(addon)
  const answers: string[] = []
  xterm.onData((answer) => answers.push(answer))
  return { xterm, answers, addon }
}

/** Returns the text of the first line of the screen. */
export function firstLine(xterm: Xterm): string | undefined {
  return xterm.buffer.active.getLine(0)?.translateToString(true)
}

/** Returns bytes as text. */
export function textOf(frames: Uint8Array[]): string {
  return Buffer.concat(frames).toString()
}

type Listener<T> = (value: T) => void

/** An xterm.js that the test controls. It shows output only when the test calls the callbacks. */
export class ManualXterm implements XtermLike {
  readonly shown: Uint8Array[] = []
  readonly callbacks: Array<() => void> = []
  readonly listeners = new Set<Listener<never>>()
  cols = 80
  rows = 24
  type: Listener<string> | undefined
  binary: Listener<string> | undefined
  sized: Listener<{ cols: number; rows: number }> | undefined
  resets = 0

  write(data: Uint8Array, callback = (): void => {}): void {
    this.shown.push(data)
    this.callbacks.push(callback)
  }

  onData(listener: Listener<string>): { dispose(): void } {
    this.type = listener
    return this.#listen(listener)
  }

  onBinary(listener: Listener<string>): { dispose(): void } {
    this.binary = listener
    return this.#listen(listener)
  }

  onResize(listener: Listener<{ cols: number; rows: number }>): { dispose(): void } {
    this.sized = listener
    return this.#listen(listener)
  }

  #listen(listener: Listener<never>): { dispose(): void } {
    this.listeners.add(listener)
    return { dispose: () => this.listeners.delete(listener) }
  }

  reset(): void {
    this.resets += 1
  }

  get bytes(): number {
    return this.shown.reduce((sum, { length }) => sum + length, 0)
  }
}

/** A terminal that nothing happens to but what the test does to its status. */
export function terminalOf(): { terminal: TerminalConnection; change: (status: TerminalStatus) => void } {
  let status: TerminalStatus = 'open'
  let listener = (): void => {}
  const terminal = {
    get status() {
      return status
    },
    onStatus: (given: () => void) => {
      listener = given
      return () => (listener = () => expect.unreachable())
    },
    resize() {},
    [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }),
  } as unknown as TerminalConnection
  return {
    terminal,
    change: (next) => {
      status = next
      listener()
    },
  }
}
