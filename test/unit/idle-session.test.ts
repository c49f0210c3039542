import { queryObjects } from 'node:v8'
import { expect, it } from 'vitest'
import { InputWindow } from '../../src/terminal/input-window.ts'
import { join } from '../support/proxy.ts'

// A server holds thousands of sessions that nobody uses at the moment. To count objects takes up to a second each time.
const TIMEOUT = 60_000

it(
  'a session without input and without modes has nothing that paces its input',
  async () => {
    const { printed, session } = await join({ shell: () => ({ input() {} }) })
    await session.output('plain output')
    await printed('plain output')
    expect(queryObjects(InputWindow)).toBe(0)
    await session.output('\u001b[?2004h')
    await printed('2004h')
    expect(queryObjects(InputWindow)).toBe(1)
  },
  TIMEOUT,
)
