import { throwIfAborted, type AbortSignalLike } from '../lib/cancellation.ts'
import { delay } from '../lib/deadline.ts'
import { errorCode, TerminalError } from '../lib/errors.ts'
import { isTransient, isUnavailable, terminalError } from '../upstream/failures.ts'
import { toBase64 } from './frames.ts'
import { FOLDER, INPUT, inputFile, markOf, PREFIX } from './script.ts'
import type { CommandServer, CommandStatus } from './server.ts'
import type { CommandSettings } from './settings.ts'

// Before the second try. The pause doubles with each try.
const FIRST_PAUSE_MS = 250
const LONGEST_PAUSE_MS = 8_000
// With pauses of 4 s in all while it is certain that nothing runs, and else of 24 s.
const ATTEMPTS = 5
const ATTEMPTS_IF_LOST = 8

// The runtimes' codes for a server that got no request.
const NOT_REACHED = /^(?:ECONNREFUSED|ConnectionRefused|ENOTFOUND|EAI_|EHOSTUNREACH|ENETUNREACH)|CERT|TLS|SSL/

/** Returns a function that returns the ms before the next try. */
export function createPauses(): () => number {
  let next = FIRST_PAUSE_MS / 2
  return () => (next = Math.min(2 * next, LONGEST_PAUSE_MS))
}

/**
 * Starts a command, and tries again after a failure that may pass. It runs at most once: the program around it sees to
 * that by its name, and by its name it is found when the answer is lost (PROTOCOL 9.17).
 */
export async function startCommandOnce(
  server: CommandServer,
  settings: CommandSettings,
  signal: AbortSignalLike,
): Promise<CommandStatus> {
  const { plan, script, env, stdin } = settings
  const variables = new Map(Object.entries(env).map(([name, value]) => [PREFIX + name, value]))
  if (plan.input === 'variable') variables.set(INPUT, toBase64(stdin))
  let isLost = false
  let attempts = 0
  for (const nextPause = createPauses(); ; await delay(nextPause(), signal)) {
    try {
      return await server.start(script, Object.fromEntries(variables), { signal })
    } catch (error) {
      throwIfAborted(signal)
      attempts += 1
      isLost ||= isUnavailable(error) && !isSafe(error)
      const mayPass = isUnavailable(error) && (isLost || isTransient(error))
      if (!mayPass || attempts >= (isLost ? ATTEMPTS_IF_LOST : ATTEMPTS)) throw isLost ? mayRun(server, error) : error
    }
    // A list that cannot be had, or does not have it, does not tell more than the failure did.
    const [id] = isLost ? await server.find(markOf(plan.name)).catch(() => []) : []
    if (id !== undefined) return unread(id)
  }
}

/** Returns the status of a command of which nothing has been read. */
export function unread(id: string): CommandStatus {
  return { id, isRunning: true, exitCode: undefined, text: '', offset: 0 }
}

/** Whether a request got no answer in its time. */
export function isTimeout(error: unknown): boolean {
  return errorCode(Object(error).cause) === 'ETIMEDOUT'
}

/** Whether it is certain that the server did not get a request. */
export function isSafe(error: TerminalError): boolean {
  return error.status === 429 || NOT_REACHED.test(errorCode(error.cause) ?? '')
}

/**
 * Returns the error of a command whose end is not known, for a reason in words or because of another error. What comes
 * from a function of the caller is not quoted.
 */
export function mayRun({ action }: CommandServer, reason: unknown): TerminalError {
  const known = reason instanceof TerminalError ? reason : undefined
  const why = typeof reason === 'string' ? reason : (known?.why ?? 'the key cannot be asked for')
  const code = known && known.code !== 'ERR_TERMINAL_INVALID_URL' ? known.code : 'ERR_TERMINAL_UNAVAILABLE'
  return terminalError(code, action, `${why}. The command may have run, and may still run`, {
    status: known?.status,
    cause: typeof reason === 'string' ? undefined : reason,
    advice: 'Look for what it does before you run it again.',
  })
}

// The words of the program around a command.
const REFUSALS: Partial<Record<string, readonly [why: string, advice: string]>> = {
  folder: ['the server cannot make a folder in /tmp', 'Let it write there.'],
  input: ['the file with its input is gone', 'Try again.'],
  // PROTOCOL 9.5: `sudo` drops them.
  variables: [
    'the server passes no variables on, as in its multi-user mode',
    'Pass no `env`, and a longer `stdin` or none.',
  ],
}

/** Returns the error for a command that has not run, on the word of the program around it. */
export function refusalOf({ action }: CommandServer, failure: string, cwd: string | undefined): TerminalError {
  if (failure === 'cwd') {
    const why = `the folder ${JSON.stringify(cwd)} is not there, or must not be entered`
    return terminalError('ERR_TERMINAL_NOT_FOUND', action, why, { advice: 'Check `cwd`.' })
  }
  const [why, advice] = REFUSALS[failure] ?? [`the server has no \`${failure}\``, 'Install it there.']
  return terminalError('ERR_TERMINAL_UNAVAILABLE', action, why, { advice })
}

/** Writes the input of a command into a file, which the command deletes. */
export async function uploadInput(
  server: CommandServer,
  { plan, stdin }: CommandSettings,
  signal: AbortSignalLike,
): Promise<void> {
  let attempts = 0
  for (const nextPause = createPauses(); ; await delay(nextPause(), signal)) {
    try {
      return await server.upload(FOLDER, inputFile(plan.name), stdin, signal)
    } catch (error) {
      attempts += 1
      if (!isUnavailable(error) || isTimeout(error) || attempts === ATTEMPTS) throw error
    }
  }
}
