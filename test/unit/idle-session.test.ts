import { queryObjects } from 'node:v8'
import { expect, it } from 'vitest'
import { InputWindow } from '../../src/terminal/input-window.ts'
import { Cancellation } from '../../src/lib/cancellation.ts'
import { Deferred } from '../../src/lib/deferred.ts'
import { SilenceTimer } from '../../src/lib/silence-timer.ts'
import { join } from '../support/proxy.ts'
import { attachAs, createAs, startGateway } from '../support/terminal-gateway.ts'

// A server holds thousands of sessions that nobody uses at the moment. To count objects takes up to a second each time.
it('a session without input and without modes has nothing that paces its input', async () => {
  const { printed, session } = await join({ shell: () => ({ input() {} }) })
  await session.output('plain output')
  await printed('plain output')
  expect(queryObjects(InputWindow)).toBe(0)
  await session.output('\u001b[?2004h')
  await printed('2004h')
  expect(queryObjects(InputWindow)).toBe(1)
}, 60_000)

it('a session of a gateway keeps nothing of its opening, and few promises and timers', async () => {
  const gateway = await startGateway({}, { shell: () => ({ input() {} }) })
  const count = (): number[] => [Cancellation, Deferred, SilenceTimer].map((kind) => Number(queryObjects(kind)))
  const [cancellations, promises, timers] = count()
  for (let sessions = 0; sessions < 4; sessions += 1) {
    const { printed } = await attachAs(gateway, await createAs(gateway))
    await gateway.upstream.sessions[sessions]?.output('here')
    await printed('here')
  }
  // The end of the terminal and that of the client; the look-ups after 1 s and after 45 s, and a heartbeat on both
  // sides.
  const expected = [cancellations, Number(promises) + 4 * 2, Number(timers) + 4 * 4]
  await expect.poll(count, { timeout: 30_000, interval: 500 }).toEqual(expected)
}, 60_000)
