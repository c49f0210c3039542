import type { TerminalError } from '../lib/errors.ts'
import type { TerminalSize } from '../upstream/protocol.ts'

/** How often, and after which pauses, connecting is tried again. */
export interface RetryOptions {
  /**
   * The number of tries in all, from 1.
   * @defaultValue 5
   */
  attempts?: number | undefined
  /**
   * ms before the second try, from 0 to 2147483647. The delay doubles from try to try, up to 8 000 ms, and is shortened
   * by a random part of at most half. A `Retry-After` that is longer is heeded, up to 8 000 ms.
   * @defaultValue 1 000 ms
   */
  delay?: number | undefined
}

/** How a session is resumed that a gateway keeps. */
export interface ReconnectOptions {
  /**
   * ms before the first try, from 0 to 2147483647. The delay doubles from try to try, up to 8 000 ms, and is shortened
   * by a random part of at most half.
   * @defaultValue 500 ms
   */
  delay?: number | undefined
  /**
   * ms after which the terminal has ended, from 0 to 2147483647. After a sleep, one more try is made.
   * @defaultValue as long as the gateway keeps the shell
   */
  timeout?: number | undefined
}

/** Whether a terminal can be used: `reconnecting` while a connection that was cut off is being restored. */
export type TerminalStatus = 'open' | 'reconnecting' | 'closed'

/** How a terminal ended. */
export interface TerminalClose {
  /** The close code (RFC 6455, section 7.4): 1000 when this side closed, 1006 when the connection dropped. */
  readonly code: number
  /** The reason that came with the code. */
  readonly reason: string
  /**
   * - `local`: `close()` or `detach()` was called;
   * - `exited`: the shell has ended. Most servers do not announce that, so the server is asked 1, 4 and 16 s after the
   *   last output or input. Only a terminal server's own 404 counts, not that of a proxy on the way;
   * - `remote`: the server closed the connection;
   * - `lost`: the connection dropped, or the server stopped answering.
   */
  readonly cause: 'local' | 'exited' | 'remote' | 'lost'
  /** The error; absent after a normal end. */
  readonly error?: TerminalError
}

/**
 * An open terminal.
 *
 * `for await` yields its output, chunk by chunk, until the terminal closes. It never throws: `closed` tells how the
 * terminal ended. Each of several readers gets all output that comes while it reads. `break` only stops reading. A
 * closed terminal cannot be opened again.
 *
 * Most servers end the shell with the connection. A gateway of this package keeps it: then the terminal is
 * `reconnecting` when its connection drops, and goes on where it stopped. The gateway keeps a limited number of bytes.
 * If it has not kept all that is missing, `onGap` tells, and the output goes on with a sequence that resets the screen,
 * and with what it has kept.
 *
 * @example
 * ```ts
 * import type { TerminalConnection } from 'terminal-upstream'
 *
 * export async function makeTest(terminal: TerminalConnection): Promise<void> {
 *   const stop = terminal.onData((chunk) => process.stdout.write(chunk))
 *   terminal.resize(132, 50)
 *   await terminal.write('make test; exit\n')
 *   const { cause, error } = await terminal.closed
 *   stop()
 *   console.log(cause, error?.message)
 * }
 * ```
 */
export interface TerminalConnection extends AsyncIterable<Uint8Array>, AsyncDisposable {
  /** The id of the session. */
  readonly sessionId: string
  /**
   * The chat of the session. `undefined` if it has none, also when the server could not attach to a session with a
   * chat: such a session is replaced by one without.
   */
  readonly chatId: string | undefined
  /** Resolves when the terminal has ended, and its session is deleted if `deleteOnClose` says so. Never rejects. */
  readonly closed: Promise<TerminalClose>
  /**
   * - `open`: the terminal can be used;
   * - `reconnecting`: the connection was cut off, and the server keeps the session. There is no output, and `write`
   *   rejects;
   * - `closed`: the terminal has ended, or is about to.
   */
  readonly status: TerminalStatus
  /**
   * Calls `listener` each time that `status` changes, with the new one. Use it to tell people that their terminal is
   * reconnecting. Returns a function that removes the listener. An error that a listener throws becomes an uncaught
   * exception.
   *
   * @throws {TypeError} ERR_INVALID_ARG_TYPE when `listener` is no function.
   */
  onStatus(listener: (status: TerminalStatus) => void): () => void
  /**
   * Calls `listener` with the number of bytes of output that are missing: the connection was cut, or this client was
   * too slow to look on, and the gateway has not kept all of it. It is called before any reader gets the output that
   * follows, which resets the screen first. What a reader has still to read then is from before. It is not called for
   * what was printed before `connectTerminal` attached. Use it to tell people that there is more than they see, or to
   * mark the place in a record.
   *
   * Returns a function that removes the listener. An error that a listener throws becomes an uncaught exception.
   *
   * @example
   * ```ts
   * import type { TerminalConnection } from 'terminal-upstream'
   *
   * export function tellOfGaps(terminal: TerminalConnection): () => void {
   *   return terminal.onGap((bytes) => console.warn(`${bytes} bytes of output are missing`))
   * }
   * ```
   *
   * @throws {TypeError} ERR_INVALID_ARG_TYPE when `listener` is no function.
   */
  onGap(listener: (bytes: number) => void): () => void
  /**
   * Calls `listener` with the size of the window of a session that is watched (see `watch`), each time that the client
   * that types has changed it, and soon with the last one. A terminal that is not watched has the size that you give
   * it, and never calls.
   *
   * Returns a function that removes the listener. An error that a listener throws becomes an uncaught exception.
   *
   * @example
   * ```ts
   * import type { TerminalConnection } from 'terminal-upstream'
   *
   * export function showSize(terminal: TerminalConnection): () => void {
   *   return terminal.onResize(({ cols, rows }) => console.log(`${cols} × ${rows}`))
   * }
   * ```
   *
   * @throws {TypeError} ERR_INVALID_ARG_TYPE when `listener` is no function.
   */
  onResize(listener: (size: TerminalSize) => void): () => void
  /**
   * Types into the terminal: strings as UTF-8, bytes unchanged.
   *
   * Resolves when the socket has taken all bytes; the program may read them later. At most 4096 bytes leave in 4 ms.
   * Calls keep their order, even if they are not awaited. A call that is not awaited does not crash the process when
   * the terminal closes.
   *
   * Open Terminal up to 0.12.3 ends a shell that does not read its input. There, 16 KB may be sent before the output
   * repeats what was typed, and then 200 KB a second; a paste in brackets that the program has asked for leaves at 50
   * KB a second. Ctrl-C, Ctrl-Z and Ctrl-\ throw away what waits. A gateway of this package does this for its clients,
   * and `write` resolves then although the input may still be refused there.
   *
   * On newer servers, if a program does not read its input for about 40 s, and more is sent than its PTY holds, the
   * terminal may end: the server waits for the program and does not answer pings (1011, "keepalive ping timeout").
   *
   * @throws {TerminalError} ERR_TERMINAL_INPUT_STALLED when, on an old server, nothing has shown for 30 s that a
   * program reads the input, or Ctrl-C was typed after it. The message says how much was not sent; the terminal stays
   * open.
   * @throws {TerminalError} ERR_TERMINAL_CLOSED when the terminal is closed, or closes before the socket has taken all.
   * @throws {TerminalError} ERR_TERMINAL_RECONNECTING when the connection is cut off, or drops before the socket has
   * taken all. The input is not kept for later: by then, the user may see another program.
   * @throws {TerminalError} ERR_TERMINAL_FORBIDDEN when the terminal only looks on (`watch`).
   * @throws {TypeError} ERR_INVALID_ARG_TYPE when `data` is neither a string nor bytes.
   */
  write(data: string | Uint8Array): Promise<void>
  /**
   * Sets the size of the window, in character cells. Call it whenever the size changes, also while `status` is
   * `reconnecting`. Does nothing with `watch`.
   *
   * @throws {RangeError} ERR_OUT_OF_RANGE when `cols` or `rows` is no whole number from 1 to 65535.
   * @throws {TerminalError} ERR_TERMINAL_CLOSED when the terminal is closed.
   */
  resize(cols: number, rows: number): void
  /**
   * Calls `listener` with each chunk of output. Chunks are raw bytes: a UTF-8 character may be split between two, and
   * `chunk.buffer` may be larger than the chunk, so copy a chunk that you keep for long. A reader that
   * starts while there is no other also gets the output that nobody has read. Returns a function that removes the
   * listener.
   *
   * A listener cannot slow the server down; `for await` can. An error that a listener throws becomes an uncaught
   * exception, and the terminal and its other readers go on.
   *
   * @throws {TypeError} ERR_INVALID_ARG_TYPE when `listener` is no function.
   */
  onData(listener: (chunk: Uint8Array) => void): () => void
  /**
   * Closes the terminal, and deletes the session unless `deleteOnClose` is `false`, as it is with `watch`. Resolves
   * after that, with the value of `closed`. Waits at most 3 s for the server to delete the session. A DELETE that was
   * refused is tried again in the background, for up to a minute; that does not keep the process alive.
   *
   * Does not wait for input: await `write` first if all of it has to arrive. The first of `close()` and `detach()`
   * decides; each later call only resolves with the value of `closed`.
   */
  close(): Promise<TerminalClose>
  /**
   * Leaves the terminal as {@link close} does, but deletes no session, whatever `deleteOnClose` says. Use it when
   * another page or process goes on with `sessionId`.
   *
   * A gateway of this package keeps the shell for a while, as its `keepFor` says. Terminals keeps it, too, until it is
   * deleted or its container stops, but ends it when it prints while no client is attached, and lets nobody attach
   * again with an Open Terminal from 0.12.4 on behind it. Open Terminal ends the shell of every client that leaves.
   *
   * @example
   * ```ts
   * import { connectTerminal } from 'terminal-upstream'
   *
   * const page = { base: 'http://127.0.0.1:8080', authType: 'session', key: 'jwt', userId: 'ada' } as const
   * const { sessionId, detach } = await connectTerminal(page)
   * await detach()
   * const terminal = await connectTerminal({ ...page, sessionId, deleteOnClose: true })
   * await terminal.close()
   * ```
   */
  detach(): Promise<TerminalClose>
}
