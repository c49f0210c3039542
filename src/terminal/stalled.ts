import type { TerminalError } from '../lib/errors.ts'
import { terminalError } from '../upstream/failures.ts'

/** Why input was not sent. */
export type StallReason = 'no proof' | 'interrupted'

// Bytes of the input that were not sent, by the error that says so.
const unsent = new WeakMap<object, number>()

/** Returns the error for input of `size` bytes, of which only `sent` were sent. `action` says what failed, and where. */
export function stalledError(action: string, reason: StallReason, sent: number, size: number): TerminalError {
  const rest = `${size - sent} of ${size} bytes were not sent`
  const error =
    reason === 'no proof'
      ? terminalError(
          'ERR_TERMINAL_INPUT_STALLED',
          action,
          `${rest}: for 30 s, no program has shown that it reads them`,
        )
      : terminalError('ERR_TERMINAL_INPUT_STALLED', action, `${rest}: Ctrl-C, Ctrl-Z or Ctrl-\\ was typed after them`, {
          advice: 'Type them again if they are still wanted.',
        })
  unsent.set(error, size - sent)
  return error
}

/** Returns how many bytes of input an error says were not sent; 0 for any other error. */
export function unsentInput(error: unknown): number {
  return unsent.get(Object(error)) ?? 0
}
