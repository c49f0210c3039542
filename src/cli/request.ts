import { withDeadline } from '../lib/deadline.ts'
import { TerminalError } from '../lib/errors.ts'
import type { UpstreamOptions } from '../upstream/resolve.ts'
import { advise } from './advise.ts'
import { millisecondsOf, type Call } from './flags.ts'
import type { Host } from './host.ts'
import { startProgress } from './screen.ts'
import { readTarget } from './target.ts'

/** Sends one request to the server of the command; `action` completes "Cannot …" in the error of a timeout. */
export type Send = <T>(action: string, request: (options: UpstreamOptions) => Promise<T>) => Promise<T>

const DEFAULT_TIMEOUT = 30_000

/** The help of `--timeout` for commands that use {@link prepareRequests}. */
export const TIMEOUT_HELP = 'how long to wait for each answer; default: 30'

/** Reads the server from the flags. Resolves with a function that sends requests to it. */
export async function prepareRequests(call: Call, host: Host, signal: AbortSignal): Promise<Send> {
  const timeout = millisecondsOf(call, 'timeout', 0.001) ?? DEFAULT_TIMEOUT
  const target = await readTarget(call, host, signal)
  return async (action, request) => {
    const expired = (): TerminalError => {
      const message = `Cannot ${action}: no answer in ${timeout / 1_000} s. Try again later, or with a longer --timeout.`
      return new TerminalError('ERR_TERMINAL_TIMEOUT', message)
    }
    const progress = startProgress(host, 'Waiting for the server')
    try {
      return await withDeadline(timeout, signal, (limit) => request({ ...target, signal: limit }), expired)
    } catch (error) {
      throw advise(error, call, target)
    } finally {
      progress.stop()
    }
  }
}
