import type { FrameReader } from './frames.ts'
import type { Signal } from './killing.ts'
import type { CommandStatus } from './server.ts'

/** How a command has ended. */
export interface CommandEnd {
  readonly exitCode: number
  readonly signal: 'SIGTERM' | 'SIGKILL' | undefined
  readonly timedOut: boolean
  readonly truncated: boolean
}

/** The last signal that was sent, or perhaps was: the answer was lost. */
export interface Killing {
  readonly signal: Signal
  readonly isSure: boolean
}

// 128 and the number of the signal, as every shell reports it.
export const TERMINATED = 143
const KILLED = 137

/** Returns how a command has ended; `undefined` if nobody has reported its exit status. */
export function endOf(
  { exitCode: reported, isTruncated: truncated }: FrameReader,
  { exitCode: status }: CommandStatus,
  killing: Killing | undefined,
  isLate: boolean,
): CommandEnd | undefined {
  // SIGKILL to its group ends the shell around the command, too, before it can report. `sudo` says 137 then.
  const isKilled = killing?.signal === 'KILL' && (status === -9 || status === KILLED)
  const exitCode = reported ?? (isKilled ? KILLED : undefined)
  if (exitCode === undefined) return undefined
  let signal: CommandEnd['signal']
  if (killing && exitCode === TERMINATED) signal = 'SIGTERM'
  if (killing?.signal === 'KILL' && exitCode === KILLED) signal = 'SIGKILL'
  // The code of a signal tells that it came.
  const timedOut = isLate && (signal !== undefined || killing?.isSure === true)
  return { exitCode, signal, timedOut, truncated }
}
