import { setImmediate as turn } from 'node:timers/promises'
import { afterEach, beforeEach, expect } from 'vitest'

/** Lets each test of a file fail that causes an unhandled rejection or an uncaught exception. */
export function failOnUnhandledErrors(): void {
  const unhandled: unknown[] = []
  const note = (error: unknown): unknown => unhandled.push(error)

  beforeEach(() => {
    process.on('unhandledRejection', note).on('uncaughtException', note)
  })

  afterEach(async () => {
    await turn()
    process.off('unhandledRejection', note).off('uncaughtException', note)
    expect(unhandled.splice(0)).toEqual([])
  })
}
