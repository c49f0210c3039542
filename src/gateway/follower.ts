import type { TerminalSize } from '../upstream/protocol.ts'

/** Is told what a session shows, in order. The upstream does not wait for it. */
export interface Follower {
  onOutput(data: Buffer): void
  onResize(size: TerminalSize): void
  /** There is no more output. */
  onEnd(): void
}
