import type { WindowSize } from './classes.ts'

/** A size of the window, and the offset of the output since. */
export interface SizeChange {
  readonly offset: number
  readonly size: WindowSize
}

/** Returns output that begins at an offset, and the sizes that have come within it, in order. */
export function eventsOf(output: Buffer, start: number, sizes: readonly SizeChange[]): (Buffer | WindowSize)[] {
  const events: (Buffer | WindowSize)[] = []
  let from = 0
  for (const { offset, size } of sizes) {
    events.push(output.subarray(from, offset - start), size)
    from = offset - start
  }
  events.push(output.subarray(from))
  return events
}
