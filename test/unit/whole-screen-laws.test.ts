import fc from 'fast-check'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { programs, RANDOM_TIMEOUT_MS, randomRuns, SETTINGS } from '../support/screen-programs.ts'
import { viewOf, WatchedSession } from '../support/whole-screens.ts'
import type { Witness } from '../support/witness.ts'

// So that a slow machine does not make a screen be given up.
beforeEach(() => void vi.spyOn(performance, 'now').mockReturnValue(0))
afterEach(() => void vi.restoreAllMocks())

// eslint-disable-next-line no-control-regex
const BROKEN = /\x1b\[?[\0-\x3f\x7f]*[^\0-\x7f]/
// eslint-disable-next-line no-control-regex
const PEN = /\x1b\[(?![34][58])[^A-Za-z]*m/g

/** Without underlines: of these, and of hyperlinks, xterm.js saves only a half with the cursor. */
function lookOf(witness: Witness): object {
  return JSON.parse(JSON.stringify(viewOf(witness)).replaceAll(' underline', '').replaceAll('<underline>', ''))
}

it(
  'draws on a terminal that gets a whole screen what is drawn on one that has shown everything',
  async () => {
    const runs = fc.asyncProperty(
      programs({ ...SETTINGS, links: 0, text: 12, lines: 12, cursor: 12 }),
      fc.nat({ max: 400 }),
      fc.integer({ min: 1, max: 40 }),
      fc.nat(),
      async (program, kept, piece, split) => {
        // A character that ends a sequence and is cut itself: no program prints that.
        fc.pre(!BROKEN.test(program))
        // If one of bold and dim ends, the addon loses the other: 22 ends both.
        const bytes = Buffer.from(program.replaceAll(PEN, (pen) => pen.replaceAll(/[24]/g, '3')))
        const cut = split % (bytes.length + 1)
        const session = new WatchedSession(kept, { cols: 80, rows: 24 }, piece, 0)
        const { witness } = session
        await session.show(bytes.subarray(0, cut))
        const client = await session.client()
        expect([client.isWhole, client.typed, client.bells]).toEqual([true, '', 0])
        expect(lookOf(client)).toEqual(lookOf(witness))
        await session.show(bytes.subarray(cut))
        await client.show(bytes.subarray(cut))
        expect({ ...client.settings, ...lookOf(client) }).toEqual({ ...witness.settings, ...lookOf(witness) })
        session.output.release()
      },
    )
    await fc.assert(runs, randomRuns(200))
  },
  RANDOM_TIMEOUT_MS,
)
