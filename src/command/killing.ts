import { Cancellation } from '../lib/cancellation.ts'
import { delay } from '../lib/deadline.ts'
import { isUnavailable } from '../upstream/failures.ts'
import { withPlace } from './places.ts'
import { killScript } from './script.ts'
import type { CommandServer } from './server.ts'
import type { CommandSettings } from './settings.ts'
import { createPauses, isSafe, mayRun } from './starting.ts'

/** A signal that this package sends. */
export type Signal = 'TERM' | 'KILL'

// After KILL to the command alone: what it has printed is still read meanwhile.
const KILL_PAUSE_MS = 500
const LAST_PAUSE_MS = 10_000
// How long to try to send a signal.
const PATIENCE_MS = 30_000
// How often there may be nothing to signal before a command counts as ended: for 1.75 s.
const MOST_MISSES = 3
// For the answer to a program that only sends a signal.
const WAIT_S = 5
const TIMEOUT_MS = 10_000
// What a proxy answers that could not reach the server.
const NOT_PASSED_ON: unknown[] = [502, 503]

/** What is known of a command that is to be ended. */
export interface Victim {
  /** Resolves when it has ended. */
  readonly hasEnded: Promise<'ended'>
  /** Whether nobody looks any more whether it has ended. */
  readonly isUnwatched: () => boolean
  /** Hears that a signal was sent, or perhaps: the answer was lost. */
  readonly onSignal: (signal: Signal, isSure: boolean) => void
}

/**
 * Ends a command on the word of the caller, who has called `kill`, or has set a `signal` or a `timeout`.
 * Resolves when it has ended, or with `never` if it has not run and never will.
 */
export async function killCommand(
  server: CommandServer,
  { place, plan, grace }: CommandSettings,
  { hasEnded, isUnwatched, onSignal }: Victim,
): Promise<'ended' | 'never'> {
  const steps = [
    ['TERM', 'group', grace],
    ['KILL', 'command', KILL_PAUSE_MS],
    ['KILL', 'group', LAST_PAUSE_MS],
  ] as const
  for (const [signal, target, ms] of steps) {
    const script = killScript(plan.name, signal, target)
    // One at a time: with the commands, it must not take all the threads of a server (PROTOCOL 9.14).
    const said = await withPlace(`kill ${place}`, 1, undefined, () => send(server, script, hasEnded))
    if (said === 'never') return 'never'
    if (said === 'sent' || said === 'perhaps') onSignal(signal, said === 'sent')
    const isLast = signal === 'KILL' && target === 'group'
    if (isUnwatched() && (said === '' || (isLast && said === 'sent'))) return 'ended'
    if (await within(ms, hasEnded)) return 'ended'
  }
  throw mayRun(server, 'it does not end')
}

/** Runs a program that sends a signal, until it says that it has. */
async function send(server: CommandServer, script: string, hasEnded: Promise<'ended'>): Promise<string> {
  const since = performance.now()
  const nextPause = createPauses()
  // A program whose answer was lost may have sent it, and the command has ended since.
  let otherwise: '' | 'perhaps' = ''
  for (let misses = 0, pause = 0; !(await within(pause, hasEnded)); pause = nextPause()) {
    try {
      const { text } = await server.start(script, {}, { wait: WAIT_S, timeout: TIMEOUT_MS })
      const said = text.trim()
      // There is nothing to signal: the command has ended, or is just about to start.
      if (said !== '' || misses === MOST_MISSES) return said || otherwise
      misses += 1
    } catch (error) {
      if (!isUnavailable(error) || performance.now() - since > PATIENCE_MS) throw mayRun(server, error)
      if (!isSafe(error) && !NOT_PASSED_ON.includes(error.status)) otherwise = 'perhaps'
    }
  }
  return otherwise
}

/** Resolves with whether the command has ended, after `ms` at most. */
async function within(ms: number, hasEnded: Promise<'ended'>): Promise<boolean> {
  const limit = new Cancellation()
  const first = await Promise.race([hasEnded, delay(ms, limit).catch(() => {})])
  limit.abort()
  return first === 'ended'
}
