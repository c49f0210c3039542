import type { EventEmitter } from 'node:events'
import { constants } from 'node:os'
import { errorCode } from '../lib/errors.ts'

/** What the commands use of a process. Tests pass one of their own. It emits signals, and `exit` at its end. */
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

/** The exit status for a command that was called wrongly. */
export const WRONG_USE = 2

/** An error of the command itself, not of a server. Most say how to call the command instead. */
export class CommandError extends Error {
  readonly code: string
  readonly exitStatus: number

  constructor(message: string, code = 'ERR_INVALID_ARG_VALUE', exitStatus: number = WRONG_USE) {
    super(message)
    this.code = code
    this.exitStatus = exitStatus
  }
}

type SignalName = 'SIGHUP' | 'SIGINT' | 'SIGPIPE' | 'SIGQUIT' | 'SIGTERM'

/** The reason of a command that a signal has ended. */
export class Interruption extends Error {
  /** 128 and the number of the signal, as a shell reports it. */
  readonly exitStatus: number

  constructor(name: SignalName) {
    super(`ended by ${name}`)
    this.exitStatus = 128 + constants.signals[name]
  }
}

const SIGNAL_NAMES: readonly SignalName[] = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM']

/**
 * Runs a command with an AbortSignal, so that the command can clean up before the process ends. It aborts at a signal
 * of the operating system, when the output cannot be written, and when the program crashes.
 *
 * A second Ctrl-C ends the process at once. A second signal of another name does not: when a window is closed, the same
 * signal may come twice.
 */
export async function interruptible<T>(host: Host, act: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController()
  const interrupt = (name: SignalName): void => {
    const interruption = new Interruption(name)
    if (controller.signal.aborted && name === 'SIGINT') host.exit(interruption.exitStatus)
    controller.abort(interruption)
  }
  const crash = (error: Error): void => controller.abort(error)
  for (const name of SIGNAL_NAMES) host.on(name, interrupt)
  host.on('uncaughtException', crash)
  // These listeners stay: the last output may fail after the command has ended.
  host.stdout.on('error', (error) => controller.abort(outputError(error)))
  host.stderr.on('error', () => {})
  try {
    return await act(controller.signal)
  } finally {
    for (const name of SIGNAL_NAMES) host.off(name, interrupt)
    host.off('uncaughtException', crash)
  }
}

/** Returns SIGPIPE for a pipe or a terminal that is closed: Node ignores the signal and reports an error instead. */
function outputError(error: Error): Error {
  const code = String(errorCode(error))
  if (['EPIPE', 'EIO'].includes(code)) return new Interruption('SIGPIPE')
  return new CommandError(`The output cannot be written: ${error.message}.`, code, 1)
}
