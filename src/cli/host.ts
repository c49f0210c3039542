import type { EventEmitter } from 'node:events'

/** The part of a process that the commands use. Tests pass one of their own. It emits signals, and `exit` at its end. */
export interface Host extends Pick<EventEmitter, 'on' | 'off' | 'emit'> {
  readonly stdin: InputStream
  readonly stdout: OutputStream
  readonly stderr: OutputStream
  readonly env: Readonly<Record<string, string | undefined>>
  /** The operating system. */
  readonly platform: NodeJS.Platform
  /** Ends the process at once. */
  exit(status: number): void
}

/** Standard input. Only a terminal has a raw mode. */
export interface InputStream extends NodeJS.ReadableStream {
  readonly isTTY?: boolean
  setRawMode?(raw: boolean): unknown
  destroy(): unknown
}

/** Standard output or standard error. Only a terminal has a size. */
export interface OutputStream extends NodeJS.WritableStream {
  /** Bytes that have been written, but not read yet. */
  readonly writableLength: number
  readonly isTTY?: boolean
  readonly columns?: number
  readonly rows?: number
}
