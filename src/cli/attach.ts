import { once } from 'node:events'
import { abortable } from '../lib/deadline.ts'
import type { TerminalError } from '../lib/errors.ts'
import { openTerminal } from '../terminal/connect.ts'
import type { TerminalConnection } from '../terminal/types.ts'
import type { TerminalSize } from '../upstream/protocol.ts'
import { advise, withFlagNames } from './failure.ts'
import { millisecondsOf, TARGET_FLAGS, type Call, type Command } from './flags.ts'
import type { Host, OutputStream } from './host.ts'
import { sendInput } from './input.ts'
import { ModeTracker } from './modes.ts'
import { startProgress } from './screen.ts'
import { oneOf, readTarget } from './target.ts'

export const ATTACH: Command = {
  name: 'attach',
  summary: `Connects this terminal, or a pipe, to a new shell on the server.

~. at the start of a line detaches, which ends the shell unless you gave --session; ~~ types one ~.
The exit status is 0 if the shell has ended, and another number if something else has ended the command.`,
  takesUrl: true,
  flags: ['session', ...TARGET_FLAGS, 'token-in-url', 'keep-alive'],
  run: attach,
}

const BELL = '\u0007'
const EXITED = 0
const DETACHED = 1

export async function attach(call: Call, host: Host, signal: AbortSignal): Promise<number> {
  const { session: sessionId, 'token-in-url': choice } = call.flags
  const tokenInUrl = oneOf('--token-in-url', ['always', 'never', 'fallback'], choice)
  const timeout = millisecondsOf(call, 'timeout', 0.001)
  const keepAlive = millisecondsOf(call, 'keep-alive', 0)
  const target = await readTarget(call, host, signal)
  let stopProgress = startProgress(host, 'Waiting for the terminal')
  let hasRetried = false
  const onRetry = (error: TerminalError): void => {
    // The first says enough.
    if (hasRetried) return
    hasRetried = true
    stopProgress()
    host.stderr.write(`terminal-upstream: ${withFlagNames(error.message)} Trying again.\n`)
    stopProgress = startProgress(host, 'Trying again')
  }
  const options = { ...target, sessionId, tokenInUrl, timeout, keepAlive, size: sizeOf(host) }
  const status = await openTerminal(options, onRetry)
    .finally(() => stopProgress())
    .then((terminal) => join(terminal, host, signal))
    .catch((error: unknown) => {
      throw advise(error, call, target)
    })
  if (status === DETACHED) host.stderr.write('Detached.\n')
  if (status === EXITED && host.stdin.isTTY) host.stderr.write('The shell has ended.\n')
  return status
}

/** Connects the streams of the host to the terminal. Resolves with the exit status; rejects if the terminal fails. */
async function join(terminal: TerminalConnection, host: Host, signal: AbortSignal): Promise<number> {
  const { stdin, stdout } = host
  // Tells the user's own `~.` from an end that the server or a signal has caused.
  let detached = false
  // Input from a pipe that no program reads: what is left of it would be lost.
  let refused: TerminalError | undefined
  // Several things may close the terminal, but one line of progress is enough.
  let stopProgress: (() => void) | undefined
  const close = (): void => {
    stopProgress ??= startProgress(host, 'Closing the terminal')
    void terminal.close()
  }
  const detach = (): void => {
    detached = true
    close()
  }
  // An abort before this made connectTerminal reject.
  signal.addEventListener('abort', close)
  const modes = new ModeTracker()
  const restore = takeTerminal(host, modes)
  const stopFollowing = followSize(host, terminal)
  let chunks = 0
  const track = (chunk: Uint8Array): void => {
    chunks += 1
    modes.track(chunk)
  }
  const refuse = (error: TerminalError): void => {
    // A person sees that nothing happens, and a message would disturb the screen of the program.
    if (stdin.isTTY) return void host.stderr.write(BELL)
    refused = error
    close()
  }
  const stopInput = sendInput(stdin, terminal, { detach, refuse, countOutput: () => chunks })
  const printing = print(terminal, stdout, track)
  // Decides whether the cursor may be in the middle of a line.
  let hasExited = false
  try {
    const { error } = await terminal.closed
    signal.throwIfAborted()
    if (detached) return DETACHED
    // The reader of the output may be slower than the terminal.
    await abortable(printing, signal)
    if (refused ?? error) throw refused ?? error
    hasExited = true
    return EXITED
  } finally {
    signal.removeEventListener('abort', close)
    stopProgress?.()
    stopFollowing()
    restore()
    stopInput()
    if (stdin.isTTY && !hasExited) host.stderr.write('\n')
  }
}

/** Prints all output, no faster than it is read. */
async function print(
  terminal: TerminalConnection,
  stdout: OutputStream,
  track: (chunk: Uint8Array) => void,
): Promise<void> {
  for await (const chunk of terminal) {
    if (!stdout.writable) return
    track(chunk)
    // An error of stdout ends the wait, too, and aborts the command.
    if (!stdout.write(chunk)) await once(stdout, 'drain').catch(() => {})
  }
}

/**
 * Sets raw mode in the user's own terminal: every key arrives when it is pressed. Returns a function that brings the
 * state from before back, as the end of the process does.
 */
function takeTerminal(host: Host, modes: ModeTracker): () => void {
  const { stdin } = host
  const setRaw = (raw: boolean): void => {
    if (stdin.isTTY) stdin.setRawMode?.(raw)
  }
  // While the command was stopped, the user's shell had the terminal, and the size of the window may have changed.
  const resume = (): void => {
    setRaw(false)
    setRaw(true)
    host.emit('SIGWINCH', 'SIGWINCH')
  }
  const restore = (): void => {
    host.off('SIGCONT', resume)
    host.off('exit', restore)
    setRaw(false)
    windowOf(host)?.write(modes.undo())
  }
  host.on('SIGCONT', resume)
  host.on('exit', restore)
  setRaw(true)
  return restore
}

/** Returns the stream that shows the window: stderr when the output goes into a file. */
function windowOf({ stdout, stderr }: Host): OutputStream | undefined {
  return [stdout, stderr].find(({ isTTY }) => isTTY)
}

/** Returns the size of the window; `undefined` without a window. */
function sizeOf(host: Host): TerminalSize | undefined {
  const { columns: cols = 0, rows = 0 } = windowOf(host) ?? {}
  return cols > 0 && rows > 0 ? { cols, rows } : undefined
}

/** Resizes the terminal whenever the size of the window changes. Returns a function that stops it. */
function followSize(host: Host, terminal: TerminalConnection): () => void {
  const window = windowOf(host)
  const follow = (): void => {
    const size = sizeOf(host)
    try {
      if (size) terminal.resize(size.cols, size.rows)
    } catch {
      // The terminal is closing, and `closed` reports why.
    }
  }
  window?.on('resize', follow)
  return () => window?.off('resize', follow)
}
