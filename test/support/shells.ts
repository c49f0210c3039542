import type { TestShell } from '../../src/testing.ts'

/** Prints nothing, and ignores its input. */
export const mute: TestShell = () => ({ input: () => {} })

/** Prints a prompt, and ignores its input. */
export const promptOnly: TestShell = ({ output }) => {
  void output('$ ')
  return { input: () => {} }
}
