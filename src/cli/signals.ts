import { constants } from 'node:os'
import { errorCode } from '../lib/errors.ts'
import { CommandError } from './flags.ts'
import type { Host } from './host.ts'

type Name = 'SIGHUP' | 'SIGINT' | 'SIGPIPE' | 'SIGQUIT' | 'SIGTERM'

/** Why a command was ended from outside. */
export class Interruption extends Error {
  /** As a shell has it for a program that a signal has ended. */
  readonly status: number

  constructor(name: Name) {
    super(`ended by ${name}`)
    this.status = 128 + constants.signals[name]
  }
}

const NAMES: readonly Name[] = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM']

/**
 * Calls with a signal that aborts when the process is sent one of its own, when its output cannot be written any more, and
 * when it has crashed, so that everything can be put right before it ends. Whoever presses Ctrl-C again does not want to
 * wait for that; the other signals may come twice by themselves, when a window is closed.
 */
export async function interruptible<T>(host: Host, act: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController()
  const interrupt = (name: Name): void => {
    const interruption = new Interruption(name)
    if (controller.signal.aborted && name === 'SIGINT') host.exit(interruption.status)
    controller.abort(interruption)
  }
  const crash = (error: Error): void => controller.abort(error)
  for (const name of NAMES) host.on(name, interrupt)
  host.on('uncaughtException', crash)
  // Not taken off again: what was written last may still fail.
  host.stdout.on('error', (error) => controller.abort(outputError(error)))
  host.stderr.on('error', () => {})
  try {
    return await act(controller.signal)
  } finally {
    for (const name of NAMES) host.off(name, interrupt)
    host.off('uncaughtException', crash)
  }
}

/** Nobody reads a pipe any more, or the terminal is gone: what SIGPIPE would have said, of which Node takes no notice. */
function outputError(error: Error): Error {
  const code = String(errorCode(error))
  if (['EPIPE', 'EIO'].includes(code)) return new Interruption('SIGPIPE')
  return new CommandError(code, `The output cannot be written: ${error.message}.`, 1)
}
