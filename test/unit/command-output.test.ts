import { expect, it } from 'vitest'
import { OutputStore } from '../../src/command/output.ts'

it('keeps the first 64 MiB of the output, and nothing behind a gap', () => {
  const store = new OutputStore(() => {})
  const half = new Uint8Array(32 * 1024 * 1024)
  store.push({ stream: 'stdout', data: half })
  store.push({ stream: 'stdout', data: half.subarray(2) })
  expect(store.isCut).toBe(false)
  store.push({ stream: 'stdout', data: half })
  for (const stream of ['stdout', 'stderr'] as const) store.push({ stream, data: half.subarray(0, 1) })
  expect(store.isCut).toBe(true)
  expect([store.whole('stdout').length, store.whole('stderr').length]).toEqual([2 * half.length - 2, 1])
})
