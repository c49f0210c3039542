import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { Inbox } from '../../src/client/turn-limit.ts'

/** Creates an inbox that delivers to a list. */
function inbox(): { delivered: string[]; isPaused: () => boolean; box: Inbox } {
  const delivered: string[] = []
  let paused = false
  const socket = { pause: () => void (paused = true), resume: () => void (paused = false) }
  const box = new Inbox(socket)
  box.receiver = { push: (data) => void delivered.push(data.toString()) }
  return { delivered, isPaused: () => paused, box }
}

describe('an inbox', () => {
  it('delivers 64 tiny messages per turn, all of them in order, and makes the client wait meanwhile', async () => {
    const { delivered, isPaused, box } = inbox()
    for (let index = 0; index < 150; index += 1) box.push(Buffer.from(String(index)), true)
    const counts = [delivered.length]
    expect(isPaused()).toBe(true)
    for (let turns = 0; turns < 3; turns += 1) {
      await turn()
      counts.push(delivered.length)
    }
    expect(counts.slice(0, 3)).toEqual([64, 128, 150])
    expect(isPaused()).toBe(false)
    expect(delivered).toEqual(Array.from({ length: 150 }, (_item, index) => String(index)))
  })

  it('delivers nothing during a pause, and continues in order afterwards', async () => {
    const { delivered, isPaused, box } = inbox()
    box.push(Buffer.from('one'), true)
    box.pause()
    box.push(Buffer.from('two'), true)
    await turn()
    expect([delivered, isPaused()]).toEqual([['one'], true])
    box.resume()
    box.push(Buffer.from('three'), true)
    await turn()
    expect([delivered, isPaused()]).toEqual([['one', 'two', 'three'], false])
  })

  it('continues at the end of the turn after a pause that was shorter than the turn', async () => {
    const { delivered, box } = inbox()
    box.resume()
    box.push(Buffer.from('one'), true)
    box.pause()
    box.push(Buffer.from('two'), true)
    box.resume()
    expect(delivered).toEqual(['one'])
    await turn()
    expect(delivered).toEqual(['one', 'two'])
  })

  it('calls the callback of end when everything has been delivered', async () => {
    const { delivered, box } = inbox()
    const ended: number[] = []
    for (let index = 0; index < 70; index += 1) box.push(Buffer.from('x'), true)
    box.end(() => ended.push(delivered.length))
    expect(ended).toEqual([])
    await turn()
    expect(ended).toEqual([70])
  })

  it('makes the client wait after its share of a turn even when it is closed', async () => {
    const { isPaused, box } = inbox()
    box.close()
    for (let index = 0; index < 64; index += 1) box.push(Buffer.from('x'), true)
    expect(isPaused()).toBe(true)
    await turn()
    expect(isPaused()).toBe(false)
  })

  it('drops the messages that wait when it is closed, and no longer pauses the socket', async () => {
    const { delivered, isPaused, box } = inbox()
    box.pause()
    box.push(Buffer.from('one'), true)
    box.close()
    box.pause()
    box.resume()
    box.push(Buffer.from('two'), true)
    await turn()
    expect([delivered, isPaused()]).toEqual([[], false])
  })
})
