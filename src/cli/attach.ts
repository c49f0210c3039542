import { connectTerminal } from '../connect.ts'
import type { TerminalConnection } from '../connection.ts'
import { abortable } from '../deadline.ts'
import { feed } from './feed.ts'
import { millisecondsOf, type Call, type Syntax } from './flags.ts'
import type { Host, Output } from './host.ts'
import { followSize, sizeOf, takeTerminal } from './local.ts'
import { startProgress } from './screen.ts'
import { interruptible } from './signals.ts'
import { oneOf, readTarget, TARGET_FLAGS } from './target.ts'

export const ATTACH: Syntax = {
  name: 'attach',
  summary: `Joins this terminal, or what is piped in, to a new shell on the server.

~. at the start of a line detaches, which ends a shell that was started for you; ~~ types one ~.
The exit status is 0 when the shell has ended, and another when something else has.`,
  takesUrl: true,
  flags: ['session', ...TARGET_FLAGS, 'token-in-url'],
}

const EXITED = 0
const DETACHED = 1
// For the signal itself says which.
const INTERRUPTED = 1

/** Resolves with the exit status. */
export function attach(call: Call, host: Host): Promise<number> {
  return interruptible(host, async (signal) => {
    const { session: sessionId, 'token-in-url': choice } = call.flags
    const tokenInUrl = oneOf('choice', ['always', 'never', 'fallback'], choice)
    const timeout = millisecondsOf(call, 'timeout', 0.001)
    const target = await readTarget(call, host, signal)
    const progress = startProgress(host, 'Waiting for the terminal')
    const connecting = connectTerminal({ ...target, sessionId, tokenInUrl, timeout, size: sizeOf(host) })
    const terminal = await connecting.finally(() => progress.stop())
    const status = await join(terminal, host, signal)
    if (status === DETACHED) say(host, `Detached${sessionId === undefined ? '; the shell has been ended.' : '.'}`)
    if (status === EXITED && host.stdin.isTTY) say(host, 'The shell has ended.')
    return status
  })
}

function say({ stderr }: Host, text: string): void {
  stderr.write(`${text}\n`)
}

/** Resolves with the exit status once the terminal has ended; rejects if it should not have. */
async function join(terminal: TerminalConnection, host: Host, signal: AbortSignal): Promise<number> {
  const { stdin, stdout } = host
  let status = EXITED
  const leave = (why: number): void => {
    status ||= why
    void terminal.close()
  }
  const interrupt = (): void => leave(INTERRUPTED)
  signal.addEventListener('abort', interrupt)
  const local = takeTerminal(host)
  const stopFollowing = followSize(host, terminal)
  let chunks = 0
  const see = (chunk: Uint8Array): void => {
    chunks += 1
    local.see(chunk)
  }
  const stopFeeding = feed(
    stdin,
    terminal,
    () => chunks,
    () => leave(DETACHED),
  )
  const printing = print(terminal, stdout, see)
  let hasExited = false
  try {
    const { error } = await terminal.closed
    // Whoever reads the last of it may take the time; whoever has left does not wait for that.
    if (status === EXITED) await abortable(printing, signal)
    signal.throwIfAborted()
    if (error) throw error
    hasExited = status === EXITED
    return status
  } finally {
    signal.removeEventListener('abort', interrupt)
    stopFollowing()
    local.restore()
    stopFeeding()
    // All else has ended it in the middle of a line.
    if (stdin.isTTY && !hasExited) host.stderr.write('\n')
  }
}

/** Prints all output, no faster than it is taken. */
async function print(terminal: TerminalConnection, stdout: Output, see: (chunk: Uint8Array) => void): Promise<void> {
  for await (const chunk of terminal) {
    if (!stdout.writable) return
    see(chunk)
    if (!stdout.write(chunk)) await roomIn(stdout)
  }
}

function roomIn(stdout: Output): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      stdout.off('drain', done)
      stdout.off('error', done)
      resolve()
    }
    stdout.on('drain', done)
    stdout.on('error', done)
  })
}
