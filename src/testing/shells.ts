import { spawn } from 'node:child_process'
import type { Socket } from 'node:net'

/** What a shell of a test upstream can do to its terminal. */
export interface TestShellIo {
  /**
   * Prints; resolves when it has left for a client, so that awaiting it is how a slow client slows the shell down. It
   * never resolves once the session is gone.
   */
  readonly output: (data: string | Uint8Array) => Promise<void>
  /** Ends, which most releases do not announce. */
  readonly exit: () => void
}

/** What a test upstream can do to a shell. */
export interface TestShellProcess {
  /** Something was typed: as many bytes as the release lets through. */
  input(data: Uint8Array): void
  /** The window has another size, in character cells; 0 is possible. */
  resize?(cols: number, rows: number): void
  /** The session has ended: the shell must let go of everything that it holds. */
  kill?(): void
}

/**
 * Starts a shell; called for every session that is created.
 *
 * @example
 * ```ts
 * import { startTestUpstream, type TestShell } from 'terminal-upstream/testing'
 *
 * const upperCase: TestShell = ({ output }) => ({
 *   input: (data) => void output(new TextDecoder().decode(data).toUpperCase()),
 * })
 * const upstream = await startTestUpstream({ shell: upperCase })
 * await upstream.close()
 * ```
 */
export type TestShell = (io: TestShellIo) => TestShellProcess

/** Prints what is typed, and nothing of its own. */
export const echo: TestShell = ({ output }) => ({ input: (data) => void output(data) })

const END_OF_TRANSMISSION = 4

/**
 * The functions that kill the running shells, one each. A shell has a process group of its own, so the end of this process
 * does not end the shell.
 */
const running = new Set<() => void>()

function killRunning(): void {
  for (const kill of running) kill()
}

/**
 * A real, interactive `sh`, on pipes rather than a PTY: it prompts and takes Ctrl-D, but does not echo, know its size or
 * take Ctrl-C.
 */
export const sh: TestShell = ({ output, exit }) => {
  // Without job control, which it would complain about; in a process group of its own, to kill what it has started too.
  const child = spawn('sh', ['-c', 'exec sh -i +m 2>&1'], {
    detached: true,
    stdio: ['pipe', 'pipe', 'ignore'],
    env: { ...process.env, PS1: '$ ', ENV: '' },
  })
  child.once('error', exit)
  child.once('close', exit)
  // A shell must not keep this process alive.
  child.unref()
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what the pipes are in Node
  for (const pipe of [child.stdin, child.stdout] as Array<Partial<Socket>>) pipe.unref?.()
  child.once('spawn', () => {
    running.add(killGroup)
    // Node warns of the eleventh listener: one is enough for all shells.
    process.off('exit', killRunning)
    process.on('exit', killRunning)
  })
  // What it leaves in the background would hold the pipe open, and the machine's processes.
  child.once('exit', () => {
    killGroup()
    running.delete(killGroup)
  })
  // A shell that has gone takes no more input; its end is told by the events above.
  child.stdin.on('error', () => {})
  child.stdout.on('data', (chunk: Uint8Array) => {
    child.stdout.pause()
    void output(chunk).then(() => child.stdout.resume())
  })
  return {
    // As a PTY does: the Enter key of a terminal in raw mode is a carriage return, and Ctrl-D the end of what is typed.
    input(data) {
      const end = data.indexOf(END_OF_TRANSMISSION)
      const typed = end < 0 ? data : data.subarray(0, end)
      child.stdin.write(typed.map((byte) => (byte === 13 ? 10 : byte)))
      if (end >= 0) child.stdin.end()
    },
    kill() {
      // Once the shell has exited, another process may have its number.
      if (child.exitCode === null && child.signalCode === null) killGroup()
      child.stdout.destroy()
    },
  }

  function killGroup(): void {
    try {
      process.kill(-Number(child.pid), 'SIGKILL')
    } catch {
      // The group is empty, or has never existed.
    }
  }
}
