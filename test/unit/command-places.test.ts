import { expect, it } from 'vitest'
import { withPlace } from '../../src/command/places.ts'
import { Deferred } from '../../src/lib/deferred.ts'

/** Starts calls that end when they are told to, and notes which have begun. */
interface Calls {
  readonly begun: readonly string[]
  readonly start: (name: string, most: number, signal?: AbortSignal) => Promise<void>
  readonly end: (name: string) => void
}

function calls(): Calls {
  const begun: string[] = []
  const ends = new Map<string, Deferred>()
  return {
    begun,
    start(name, most, signal) {
      const end = new Deferred()
      ends.set(name, end)
      return withPlace('here', most, signal, () => {
        begun.push(name)
        return end.promise
      })
    },
    end: (name) => ends.get(name)?.resolve(),
  }
}

it('calls for one server wait until there is a place, first come, first served', async () => {
  const { begun, start, end } = calls()
  const all = ['a', 'b', 'c', 'd'].map((name) => start(name, 2))
  await expect.poll(() => begun).toEqual(['a', 'b'])
  end('b')
  await expect.poll(() => begun).toEqual(['a', 'b', 'c'])
  for (const name of ['a', 'c', 'd']) end(name)
  await Promise.all(all)
  expect(begun).toEqual(['a', 'b', 'c', 'd'])
})

it('a call for another server does not wait', async () => {
  const { start, end } = calls()
  const first = start('a', 1)
  expect(await withPlace('elsewhere', 1, undefined, async () => 'done')).toBe('done')
  end('a')
  await first
})

it('a call that is cancelled while it waits never begins, and gives its turn to the next', async () => {
  const { begun, start, end } = calls()
  const cancel = new AbortController()
  const first = start('a', 1)
  const second = start('b', 1, cancel.signal)
  const third = start('c', 1)
  cancel.abort(new Error('enough'))
  await expect(second).rejects.toThrow('enough')
  end('a')
  await first
  await expect.poll(() => begun).toEqual(['a', 'c'])
  end('c')
  await third
})

it('a call that is cancelled just as its turn comes gives its place back', async () => {
  await expect(withPlace('here', 1, AbortSignal.abort(new Error('enough')), async () => 'no')).rejects.toThrow('enough')
  expect(await withPlace('here', 1, undefined, async () => 'done')).toBe('done')
})

it('a call that fails gives its place back', async () => {
  await expect(withPlace('here', 1, undefined, () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(await withPlace('here', 1, undefined, async () => 'done')).toBe('done')
})
