import { describe, expect, it } from 'vitest'
import { Replays } from '../../src/gateway/replay.ts'
import { SessionOutput } from '../../src/gateway/session-output.ts'

const SIZE = { cols: 80, rows: 24 }
const LINES = 'a line of output\r\n'.repeat(20)

/** Returns the tail of some output, and what it begins with before its first line. */
async function beginningOf(replays: Replays): Promise<string> {
  const { data } = await replays.make(null, 0)
  return data.toString().split('a line')[0] ?? ''
}

// xterm.js forgets the regions at a new size, and vim sets its own only once.
describe('a tail', () => {
  it.each([
    ['begins without a scroll region from before the last size of the window', '\x1b[2;9r', '', ''],
    ['begins with a scroll region from after the last size', '\x1b[2;9r', '\x1b[3;8r', '\x1b[3;8r'],
    ['begins with no other region than one of a part of the window', '', '\x1b[1;30r', ''],
  ])('%s', async (_, before, after, region) => {
    for (const kept of [100, 2_000]) {
      const replays = new Replays(kept, SIZE)
      replays.history.push(Buffer.from(before + LINES))
      replays.resize({ cols: 80, rows: 30 })
      replays.history.push(Buffer.from(after + LINES))
      replays.history.push(Buffer.from(LINES.repeat(kept / 200)))
      expect(await beginningOf(replays)).toBe(`\x18\x1bc\x1b[?25h${region}`)
    }
  })
})

it('a client whose screen is drawn has to come again if more comes meanwhile than is kept', () => {
  let stalled = 0
  const output = new SessionOutput({ pause() {}, resume() {} }, SIZE)
  output.join(() => ({ push() {}, end() {}, replay() {} }) as never, { onStalled: () => (stalled += 1) })
  output.keep(100)
  output.hold()
  output.push(Buffer.from(LINES))
  const drawn = { replay: 0, isExact: false, missing: 0, live: 0, needsRedraw: false }
  output.replay({ ...drawn, offset: -10, data: Buffer.alloc(10) })
  expect(stalled).toBe(1)
})
