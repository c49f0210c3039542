import { once } from 'node:events'
import { startCommand } from '../command/command.ts'
import { quote } from '../command/script.ts'
import { abortable } from '../lib/deadline.ts'
import { errorCode } from '../lib/errors.ts'
import { advise, exitStatusOf, isExpected } from './failure.ts'
import { millisecondsOf, TARGET_FLAGS, type Call, type Command } from './flags.ts'
import { CommandError, type Host, type OutputStream } from './host.ts'
import { startProgress } from './screen.ts'
import { readFlagFile, readTarget, type Target } from './target.ts'

export const EXEC: Command = {
  name: 'exec',
  summary: `Runs one command on the server, without a terminal, and prints what it prints.

One word after -- is a command line for sh: 'cd app && npm test'. Several words are a program and its arguments, which
no shell splits or expands: ls "a b". Unless stdin is a terminal, all of it is read, and then passed to the command.

The exit status is that of the command; 124 if --timeout has ended it; 125 if it could not be run, or its end is not
known. Ctrl-C and SIGTERM end the command on the server. A second Ctrl-C does not wait for that.`,
  takesUrl: true,
  takesRemote: true,
  flags: ['cwd', 'env-file', ...TARGET_FLAGS],
  help: { timeout: 'how long the command may run; default: no limit' },
  run: exec,
}

// As coreutils' timeout has them.
const TIMED_OUT = 124
const FAILED = 125

async function exec(call: Call, host: Host, signal: AbortSignal): Promise<number> {
  const timeout = millisecondsOf(call, 'timeout', 0.001)
  const { cwd, 'env-file': file } = call.flags
  const env = file === undefined ? undefined : readEnvFile(file, await readFlagFile('--env-file', file, host, false))
  const target = await readTarget(call, host, signal)
  const [word = '', ...others] = call.rest
  const command = others.length === 0 ? word : call.rest.map(quote).join(' ')
  let stopProgress = startProgress(host, 'Reading stdin to its end')
  const tellEnding = (): void => {
    stopProgress()
    stopProgress = startProgress(host, 'Ending the command')
  }
  try {
    const stdin = await readInput(host, signal)
    stopProgress()
    stopProgress = startProgress(host, 'Waiting for the server')
    signal.addEventListener('abort', tellEnding)
    const running = await startCommand({ ...target, command, cwd, env, stdin, timeout })
    stopProgress()
    for await (const { stream, data } of running) {
      stopProgress()
      await print(host[stream], data, signal)
    }
    signal.throwIfAborted()
    const { exitCode, timedOut, truncated } = await running.result
    if (truncated) host.stderr.write(`terminal-upstream: ${TRUNCATED}\n`)
    if (!timedOut) return exitCode
  } catch (error) {
    throw failureOf(error, call, target)
  } finally {
    signal.removeEventListener('abort', tellEnding)
    stopProgress()
  }
  const why = `The command was ended after ${call.flags.timeout} s, the limit of --timeout.`
  throw new CommandError(why, 'ERR_TERMINAL_TIMEOUT', TIMED_OUT)
}

const TRUNCATED = 'Output may be missing: there was more than the 37 MB that a server keeps.'

/** Resolves with all of the input; nobody types into a command. */
async function readInput({ stdin }: Host, signal: AbortSignal): Promise<Uint8Array> {
  if (stdin.isTTY) return new Uint8Array()
  const chunks: Buffer[] = []
  const reading = (async () => {
    for await (const chunk of stdin) chunks.push(Buffer.from(chunk))
  })()
  try {
    await abortable(reading, signal)
    return Buffer.concat(chunks)
  } catch (error) {
    signal.throwIfAborted()
    const code = errorCode(error)
    throw new CommandError(`The input cannot be read: ${code}.`, code, FAILED)
  } finally {
    stdin.destroy()
  }
}

/** Prints output no faster than it is read. Nobody waits for that any more after an abort. */
async function print(stream: OutputStream, data: Uint8Array, signal: AbortSignal): Promise<void> {
  if (!stream.writable || stream.write(data)) return
  // An error of stdout aborts the command.
  await once(stream, 'drain', { signal }).catch(() => {})
}

/** Returns the error with a status that few commands have, if it is no mistake in the call. */
function failureOf(error: unknown, call: Call, target: Target): unknown {
  if (!isExpected(error) || exitStatusOf(error) !== 1) return error
  const { status, cause }: { status?: unknown; cause?: unknown } = Object(error)
  // The program around the command has found out what comes neither from an answer nor from the network: a probe would
  // not know more.
  const { code, message } = status === undefined && cause === undefined ? error : advise(error, call, target)
  return new CommandError(message, code, FAILED)
}

const VARIABLE =
  /^[ \t]*(?:export[ \t]+)?([^\s=#]+)[ \t]*=[ \t]*(?:(["'`])((?:(?!\2).)*)\2|(?!["'`])([^#\n]*?))[ \t]*(?:#[^\n]*)?$/gms

/**
 * Returns the variables in the text of a file, as Node's `--env-file` reads it: `#` begins a comment, quotes of three
 * kinds may hold several lines, and `\n` is a line feed in double quotes. Node 20 has a function for that from 20.12
 * on only.
 */
export function readEnvFile(file: string, text: string): Record<string, string> {
  const variables: Array<[name: string, value: string]> = []
  const read = (line: string, name: string, quotes = '', quoted = '', plain = ''): string => {
    variables.push([name, quotes === '"' ? quoted.replaceAll(String.raw`\n`, '\n') : quoted + plain])
    return line.replaceAll(/[^\n]/g, '')
  }
  const rest = text
    .replace(/^\uFEFF/, '')
    .replaceAll(/\r\n?/g, '\n')
    .replaceAll(VARIABLE, read)
    .split('\n')
  const wrong = rest.findIndex((line) => !/^\s*(?:#|$)/.test(line))
  // The line itself may be a secret.
  if (wrong !== -1) throw new CommandError(`Line ${wrong + 1} of --env-file ${file} is not NAME=value.`)
  return Object.fromEntries(variables)
}
