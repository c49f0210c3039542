import fc from 'fast-check'
import { expect, it } from 'vitest'
import { programs, SETTINGS } from '../support/screen-programs.ts'
import { tailOf } from '../support/tails.ts'
import { Witness } from '../support/witness.ts'

const seconds = Number(process.env['SCREEN_SECONDS'] ?? 0)
const seed = Number(process.env['SCREEN_SEED'] ?? (seconds > 0 ? Date.now() % 0x7fffffff : 27))

it(
  'sets in a terminal that gets a tail what is set in one that has shown everything',
  async () => {
    const runs = fc.asyncProperty(
      programs(SETTINGS),
      fc.nat({ max: 400 }),
      fc.integer({ min: 1, max: 40 }),
      fc.double({ noNaN: true, min: 0, max: 1 }),
      fc.double({ noNaN: true, min: 0, max: 1 }),
      async (program, kept, piece, split, share) => {
        const bytes = Buffer.from(program)
        const cut = Math.floor(split * bytes.length)
        const [witness, client] = [new Witness(), new Witness()]
        await witness.show(bytes.subarray(0, cut))
        // A page that has stayed open has shown a part before.
        const tail = tailOf(bytes.subarray(0, cut), kept, piece)
        if (tail.includes('\x18\x1bc')) await client.show(bytes.subarray(0, share * Math.max(0, cut - kept)))
        client.typed = ''
        client.bells = 0
        await client.show(tail)
        expect([client.typed, client.bells]).toEqual(['', 0])
        await witness.show(bytes.subarray(cut))
        await client.show(bytes.subarray(cut))
        expect(client.settings).toEqual(witness.settings)
      },
    )
    await fc.assert(runs, {
      seed,
      numRuns: seconds > 0 ? Number.MAX_SAFE_INTEGER : 300,
      ...(seconds > 0 ? { interruptAfterTimeLimit: seconds * 1_000 } : {}),
    })
  },
  (seconds + 60) * 1_000,
)
