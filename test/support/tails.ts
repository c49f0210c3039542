import { History } from '../../src/gateway/history.ts'
import { ScreenState } from '../../src/screen/state.ts'
import { buildTail } from '../../src/screen/tail.ts'

/** Returns the tail of some output, of which only the last bytes are kept. It comes in pieces. */
export function tailOf(output: string | Uint8Array, kept: number, piece = 7): Buffer {
  const state = new ScreenState()
  const history = new History(kept, { onDrop: (dropped) => state.push(dropped) })
  const bytes = Buffer.from(output as string)
  for (let at = 0; at < bytes.length; at += piece) history.push(bytes.subarray(at, at + piece))
  history.trim()
  return buildTail(history.read(history.start), history.start === 0 ? undefined : state)
}
