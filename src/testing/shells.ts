import { spawn } from 'node:child_process'
import { groupOf } from './groups.ts'

/** The functions that a test upstream passes to a shell. */
export interface TestShellIo {
  /**
   * Prints output. Resolves when the output has been sent to a client: a shell that awaits it prints no faster than the
   * client reads. Never resolves once the session is gone.
   */
  readonly output: (data: string | Uint8Array) => Promise<void>
  /** Ends the shell. Most releases do not announce it. */
  readonly exit: () => void
}

/** The functions of a shell that a test upstream calls. */
export interface TestShellProcess {
  /**
   * Receives input: as many bytes as the release lets through. A shell that returns a promise reads no more until it
   * resolves: what is sent meanwhile stays in the PTY. On a release before 0.12.4, a full PTY ends the session.
   */
  input(data: Uint8Array): void | Promise<void>
  /** Receives the new size of the window in character cells. The size can be 0. */
  resize?(cols: number, rows: number): void
  /** The session has ended: the shell must release its resources, such as processes and files. */
  kill?(): void
}

/**
 * Starts a shell. The upstream calls this function for each new session.
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

/** A shell that prints a prompt, as real shells do at once, and then its input. */
export const echo: TestShell = ({ output }) => {
  void output('$ ')
  return { input: (data) => void output(data) }
}

const END_OF_TRANSMISSION = 4

/**
 * A real, interactive `sh` on pipes instead of a PTY. It prompts and handles Ctrl-D, but does not echo, does not know
 * its size and does not handle Ctrl-C.
 */
export const sh: TestShell = ({ output, exit }) => {
  // `+m` turns off job control, because `sh` prints a warning without a PTY. `detached` gives the shell its own process
  // group, so that its children can be killed with it.
  const child = spawn('sh', ['-c', 'exec sh -i +m 2>&1'], {
    detached: true,
    stdio: ['pipe', 'pipe', 'ignore'],
    env: { ...process.env, PS1: '$ ', ENV: '' },
  })
  const group = groupOf(child)
  child.once('error', exit)
  child.once('close', exit)
  // Background processes of the shell would keep running, and keep the pipe open.
  child.once('exit', () => {
    group.signal('SIGKILL')
    group.release()
  })
  // Writing to a shell that has exited fails. The events above handle the exit.
  child.stdin.on('error', () => {})
  child.stdout.on('data', (chunk: Uint8Array) => {
    child.stdout.pause()
    void output(chunk).then(() => child.stdout.resume())
  })
  return {
    // As in a PTY, a carriage return (the Enter key in raw mode) ends the line, and Ctrl-D ends the input.
    input(data) {
      const end = data.indexOf(END_OF_TRANSMISSION)
      const text = end < 0 ? data : data.subarray(0, end)
      const lines = text.map((byte) => (byte === 13 ? 10 : byte))
      // Resolves when the pipe has room: the shell may be busy with a command.
      const written = new Promise<void>((resolve) => child.stdin.write(lines, () => resolve()))
      if (end >= 0) child.stdin.end()
      return written
    },
    kill() {
      // After the shell has exited, another process can have its pid.
      if (child.exitCode === null && child.signalCode === null) group.signal('SIGKILL')
      child.stdout.destroy()
    },
  }
}
