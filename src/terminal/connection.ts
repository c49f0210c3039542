import type { TerminalClose, TerminalCore } from './core.ts'
import type { Output } from './output.ts'

/**
 * An open terminal.
 *
 * `for await` yields its output, chunk by chunk, until the terminal closes. It never throws: `closed` tells how the
 * terminal ended. Each of several readers gets all output that comes while it reads. `break` only stops reading. A closed
 * terminal cannot be opened again: the server ends the shell with the connection.
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
   * The chat of the session. `undefined` if it has none, also when the server could not attach to a session with a chat:
   * such a session is replaced by one without.
   */
  readonly chatId: string | undefined
  /** Resolves when the terminal has ended, and the session that was created for it is deleted. Never rejects. */
  readonly closed: Promise<TerminalClose>
  /**
   * Types into the terminal: strings as UTF-8, bytes unchanged.
   *
   * Resolves when the socket has taken all bytes; the program may read them later. At most 4096 bytes leave in 4 ms,
   * because Open Terminal up to 0.12.3 loses faster input. Calls keep their order, even if they are not awaited. A call
   * that is not awaited does not crash the process when the terminal closes.
   *
   * If a program does not read its input for about 40 s, and more is sent than its PTY holds, the terminal may end: the
   * server waits for the program and does not answer pings (1011, "keepalive ping timeout").
   *
   * @throws {TerminalError} ERR_TERMINAL_CLOSED when the terminal is closed, or closes before the socket has taken all.
   * @throws {TypeError} ERR_INVALID_ARG_TYPE when `data` is neither a string nor bytes.
   */
  write(data: string | Uint8Array): Promise<void>
  /**
   * Sets the size of the window, in character cells. Call it whenever the size changes.
   *
   * @throws {RangeError} ERR_OUT_OF_RANGE when `cols` or `rows` is no whole number from 1 to 65535.
   * @throws {TerminalError} ERR_TERMINAL_CLOSED when the terminal is closed.
   */
  resize(cols: number, rows: number): void
  /**
   * Calls `listener` with each chunk of output. Chunks are raw bytes: a UTF-8 character may be split between two, and
   * `chunk.buffer` may be larger than the chunk, so copy a chunk that you keep for long. A reader that
   * starts while there is no other also gets the output that nobody has read. Returns a function that removes the listener.
   *
   * A listener cannot slow the server down; `for await` can. An error that a listener throws becomes an uncaught
   * exception, and the terminal and its other readers go on.
   *
   * @throws {TypeError} ERR_INVALID_ARG_TYPE when `listener` is no function.
   */
  onData(listener: (chunk: Uint8Array) => void): () => void
  /**
   * Closes the terminal, and deletes the session if it was created for the terminal. Resolves after that, with the value
   * of `closed`. Waits at most 3 s for the server to delete the session, and ignores a failure to do so.
   */
  close(): Promise<TerminalClose>
}

/** Joins an open terminal and its output to the connection that users get. */
export function toConnection(core: TerminalCore, output: Output): TerminalConnection {
  const { sessionId, chatId, closed } = core
  return {
    sessionId,
    chatId,
    closed,
    write: (data) => core.write(data),
    resize: (cols, rows) => core.resize(cols, rows),
    onData: (listener) => output.onData(listener),
    close: () => core.close(),
    [Symbol.asyncIterator]: () => output.iterate(),
    async [Symbol.asyncDispose]() {
      await core.close()
    },
  }
}
