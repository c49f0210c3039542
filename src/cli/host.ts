import type { EventEmitter } from 'node:events'

/** The part of a process that the commands use; tests have their own. It emits signals, and its end. */
export interface Host extends Pick<EventEmitter, 'on' | 'off' | 'emit'> {
  readonly stdin: Input
  readonly stdout: Output
  readonly stderr: Output
  readonly env: Readonly<Record<string, string | undefined>>
  /** The operating system. */
  readonly platform: NodeJS.Platform
  /** Ends at once. */
  exit(status: number): void
}

/** That of a terminal has a raw mode, that of a pipe or a file has not. */
export interface Input extends NodeJS.ReadableStream {
  readonly isTTY?: boolean
  setRawMode?(raw: boolean): unknown
  destroy(): unknown
}

/** That of a terminal has a size. */
export interface Output extends NodeJS.WritableStream {
  /** Bytes that have been written and not read yet. */
  readonly writableLength: number
  readonly isTTY?: boolean
  readonly columns?: number
  readonly rows?: number
}
