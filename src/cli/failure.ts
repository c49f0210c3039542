import { TerminalError } from '../lib/errors.ts'
import { CommandError, WRONG_USE } from './flags.ts'
import type { Host } from './host.ts'
import { withFlagNames } from './target.ts'

/** An error that the user can do something about. */
export interface ExpectedError {
  readonly code: string
  readonly message: string
}

/** Returns `false` for a mistake in this program, which deserves a stack trace. */
export function isExpected(error: unknown): error is ExpectedError {
  if (error instanceof TerminalError || error instanceof CommandError) return true
  // The rest are the library's errors for wrong arguments. `instanceof Error` is false for an error of another realm.
  const { code, message }: { code?: unknown; message?: unknown } = Object(error)
  return typeof code === 'string' && typeof message === 'string' && /^ERR_(INVALID_ARG|OUT_OF_RANGE)/.test(code)
}

/** Returns the exit status for the error. */
export function exitStatusOf(error: ExpectedError): number {
  if (error instanceof CommandError) return error.exitStatus
  return error instanceof TerminalError && error.code !== 'ERR_TERMINAL_INVALID_URL' ? 1 : WRONG_USE
}

/** Prints the error as one line. */
export function printError({ stderr }: Host, { code, message }: ExpectedError): void {
  stderr.write(`terminal-upstream: ${code}: ${withFlagNames(message)}\n`)
}

/** Prints why a try has failed, if the command goes on trying. */
export function printRetry({ stderr }: Host, { message }: ExpectedError): void {
  stderr.write(`terminal-upstream: ${withFlagNames(message)} Trying again.\n`)
}
