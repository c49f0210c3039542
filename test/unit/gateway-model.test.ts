import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { TestRelease } from '../../src/testing.ts'
import { eventually } from '../support/model-clients.ts'
import { allCommands } from '../support/model-commands.ts'
import { askEverywhere } from '../support/model-creating.ts'
import { closeAll } from '../support/model-laws.ts'
import { World } from '../support/model-world.ts'
import { failOnUnhandledErrors } from '../support/proxy-unhandled.ts'
import { randomness } from '../support/random.ts'

const { seconds, seed } = randomness('MODEL', 23)
const RUNS = 60
const RELEASES: readonly TestRelease[] = ['open-terminal@0.14.5', 'terminals@0.2.2']

failOnUnhandledErrors()

/** Counts the sockets, servers and timers that keep this process alive. */
function resources(): number {
  const kinds = new Set(['TCPSocketWrap', 'TCPServerWrap', 'TCPConnectWrap', 'Timeout'])
  return process.getActiveResourcesInfo().filter((name) => kinds.has(name)).length
}

it(
  'gives up no shell that lives, whatever its users, the upstream and `authorize` do',
  async () => {
    let runs = 0
    const before = resources()
    const property = fc.asyncProperty(
      fc.constantFrom(...RELEASES),
      fc.commands(allCommands(), { maxCommands: 80, size: 'max' }),
      // Whether a POST gets a session that its user has left.
      fc.constantFrom(true, true, false),
      async (release, commands, resumes) => {
        runs += 1
        const world = await World.start(release, resumes)
        try {
          await fc.asyncModelRun(() => ({ model: world, real: world }), commands)
          if (resumes) await askEverywhere(world)
          await closeAll(world)
        } finally {
          await world.stop()
        }
      },
    )
    await fc.assert(property, {
      seed,
      numRuns: seconds > 0 ? Number.MAX_SAFE_INTEGER : RUNS,
      // Also ends the search for a shorter counterexample.
      interruptAfterTimeLimit: (seconds || 90) * 1_000,
    })
    await eventually(
      () => resources() <= before,
      () => 'no socket and no timer is left',
    )
    console.log(`${runs} runs of the model with the seed ${seed}`)
    expect(runs).toBeGreaterThan(0)
  },
  (seconds + 120) * 1_000,
)
