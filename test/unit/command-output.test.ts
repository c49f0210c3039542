import { expect, it } from 'vitest'
import { OutputStore } from '../../src/command/output.ts'

it('keeps the first 64 MiB of the output, and no part of what follows', () => {
  const store = new OutputStore(() => {})
  const half = new Uint8Array(32 * 1024 * 1024)
  store.push({ stream: 'stdout', data: half })
  store.push({ stream: 'stderr', data: half.subarray(1) })
  expect(store.isCut).toBe(false)
  store.push({ stream: 'stdout', data: half })
  store.push({ stream: 'stdout', data: half.subarray(0, 1) })
  expect(store.isCut).toBe(true)
  expect([store.whole('stdout').length, store.whole('stderr').length]).toEqual([half.length, half.length - 1])
})
