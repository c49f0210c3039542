import { connectTerminal } from '../terminal/connect.ts'
import type { TerminalConnection } from '../terminal/connection.ts'
import { abortable } from '../lib/deadline.ts'
import { feed } from './feed.ts'
import { millisecondsOf, type Call, type Syntax } from './flags.ts'
import type { Host, Output } from './host.ts'
import { adviseKey } from './key.ts'
import { followSize, sizeOf, takeTerminal } from './local.ts'
import { startProgress, type Progress } from './screen.ts'
import { oneOf, readTarget, TARGET_FLAGS } from './target.ts'

export const ATTACH: Syntax = {
  name: 'attach',
  summary: `Joins this terminal, or what is piped in, to a new shell on the server.

~. at the start of a line detaches, which ends a shell that was started for you; ~~ types one ~.
The exit status is 0 when the shell has ended, and another when something else has.`,
  takesUrl: true,
  flags: ['session', ...TARGET_FLAGS, 'token-in-url', 'keep-alive'],
}

const EXITED = 0
const DETACHED = 1

/** Resolves with the exit status. */
export async function attach(call: Call, host: Host, signal: AbortSignal): Promise<number> {
  const { session: sessionId, 'token-in-url': choice } = call.flags
  const tokenInUrl = oneOf('--token-in-url', ['always', 'never', 'fallback'], choice)
  const timeout = millisecondsOf(call, 'timeout', 0.001)
  const keepAlive = millisecondsOf(call, 'keep-alive', 0)
  const target = await readTarget(call, host, signal)
  const progress = startProgress(host, 'Waiting for the terminal')
  const options = { ...target, sessionId, tokenInUrl, timeout, keepAlive, size: sizeOf(host) }
  const terminal = await connectTerminal(options)
    .catch((error: unknown) => {
      throw adviseKey(error, target)
    })
    .finally(() => progress.stop())
  const status = await join(terminal, host, signal)
  if (status === DETACHED) host.stderr.write('Detached.\n')
  if (status === EXITED && host.stdin.isTTY) host.stderr.write('The shell has ended.\n')
  return status
}

/** Resolves with the exit status once the terminal has ended; rejects if it should not have. */
async function join(terminal: TerminalConnection, host: Host, signal: AbortSignal): Promise<number> {
  const { stdin, stdout } = host
  let detached = false
  let closing: Progress | undefined
  const leave = (): void => {
    closing ??= startProgress(host, 'Closing the terminal')
    void terminal.close()
  }
  const detach = (): void => {
    detached = true
    leave()
  }
  // connectTerminal rejects when the signal aborts before the terminal is open.
  signal.addEventListener('abort', leave)
  const local = takeTerminal(host)
  const stopFollowing = followSize(host, terminal)
  let chunks = 0
  const see = (chunk: Uint8Array): void => {
    chunks += 1
    local.see(chunk)
  }
  const stopFeeding = feed(stdin, terminal, () => chunks, detach)
  const printing = print(terminal, stdout, see)
  let hasExited = false
  try {
    const { error } = await terminal.closed
    signal.throwIfAborted()
    if (detached) return DETACHED
    // A slow reader of the output may take its time for the rest.
    await abortable(printing, signal)
    if (error) throw error
    hasExited = true
    return EXITED
  } finally {
    signal.removeEventListener('abort', leave)
    closing?.stop()
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
