import { withCallSite } from '../lib/call-site.ts'
import { knownOptions } from '../upstream/options.ts'
import { readSettings, type ConnectTerminalOptions, type Settings } from './settings.ts'
import { ResumableTerminal } from './terminal.ts'
import type { TerminalConnection } from './types.ts'

// The way to an open terminal: attach.ts makes the tries, each with a session of lease.ts, a dial of dial.ts over a
// socket of socket.ts, and an explanation of refusal.ts when it fails. connection.ts is the terminal over one
// connection; terminal.ts opens the next one when it drops, and is what users get. output.ts joins the output of all
// connections, and gives it to its readers.

/**
 * Opens a terminal: creates a session, and attaches to it in the way that every release understands. Resolves when the
 * server has accepted: with the first output, or after `settle` ms of silence.
 *
 * When it rejects, no socket, timer or session is left behind. If the server is still creating the session, its answer
 * is awaited in the background for at most 30 s, to delete the session. That does not keep the process alive.
 *
 * If the server is a gateway of this package, the terminal outlives its connection: see `reconnect`. To go on after a
 * reload of the page, keep `sessionId`, and pass it with `createIfGone`.
 *
 * A reader that stops for over 40 s during a flood of output may lose the terminal: a paused socket does not answer the
 * server's pings, and the server closes it.
 *
 * @example
 * ```ts
 * import { connectTerminal } from 'terminal-upstream'
 *
 * await using terminal = await connectTerminal({ base: 'http://127.0.0.1:8000', key: 'sk-1', userId: 'ada' })
 * await terminal.write('uname -a; exit\n')
 * for await (const chunk of terminal) process.stdout.write(chunk)
 * ```
 *
 * @example
 * A page that finds its shell again after a reload:
 * ```ts
 * import { connectTerminal } from 'terminal-upstream'
 *
 * const { shell: sessionId } = sessionStorage
 * const terminal = await connectTerminal({ base: location.origin, userId: 'ada', sessionId, createIfGone: true })
 * sessionStorage.shell = terminal.sessionId
 * ```
 *
 * @throws {TerminalError} ERR_TERMINAL_UNAUTHORIZED when the key is not accepted.
 * @throws {TerminalError} ERR_TERMINAL_NOT_FOUND when the session, policy or server does not exist; with
 * `createIfGone`, only if a new session cannot be created either.
 * @throws {TerminalError} ERR_TERMINAL_IN_USE when another client is attached to the session.
 * @throws {TerminalError} ERR_TERMINAL_LIMIT when the server has as many sessions as it allows.
 * @throws {TerminalError} ERR_TERMINAL_UNAVAILABLE when the server cannot be reached, after all tries.
 * @throws {TerminalError} ERR_TERMINAL_TIMEOUT when `timeout` ran out.
 * @throws {TerminalError} ERR_TERMINAL_INVALID_URL, ERR_TERMINAL_FORBIDDEN, ERR_TERMINAL_MISSING_USER or
 * ERR_TERMINAL_PROTOCOL when {@link TerminalErrorCode} says so.
 * @throws {TypeError} ERR_INVALID_ARG_TYPE or ERR_INVALID_ARG_VALUE when an option has a wrong type or value, or does
 * not exist.
 * @throws {RangeError} ERR_OUT_OF_RANGE when a number is out of its range.
 * @throws The `reason` of `signal` when the signal aborts.
 */
export async function connectTerminal(options: ConnectTerminalOptions): Promise<TerminalConnection> {
  return withCallSite(() => openTerminal(options))
}

/** Opens a terminal as {@link connectTerminal} does, and tells of each try that has failed if another follows. */
export async function openTerminal(
  options: ConnectTerminalOptions,
  onRetry?: Settings['onRetry'],
): Promise<TerminalConnection> {
  const known = knownOptions('connectTerminal', options)
  return ResumableTerminal.open({ ...readSettings(known), onRetry })
}
