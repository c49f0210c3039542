import type { TestShell } from '../../src/testing.ts'

/** Prints nothing, and ignores its input. */
export const mute: TestShell = () => ({ input: () => {} })

/** Prints a prompt, and ignores its input. */
export const promptOnly: TestShell = ({ output }) => {
  void output('$ ')
  return { input: () => {} }
}

/** Echoes its input. */
export const echo: TestShell = ({ output }) => ({ input: (data) => void output(data) })

/** Prints a prompt, and echoes its input. */
export const promptAndEcho: TestShell = (io) => {
  void io.output('$ ')
  return echo(io)
}
