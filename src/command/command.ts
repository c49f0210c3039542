import { withCallSite } from '../lib/call-site.ts'
import { throwIfAborted } from '../lib/cancellation.ts'
import { Deferred } from '../lib/deferred.ts'
import { globalWith } from '../lib/globals.ts'
import { CommandRun } from './run.ts'
import { CommandServer } from './server.ts'
import { readCommand, type CommandSettings } from './settings.ts'
import type { CommandOptions, CommandOutput, CommandResult, RunningCommand } from './types.ts'

/**
 * Runs one command on the server, and resolves with its exit code and what it printed, byte for byte.
 *
 * Use it where a service needs a result and no terminal. An exit code other than 0 is no error. The command runs at
 * most once, whatever is lost on the way; where its end is not known, the promise rejects, and says that it may have
 * run.
 *
 * @example
 * ```ts
 * import { runCommand } from 'terminal-upstream/command'
 *
 * const { exitCode, stdout } = await runCommand({
 *   base: 'http://127.0.0.1:8000',
 *   key: 'sk-1',
 *   userId: 'ada',
 *   command: 'npm --version',
 * })
 * console.log(exitCode, stdout)
 * ```
 *
 * @throws {TerminalError} ERR_TERMINAL_UNAVAILABLE when the server cannot be reached, or lacks what a command needs.
 * @throws {TerminalError} ERR_TERMINAL_UNAUTHORIZED when the key is not accepted.
 * @throws {TerminalError} ERR_TERMINAL_NOT_FOUND when the server runs no commands, as a gateway does not, or has no
 * such `cwd`.
 * @throws {TerminalError} ERR_TERMINAL_INVALID_URL, ERR_TERMINAL_FORBIDDEN, ERR_TERMINAL_MISSING_USER or
 * ERR_TERMINAL_PROTOCOL when `TerminalErrorCode` says so.
 * @throws {TypeError} ERR_INVALID_ARG_TYPE or ERR_INVALID_ARG_VALUE when an option is wrong or unknown.
 * @throws {RangeError} ERR_OUT_OF_RANGE when a number is out of range.
 * @see https://github.com/open-webui/open-terminal/blob/v0.11.34/open_terminal/main.py `execute`
 */
export function runCommand(options: CommandOptions & { encoding: 'buffer' }): Promise<CommandResult<Uint8Array>>
export function runCommand(options: CommandOptions & { encoding?: 'utf8' | undefined }): Promise<CommandResult>
export function runCommand(options: CommandOptions): Promise<CommandResult<string | Uint8Array>>
export function runCommand(options: CommandOptions): Promise<CommandResult<string | Uint8Array>> {
  return withCallSite(async () => {
    const settings = readCommand('runCommand', options)
    return resultOf(settings, new CommandRun(settings, new CommandServer(settings.upstream)), ignore)
  })
}

/**
 * Starts a command, and resolves when the server has it. Takes the same options as {@link runCommand}.
 *
 * Use it to read the output in a loop while the command runs, or to end it yourself.
 *
 * @example
 * ```ts
 * import { startCommand } from 'terminal-upstream/command'
 *
 * const options = { base: 'http://127.0.0.1:8000', key: 'sk-1', userId: 'ada' }
 * const command = await startCommand({ ...options, command: 'npm test' })
 * for await (const { stream, data } of command) process[stream].write(data)
 * console.log((await command.result).exitCode)
 * ```
 *
 * @throws {TerminalError} As {@link runCommand}. What goes wrong after the start rejects `result`.
 * @throws {TypeError} ERR_INVALID_ARG_TYPE or ERR_INVALID_ARG_VALUE when an option is wrong or unknown.
 * @throws {RangeError} ERR_OUT_OF_RANGE when a number is out of range.
 * @see https://github.com/open-webui/open-terminal/blob/v0.11.34/open_terminal/main.py `execute`
 */
export function startCommand(options: CommandOptions & { encoding: 'buffer' }): Promise<RunningCommand<Uint8Array>>
export function startCommand(options: CommandOptions & { encoding?: 'utf8' | undefined }): Promise<RunningCommand>
export function startCommand(options: CommandOptions): Promise<RunningCommand<string | Uint8Array>>
export function startCommand(options: CommandOptions): Promise<RunningCommand<string | Uint8Array>> {
  return withCallSite(async () => {
    const settings = readCommand('startCommand', options)
    const run = new CommandRun(settings, new CommandServer(settings.upstream))
    const started = new Deferred()
    const result = resultOf(settings, run, started.resolve)
    // Whoever uses only the loop need not handle it twice.
    result.catch(() => {})
    await Promise.race([started.promise, result])
    return new StartedCommand(run, result)
  })
}

class StartedCommand implements RunningCommand<string | Uint8Array> {
  readonly result: Promise<CommandResult<string | Uint8Array>>
  readonly #run: CommandRun

  constructor(run: CommandRun, result: Promise<CommandResult<string | Uint8Array>>) {
    this.#run = run
    this.result = result
  }

  get id(): string {
    return this.#run.id
  }

  kill(): Promise<void> {
    return this.#run.kill()
  }

  async *[Symbol.asyncIterator](): AsyncIterator<CommandOutput> {
    yield* this.#run.output.read()
    // A loop that ends has read all. An end that is not known is an error there, too.
    await this.result
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill()
  }
}

async function resultOf(
  { signal, isText }: CommandSettings,
  run: CommandRun,
  onStart: () => void,
): Promise<CommandResult<string | Uint8Array>> {
  throwIfAborted(signal)
  const { exitCode, signal: sent, timedOut, truncated } = await run.run(onStart)
  const read = (stream: 'stdout' | 'stderr'): string | Uint8Array => {
    const whole = run.output.whole(stream)
    return isText ? new (globalWith('TextDecoder').TextDecoder)('utf-8', { ignoreBOM: true }).decode(whole) : whole
  }
  const known = { exitCode, ...(sent && { signal: sent }) }
  return { ...known, stdout: read('stdout'), stderr: read('stderr'), timedOut, truncated }
}

function ignore(): void {}
