import { constants } from 'node:os'
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
const CRASHED = 1

/**
 * Calls with a signal that aborts when the process is sent one of its own, when nobody takes its output any more, and when
 * it has crashed, so that everything can be put right before it ends. Whoever sends a second does not want to wait.
 */
export async function interruptible<T>(host: Host, act: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController()
  const abort = (reason: Error, status: number): void => {
    if (controller.signal.aborted) host.exit(status)
    controller.abort(reason)
  }
  const interrupt = (name: Name): void => {
    const interruption = new Interruption(name)
    abort(interruption, interruption.status)
  }
  const crash = (error: Error): void => abort(error, CRASHED)
  // Node takes no notice of SIGPIPE, but what is written to nobody fails.
  host.stdout.on('error', () => controller.abort(new Interruption('SIGPIPE')))
  for (const name of NAMES) host.on(name, interrupt)
  host.on('uncaughtException', crash)
  try {
    return await act(controller.signal)
  } finally {
    for (const name of NAMES) host.off(name, interrupt)
    host.off('uncaughtException', crash)
  }
}
