import type { UpstreamOptions } from '../upstream/options.ts'

/** A part of what a command printed. */
export interface CommandOutput {
  readonly stream: 'stdout' | 'stderr'
  readonly data: Uint8Array
}

/** The options of `runCommand` and `startCommand`. */
export interface CommandOptions extends UpstreamOptions {
  /**
   * The command, for `/bin/sh -c`. It sees no terminal. The server writes it into a log that everyone with the key can
   * read for 7 days: secrets belong in `env` or `stdin`.
   */
  command: string
  /**
   * The folder to run in. A relative path begins at the default.
   * @defaultValue the user's home
   */
  cwd?: string | undefined
  /**
   * Variables, beside those of the server.
   * @defaultValue none
   */
  env?: Readonly<Record<string, string>> | undefined
  /**
   * All of the input. More than 32 KiB go through a file in `/tmp` of the server, which all of its users can read until
   * the command starts and deletes it.
   * @defaultValue `''`: the command reads its end at once
   */
  stdin?: string | Uint8Array | undefined
  /**
   * Ends the command, and then rejects with the signal's `reason`.
   * @defaultValue none
   */
  signal?: AbortSignal | undefined
  /**
   * ms after which the command is ended, from the moment when the server has said that it has it. That is no error: the
   * result has `timedOut`.
   * @defaultValue none: a command may run for ever
   */
  timeout?: number | undefined
  /**
   * ms between SIGTERM and SIGKILL, when a command is ended.
   * @defaultValue 2 000 ms
   */
  grace?: number | undefined
  /**
   * What `stdout` and `stderr` of the result are: text, or bytes as `Uint8Array`.
   * @defaultValue `'utf8'`
   */
  encoding?: 'utf8' | 'buffer' | undefined
  /**
   * How many commands this process runs at once on the same `base`; others wait. Open Terminal up to 0.14.1 answers
   * nobody while as many run as it has processors, and 4.
   * @defaultValue 4
   */
  concurrency?: number | undefined
  /**
   * Gets each piece of stdout as it comes; what it returns is not waited for. If it throws, the command is ended, and
   * the promise rejects with the error.
   * @defaultValue none
   */
  onStdout?: ((chunk: Uint8Array) => void) | undefined
  /**
   * Gets each piece of stderr as it comes.
   * @defaultValue none
   */
  onStderr?: ((chunk: Uint8Array) => void) | undefined
}

/** How a command has ended, and what it printed. */
export interface CommandResult<Output = string> {
  /** The exit status, 0 to 255; 128 + n if signal n has ended the command. */
  exitCode: number
  /** The signal that has ended the command, if this package has sent it: `SIGTERM` or `SIGKILL`. */
  signal?: string
  stdout: Output
  stderr: Output
  /** Whether the command was ended because of `timeout`. */
  timedOut: boolean
  /** Whether output is missing: the server keeps about 37 MB of it. */
  truncated: boolean
}

/** A command that has been started. Its output can be read in a loop, from the beginning, as it comes. */
export interface RunningCommand<Output = string> extends AsyncIterable<CommandOutput>, AsyncDisposable {
  /** The id under which the server lists the command. */
  readonly id: string
  /** Settles when the command has ended, as the promise of `runCommand` does. */
  readonly result: Promise<CommandResult<Output>>
  /**
   * Sends SIGTERM, and SIGKILL after `grace`. Resolves when the command has ended; rejects if it cannot be ended, and
   * can then be called again.
   */
  kill(): Promise<void>
}
