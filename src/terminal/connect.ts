import { attachTerminal } from './attach.ts'
import { readable, type TerminalConnection } from './connection.ts'
import { createOutput } from './output.ts'
import type { TerminalSize } from '../upstream/protocol.ts'
import type { UpstreamOptions } from '../upstream/resolve.ts'
import type { SocketConstructor } from './websocket.ts'

/** What {@link connectTerminal} is given; all but the first few have defaults that suit most. */
export interface ConnectTerminalOptions extends UpstreamOptions {
  /**
   * The session to attach to, which is then yours to delete. Default: a new one is created, and deleted again when
   * attaching fails and when the terminal ends.
   */
  sessionId?: string | undefined
  /** The size of the window, sent before anything else. Default: the server's 80 columns × 24 rows. */
  size?: TerminalSize | undefined
  /**
   * Whether the key of `bearer` also travels in the URL, which servers and proxies write into their logs:
   * - `'fallback'` tries without it, and once more with it if the server refuses the handshake and does not say that the
   *   session is not there or that the key is wrong;
   * - `'always'` saves Terminals 0.0.1 and 0.0.2 the refused handshake;
   * - `'never'` attaches to all but those two.
   *
   * Default: `'fallback'`.
   */
  tokenInUrl?: 'always' | 'never' | 'fallback' | undefined
  /**
   * ms for the whole of connecting, from 1 to 2147483647; deleting the session again may take up to 3 000 more.
   * Default: 30 000.
   */
  timeout?: number | undefined
  /**
   * How often to try in all, and ms before the second try, for what may pass: a connection refused or reset, HTTP 502,
   * 503 and 504, close codes 1012 and 1013, and 4003 "not reachable". The delay doubles from try to try, up to 8 000 ms,
   * and a random part of it, at most half, is left out. Either field may be left out. Default: `attempts` 5, `delay`
   * 1 000.
   *
   * Where the answer to the creation of a session is lost, the session is looked for. It is not found, and so not
   * deleted, if another of the same user was created at the same time, or if the server is an Open Terminal up to 0.11,
   * which does not tell whose a session is.
   */
  retry?: { attempts?: number | undefined; delay?: number | undefined } | undefined
  /**
   * ms of silence after which an attach counts as accepted: no server says so. The server is asked for the session
   * before. Default: 1 000.
   */
  settle?: number | undefined
  /**
   * ms of silence before a heartbeat, 0 for none: a message that every server ignores and every proxy passes on, and
   * where the runtime can, a protocol ping; two of those unanswered end the terminal as `lost`. Default: 30 000.
   */
  keepAlive?: number | undefined
  /**
   * Bytes of output to hold for a slow reader before the server is made to wait; a little more may come until it does.
   * Browsers cannot make it wait: there, and with their kind of socket, it all is held. Default: 1 MiB.
   */
  maxBuffered?: number | undefined
  /**
   * The WebSocket class to dial with. One that cannot send headers, as in browsers, cannot attach to Open Terminal from
   * 0.12.4 on, which wants to see the user there. Default: `ws` in Node, Bun and Deno, the global one elsewhere.
   */
  WebSocket?: SocketConstructor | undefined
}

/**
 * Opens a terminal: creates a session, attaches to it in the way that every release understands, and resolves once the
 * server has accepted, with the first output or after `settle` ms of silence.
 *
 * When it rejects, no socket, timer or session is left behind. Only if the server is still creating the session then,
 * the answer is waited for in the background, for 30 s at most, to delete it; that does not keep the process alive.
 *
 * A reader that stops for over 40 s while output floods in may lose the terminal: servers give up on a socket that
 * does not answer their pings, and a paused one cannot.
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
 * @throws {TerminalError} ERR_TERMINAL_UNAUTHORIZED when the key is not accepted.
 * @throws {TerminalError} ERR_TERMINAL_NOT_FOUND when the session, policy or server is not there.
 * @throws {TerminalError} ERR_TERMINAL_IN_USE when somebody else is attached to the session.
 * @throws {TerminalError} ERR_TERMINAL_LIMIT when the server has as many sessions as it allows.
 * @throws {TerminalError} ERR_TERMINAL_UNAVAILABLE when the server cannot be reached, after all tries.
 * @throws {TerminalError} ERR_TERMINAL_TIMEOUT when `timeout` ran out.
 * @throws {TerminalError} ERR_TERMINAL_INVALID_URL, ERR_TERMINAL_FORBIDDEN, ERR_TERMINAL_MISSING_USER or
 * ERR_TERMINAL_PROTOCOL when {@link TerminalErrorCode} says so.
 * @throws {TypeError} ERR_INVALID_ARG_TYPE or ERR_INVALID_ARG_VALUE when an option is of no use.
 * @throws {RangeError} ERR_OUT_OF_RANGE when a number is.
 * @throws The `reason` of `signal` when that aborts.
 */
export async function connectTerminal(options: ConnectTerminalOptions): Promise<TerminalConnection> {
  const { attached, sink } = await attachTerminal(options, createOutput)
  return readable(attached, sink)
}
