import type { TerminalClose, TerminalCore } from './core.ts'
import type { Output } from './output.ts'

/**
 * A terminal that is open.
 *
 * Reading it with `for await` yields its output, chunk by chunk, until it closes, and does not throw however it closes:
 * `closed` tells. Several readers each get all that comes while they read. `break` only stops reading. There is no
 * reconnecting: the server ends the shell with the connection.
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
  /** The session that it is attached to. */
  readonly sessionId: string
  /**
   * The chat of the session. `undefined` without one, and where the server cannot attach to a session that has one: then
   * the session was replaced by one without it.
   */
  readonly chatId: string | undefined
  /** Resolves when the terminal has ended and the session that was created for it is gone; never rejects. */
  readonly closed: Promise<TerminalClose>
  /**
   * Types into the terminal: strings as UTF-8, bytes as they are.
   *
   * Resolves when the socket has taken all of it, which is not when the program has read it. At most 4096 bytes leave in
   * 4 ms, because servers up to Open Terminal 0.12.3 lose some of more. Calls keep their order without being awaited,
   * and one that is not awaited does not crash the process when the terminal closes meanwhile.
   *
   * A program that stops reading its input for about 40 s while more is sent than its PTY can hold may lose the
   * terminal: a server that waits for it does not answer pings (1011, "keepalive ping timeout").
   *
   * @throws {TerminalError} ERR_TERMINAL_CLOSED when the terminal is closed or closes before everything was taken.
   * @throws {TypeError} ERR_INVALID_ARG_TYPE when `data` is neither a string nor bytes.
   */
  write(data: string | Uint8Array): Promise<void>
  /**
   * Tells the shell the size of the window, in character cells; call it whenever that changes.
   *
   * @throws {RangeError} ERR_OUT_OF_RANGE when one of them is no whole number from 1 to 65535.
   * @throws {TerminalError} ERR_TERMINAL_CLOSED when the terminal is closed.
   */
  resize(cols: number, rows: number): void
  /**
   * Calls `listener` with each chunk of output, bytes as the shell wrote them: a UTF-8 character may be split between
   * two. The first listener also gets what came before it. Returns a function that stops it.
   *
   * A listener cannot slow the server down; `for await` does. What one throws is an uncaught exception; the terminal
   * and its other readers go on.
   *
   * @throws {TypeError} ERR_INVALID_ARG_TYPE when `listener` is no function.
   */
  onData(listener: (chunk: Uint8Array) => void): () => void
  /**
   * Closes the terminal, and ends the session if it was created for it. Resolves, with what `closed` resolves to, after
   * that; a server that cannot be asked to end it is not waited for longer than 3 s, and not told of.
   */
  close(): Promise<TerminalClose>
}

/** Gives the terminal that users hold its output. */
export function toConnection(attached: TerminalCore, output: Output): TerminalConnection {
  const { sessionId, chatId, closed, write, resize, close } = attached
  return {
    sessionId,
    chatId,
    closed,
    write: (data) => write(data),
    resize,
    onData: output.onData,
    close: () => close(),
    [Symbol.asyncIterator]: output.iterate,
    async [Symbol.asyncDispose]() {
      await close()
    },
  }
}
